"""Files that were made lossy on purpose: they say so, are checked, and decode without more ado."""

from __future__ import annotations

import numpy as np
import pytest

from ddpmcodec import codec
from ddpmcodec._native import MARK_BYTES, Container
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.codec.stream_decoder import ProgressiveDecoder
from ddpmcodec.codec.truncation import cut
from ddpmcodec.errors import ChecksumError, FormatError, OutputError, TruncatedError
from ddpmcodec.format.marks import end_mark
from ddpmcodec.models.context import ContextModel

pytestmark = pytest.mark.usefixtures("one_thread")


def lossy(file: bytes, share: float = 0.7) -> bytes:
    start = codec.info(file)["header_bytes"]
    return codec.truncate(file, bytes=start + MARK_BYTES + int(share * (len(file) - start - MARK_BYTES)), mark=True)


def test_it_decodes_as_its_prefix_does(model: ContextModel, file: bytes) -> None:
    made = lossy(file)
    found = decode_details(made, model=model)
    assert (found.exact, found.lossy, found.damaged) == (False, True, False)
    assert found.image == codec.decode(made[:-MARK_BYTES], partial=True, model=model)
    assert codec.decode_many([made, file, made], model=model) == [
        found.image, codec.decode(file, model=model), found.image
    ]  # fmt: skip


def test_info_says_so(file: bytes) -> None:
    facts = codec.info(lossy(file))
    assert (facts["lossy"], facts["complete"]) == (True, False)
    assert not codec.info(file)["lossy"]
    assert not codec.info(file[:-1])["lossy"]


def test_the_mark_counts(file: bytes) -> None:
    start = codec.info(file)["header_bytes"]
    made = codec.truncate(file, bytes=start + MARK_BYTES, mark=True)
    assert made[:-MARK_BYTES] == file[:start]
    with pytest.raises(OutputError, match=f"take {start + MARK_BYTES}"):
        codec.truncate(file, bytes=start + MARK_BYTES - 1, mark=True)


def test_whole_files_are_not_marked(model: ContextModel, file: bytes) -> None:
    assert codec.truncate(file, bytes=len(file), mark=True, model=model) == file
    assert codec.truncate(file, step=codec.info(file)["steps"], mark=True, model=model) == file


def test_a_mark_never_makes_a_file_as_long_as_the_whole(model: ContextModel, file: bytes) -> None:
    for size in range(len(file) - MARK_BYTES - 1, len(file)):
        made = cut(file, size, mark=True)
        assert made == file if size + MARK_BYTES >= len(file) else len(made) < len(file)
        assert decode_details(made, model=model).lossy == (made != file)


def test_prefixes_are_marked_however_much_may_be_kept(model: ContextModel, file: bytes) -> None:
    for size in range(codec.info(file)["header_bytes"] + MARK_BYTES, len(file)):
        for limit in ({"bytes": size}, {"bytes": size + MARK_BYTES}, {"bpp": 1e9}):
            made = codec.truncate(file[:size], **limit, mark=True, model=model)
            assert len(made) <= limit.get("bytes", len(file) + MARK_BYTES)
            assert decode_details(made, model=model).lossy


def test_damage_is_not_marked(tiled: bytes) -> None:
    place = codec.info(tiled)["header_bytes"] + 20
    flipped = bytearray(tiled)
    flipped[place] ^= 1
    with pytest.raises(ChecksumError, match="1 of 2 tiles"):
        codec.truncate(bytes(flipped), bytes=len(tiled) - 1, mark=True)
    assert codec.truncate(bytes(flipped), bytes=place, mark=True), "what is damaged is not kept"
    assert codec.truncate(bytes(flipped), bytes=len(tiled) - 1) == flipped[:-1]


def test_it_can_be_cut_again(model: ContextModel, file: bytes) -> None:
    made = lossy(file)
    assert codec.truncate(made, bytes=len(made), mark=True) == made
    again = codec.truncate(made, bytes=len(made) - 1, mark=True)
    assert again == codec.truncate(file, bytes=len(made) - 1, mark=True)


def test_damage_is_found(model: ContextModel, file: bytes) -> None:
    made = lossy(file)
    for place in range(codec.info(file)["header_bytes"], len(made), 7):
        damaged = bytearray(made)
        damaged[place] ^= 1
        with pytest.raises((TruncatedError, ChecksumError)):
            codec.decode(bytes(damaged), model=model)


def test_damage_that_was_marked_is_found(model: ContextModel, tiled: bytes) -> None:
    """A mark that fits stands behind data that fail their own checks: shown as a preview only."""
    flipped = bytearray(tiled[: -MARK_BYTES - 1])
    flipped[codec.info(tiled)["header_bytes"] + 20] ^= 1
    made = bytes(flipped) + end_mark(flipped)
    assert decode_details(made, partial=True, model=model).damaged
    with pytest.raises(ChecksumError):
        codec.decode(made, model=model)
    with pytest.raises(ChecksumError):
        codec.decode_many([made], model=model)
    with pytest.raises(ChecksumError):
        ProgressiveDecoder(model=model).feed(made)


def test_more_bytes_behind_the_mark_are_an_error(model: ContextModel, file: bytes) -> None:
    with pytest.raises(FormatError):
        codec.decode(lossy(file) + b"x", model=model)


def test_it_arrives_byte_by_byte_wherever_it_was_cut(model: ContextModel, tiled: bytes) -> None:
    """Also near the end of a chunk, which the first bytes of the mark would fill."""
    end = Container(tiled).end_of_segment(1)
    for size in range(end - MARK_BYTES, end + 2):
        made, decoder = cut(tiled, size, mark=True), ProgressiveDecoder(model=model)
        for place in range(len(made)):
            decoder.feed(made[place : place + 1])
        assert decoder.complete
        assert decoder.close() == codec.decode(made, model=model)


def test_it_arrives_in_pieces(model: ContextModel, file: bytes) -> None:
    made, decoder = lossy(file), ProgressiveDecoder(model=model)
    for start in range(0, len(made), 50):
        decoder.feed(made[start : start + 50])
    assert decoder.complete
    assert np.array_equal(np.asarray(decoder.close()), np.asarray(codec.decode(made, model=model)))


@pytest.mark.parametrize("channels", [3, 4])
def test_a_tiny_one_arrives_in_two_pieces_wherever_it_was_cut(model: ContextModel, channels: int) -> None:
    """The first bytes of the mark complete the stream of some, as if they were its last words."""
    image = np.random.default_rng(1).integers(0, 256, (2, 3, channels), dtype=np.uint8)
    file = codec.encode(image, effort=1, levels=0, model=model)
    for size in range(codec.info(file)["header_bytes"] + MARK_BYTES, len(file)):
        made = cut(file, size, mark=True)
        for end in range(len(made) - MARK_BYTES, len(made)):
            decoder = ProgressiveDecoder(model=model)
            decoder.feed(made[:end])
            decoder.feed(made[end:])
            assert decoder.close() == codec.decode(made, model=model)


def test_a_marked_file_is_cut_to_the_bytes_that_are_asked_for(model: ContextModel, file: bytes) -> None:
    lossy = codec.truncate(file, bytes=len(file) * 2 // 3, mark=True)
    for size in range(len(lossy) - MARK_BYTES - 1, len(lossy)):
        assert len(codec.truncate(lossy, bytes=size)) <= size
    assert codec.truncate(lossy, bytes=len(lossy)) == lossy
