"""Damage never gives wrong pixels in silence, and only errors of the library escape."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_sections import header_of, split
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from written_files import assemble, pack_header
from written_headers import Header

from ddpmcodec import codec
from ddpmcodec._native import MAGIC, parse_header
from ddpmcodec.codec.decoder import decode_details
from ddpmcodec.content import File
from ddpmcodec.errors import ChecksumError, CorruptError, DdpmError, FormatError, ImageError, ModelError, TruncatedError
from ddpmcodec.format.marks import end_mark
from ddpmcodec.models.context import ContextModel

Picture = Callable[..., Image.Image]
READERS: list[Callable[[Any], object]] = [
    codec.decode, codec.info, codec.thumbnail, codec.decode_original, partial(codec.truncate, bytes=99),
    partial(codec.truncate, psnr=30), partial(codec.decode, reduce=2),
]  # fmt: skip

pytestmark = pytest.mark.usefixtures("one_thread")


def decoded_or_none(data: bytes, model: ContextModel, **options: Any) -> Image.Image | None:
    """What decodes, or None for an error of the library's own; any other exception escapes."""
    try:
        return codec.decode(data, model=model, **options)
    except DdpmError:
        return None


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]


# --- flipped bits


def test_every_flipped_byte_of_a_header_or_a_stream_is_found(model: ContextModel, bare: bytes) -> None:
    """Damage may look like an early end. In a header it may name another model."""
    for place in range(len(bare)):
        with pytest.raises((FormatError, ModelError) if place < parse_header(bare).size else FormatError):
            codec.decode(flipped(bare, place), model=model)


def test_every_flipped_byte_of_a_tiled_file_is_found_and_the_tile_named(model: ContextModel, tiled: bytes) -> None:
    file = split(tiled)
    place = file.start
    for number, chunk in enumerate(file.chunks):
        segment, tile = divmod(number, 2)
        for offset in range(0, len(chunk), 3):
            with pytest.raises(ChecksumError) as found:
                codec.decode(flipped(tiled, place + offset), model=model)
            columns = ("0 to 63", "64 to 75")[tile]
            where = f"segment {segment + 1} of {len(file.chunks) // 2} of the tile at columns {columns}, rows 0 to 7"
            assert re.search(rf"^1 of 2 tiles .*{where}", str(found.value))
        place += len(chunk)
    for place in range(file.start):
        with pytest.raises(FormatError):
            codec.decode(flipped(tiled, place), model=model)


def test_flipped_bytes_never_give_wrong_pixels(model: ContextModel, small: bytes) -> None:
    image = codec.decode(small, model=model)
    for place in range(len(small)):
        found = decoded_or_none(flipped(small, place), model)
        # A bit of deflate padding may mean nothing: what decodes is the image.
        assert found is None or (found.mode == image.mode and np.array_equal(found, image))


def test_damage_of_a_file_that_learned_colours_is_found(model: ContextModel, learned: bytes) -> None:
    """Values that make no colour, which only a damaged stream has, are no exception of another kind."""
    for place in np.linspace(40, len(learned) - 1, 6).astype(int).tolist():
        damaged = flipped(learned, place)
        with pytest.raises((ChecksumError, TruncatedError)):
            codec.decode(damaged, model=model)
        for data in (damaged, learned[:place]):
            assert codec.decode(data, model=model, partial=True).size == (64, 48)


# --- bytes that are missing, or too many


@pytest.mark.parametrize("junk", [b"\0", b"\0\0\0\0", bytes(100)])
def test_bytes_after_the_end_are_refused(model: ContextModel, file: bytes, junk: bytes) -> None:
    for behind in (junk, end_mark(file)):
        with pytest.raises(FormatError, match="end of the image"):
            codec.decode(file + behind, model=model)


def test_previews_ignore_bytes_after_the_end(model: ContextModel, file: bytes) -> None:
    whole = codec.decode(file, model=model)
    found = decode_details(file + b"\n", partial=True, model=model)
    assert (found.exact, found.damaged, found.following, found.image) == (True, False, 1, whole)
    assert decode_details(file + b"\n", partial=True, reduce=2, model=model).following == 1
    assert codec.thumbnail(file + b"\n", model=model) == codec.thumbnail(file, model=model)


def test_missing_words_in_the_middle_are_found(model: ContextModel, bare: bytes) -> None:
    header = parse_header(bare)
    for place in range(header.size + header.state_bytes, len(bare), 4):
        with pytest.raises(TruncatedError):
            codec.decode(bare[:place] + bare[place + 4 :], model=model)


@pytest.mark.parametrize("name", ["bare", "small"])
def test_words_that_a_stream_lacks_or_has_too_many_are_found(
    request: pytest.FixtureRequest, model: ContextModel, name: str
) -> None:
    """Where the header agrees with the number of words: a decoder's state must end as the encoder's began."""
    whole = request.getfixturevalue(name)
    file = split(whole)
    header, stream = file.header, file.payload
    for changed in (stream[:-4], stream[:12] + stream[16:], stream + bytes(4), stream[: header.state_bytes]):
        data = assemble(header_of(whole), file.alpha, changed, file.metadata)
        with pytest.raises((ChecksumError, CorruptError)):
            codec.decode(data, model=model)
        found = decode_details(data, partial=True, model=model)
        assert (found.exact, found.damaged) == (False, True)


def test_two_files_in_one_are_refused(model: ContextModel, file: bytes) -> None:
    with pytest.raises(FormatError):
        codec.decode(file + file, model=model)


# --- headers


@pytest.mark.parametrize(
    "claim",
    [
        {"width": 11}, {"width": 5, "height": 6}, {"width": 3, "height": 10}, {"mode": "L"}, {"effort": 3},
        {"levels": 0}, {"levels": 5}, {"width": 200, "height": 300},
    ],
)  # fmt: skip
def test_a_consistent_header_of_another_image_is_found(model: ContextModel, bare: bytes, claim: dict[str, Any]) -> None:
    claimed = pack_header(replace(header_of(bare), **claim))
    with pytest.raises(FormatError):
        codec.decode(claimed + bare[parse_header(bare).size :], model=model)


def test_huge_claims_are_refused(model: ContextModel, bare: bytes) -> None:
    """Before anything is allocated: some 2^62 pixels, and an image within the limits whose data is not there."""
    start = bytearray(bare[: bare.index(model.id[:4]) + 4]) + b"\x80\x80\x80\x80\x08" + b"\x81\x80\x80\x80\x08"
    with pytest.raises(FormatError, match="2147483648 x 2147483649"):
        codec.decode(start + bytes(40), model=model)
    claimed = assemble(Header("RGB", 1 << 11, 1 << 10, 2, 2, 0, model.id[:4]), b"", bytes(8), b"")
    with pytest.raises(FormatError):
        codec.decode(claimed, model=model)


# --- anything


many_examples = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
edits = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["set", "insert", "delete"]), st.binary(min_size=1, max_size=6)),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    for where, kind, value in changes:
        place = int(where * len(data))
        kept = place if kind == "insert" else place + len(value)
        data = data[:place] + (b"" if kind == "delete" else value) + data[kept:]
    return data


@pytest.mark.parametrize("name", ["small", "bare", "tiled"])
@many_examples
@given(changes=edits, options=st.sampled_from([{}, {"partial": True}, {"step": 3}, {"max_bytes": 100}]))
@example(changes=[(1.0, "insert", b"\0")], options={"partial": True})
def test_only_errors_of_the_library_escape(
    request: pytest.FixtureRequest,
    model: ContextModel,
    name: str,
    changes: list[tuple[float, str, bytes]],
    options: dict[str, Any],
) -> None:
    """A preview has the size that the edited header claims."""
    data = edited(request.getfixturevalue(name), changes)
    found = decoded_or_none(data, model, **options)
    if found is not None:
        header = parse_header(data)
        assert found.size == (header.width, header.height)


@pytest.mark.parametrize("name", ["small", "bare", "tiled"])
@many_examples
@given(body=st.binary(max_size=300), step=st.sampled_from([None, 1, 3]))
def test_any_body_behind_a_header_is_decoded_or_an_error(
    request: pytest.FixtureRequest, model: ContextModel, name: str, body: bytes, step: int | None
) -> None:
    """A whole header is the way to what lies behind it: streams that no encoder writes."""
    data = request.getfixturevalue(name)
    header = parse_header(data)
    start = header.size
    body = body[: len(data) - start]
    found = decoded_or_none(data[:start] + body + data[start + len(body) :], model, partial=True, step=step)
    assert found is not None
    assert found.size == (header.width, header.height)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(data=st.binary(max_size=200).map(lambda tail: MAGIC + b"\x41" + tail))
def test_random_data_behind_the_magic_is_an_error(context_path: Path, data: bytes) -> None:
    with pytest.raises((FormatError, ModelError, ImageError)):
        codec.decode(data, partial=True, model=context_path)


@pytest.mark.parametrize("wrong", [None, 7, [1], io.StringIO("text"), np.zeros(9, np.uint8)])
def test_other_kinds_of_data_are_refused(wrong: Any) -> None:
    name = "str" if isinstance(wrong, io.StringIO) else type(wrong).__name__
    with pytest.raises(TypeError, match=f"not {name}$"):
        codec.decode_many([wrong])
    for function in READERS:
        with pytest.raises(TypeError, match=f"not {name}$"):
            function(wrong)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for function in READERS:
        with pytest.raises(DdpmError, match=r"nothing\.ddpm: cannot be read"):
            function(tmp_path / "nothing.ddpm")
        with pytest.raises(DdpmError, match="cannot be read"):
            function(tmp_path)
    with pytest.raises(TypeError, match=r"decode_many.*str"):
        codec.decode_many("photo.ddpm")  # type: ignore[arg-type]


def test_of_many_files_the_wrong_one_is_named_by_its_number(
    model: ContextModel, bare: bytes, tiled: bytes, tmp_path: Path
) -> None:
    flipped = bare[:-1] + bytes([bare[-1] ^ 1])  # of which only its stream knows
    for wrong in (bare[:4], tiled[:-1], tiled + b"x", flipped, tmp_path / "nothing.ddpm"):
        with pytest.raises(DdpmError, match=r"^file 3: ") as found:
            codec.decode_many([bare, bare, wrong, bare], model=model)
        with pytest.raises(type(found.value)) as alone:
            codec.decode(wrong, model=model)
        assert str(found.value) == f"file 3: {alone.value}"
    with pytest.raises(ImageError, match=r"^file 2: "):
        codec.decode_many([bare, tiled], model=model, max_pixels=50)


def test_a_file_is_its_bytes_however_they_are_held(model: ContextModel, bare: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.ddpm"
    path.write_bytes(bare)
    wide = np.frombuffer(bare + bytes(-len(bare) % 4), np.uint32)[: len(bare) // 4]
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
        holders: list[File] = [bytearray(bare), memoryview(bare), path, str(path), io.BytesIO(bare), mapped]
        for holder in holders:
            rewound = holder.seek(0) if isinstance(holder, io.BytesIO) else 0
            assert codec.decode(holder, model=model) == codec.decode(bare, model=model)
            assert rewound == 0
        for function in (codec.info, partial(codec.truncate, bytes=90), partial(codec.thumbnail, size=8, model=model)):
            assert function(path) == function(mapped) == function(bare)  # type: ignore[operator]
    assert codec.info(memoryview(wide)) == codec.info(bare[: 4 * len(wide)])  # its length is that of items
