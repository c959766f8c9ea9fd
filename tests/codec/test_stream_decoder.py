"""Previews come while bytes arrive: each better than the last, the last one the image."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from written_files import crc16, pack_header
from written_headers import Header, Index
from written_tiles import pack_chunk

from ddpmcodec import codec
from ddpmcodec._native import LANES, parse_header
from ddpmcodec.codec import ProgressiveDecoder
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.codec.efforts import segments, segments_of_steps
from ddpmcodec.errors import ChecksumError, FormatError, ModelError, TruncatedError
from ddpmcodec.models.context import ContextModel


def fed(decoder: ProgressiveDecoder, data: bytes, size: int) -> Iterator[tuple[int, Image.Image]]:
    """(bytes so far, preview) for each preview, of pieces of a size."""
    for start in range(0, len(data), size):
        if (preview := decoder.feed(data[start : start + size])) is not None:
            yield min(start + size, len(data)), preview


def fed_and_closed(decoder: ProgressiveDecoder, data: bytes, size: int) -> Image.Image:
    list(fed(decoder, data, size))
    return decoder.close()


def error(a: Image.Image, b: Image.Image) -> float:
    return float(np.square(np.asarray(a, np.float64) - np.asarray(b)).mean())


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_the_last_image_is_the_files(model: ContextModel, file: bytes, size: int) -> None:
    decoder = ProgressiveDecoder(model=model)
    previews = list(fed(decoder, file, size))
    expected = codec.decode(file, model=model)
    assert previews[-1] == (len(file), expected)
    assert decoder.complete
    assert decoder.close() == expected
    assert decoder.close().info == expected.info
    assert decoder.complete
    assert decoder.feed(b"") is None


@pytest.mark.parametrize("name", ["small", "bare"])
def test_a_single_stream_is_decoded_as_often_as_it_doubles(
    model: ContextModel, request: pytest.FixtureRequest, name: str
) -> None:
    """However small the pieces are."""
    file = request.getfixturevalue(name)
    sizes = [size for size, _ in fed(ProgressiveDecoder(model=model), file, 1)]
    assert len(sizes) > 1
    assert all(later == min(2 * earlier, len(file)) for earlier, later in pairwise(sizes))


def test_the_smallest_file_is_decoded() -> None:
    data = codec.encode(np.zeros((1, 1), np.uint8), levels=0)
    assert len(data) < 32  # which are worth a preview
    decoder = ProgressiveDecoder()
    assert decoder.feed(data) == decoder.close() == codec.decode(data)


def test_previews_come_nearer(model: ContextModel, file: bytes) -> None:
    previews = [image for _, image in fed(ProgressiveDecoder(model=model), file, 1)]
    errors = [error(image, previews[-1]) for image in previews]
    assert len(errors) >= 2
    assert errors[-2] <= errors[0]
    assert all(later <= 1.5 * earlier + 1 for earlier, later in pairwise(errors))


def test_every_segment_of_a_tiled_file_is_a_preview_when_its_last_byte_is_there(
    model: ContextModel, tiled: bytes
) -> None:
    header = parse_header(tiled)
    previews = list(fed(ProgressiveDecoder(model=model), tiled, 1))
    lengths = np.array(header.chunk_lengths).reshape(header.segments, header.tile_count).sum(1)
    ends = header.size + np.cumsum(lengths)
    assert [size for size, _ in previews] == sorted({*ends.tolist()})
    steps = {segments_of_steps(header, step): step for step in range(1, header.levels + 1 + 1)}
    done = [(int((ends <= size).sum()), image) for size, image in previews]  # chunks may be empty
    compared = [image == codec.decode(tiled, step=steps[n], model=model) for n, image in done if n in steps]
    assert compared
    assert all(compared)


def test_a_piece_with_many_segments_is_one_preview(model: ContextModel, tiled: bytes) -> None:
    decoder = ProgressiveDecoder(model=model)
    half = len(tiled) * 3 // 4
    preview = decoder.feed(tiled[:half])
    assert preview is not None
    assert decoder.feed(tiled[half:]) == codec.decode(tiled, model=model)


def test_alpha_and_metadata_arrive_as_in_the_file(model: ContextModel, small: bytes) -> None:
    previews = [image for _, image in fed(ProgressiveDecoder(model=model), small, 1)]
    assert {image.mode for image in previews} == {"RGBA"}
    assert [sorted(image.info) for image in previews] == [[]] * (len(previews) - 1) + [["exif", "icc_profile"]]


def test_the_size_is_known_from_the_header_on(model: ContextModel, file: bytes) -> None:
    header = parse_header(file)
    start = header.size
    decoder = ProgressiveDecoder(model=model)
    assert decoder.feed(file[: start - 1]) is None
    assert decoder.size is None
    decoder.feed(file[start - 1 : start])
    assert decoder.size == (header.width, header.height)
    assert not decoder.complete


def test_a_decoder_that_is_closed_too_early_says_how_much_is_missing(model: ContextModel, file: bytes) -> None:
    decoder = ProgressiveDecoder(model=model)
    with pytest.raises(TruncatedError, match="header"):
        decoder.close()
    decoder.feed(file[:-1])
    with pytest.raises(TruncatedError, match=f"{len(file) - 1} of {len(file)} bytes"):
        decoder.close()


def test_what_is_no_file_is_refused_at_its_first_byte() -> None:
    with pytest.raises(FormatError, match="not a ddpmcodec file"):
        ProgressiveDecoder().feed(b"\x89")


def test_bytes_behind_the_end_are_refused(model: ContextModel, file: bytes) -> None:
    decoder = ProgressiveDecoder(model=model)
    decoder.feed(file)
    with pytest.raises(FormatError):
        fed_and_closed(decoder, bytes(4), 4)


def test_damage_is_found_when_its_segment_is_there(model: ContextModel, tiled: bytes) -> None:
    start = parse_header(tiled).size
    broken = bytearray(tiled)
    broken[(start + len(tiled)) // 2] ^= 1
    decoder = ProgressiveDecoder(model=model)
    before = list[int]()
    with pytest.raises(ChecksumError, match="damaged"):
        before.extend(size for size, _ in fed(decoder, bytes(broken), 1))
    assert max(before) < len(tiled)
    assert not decoder.complete
    with pytest.raises(FormatError):
        decoder.close()
    assert decode_details(bytes(broken), partial=True, model=model).damaged


@pytest.mark.parametrize("name", ["small", "bare"])
def test_damage_of_a_single_stream_is_found_at_its_end(
    model: ContextModel, name: str, request: pytest.FixtureRequest
) -> None:
    data = bytearray(request.getfixturevalue(name))
    start = parse_header(data).size
    data[(start + len(data)) // 2] ^= 1
    decoder = ProgressiveDecoder(model=model)
    with pytest.raises(FormatError, match="damaged"):
        fed_and_closed(decoder, bytes(data), 50)


def test_a_model_that_is_missing_is_named(file: bytes) -> None:
    with pytest.raises(ModelError, match="written with"):
        ProgressiveDecoder().feed(file)


def test_what_an_index_claims_takes_no_memory(model: ContextModel) -> None:
    """A claim of gigabytes that no tile of this size has."""
    chunk = pack_chunk([[b""] * LANES], [1 << 24] * LANES)
    count = len(segments(2, 24, 32))
    index = Index(32, 24, (len(chunk), 1 << 34, *[0] * (count - 2)), (crc16(chunk), *[0] * (count - 1)))
    data = pack_header(Header("RGB", 32, 24, 1, 2, 0, model.id[:4], index=index)) + chunk
    with pytest.raises(FormatError):
        codec.decode(data, model=model)
    with pytest.raises(FormatError):
        ProgressiveDecoder(model=model).feed(data)
    assert decode_details(data, partial=True, model=model).image.size == (32, 24)


def test_it_is_fed_with_bytes() -> None:
    with pytest.raises(TypeError, match="bytes, not str"):
        ProgressiveDecoder().feed("text")  # type: ignore[arg-type]
