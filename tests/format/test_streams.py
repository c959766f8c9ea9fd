"""Streams and lanes as bytes: they come back, and what is none of them is refused by our errors only."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.streams import (
    LANES,
    LEAST_STATE,
    MOST_STATE,
    Stream,
    join_lanes,
    pack_lane,
    pack_lanes,
    pack_state,
    parse_lanes,
    parse_stream,
    state_size,
    stream_check,
)

PARTS = (b"a", b"", b"three", b"12")
states = st.integers(LEAST_STATE, MOST_STATE)
words = st.integers(0, 5).flatmap(lambda count: st.binary(min_size=4 * count, max_size=4 * count))
streams = st.builds(Stream, states, words)
parts_of_lanes = st.lists(st.binary(max_size=300), min_size=LANES, max_size=LANES)


# --- states


@pytest.mark.parametrize(
    ("state", "size"),
    [(LEAST_STATE, 4), ((1 << 32) - 1, 4), (1 << 32, 5), (1 << 40, 6), (1 << 48, 7), (1 << 56, 8), (MOST_STATE, 8)],
)
def test_a_state_has_four_to_eight_bytes(state: int, size: int) -> None:
    packed = pack_state(state)
    assert (len(packed), state_size(state)) == (size, size)
    assert parse_stream(packed, size) == Stream(state, b"")


def test_golden_states() -> None:
    assert pack_state(0x01234567) == bytes.fromhex("67452301")
    assert pack_state(0x0102030405) == bytes.fromhex("0504030201")


@pytest.mark.parametrize("state", [0, LEAST_STATE - 1, MOST_STATE + 1])
def test_no_other_state_is_written(state: int) -> None:
    with pytest.raises(ValueError, match=f"a state is {LEAST_STATE} to {MOST_STATE}, got {state}"):
        pack_state(state)


@pytest.mark.parametrize(
    "packed", ["ffffff00", "0102030400", "01020304050600", "0000000000000080", "ffffffffffffffff", "00000000"]
)
def test_what_is_no_state_is_refused(packed: str) -> None:
    data = bytes.fromhex(packed)
    with pytest.raises(FormatError, match=r"a stream begins with .*, which is no state: get the file again"):
        parse_stream(data + bytes(4), len(data))


@given(streams, st.binary(max_size=3))
def test_streams_come_back_without_what_fills_no_word(stream: Stream, rest: bytes) -> None:
    data = pack_state(stream.state) + stream.words + rest
    assert parse_stream(data, state_size(stream.state)) == stream


@given(streams)
def test_a_stream_that_ends_in_its_state_is_short(stream: Stream) -> None:
    packed = pack_state(stream.state)
    for size in range(len(packed)):
        with pytest.raises(TruncatedError, match="the data ends inside the state of a stream"):
            parse_stream(packed[:size], len(packed))


def test_the_check_is_a_part_of_a_crc() -> None:
    assert stream_check(b"pixels") == zlib.crc32(b"pixels") & 0xFFFFFF
    assert stream_check(b"pixels", b"header") == zlib.crc32(b"headerpixels") & 0xFFFFFF


# --- lanes


def test_golden_chunk() -> None:
    chunk = bytes.fromhex("01 00 05") + b"athree12"
    assert pack_lanes(PARTS) == chunk
    assert parse_lanes(chunk) == list(PARTS)
    assert pack_lane(Stream(0x01234567, b"word")) == bytes.fromhex("04 67452301") + b"word"
    assert pack_lanes([b""] * LANES) == bytes(3)


@given(parts_of_lanes)
def test_parts_of_lanes_come_back(parts: list[bytes]) -> None:
    assert parse_lanes(pack_lanes(parts)) == parts


def test_a_chunk_has_all_lanes() -> None:
    with pytest.raises(ValueError, match="a chunk has 4 lanes, got 3"):
        pack_lanes(PARTS[:3])


@given(st.lists(streams, min_size=LANES, max_size=LANES), st.lists(st.lists(words, min_size=LANES, max_size=LANES)))
def test_lanes_are_joined_over_chunks(first: list[Stream], others: list[list[bytes]]) -> None:
    chunks = [pack_lanes([pack_lane(lane) for lane in first]), *map(pack_lanes, others)]
    for count in range(1, len(chunks) + 1):
        found = join_lanes(chunks[:count])
        assert [lane.state for lane in found] == [lane.state for lane in first]
        for n, lane in enumerate(found):
            assert lane.words == first[n].words + b"".join(parts[n] for parts in others[: count - 1])


# --- damage


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_chunk_without_all_lengths_is_refused(cut: int) -> None:
    with pytest.raises(FormatError, match="the lanes of a chunk do not fit into it") as found:
        parse_lanes(pack_lanes(PARTS)[:cut])
    assert found.type is FormatError


def test_lengths_beyond_the_chunk_are_refused() -> None:
    for chunk in (b"\x09\0\0abc", b"\0\0\4abc", b"\xff\xff\xff\xff\x7f\0\0abc"):
        with pytest.raises(FormatError, match="the lanes of a chunk do not fit into it") as found:
            parse_lanes(chunk)
        assert found.type is FormatError


def test_lengths_have_one_encoding() -> None:
    with pytest.raises(FormatError, match="longer than it needs to be"):
        parse_lanes(b"\x81\0\0\0abc")


FIRST = pack_lanes([pack_lane(Stream(LEAST_STATE + n, b"word" * n)) for n in range(LANES)])


@pytest.mark.parametrize(
    "part",
    [b"", b"\0", b"\4abc", b"\3abc", b"\x09abcdefghi", b"\4abcd\1", b"\5abcd\0", b"\4\0\0\0\0", b"\x08" + bytes(8)],
)
def test_first_parts_that_are_none_are_refused(part: bytes) -> None:
    good = pack_lane(Stream(LEAST_STATE, b""))
    for parts in ([part, good, good, good], [good, good, good, part]):
        with pytest.raises(FormatError, match=r"a lane of \d+ bytes claims|is no state") as found:
            join_lanes([pack_lanes(parts)])
        assert found.type is FormatError


def test_later_parts_are_whole_words() -> None:
    with pytest.raises(FormatError, match="a lane of a chunk has 5 bytes, which are no whole words") as found:
        join_lanes([FIRST, pack_lanes([b"word", b"words", b"", b""])])
    assert found.type is FormatError


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_any_chunks_are_read_or_refused(chunks: list[bytes]) -> None:
    for first in ([], [FIRST]):
        try:
            found = join_lanes([*first, *chunks])
        except FormatError:
            continue
        assert len(found) == LANES


@given(st.data())
def test_damaged_lanes_are_read_or_refused(data: st.DataObject) -> None:
    changed = bytearray(FIRST)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = join_lanes([bytes(changed)])
    except FormatError:
        return
    assert all(LEAST_STATE <= lane.state <= MOST_STATE and len(lane.words) % 4 == 0 for lane in found)
