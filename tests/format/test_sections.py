"""Metadata sections: exact, checked, and bounded whatever they claim."""

from __future__ import annotations

import contextlib
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, ImageError
from ddpmcodec.format.header import MAX_METADATA
from ddpmcodec.format.sections import (
    NO_METADATA,
    Metadata,
    inflate,
    pack_metadata,
    unpack_metadata,
)


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


@pytest.mark.parametrize(
    "metadata",
    [
        NO_METADATA,
        Metadata(b"profile"),
        Metadata(exif=b"Exif\0\0II"),
        Metadata(xmp=b"<x:xmpmeta/>"),
        Metadata(bytes(1000), b"\xff" * 300, b"<" * 300),
    ],
)
def test_metadata_comes_back(metadata: Metadata) -> None:
    assert unpack_metadata(pack_metadata(metadata)) == metadata


def test_no_metadata_takes_no_bytes() -> None:
    assert pack_metadata(NO_METADATA) == b""


def test_every_flipped_bit_of_metadata_is_found() -> None:
    section = pack_metadata(Metadata(b"profile", b"Exif\0\0II"))
    for bit in range(8 * len(section)):
        damaged = bytearray(section)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ChecksumError, match="metadata section is damaged"):
            unpack_metadata(bytes(damaged))


def metadata_section(entries: bytes) -> bytes:
    deflated = raw_deflate(entries)
    return zlib.crc32(deflated).to_bytes(4, "little") + deflated


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (b"\x04\x01a", "unknown or repeated kind of metadata 4"),
        (b"\x01\x01a\x01\x01b", "unknown or repeated kind of metadata 1"),
        (b"\x01\x05a", "the metadata contradicts itself .*ends inside the metadata"),
        (bytes(MAX_METADATA + 1), f"more than {MAX_METADATA} bytes"),
    ],
)
def test_metadata_that_contradicts_itself_is_refused(entries: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as found:
        unpack_metadata(metadata_section(entries))
    assert found.type is FormatError


def test_deflated_bytes_that_are_no_stream_are_damage() -> None:
    with pytest.raises(CorruptError, match="a compressed section is damaged"):
        unpack_metadata(zlib.crc32(b"\xff" * 9).to_bytes(4, "little") + b"\xff" * 9)


@given(st.binary(max_size=40))
def test_no_other_error_comes_out(section: bytes) -> None:
    with contextlib.suppress(FormatError):
        unpack_metadata(section)


def test_too_much_metadata_is_refused_with_a_remedy() -> None:
    with pytest.raises(ImageError, match=r"strip=True"):
        pack_metadata(Metadata(bytes(MAX_METADATA)))


@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_more_is_inflated_than_asked_for(data: bytes, most: int) -> None:
    deflated = raw_deflate(data)
    assert inflate(deflated, most) == (data[:most], len(data) <= most)
    assert inflate(deflated + b"x", most) == (data[:most], False)
    assert inflate(deflated[:-1], most)[1] is False


def test_inflating_takes_little_more_memory_than_what_it_gives() -> None:
    """Nothing is joined from pieces that are as large together."""
    size = 1 << 25
    deflated = raw_deflate(bytes(size))
    tracemalloc.start()
    found, ended = inflate(deflated, size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found), ended) == (size, True)
    assert peak < 1.3 * size
