"""Alpha and metadata sections: exact, checked, and bounded whatever they claim."""

from __future__ import annotations

import contextlib
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, ImageError
from ddpmcodec.format.header import MAX_METADATA
from ddpmcodec.format.sections import (
    NO_METADATA,
    Metadata,
    inflate,
    pack_alpha,
    pack_metadata,
    preview_alpha,
    unpack_alpha,
    unpack_metadata,
)

DAMAGE = (ChecksumError, CorruptError)

planes = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def ramp() -> np.ndarray:
    return np.add.outer(np.arange(20) * 9, np.arange(24) * 5).astype(np.uint8)


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


@given(planes)
def test_alpha_comes_back(plane: np.ndarray) -> None:
    assert np.array_equal(unpack_alpha(pack_alpha(plane), *plane.shape), plane)


def test_an_opaque_plane_costs_next_to_nothing() -> None:
    assert len(pack_alpha(np.full((32, 32), 255, np.uint8))) < 24


def test_every_flipped_bit_of_an_alpha_section_is_found() -> None:
    section = pack_alpha(ramp())
    for bit in range(8 * len(section)):
        damaged = bytearray(section)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = unpack_alpha(bytes(damaged), 20, 24)
        except DAMAGE:
            continue
        # The last deflate byte has bits that mean nothing: what is accepted is never a wrong plane.
        assert np.array_equal(found, ramp())


@pytest.mark.parametrize("shape", [(20, 23), (20, 25), (19, 24), (1, 1)])
def test_alpha_of_another_size_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(CorruptError, match="as many pixels as the image"):
        unpack_alpha(pack_alpha(ramp()), *shape)


@pytest.mark.parametrize("section", [b"", b"abcd", b"\xff" * 20])
def test_what_is_not_an_alpha_section_is_refused(section: bytes) -> None:
    with pytest.raises(CorruptError):
        unpack_alpha(section, 20, 24)


def test_bytes_behind_the_alpha_are_refused() -> None:
    section = pack_alpha(ramp())
    with pytest.raises(CorruptError):
        unpack_alpha(section[:-4] + b"junk" + section[-4:], 20, 24)


def test_a_deflate_bomb_gets_no_further_than_the_image() -> None:
    section = raw_deflate(bytes(50_000_000)) + bytes(4)
    tracemalloc.start()
    try:
        with pytest.raises(CorruptError):
            unpack_alpha(section, 20, 24)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_preview_has_the_first_rows_and_is_opaque_below() -> None:
    section = pack_alpha(ramp())
    known = 0
    for size in range(len(section)):
        found = preview_alpha(section[:size], 20, 24)
        rows = int((found == ramp()).all(1).sum())
        assert (found[rows:] == 255).all()
        assert rows >= known
        known = rows
    assert known == 20


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
    for unpack in (unpack_metadata, lambda data: unpack_alpha(data, 3, 5)):
        with contextlib.suppress(FormatError):
            unpack(section)


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
