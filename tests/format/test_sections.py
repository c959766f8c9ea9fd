"""Metadata sections: exact, checked, and bounded whatever they claim."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec._native import MAX_METADATA, parse_metadata
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, ImageError
from ddpmcodec.format.sections import NO_METADATA, Metadata, pack_metadata
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
    assert Metadata(*parse_metadata(pack_metadata(metadata))) == metadata


def test_no_metadata_takes_no_bytes() -> None:
    assert pack_metadata(NO_METADATA) == b""


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


@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_more_is_inflated_than_asked_for(data: bytes, most: int) -> None:
    deflated = raw_deflate(data)
    if len(data) <= most:
        assert testing.inflated(deflated, most) == data
    for other in [deflated + b"x", deflated[:-1], *([] if len(data) <= most else [deflated])]:
        with pytest.raises(FormatError):
            testing.inflated(other, most)
