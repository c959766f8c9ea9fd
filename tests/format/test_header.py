"""The header: golden bytes, every flipped bit, every cut, every limit."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.header import (
    MAX_METADATA,
    MAX_PIXELS,
    MODES,
    SMALLEST_HEADER,
    Header,
    Index,
    crc16,
    pack_header,
    parse_header,
)
from ddpmcodec.format.varint import MAX_VARINT, pack_varint

MODEL_ID = bytes.fromhex("0a1b2c3d")
PLAIN = Header("RGB", 32, 32, 2, MODEL_ID, payload_length=1000)
GREY_ALPHA = Header("LA", 300, 2, 3, MODEL_ID, alpha_length=129, metadata_length=5, payload_length=16)
GRAPHIC = Header("RGBA", 48, 16, webp=True, mean_colour=b"\x10\x80\xff", metadata_length=200, payload_length=4000)
BILEVEL = Header("1", 1, 1, webp=True, mean_colour=b"\xff", payload_length=60)
INDEX = Index(200, 300, 3, (1, 2, 300, 4, 5, 0), (1, 2, 3, 4, 0xABCD, 0xFFFF))
LARGE = Header("RGB", 400, 300, 1, MODEL_ID, index=INDEX)
GOLDEN = {
    "plain": (PLAIN, "dd0a 11 20 20 20 0a1b2c3d e807 1ee2"),
    "grey alpha": (GREY_ALPHA, "dd0a 12 32 ac02 02 0a1b2c3d 8101 05 10 43f5"),
    "graphic": (GRAPHIC, "dd0a 13 06 30 10 1080ff c801 a01f d356"),
    "bilevel": (BILEVEL, "dd0a 14 04 01 01 ff 3c 7682"),
    "large": (
        LARGE,
        "dd0a 11 11 9003 ac02 0a1b2c3d c801 ac02 03 13 9904"
        "01 0100  02 0200  ac02 0300  04 0400  05 cdab  00 ffff  f753",
    ),
}
HEADERS = [header for header, _ in GOLDEN.values()]
BODY = bytes(range(7, 71))  # what follows a header


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_headers(name: str) -> None:
    header, golden = GOLDEN[name][0], bytes.fromhex(GOLDEN[name][1])
    assert pack_header(header) == golden
    assert parse_header(golden + BODY) == (header, len(golden))


def test_the_smallest_headers() -> None:
    assert len(pack_header(BILEVEL)) == SMALLEST_HEADER
    assert len(pack_header(PLAIN)) == 14


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_a_header(mode: str) -> None:
    header = replace(PLAIN, mode=mode)
    assert parse_header(pack_header(header))[0] == header


@pytest.mark.parametrize(
    ("mode", "channels", "has_alpha"),
    [("L", 1, False), ("RGB", 3, False), ("LA", 1, True), ("RGBA", 3, True), ("1", 1, False)],
)
def test_what_a_mode_has(mode: str, channels: int, has_alpha: bool) -> None:
    header = replace(PLAIN, mode=mode)
    assert (header.channels, header.has_alpha, header.has_alpha_section) == (channels, has_alpha, has_alpha)
    assert not replace(header, webp=True).has_alpha_section


# --- damage


@pytest.mark.parametrize("header", HEADERS)
def test_every_flipped_bit_of_a_header_is_damage_and_nothing_else(header: Header) -> None:
    packed = pack_header(header)
    for bit in range(8 * len(packed)):
        damaged = bytearray(packed + BODY)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError) as found:
            parse_header(bytes(damaged))
        assert found.type is FormatError


def test_a_damaged_grid_is_not_taken_for_a_file_that_ends_in_its_index() -> None:
    damaged = pack_header(LARGE).replace(pack_varint(200), pack_varint(136))
    with pytest.raises(FormatError, match="claims an index of 19 bytes for 9 chunks") as found:
        parse_header(damaged)
    assert found.type is FormatError


@pytest.mark.parametrize("header", HEADERS)
def test_every_cut_of_a_header_says_how_much_is_missing(header: Header) -> None:
    packed = pack_header(header)
    for size in range(len(packed)):
        with pytest.raises(TruncatedError, match=f"after {size} bytes: at least (\\d+) are needed") as found:
            parse_header(packed[:size])
        least = int(str(found.value).split("at least ")[1].split()[0])
        assert size < least <= len(packed)


def test_an_index_is_asked_for_at_once() -> None:
    packed = pack_header(LARGE)
    with pytest.raises(TruncatedError, match=f"at least {len(packed)} are needed"):
        parse_header(packed[:21])


@given(st.binary(max_size=80))
def test_no_other_error_comes_out(tail: bytes) -> None:
    for start in (b"", *(pack_header(header)[:4] for header in HEADERS)):
        try:
            header, size = parse_header(start + tail)
        except FormatError:
            continue
        assert pack_header(header) == (start + tail)[:size]


@given(st.sampled_from(HEADERS), st.data())
def test_headers_changed_at_random_are_refused_by_our_errors_only(header: Header, data: st.DataObject) -> None:
    packed = bytearray(pack_header(header) + BODY)
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    size = data.draw(st.integers(0, len(packed)))
    try:
        found, end = parse_header(bytes(packed[:size]))
    except FormatError:
        return
    assert pack_header(found) == packed[:end]


# --- what this version does not know, and limits


def with_crc(start: bytes) -> bytes:
    """Header bytes that are wrong on purpose, behind a checksum that says they are not."""
    return start + crc16(start).to_bytes(2, "little")


def plain(flags: int = 0, width: int = 32, height: int = 32, rest: bytes = b"") -> bytes:
    """A header in RGB up to its model id, then `rest`."""
    sizes = pack_varint(width) + pack_varint(height)
    return with_crc(b"\xdd\n\x11" + bytes([2 << 4 | flags]) + sizes + MODEL_ID + rest)


def test_foreign_data_is_refused_with_what_was_found() -> None:
    with pytest.raises(FormatError, match=r"not a ddpmcodec file: it starts with 89 50, not dd 0a"):
        parse_header(b"\x89PNG\r\n\x1a\n" + bytes(20))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (2, 0x21, r"format version 2 \(this program reads 1\)"),
        (2, 0x15, r"unknown colour mode 5"),
        *((3, 1 << bit, f"unknown flags 0x{1 << bit:02x}") for bit in (3, 6, 7)),
        (3, 0x2B, r"unknown flags 0x08"),
        (3, 0x05, r"claims a WebP payload in tiles"),
        (4, 0, r"claims 0 x 32 pixels"),
        (3, 0, r"claims effort 0 \(1 to 3 are possible\)"),
        (3, 0x14, r"claims effort 1 \(0 to 0 are possible\)"),
    ],
)
def test_what_this_version_does_not_know_is_refused(place: int, value: int, message: str) -> None:
    start = bytearray(pack_header(PLAIN)[:-2])
    start[place] = value
    with pytest.raises(FormatError, match=message):
        parse_header(with_crc(bytes(start)))


@pytest.mark.parametrize("length", [0, MAX_METADATA + 1])
def test_metadata_of_no_bytes_or_too_many_is_refused(length: int) -> None:
    with pytest.raises(FormatError, match=rf"claims {length} bytes of metadata \(1 to {MAX_METADATA} are possible\)"):
        parse_header(plain(2, rest=pack_varint(length) + b"\x08"))


@pytest.mark.parametrize("flags", range(5))
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
        (replace(PLAIN, model_id=b"abc"), "model id of 3, where the format has 0 and 4"),
        (replace(PLAIN, mean_colour=b"abc"), "mean colour of 3 bytes"),
        (replace(PLAIN, alpha_length=1), "an alpha section of 1 bytes where the format has none"),
        (replace(GRAPHIC, alpha_length=1), "an alpha section of 1 bytes where the format has none"),
        (
            replace(GRAPHIC, mean_colour=b"a"),
            "mean colour of 1 bytes and a model id of 0, where the format has 3 and 0",
        ),
        (replace(GRAPHIC, effort=1), r"effort 1 \(0 to 0"),
        (replace(GRAPHIC, index=Index(0, 0, 1)), "WebP payload in tiles"),
        (replace(PLAIN, metadata_length=MAX_METADATA + 1), "bytes of metadata"),
        (replace(LARGE, index=FEW), "2 lengths and 6 checks and a payload of 0 bytes, where there are 2 tiles of 3"),
        (replace(LARGE, payload_length=1), "payload of 1 bytes"),
    ],
)
def test_a_header_that_cannot_be_read_back_is_not_written(header: Header, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        pack_header(header)


lengths = st.integers(0, MAX_VARINT)
sides = st.integers(1, 1 << 10)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    header = Header(draw(st.sampled_from(MODES)), draw(sides), draw(sides), webp=draw(st.booleans()))
    header = replace(header, metadata_length=draw(st.integers(0, MAX_METADATA)))
    if header.webp:
        colour = draw(st.binary(min_size=header.channels, max_size=header.channels))
        return replace(header, mean_colour=colour, payload_length=draw(lengths))
    header = replace(header, effort=draw(st.integers(1, 3)), model_id=draw(st.binary(min_size=4, max_size=4)))
    header = replace(header, alpha_length=draw(lengths) if header.has_alpha else 0)
    if draw(st.booleans()):
        return replace(header, payload_length=draw(lengths))
    tile_width = draw(st.integers(-(-header.width // 4), header.width))
    tile_height = draw(st.integers(-(-header.height // 4), header.height))
    header = replace(header, index=Index(tile_width, tile_height, draw(st.integers(1, 5))))
    chunks = header.tile_count * header.index.segments if header.index else 0
    entries = [draw(st.lists(of, min_size=chunks, max_size=chunks)) for of in (lengths, st.integers(0, 0xFFFF))]
    index = replace(header.index, lengths=tuple(entries[0]), checks=tuple(entries[1])) if header.index else None
    return replace(header, index=index)


@given(headers(), st.binary(max_size=4))
def test_headers_are_read_back(header: Header, body: bytes) -> None:
    packed = pack_header(header)
    assert parse_header(packed + body) == (header, len(packed))
