"""Metadata sections: exact, checked, and bounded whatever they claim."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec._native import MAX_METADATA, parse_metadata
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, ImageError
from ddpmcodec.format.sections import (
    NO_METADATA,
    KeptFile,
    Metadata,
    pack_metadata,
    unpack_kept,
)
from native_testing import testing


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


@pytest.mark.parametrize(
    "metadata",
    [
        Metadata(b"profile"),
        Metadata(exif=b"Exif\0\0II"),
        Metadata(xmp=b"<x:xmpmeta/>"),
        Metadata(bytes(1000), b"\xff" * 300, b"<" * 300),
    ],
)
def test_metadata_comes_back(metadata: Metadata) -> None:
    for section in (pack_metadata(metadata), testing.pack_metadata(list(metadata))):
        assert Metadata(*parse_metadata(section)) == metadata


def test_no_metadata_takes_no_bytes() -> None:
    assert pack_metadata(NO_METADATA) == testing.pack_metadata([]) == b""


def test_every_flipped_bit_of_metadata_is_found() -> None:
    section = pack_metadata(Metadata(b"profile", b"Exif\0\0II"))
    for bit in range(8 * len(section)):
        damaged = bytearray(section)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ChecksumError, match="metadata section"):
            parse_metadata(bytes(damaged))


def metadata_section(entries: bytes) -> bytes:
    deflated = raw_deflate(entries)
    return zlib.crc32(deflated).to_bytes(4, "little") + deflated


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (b"\x05\x01a", "kind"),
        (b"\x01\x01a\x01\x01b", "kind"),
        (b"\x01\x05a", "ends"),
        (bytes(MAX_METADATA + 1), "more than"),
    ],
)
def test_metadata_that_contradicts_itself_is_refused(entries: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as found:
        parse_metadata(metadata_section(entries))
    assert found.type is FormatError


def test_deflated_bytes_that_are_no_stream_are_damage() -> None:
    with pytest.raises(CorruptError, match="damaged"):
        parse_metadata(zlib.crc32(b"\xff" * 9).to_bytes(4, "little") + b"\xff" * 9)


@given(st.binary(max_size=40))
def test_no_other_error_comes_out(section: bytes) -> None:
    with contextlib.suppress(FormatError):
        parse_metadata(section)


def test_too_much_metadata_is_refused_with_a_remedy() -> None:
    with pytest.raises(ImageError, match="strip"):
        pack_metadata(Metadata(bytes(MAX_METADATA)))
    with pytest.raises(ImageError, match="too many"):
        testing.pack_metadata([bytes(MAX_METADATA)])


@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_more_is_inflated_than_asked_for(data: bytes, most: int) -> None:
    deflated = raw_deflate(data)
    if len(data) <= most:
        assert testing.inflated(deflated, most) == data
    for other in [deflated + b"x", deflated[:-1], *([] if len(data) <= most else [deflated])]:
        with pytest.raises(FormatError):
            testing.inflated(other, most)


# --- other sections


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"GIF89a" * 99, bytes(range(256))])
def test_a_kept_file_comes_back(content: bytes) -> None:
    kept = KeptFile("GIF", "gif", "an animation of 2 pictures é", 300, 0, content)
    assert unpack_kept(testing.pack_kept(*kept)) == kept


def test_golden_bytes_of_a_kept_file() -> None:
    golden = bytes.fromhex("88119495 ac02 00 03474946 03676966 00 04 6869")
    assert testing.pack_kept("GIF", "gif", "", 300, 0, b"hi") == golden


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_low_bits_of_tiles_follow_their_lengths(streams: list[bytes]) -> None:
    section = testing.pack_low_bits(streams)
    ranges = testing.parse_low_bits_index(section, len(section), len(streams))
    assert [section[begin:end] for begin, end in ranges] == streams


def test_golden_bytes_of_low_bits() -> None:
    assert testing.pack_low_bits([b"a", bytes(200)]) == bytes.fromhex("01 c801 7074 61") + bytes(200)


def test_the_items_of_a_recipe_are_deflated_if_that_is_shorter() -> None:
    start, check = b"\xa0\x1f", b"1234"  # twice the length of the file
    for items in (b"", b"items", bytes(range(256))):
        assert testing.pack_recipe(start + check + items) == start + check + items
    packed = testing.pack_recipe(start + check + bytes(300))
    assert packed[:6] == b"\xa1\x1f" + check
    assert testing.inflated(packed[6:], 300) == bytes(300)
