"""What no header may claim, read or written: refused before anything is allocated."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.header import MAX_METADATA, MAX_PIXELS, METADATA, SQUARE, STORED, TILED, Header, Index
from ddpmcodec.format.header_bytes import crc16, pack_header, parse_header
from ddpmcodec.format.varint import MAX_VARINT, pack_varint

MODEL_ID = bytes.fromhex("0a1b2c3d")
PLAIN = Header("RGB", 32, 32, 2, 2, 1)
OTHER_MODEL = Header("L", 300, 2, 3, 5, 0, MODEL_ID, state_bytes=8)
GREY_ALPHA = Header(
    "LA",
    300,
    2,
    3,
    0,
    0,
    MODEL_ID,
    state_bytes=6,
    orientation=6,
    alpha_length=129,
    metadata_length=5,
    payload_length=18,
)
GRAPHIC = Header("RGBA", 48, 16, stored="webp", mean_colour=b"\x10\x80\xff", metadata_length=200, payload_length=4000)
PHOTO = Header("RGB", 48, 16, stored="jxl", mean_colour=b"\x10\x80\xff", orientation=6, payload_length=4000)
BILEVEL = Header("1", 1, 1, stored="webp", mean_colour=b"\xff", payload_length=60)
INDEX = Index(200, 300, 3, (1, 2, 300, 4, 5, 0), (1, 2, 3, 4, 0xABCD, 0xFFFF))
LARGE = Header("RGB", 400, 300, 1, 2, 255, index=INDEX)
BODY = bytes(range(7, 71))  # what follows a header

# --- reading


def with_crc(start: bytes) -> bytes:
    """Header bytes that are wrong on purpose, behind a checksum that says they are not."""
    return start + crc16(start).to_bytes(2, "little")


def plain(flags: int = 0, width: int = 32, height: int = 32, rest: bytes = b"") -> bytes:
    """A header in RGB up to its size, then `rest`."""
    sides = (width,) if width == height else (width, height)
    model = b"" if flags & STORED else b"\1"
    coding = (0 if flags & STORED else 0x80) | flags | SQUARE * (width == height)
    start = bytes([0xDD, 0x0A, 0x61 if flags else 0x41, coding])
    return with_crc(start + model + b"".join(map(pack_varint, sides)) + rest)


def test_foreign_data_is_refused_with_what_was_found() -> None:
    with pytest.raises(FormatError, match=r"not a ddpmcodec file: it starts with 89 50, not dd 0a"):
        parse_header(b"\x89PNG\r\n\x1a\n" + bytes(20))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (2, 0x81, r"format version 2 \(this program reads 1\)"),
        (2, 0x01, r"format version 0 \(this program reads 1\)"),
        *((2, 0x40 + rest, f"unknown colour mode {rest}") for rest in range(25, 32)),
        (3, 0xB8, r"unknown noise levels 3"),
        (3, 0xBC, r"unknown payload 3"),
        (3, 0x8D, r"claims a WebP payload in tiles"),
        (3, 0x9D, r"claims a JPEG payload in tiles"),
        (3, 0x2D, r"claims a JPEG XL payload in tiles"),
        (3, 0x1E, r"claims metadata beside a JPEG, which has its own"),
        (3, 0x18, r"claims effort 0 \(1 to 3 are possible\)"),
        (3, 0x4C, r"claims effort 1 \(0 to 0 are possible\)"),
        (5, 0, r"claims 0 x 0 pixels"),
    ],
)
def test_what_this_version_does_not_know_is_refused(place: int, value: int, message: str) -> None:
    start = bytearray(pack_header(PLAIN) + b"\1\1")
    start[place] = value
    with pytest.raises(FormatError, match=message):
        parse_header(with_crc(bytes(start)))


@pytest.mark.parametrize(("header", "bit"), [(PLAIN, 5), (BILEVEL, 5), (LARGE, 5)])
def test_whether_there_is_a_checksum_is_said_twice(header: Header, bit: int) -> None:
    """Otherwise one bit less (TILED, METADATA, an alpha plane) would leave a plain header, which has none."""
    damaged = bytearray(pack_header(header) + BODY)
    damaged[2] ^= 1 << bit
    with pytest.raises(FormatError, match="has a checksum and nothing that calls for one, or the reverse"):
        parse_header(bytes(damaged))


def test_an_equal_height_is_left_out() -> None:
    with pytest.raises(FormatError, match="says twice that a side has 32 pixels"):
        parse_header(bytes.fromhex("dd0a 41 90 01 20 20") + BODY)


@pytest.mark.parametrize("flags", [TILED, STORED])
def test_only_single_streams_state_the_size_of_their_state(flags: int) -> None:
    start = bytearray(plain(flags, 40, 20, b"abc" if flags & STORED else b"\x14\x14\1\7"))
    start[2] += 5
    with pytest.raises(FormatError, match=r"claims a state of 5 bytes \(4 to 4 are possible\)"):
        parse_header(with_crc(bytes(start[:-2])) + BODY)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_orientations_are_those_of_exif(orientation: int) -> None:
    with pytest.raises(FormatError, match=rf"claims orientation {orientation} \(1 to 8 are possible\)"):
        parse_header(plain(METADATA, rest=bytes([5, orientation, 8])))


@pytest.mark.parametrize("length", [0, MAX_METADATA + 1])
def test_metadata_of_no_bytes_or_too_many_is_refused(length: int) -> None:
    with pytest.raises(FormatError, match=rf"claims {length} bytes of metadata \(1 to {MAX_METADATA} are possible\)"):
        parse_header(plain(METADATA, rest=pack_varint(length) + b"\1\x08"))


@pytest.mark.parametrize("flags", [0, TILED, METADATA, TILED | METADATA, STORED])
@pytest.mark.parametrize(
    ("width", "height"), [(1 << 31, 1 << 31), (1 << 34, 1), (MAX_PIXELS + 1, 1), (1 << 15, 1 << 14)]
)
def test_absurd_sizes_are_refused_before_anything_is_allocated(flags: int, width: int, height: int) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=f"claims {width} x {height} pixels"):
            parse_header(plain(flags, width, height, pack_varint(1) + pack_varint(1) + pack_varint(255)))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("tile", "segments", "message"),
    [
        ((1, 1), 255, "claims 68451041280 chunks"),
        ((0, 8), 1, "tiles of 0 x 8"),
        ((1 << 14, 1 << 14), 1, "tiles of 16384 x 16384"),
        ((1 << 20, 1), 1, "tiles of 1048576 x 1"),
        ((1 << 10, 1 << 10), 256, "claims 256 segments"),
        ((1 << 10, 1 << 10), 0, "claims 0 segments"),
    ],
)
def test_absurd_grids_are_refused(tile: tuple[int, int], segments: int, message: str) -> None:
    rest = b"".join(map(pack_varint, (*tile, segments, 1000)))
    with pytest.raises(FormatError, match=message):
        parse_header(plain(1, 1 << 14, 1 << 14, rest))


@pytest.mark.parametrize("length", [0, 3 * 256 - 1, 7 * 256 + 1, MAX_VARINT])
def test_an_index_of_an_absurd_length_is_refused(length: int) -> None:
    rest = b"".join(map(pack_varint, (1 << 10, 1 << 10, 1, length)))
    with pytest.raises(FormatError, match=f"claims an index of {length} bytes for 256 chunks"):
        parse_header(plain(1, 1 << 14, 1 << 14, rest))


def test_a_claimed_index_is_not_read_beyond_the_data() -> None:
    chunks = 1 << 20
    start = plain(1, 1 << 14, 1 << 14, b"".join(map(pack_varint, (16, 16, 1, 3 * chunks))))
    tracemalloc.start()
    try:
        with pytest.raises(TruncatedError, match=f"at least {len(start) + 3 * chunks + 2} are needed"):
            parse_header(start + bytes(1000))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (b"\x81\x01\0\0" + b"\1\0", "holds fewer than 2 chunks"),
        (b"\1\0\0\1\0\0\0", "holds more than 2 chunks"),
        (b"\x81\x00\0\0\1\0\0", "number before byte 2 of the index is longer than it needs to be"),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(entries: bytes, message: str) -> None:
    start = plain(1, 40, 20, b"".join(map(pack_varint, (20, 20, 1, len(entries)))))
    with pytest.raises(FormatError, match=message) as found:
        parse_header(start + with_crc(entries) + BODY)
    assert found.type is FormatError


def test_one_stream_for_a_large_image_is_refused() -> None:
    with pytest.raises(FormatError, match="tiles of 16384 x 16384"):
        parse_header(plain(0, 1 << 14, 1 << 14, b"\x08"))


def test_a_webp_file_may_be_as_large_as_that_format_allows() -> None:
    header = replace(GRAPHIC, width=16383, height=16383)
    assert parse_header(pack_header(header))[0] == header
    with pytest.raises(FormatError, match=r"WebP payload of 16384 x 1 pixels \(sides of 1 to 16383 are possible\)"):
        pack_header(replace(GRAPHIC, width=16384, height=1))


# --- writing

FEW = replace(INDEX, lengths=(1, 2))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (replace(PLAIN, width=0, height=1), "claims 0 x 1 pixels"),
        (replace(PLAIN, width=-1, height=-1), "claims -1 x -1 pixels"),
        (replace(PLAIN, mode="CMYK"), "unknown colour mode 'CMYK'"),
        (replace(PLAIN, effort=9), r"effort 9 \(1 to 3"),
        (replace(PLAIN, levels=3), r"claims 3 noise levels \(0, 2, 5 are possible\)"),
        (replace(GRAPHIC, levels=2), r"claims 2 noise levels \(0 are possible\)"),
        (replace(PLAIN, model_number=256), "a model of number 256 with an id of 0 bytes, where the format has 0"),
        (replace(PLAIN, model_number=-1), "a model of number -1"),
        (replace(PLAIN, model_id=MODEL_ID), "a model of number 1 with an id of 4 bytes, where the format has 0"),
        (replace(OTHER_MODEL, model_id=b"abc"), "a model of number 0 with an id of 3 bytes, where the format has 4"),
        (replace(GRAPHIC, model_number=1), "a model of number 1 with an id of 0 bytes"),
        (replace(PLAIN, state_bytes=3), r"claims a state of 3 bytes \(4 to 8 are possible\)"),
        (replace(PLAIN, state_bytes=9), r"claims a state of 9 bytes \(4 to 8 are possible\)"),
        (replace(LARGE, state_bytes=5), r"claims a state of 5 bytes \(4 to 4 are possible\)"),
        (replace(PLAIN, orientation=6), "orientation 6 of a file without metadata"),
        (replace(GREY_ALPHA, orientation=9), "claims orientation 9"),
        (replace(PLAIN, payload_length=9), "a payload of 9 bytes where the format states no length"),
        (
            replace(GREY_ALPHA, payload_length=17),
            "a stream of 17 bytes, 6 of them its state, which does not end with a",
        ),
        (replace(GREY_ALPHA, payload_length=2), "a stream of 2 bytes, 6 of them its state, which does not end"),
        (replace(PLAIN, mean_colour=b"abc"), "mean colour of 3 bytes"),
        (replace(PLAIN, alpha_length=1), "an alpha section of 1 bytes where the format has none"),
        (replace(GRAPHIC, alpha_length=1), "an alpha section of 1 bytes where the format has none"),
        (replace(GRAPHIC, mean_colour=b"a"), "mean colour of 1 bytes, where the format has 3"),
        (replace(GRAPHIC, effort=1), r"effort 1 \(0 to 0"),
        (replace(GRAPHIC, index=Index(0, 0, 1)), "WebP payload in tiles"),
        (replace(PHOTO, mode="1", mean_colour=b"a"), r"claims a JPEG of mode 1 \(L and RGB are possible\)"),
        (replace(PHOTO, metadata_length=1), "claims metadata beside a JPEG"),
        (replace(PHOTO, orientation=0), "claims orientation 0"),
        (replace(PHOTO, width=65536, height=1), r"JPEG XL payload of 65536 x 1 pixels \(sides of 1 to 65535"),
        (replace(PHOTO, stored="gif"), "unknown payload 'gif'"),
        (replace(PLAIN, metadata_length=MAX_METADATA + 1), "bytes of metadata"),
        (replace(LARGE, index=FEW), "2 lengths and 6 checks and a payload of 0 bytes, where there are 2 tiles of 3"),
        (replace(LARGE, payload_length=1), "payload of 1 bytes"),
    ],
)
def test_a_header_that_cannot_be_read_back_is_not_written(header: Header, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        pack_header(header)
