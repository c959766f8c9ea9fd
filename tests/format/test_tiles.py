"""Images are cut as the limits allow. Streams and lanes come back from their bytes, and other bytes are refused."""

from __future__ import annotations

import contextlib
import zlib
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from written_files import pack_header
from written_headers import Header, Index
from written_tiles import (
    LEAST_STATE,
    MOST_STATE,
    SINGLE_STREAM_PIXELS,
    TILE_PIXELS,
    pack_chunk,
    plan_index,
    plan_jpeg_index,
)

from ddpmcodec._native import LANES, MAX_CHUNKS, MAX_PIXELS
from ddpmcodec.errors import CorruptError, FormatError, ImageError, TruncatedError
from ddpmcodec.format.header import COEFFICIENTS
from ddpmcodec.format.streams import pack_state, state_size, stream_check
from native_testing import testing

Lane = tuple[int, bytes]  # state and words

states = st.integers(LEAST_STATE, MOST_STATE)
words = st.integers(0, 5).flatmap(lambda count: st.binary(min_size=4 * count, max_size=4 * count))
streams = st.tuples(states, words)
words_of_lanes = st.lists(words, min_size=LANES, max_size=LANES)
words_of_parts = st.lists(words_of_lanes, min_size=1, max_size=3)
states_of_lanes = st.lists(states, min_size=LANES, max_size=LANES)


def lane_of(found: tuple[int, list[int]]) -> Lane:
    return found[0], np.array(found[1], "<u4").tobytes()


def parse_stream(data: bytes, state_bytes: int) -> Lane:
    return lane_of(testing.parse_stream(data, state_bytes))


def parse_chunk(data: bytes, is_first: bool, parts: int, length: int | None = None) -> list[Lane]:
    """length: of the whole chunk, of which data may be the beginning."""
    return list(map(lane_of, testing.parse_chunk(data, len(data) if length is None else length, is_first, parts)))


# --- states


@pytest.mark.parametrize(
    ("state", "size"),
    [(LEAST_STATE, 4), ((1 << 32) - 1, 4), (1 << 32, 5), (1 << 40, 6), (1 << 48, 7), (1 << 56, 8), (MOST_STATE, 8)],
)
def test_a_state_has_four_to_eight_bytes(state: int, size: int) -> None:
    packed = pack_state(state)
    assert (len(packed), state_size(state)) == (size, size)
    assert parse_stream(packed, size) == (state, b"")


def test_golden_states() -> None:
    assert pack_state(0x01234567) == bytes.fromhex("67452301")
    assert pack_state(0x0102030405) == bytes.fromhex("0504030201")


@pytest.mark.parametrize("state", [0, LEAST_STATE - 1, MOST_STATE + 1])
def test_no_other_state_is_written(state: int) -> None:
    with pytest.raises(ValueError, match=f"state.*{state}"):
        pack_state(state)


@pytest.mark.parametrize(
    "packed", ["ffffff00", "0102030400", "01020304050600", "0000000000000080", "ffffffffffffffff", "00000000"]
)
def test_what_is_no_state_is_refused(packed: str) -> None:
    data = bytes.fromhex(packed)
    with pytest.raises(CorruptError, match="state"):
        parse_stream(data + bytes(4), len(data))


@given(streams, st.binary(max_size=3))
def test_streams_come_back_without_what_fills_no_word(stream: Lane, rest: bytes) -> None:
    data = pack_state(stream[0]) + stream[1] + rest
    assert parse_stream(data, state_size(stream[0])) == stream


@given(streams)
def test_a_stream_that_ends_in_its_state_is_short(stream: Lane) -> None:
    packed = pack_state(stream[0])
    for size in range(len(packed)):
        with pytest.raises(TruncatedError, match="state"):
            parse_stream(packed[:size], len(packed))


def test_the_check_is_a_part_of_a_crc() -> None:
    assert stream_check(b"pixels") == zlib.crc32(b"pixels") & 0xFFFFFF
    assert stream_check(b"pixels", b"header") == zlib.crc32(b"headerpixels") & 0xFFFFFF


# --- lanes


def test_golden_chunks() -> None:
    """Of lanes of 3, 1, 0 and 2 words: their places in halves of 2^31 are 1/3 3/3 5/3, 1, none, 1/2 3/2."""
    words = [b"a1..a2..a3..", b"b1..", b"", b"d1..d2.."]
    first = bytes.fromhex("03 01 00 04 67452301 05 0504030201 04 00000001 04 00000001")
    mixed = b"a1..d1..a2..b1..d2..a3.."
    states = [0x01234567, 0x0102030405, LEAST_STATE, LEAST_STATE]
    assert pack_chunk([words]) == b"\3\1\0" + mixed
    assert pack_chunk([words], states) == first + mixed
    assert parse_chunk(first + mixed, True, 1) == list(zip(states, words, strict=True))
    assert pack_chunk([[b""] * LANES]) == bytes(3)
    two = b"\3\1\0\2" + b"\0\1\0" + mixed + b"b2.."
    assert pack_chunk([words, [b"", b"b2..", b"", b""]]) == two
    assert [own for _, own in parse_chunk(two, False, 2)] == [words[0], b"b1..b2..", *words[2:]]


def joined(parts: list[list[bytes]]) -> list[bytes]:
    """The words of all lanes."""
    return [b"".join(words) for words in zip(*parts, strict=True)]


@given(words_of_parts)
def test_words_of_lanes_come_back(parts: list[list[bytes]]) -> None:
    assert parse_chunk(pack_chunk(parts), False, len(parts)) == [(0, own) for own in joined(parts)]


@given(states_of_lanes, words_of_parts)
def test_a_chunk_that_is_cut_holds_the_beginning_of_every_lane(states: list[int], parts: list[list[bytes]]) -> None:
    """The parts in front of the cut, and about as much of each lane in the part that it goes through."""
    data = pack_chunk(parts, states)
    head = len(data) - sum(map(len, chain.from_iterable(parts)))
    for size in range(len(data)):
        if size < head:
            with pytest.raises(TruncatedError, match="ends inside"):
                parse_chunk(data[:size], True, len(parts), len(data))
            continue
        found = parse_chunk(data[:size], True, len(parts), len(data))
        assert [state for state, _ in found] == states
        left = (size - head) // 4 * 4
        assert sum(len(own) for _, own in found) == left
        assert all(own.startswith(kept) for (_, kept), own in zip(found, joined(parts), strict=True))
        expected = np.zeros(LANES)
        for lengths in ([len(own) for own in words] for words in parts):
            share = min(left / max(sum(lengths), 1), 1)
            expected += share * np.array(lengths)
            left = max(left - sum(lengths), 0)
        assert max(abs(expected - [len(own) for _, own in found])) <= 6


def test_a_chunk_has_all_lanes() -> None:
    for parts, states in (([[b""] * 4, [b""] * 3], []), ([[b""] * 4], [LEAST_STATE] * 2)):
        with pytest.raises(ValueError, match="4 lanes"):
            pack_chunk(parts, states)


# --- damage

FIRST = pack_chunk([[b"word" * n for n in range(LANES)]], [LEAST_STATE + n for n in range(LANES)])


@pytest.mark.parametrize("size", range(3 + 5 * LANES))
def test_a_chunk_without_all_lengths_and_states_is_refused(size: int) -> None:
    with pytest.raises(CorruptError, match="lanes"):
        parse_chunk(FIRST[:size], True, 1)


def test_lengths_beyond_the_chunk_and_parts_of_words_are_refused() -> None:
    for data in (b"\2\0\0abcd", b"\0\0\2abcd", b"\xff\xff\xff\xff\x7f\0\0abc", b"\0\0\0abcde"):
        with pytest.raises(CorruptError, match="lanes"):
            parse_chunk(data, False, 1)


def test_lengths_have_one_encoding() -> None:
    with pytest.raises(FormatError, match="lanes"):
        parse_chunk(b"\x81\0\0\0abc", False, 1)


def test_claims_take_no_memory() -> None:
    """Of 2^35 words in a lane of a part, of which one is there."""
    for parts in (1, 2):
        claim = bytes.fromhex("ffffffff7f 00 00") + bytes(4 * (parts - 1)) + b"word"
        (first, *others) = parse_chunk(claim, False, parts, 4 * parts + 3 + 4 * ((1 << 35) - 1))
        assert (first, sum(len(own) for _, own in others)) == ((0, b"word"), 0)


@pytest.mark.parametrize(
    "state", ["00", "03 abcdef", "09 0102030405060708 09", "05 01020304 00", "04 00000000", "08 " + 8 * "ff"]
)
def test_first_states_that_are_none_are_refused(state: str) -> None:
    good = bytes.fromhex("04 00000001")
    for data in (bytes(3) + bytes.fromhex(state) + 3 * good, bytes(3) + 3 * good + bytes.fromhex(state)):
        with pytest.raises(CorruptError, match=r"state|lanes"):
            parse_chunk(data, True, 1)


@given(st.binary(max_size=60), st.integers(1, 3), st.booleans())
def test_any_chunk_is_read_or_refused(chunk: bytes, parts: int, is_first: bool) -> None:
    with contextlib.suppress(FormatError):
        assert len(parse_chunk(chunk, is_first, parts)) == LANES


@given(st.data())
def test_damaged_lanes_are_read_or_refused(data: st.DataObject) -> None:
    changed = bytearray(FIRST)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = parse_chunk(bytes(changed), True, 1)
    except FormatError:
        return
    assert all(LEAST_STATE <= state <= MOST_STATE and len(own) % 4 == 0 for state, own in found)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (256, 256), (SINGLE_STREAM_PIXELS, 1)])
def test_small_images_are_one_stream(width: int, height: int) -> None:
    assert plan_index(width, height, 9) is None


@pytest.mark.parametrize(
    ("width", "height", "tile", "tiles"),
    [
        (257, 256, (257, 256), 1),
        (768, 512, (768, 512), 1),
        (1024, 512, (1024, 512), 1),
        (1025, 512, (528, 512), 2),
        (512, 1025, (512, 528), 2),
        (6000, 4000, (752, 672), 48),
        (MAX_PIXELS, 1, (TILE_PIXELS, 1), 512),
        (1, MAX_PIXELS, (1, TILE_PIXELS), 512),
    ],
)
def test_large_images_are_cut_into_near_squares(width: int, height: int, tile: tuple[int, int], tiles: int) -> None:
    index = plan_index(width, height, 9)
    assert index == Index(*tile)
    assert Header("RGB", width, height, 2, 2, 1, index=index).tile_count == tiles


@pytest.mark.parametrize(
    ("width", "height", "tile", "tiles"),
    [(8, 8, (8, 8), 1), (1024, 512, (1024, 512), 1), (1000, 600, (512, 600), 2), (4000, 3000, (672, 752), 24)],
)
def test_jpeg_files_above_half_a_megapixel_are_tiles_of_whole_mcus(
    width: int, height: int, tile: tuple[int, int], tiles: int
) -> None:
    index = plan_jpeg_index(width, height, (16, 16))
    assert index == Index(*tile)
    assert Header("RGB", width, height, 2, 0, 1, kind=COEFFICIENTS, index=index).tile_count == tiles


@given(st.integers(1, 20000), st.integers(1, 13000))
@example(MAX_PIXELS, 1)
@example(2, MAX_PIXELS // 2)
@example(1 << 14, 1 << 14)
def test_tiles_cover_the_image_and_stay_small(width: int, height: int) -> None:
    header = Header("RGB", width, height, 2, 2, 1, index=plan_index(width, height, 9))
    boxes = header.boxes()
    areas = [(rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in boxes]
    assert sum(areas) == width * height
    assert max(areas) <= TILE_PIXELS
    assert len(boxes) == header.tile_count <= 1 + 2 * width * height // TILE_PIXELS
    assert (boxes[0][0].start, boxes[-1][0].stop, boxes[-1][1].stop) == (0, height, width)


@given(st.integers(1, 20000), st.integers(1, 13000))
def test_sides_are_even_unless_they_are_the_images(width: int, height: int) -> None:
    index = plan_index(width, height, 9)
    if index:
        assert index.tile_width % 2 == 0 or index.tile_width == width
        assert index.tile_height % 2 == 0 or index.tile_height == height


@given(st.integers(1000, 20000), st.integers(1000, 13000))
def test_sides_of_large_tiles_are_those_of_whole_pixels_of_small_images(width: int, height: int) -> None:
    index = plan_index(width, height, 9)
    assert index is not None
    assert index.tile_width % 16 == 0 or index.tile_width == width
    assert index.tile_height % 16 == 0 or index.tile_height == height


@pytest.mark.parametrize(("width", "height"), [(MAX_PIXELS, 1), (1 << 14, 1 << 14), (11, MAX_PIXELS // 11)])
def test_every_plan_of_the_largest_images_is_within_the_limits(width: int, height: int) -> None:
    index = plan_index(width, height, 43)
    assert index is not None
    header = Header("RGB", width, height, 2, 5, 1, index=index)
    chunks = header.tile_count * header.segments
    assert chunks <= MAX_CHUNKS
    full = Index(index.tile_width, index.tile_height, (0,) * chunks, (0,) * chunks)
    assert pack_header(replace(header, index=full))


def test_tiles_that_are_too_many_are_the_callers_mistake() -> None:
    """Not that of a file: the exit code is 1, not 3."""
    with pytest.raises(ImageError, match=r"^1078140 chunks"):
        plan_index(2_300_000, 1, 30, 64)
    assert plan_index(2_200_000, 1, 30, 64) == Index(64, 1)
