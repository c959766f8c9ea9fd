"""The header: golden bytes, every flipped bit, every cut."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_files import COMPARED, covered_by_stream, pack_header
from written_headers import Header, Index

from ddpmcodec._native import (
    EXTENDED_FLAG,
    KINDS,
    LEVELS,
    MAX_METADATA,
    MODES,
    SECTIONS_FLAG,
    TILED_FLAG,
    FileHeader,
    parse_header,
)
from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.header import COEFFICIENTS, PIXELS
from ddpmcodec.format.varint import MAX_VARINT, pack_varint

MODEL_ID = bytes.fromhex("0a1b2c3d")
PLAIN = Header("RGB", 32, 32, 2, 2, 1, payload_length=1504)
OTHER_MODEL = Header("L", 300, 2, 3, 5, 0, MODEL_ID, payload_length=8, state_bytes=8)
GREY_ALPHA = Header(
    "LA",
    300,
    2,
    3,
    0,
    0,
    MODEL_ID,
    orientation=6,
    alpha_length=129,
    metadata_length=5,
    payload_length=18,
    state_bytes=6,
)
FROM_JPEG = Header(
    "RGB", 48, 16, 2, 0, 3, kind="coefficients", frame_length=44, recipe_length=5,
    index=Index(48, 16, tuple(range(1, 10)), tuple(257 * k for k in range(9))),
)  # fmt: skip
CUT = replace(
    FROM_JPEG, effort=1, model_number=0, model_id=MODEL_ID, orientation=6, index=Index(32, 16, (1,) * 18, (0,) * 18)
)
INDEX = Index(200, 300, tuple(range(0, 320, 20)), tuple(range(0, 0x10000, 0x1001)[:16]))
LARGE = Header("RGB", 400, 300, 1, 0, 255, index=INDEX)
GOLDEN = {
    "plain": (PLAIN, "dd0a 49 22 01 20 d30e"),
    "other model": (OTHER_MODEL, "dd0a 40 35 00 0a1b2c3d ac02 02 04"),
    "grey alpha": (GREY_ALPHA, "dd0a 62 30 00 0a1b2c3d ac02 02 06 818101 4205 00 11 3d5b"),
    "coefficients": (
        FROM_JPEG,
        "dd0a 61 28 71 03 30 10 01 832c c405 00 1b 403d"
        " 010000 020101 030202 040303 050404 060505 070606 080707 090808 a63b",
    ),
    "coefficients in tiles": (
        CUT,
        "dd0a 71 18 71 00 0a1b2c3d 30 10 06 832c c405 00 20 10 36 80ec" + " 010000" * 18 + " f2fe",
    ),
    "large": (
        LARGE,
        "dd0a 51 10 ff 9003 ac02 c801 ac02 39 ea58"
        " 000000 140110 280220 3c0330 500440 640550 780660 8c010770"
        " a0010880 b4010990 c8010aa0 dc010bb0 f0010cc0 84020dd0 98020ee0 ac020ff0 ee65",
    ),
}
HEADERS = [header for header, _ in GOLDEN.values()]
CHECKED = [header for header in HEADERS if not header.is_plain]  # by a CRC of their own
OTHERS = bytes.fromhex("dd0a 68 10 01 09 03 0707 7fac02 00 00 a805")  # sections of types that nobody knows
BODY = bytes(range(7, 71))  # what follows a header


def assert_same(found: FileHeader, header: Header) -> None:
    assert [getattr(found, name) for name in COMPARED] == [getattr(header, name) for name in COMPARED]
    lengths = header.index.lengths if header.index else ()
    assert (found.chunk_lengths, found.payload_length) == ([*lengths], header.payload_length + sum(lengths))
    facts = [(h.channels, h.has_alpha, h.segments, h.tile_count) for h in (found, header)]
    assert facts[0] == facts[1]


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_headers(name: str) -> None:
    header, golden = GOLDEN[name][0], bytes.fromhex(GOLDEN[name][1])
    assert pack_header(header) == golden
    found = parse_header(golden + BODY)
    assert_same(found, header)
    assert found.size == len(golden)


def test_the_smallest_headers() -> None:
    assert len(pack_header(replace(PLAIN, payload_length=4))) == 7
    assert len(pack_header(PLAIN)) == 8


def test_which_headers_are_plain() -> None:
    assert [name for name, (header, _) in GOLDEN.items() if header.is_plain] == ["plain", "other model"]
    assert not replace(PLAIN, metadata_length=1).is_plain
    assert not replace(PLAIN, mode="RGBA").is_plain


@pytest.mark.parametrize("words", [0, 1, 30, 1 << 32])
@pytest.mark.parametrize("state_bytes", range(4, 9))
def test_one_number_states_words_and_state_of_a_stream(state_bytes: int, words: int) -> None:
    header = replace(PLAIN, payload_length=state_bytes + 4 * words, state_bytes=state_bytes)
    packed = pack_header(header)
    assert packed.endswith(pack_varint(5 * words + state_bytes - 4))
    assert_same(parse_header(packed), header)


@pytest.mark.parametrize(("levels", "segments"), [(0, 8), (2, 22), (5, 43)])
def test_the_levels_imply_the_segments(levels: int, segments: int) -> None:
    assert replace(PLAIN, levels=levels).segments == segments


def test_the_check_of_a_stream_covers_a_plain_header_but_for_its_length() -> None:
    """The length is known only when the stream is."""
    packed = pack_header(PLAIN)
    longer = replace(PLAIN, payload_length=99, state_bytes=7)
    assert covered_by_stream(PLAIN) == covered_by_stream(longer) == packed[:-2]
    assert [covered_by_stream(header) for header in CHECKED] == [b""] * len(CHECKED)


def test_sections_of_unknown_types_precede_or_follow_the_payload() -> None:
    header = parse_header(OTHERS + BODY)
    assert header.payload == (header.size + 7, header.size + 7 + 4)
    assert header.end == header.payload[1] + 300
    assert (header.orientation, header.is_plain, header.size) == (3, False, len(OTHERS))


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_a_header(mode: str) -> None:
    header = replace(LARGE, mode=mode, alpha_length=9 if mode.endswith("A") else 0)
    assert_same(parse_header(pack_header(header)), header)


@pytest.mark.parametrize(
    ("mode", "channels", "has_alpha"),
    [("L", 1, False), ("RGB", 3, False), ("LA", 1, True), ("RGBA", 3, True), ("1", 1, False)],
)
def test_what_a_mode_has(mode: str, channels: int, has_alpha: bool) -> None:
    header = replace(PLAIN, mode=mode)
    assert (header.channels, header.has_alpha, header.has_alpha_section) == (channels, has_alpha, has_alpha)
    assert not replace(header, kind=COEFFICIENTS).has_alpha_section


# --- damage


@pytest.mark.parametrize("header", CHECKED)
def test_every_flipped_bit_of_a_header_is_damage_and_nothing_else(header: Header) -> None:
    """Or it is a flag without which the header is plain, or the kind, and the header states another length."""
    packed = pack_header(header)
    for bit in range(8 * len(packed)):
        damaged = bytearray(packed + BODY)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = parse_header(bytes(damaged))
        except TruncatedError:
            raise
        except FormatError:
            continue
        assert found.is_plain
        changed = packed[2] ^ damaged[2], packed[3] ^ damaged[3]
        is_of_another_kind = header.kind != PIXELS and (changed[1] == EXTENDED_FLAG or packed[4] != damaged[4])
        assert changed in ((TILED_FLAG, 0), (SECTIONS_FLAG, 0)) or is_of_another_kind
        assert found.end != len(packed + BODY)


@pytest.mark.parametrize("header", [PLAIN, OTHER_MODEL])
def test_every_flipped_bit_of_a_plain_header_is_refused_or_changes_what_the_stream_checks(header: Header) -> None:
    """Or the length, with which the file is short, or bytes follow its end; or the size of the state, with which a
    decoder reads another state and other words."""
    packed = pack_header(header)
    for bit in range(8 * len(packed)):
        damaged = bytearray(packed + BODY)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = parse_header(bytes(damaged))
        except FormatError:
            continue
        same = damaged[: found.covered] == covered_by_stream(header)
        assert found.is_plain
        size = found.payload_length, found.state_bytes
        assert not same or size != (header.payload_length, header.state_bytes)


def test_a_damaged_grid_is_not_taken_for_a_file_that_ends_in_its_index() -> None:
    damaged = pack_header(LARGE).replace(pack_varint(200), pack_varint(136), 1)
    with pytest.raises(FormatError, match=r"checksum|index") as found:
        parse_header(damaged)
    assert found.type is FormatError


@pytest.mark.parametrize("header", HEADERS)
def test_every_cut_of_a_header_says_how_much_is_missing(header: Header) -> None:
    packed = pack_header(header)
    for size in range(len(packed)):
        with pytest.raises(TruncatedError, match=f"{size} bytes: at least (\\d+)") as found:
            parse_header(packed[:size])
        least = int(str(found.value).split("at least ")[1].split()[0])
        assert size < least <= len(packed)


def test_an_index_is_asked_for_at_once() -> None:
    packed = pack_header(LARGE)
    with pytest.raises(TruncatedError, match=f"at least {len(packed)} "):
        parse_header(packed[:16])


@given(st.binary(max_size=80))
def test_no_other_error_comes_out(tail: bytes) -> None:
    for start in (b"", *(pack_header(header)[:4] for header in HEADERS)):
        with contextlib.suppress(FormatError):
            assert parse_header(start + tail).size <= len(start + tail)


@given(st.sampled_from(HEADERS), st.data())
def test_headers_changed_at_random_are_refused_by_our_errors_only(header: Header, data: st.DataObject) -> None:
    packed = bytearray(pack_header(header) + BODY)
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    size = data.draw(st.integers(0, len(packed)))
    with contextlib.suppress(FormatError):
        found = parse_header(bytes(packed[:size]))
        assert found.size <= size
        assert (found.kind != PIXELS) == bool(packed[3] & EXTENDED_FLAG)


# --- any header

lengths = st.integers(0, MAX_VARINT)
sides = st.integers(1, 1 << 10)


@st.composite
def sections(draw: st.DrawFn, header: Header) -> Header:
    """The header with the lengths of sections that it can have."""
    alpha = draw(st.integers(1, MAX_VARINT)) if header.has_alpha_section else 0
    is_jpeg = header.kind == COEFFICIENTS
    metadata = 0 if is_jpeg else draw(st.integers(0, MAX_METADATA))
    header = replace(header, alpha_length=alpha, metadata_length=metadata)
    if is_jpeg:
        frame, recipe = draw(st.integers(1, MAX_VARINT)), draw(st.integers(1, MAX_VARINT))
        header = replace(header, frame_length=frame, recipe_length=recipe)
    return replace(header, orientation=draw(st.integers(1, 8))) if header.has_sections or is_jpeg else header


@st.composite
def headers(draw: st.DrawFn) -> Header:
    kind = draw(st.sampled_from(KINDS))
    modes = MODES[:2] if kind == COEFFICIENTS else MODES
    header = draw(sections(Header(draw(st.sampled_from(modes)), draw(sides), draw(sides), kind=kind)))
    number = draw(st.integers(0, 255))
    model_id = b"" if number else draw(st.binary(min_size=4, max_size=4))
    levels = 0 if kind == COEFFICIENTS else draw(st.sampled_from(LEVELS))
    header = replace(header, effort=draw(st.integers(1, 3)), levels=levels)
    header = replace(header, model_number=number, model_id=model_id)
    if kind == PIXELS and draw(st.booleans()):
        state = draw(st.integers(4, 8))
        return replace(header, payload_length=state + 4 * draw(st.integers(0, MAX_VARINT // 5 - 1)), state_bytes=state)
    tile_width = draw(st.integers(-(-header.width // 2), header.width))
    tile_height = draw(st.integers(-(-header.height // 2), header.height))
    header = replace(header, index=Index(tile_width, tile_height))
    chunks = header.tile_count * header.segments
    entry = draw(st.tuples(lengths, st.integers(0, 0xFFFF)))
    return replace(header, index=Index(tile_width, tile_height, (entry[0],) * chunks, (entry[1],) * chunks))


@given(headers(), st.binary(max_size=4))
def test_headers_are_read_back(header: Header, body: bytes) -> None:
    packed = pack_header(header)
    found = parse_header(packed + body)
    assert_same(found, header)
    assert found.size == len(packed)
