"""The header: golden bytes, every flipped bit, every cut."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.header import (
    JPEG,
    JPEG_MODES,
    JPEG_XL,
    LEVELS,
    MAX_METADATA,
    MODES,
    STORED_KINDS,
    Header,
    Index,
)
from ddpmcodec.format.header_bytes import SMALLEST_HEADER, covered_by_stream, pack_header, parse_header
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
BILEVEL = Header("1", 1, 1, stored="webp", mean_colour=b"\xff", payload_length=60)
PHOTO = Header("RGB", 48, 16, stored="jxl", mean_colour=b"\x10\x80\xff", orientation=6, payload_length=4000)
AS_IT_WAS = Header("L", 9, 9, stored="jpeg", mean_colour=b"\x10", payload_length=40)
INDEX = Index(200, 300, 3, (1, 2, 300, 4, 5, 0), (1, 2, 3, 4, 0xABCD, 0xFFFF))
LARGE = Header("RGB", 400, 300, 1, 2, 255, index=INDEX)
GOLDEN = {
    "plain": (PLAIN, "dd0a 41 98 01 20"),
    "other model": (OTHER_MODEL, "dd0a 54 e0 00 0a1b2c3d ac02 02"),
    "grey alpha": (GREY_ALPHA, "dd0a 6c c2 00 0a1b2c3d ac02 02 8101 05 06 12 3a42"),
    "graphic": (GRAPHIC, "dd0a 63 06 30 10 1080ff c801 01 a01f c20a"),
    "bilevel": (BILEVEL, "dd0a 64 0c 01 ff 3c 50c0"),
    "a JPEG by JPEG XL": (PHOTO, "dd0a 61 24 30 10 1080ff 06 a01f 6d82"),
    "a JPEG as it was": (AS_IT_WAS, "dd0a 60 1c 09 10 01 28 d754"),
    "large": (
        LARGE,
        "dd0a 61 51 ff 9003 ac02 c801 ac02 03 13 181c01 0100  02 0200  ac02 0300  04 0400  05 cdab  00 ffff  f753",
    ),
}
HEADERS = [header for header, _ in GOLDEN.values()]
CHECKED = [header for header in HEADERS if not header.is_plain]  # by a CRC of their own
BODY = bytes(range(7, 71))  # what follows a header


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_headers(name: str) -> None:
    header, golden = GOLDEN[name][0], bytes.fromhex(GOLDEN[name][1])
    assert pack_header(header) == golden
    assert parse_header(golden + BODY) == (header, len(golden))


def test_the_smallest_headers() -> None:
    assert len(pack_header(PLAIN)) == SMALLEST_HEADER == 6
    assert len(pack_header(BILEVEL)) == 9


def test_which_headers_are_plain() -> None:
    assert [name for name, (header, _) in GOLDEN.items() if header.is_plain] == ["plain", "other model"]
    assert not replace(PLAIN, metadata_length=1).is_plain
    assert not replace(PLAIN, mode="RGBA").is_plain


@pytest.mark.parametrize("state_bytes", range(4, 9))
@pytest.mark.parametrize("mode", MODES)
def test_a_byte_holds_version_mode_and_size_of_the_state(mode: str, state_bytes: int) -> None:
    header = replace(PLAIN, mode=mode, state_bytes=state_bytes)
    header = header if header.is_plain else replace(header, payload_length=state_bytes)
    packed = pack_header(header)
    assert packed[2] == (0x40 if header.is_plain else 0x60) + MODES.index(mode) + 5 * (state_bytes - 4)
    assert parse_header(packed)[0] == header


def test_the_check_of_a_stream_covers_a_plain_header_but_for_the_size_of_its_state() -> None:
    """Which is known only when the stream is, and cannot be another without another number of words."""
    packed = pack_header(PLAIN)
    assert {covered_by_stream(replace(PLAIN, state_bytes=size)) for size in range(4, 9)} == {packed}
    assert [covered_by_stream(header) for header in CHECKED] == [b""] * len(CHECKED)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_a_header(mode: str) -> None:
    header = replace(LARGE, mode=mode)
    assert parse_header(pack_header(header))[0] == header


@pytest.mark.parametrize(
    ("mode", "channels", "has_alpha"),
    [("L", 1, False), ("RGB", 3, False), ("LA", 1, True), ("RGBA", 3, True), ("1", 1, False)],
)
def test_what_a_mode_has(mode: str, channels: int, has_alpha: bool) -> None:
    header = replace(PLAIN, mode=mode)
    assert (header.channels, header.has_alpha, header.has_alpha_section) == (channels, has_alpha, has_alpha)
    assert not replace(header, stored="webp").has_alpha_section


# --- damage


@pytest.mark.parametrize("header", CHECKED)
def test_every_flipped_bit_of_a_header_is_damage_and_nothing_else(header: Header) -> None:
    packed = pack_header(header)
    for bit in range(8 * len(packed)):
        damaged = bytearray(packed + BODY)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError) as found:
            parse_header(bytes(damaged))
        assert found.type is FormatError


@pytest.mark.parametrize("header", [PLAIN, OTHER_MODEL])
def test_every_flipped_bit_of_a_plain_header_is_refused_or_changes_what_the_stream_checks(header: Header) -> None:
    """Or the size of the state, with which a decoder reads another state and other words."""
    packed = pack_header(header)
    for bit in range(8 * len(packed)):
        damaged = bytearray(packed + BODY)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found, _ = parse_header(bytes(damaged))
        except FormatError:
            continue
        same = covered_by_stream(found) == covered_by_stream(header)
        assert found.is_plain
        assert not same or found == replace(header, state_bytes=found.state_bytes)


def test_a_damaged_grid_is_not_taken_for_a_file_that_ends_in_its_index() -> None:
    damaged = pack_header(LARGE).replace(pack_varint(200), pack_varint(136), 1)
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
        parse_header(packed[:17])


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


# --- any header

lengths = st.integers(0, MAX_VARINT)
sides = st.integers(1, 1 << 10)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    stored = draw(st.sampled_from(("", *STORED_KINDS)))
    modes = JPEG_MODES if stored in (JPEG, JPEG_XL) else MODES
    header = Header(draw(st.sampled_from(modes)), draw(sides), draw(sides), stored=stored)
    if header.is_jpeg:
        header = replace(header, orientation=draw(st.integers(1, 8)))
    elif draw(st.booleans()):
        header = replace(
            header, metadata_length=draw(st.integers(1, MAX_METADATA)), orientation=draw(st.integers(1, 8))
        )
    if header.stored:
        colour = draw(st.binary(min_size=header.channels, max_size=header.channels))
        return replace(header, mean_colour=colour, payload_length=draw(lengths))
    number = draw(st.integers(0, 255))
    model_id = b"" if number else draw(st.binary(min_size=4, max_size=4))
    header = replace(header, effort=draw(st.integers(1, 3)), levels=draw(st.sampled_from(LEVELS)))
    header = replace(header, model_number=number, model_id=model_id)
    header = replace(header, alpha_length=draw(lengths) if header.has_alpha else 0)
    if draw(st.booleans()):
        state = draw(st.integers(4, 8))
        payload_length = 0 if header.is_plain else state + 4 * draw(st.integers(0, (MAX_VARINT - 8) // 4))
        return replace(header, payload_length=payload_length, state_bytes=state)
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
