"""Streams and lanes as bytes: they come back, and what is none of them is refused by our errors only."""

from __future__ import annotations

import zlib
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.streams import (
    LANES,
    LEAST_STATE,
    MOST_STATE,
    Chunk,
    Stream,
    join_lanes,
    pack_chunk,
    pack_state,
    parse_chunk,
    parse_stream,
    state_size,
    stream_check,
)

states = st.integers(LEAST_STATE, MOST_STATE)
words = st.integers(0, 5).flatmap(lambda count: st.binary(min_size=4 * count, max_size=4 * count))
streams = st.builds(Stream, states, words)
words_of_lanes = st.lists(words, min_size=LANES, max_size=LANES)
words_of_parts = st.lists(words_of_lanes, min_size=1, max_size=3)
states_of_lanes = st.lists(states, min_size=LANES, max_size=LANES)


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


def whole(data: bytes) -> Chunk:
    return Chunk(data, len(data))


def test_golden_chunks() -> None:
    """Of lanes of 3, 1, 0 and 2 words: their places in halves of 2^31 are 1/3 3/3 5/3, 1, none, 1/2 3/2."""
    words = [b"a1..a2..a3..", b"b1..", b"", b"d1..d2.."]
    first = bytes.fromhex("03 01 00 04 67452301 05 0504030201 04 00000001 04 00000001")
    mixed = b"a1..d1..a2..b1..d2..a3.."
    states = [0x01234567, 0x0102030405, LEAST_STATE, LEAST_STATE]
    assert pack_chunk([words]) == b"\3\1\0" + mixed
    assert pack_chunk([words], states) == first + mixed
    assert parse_chunk(whole(first + mixed), True, 1) == [Stream(*lane) for lane in zip(states, words, strict=True)]
    assert pack_chunk([[b""] * LANES]) == bytes(3)
    two = b"\3\1\0\2" + b"\0\1\0" + mixed + b"b2.."
    assert pack_chunk([words, [b"", b"b2..", b"", b""]]) == two
    assert [lane.words for lane in parse_chunk(whole(two), False, 2)] == [words[0], b"b1..b2..", *words[2:]]


def joined(parts: list[list[bytes]]) -> list[bytes]:
    """The words of all lanes."""
    return [b"".join(words) for words in zip(*parts, strict=True)]


@given(words_of_parts)
def test_words_of_lanes_come_back(parts: list[list[bytes]]) -> None:
    assert parse_chunk(whole(pack_chunk(parts)), False, len(parts)) == [Stream(0, own) for own in joined(parts)]


@given(states_of_lanes, words_of_parts)
def test_a_chunk_that_is_cut_holds_the_beginning_of_every_lane(states: list[int], parts: list[list[bytes]]) -> None:
    """The parts in front of the cut, and about as much of each lane in the part that it goes through."""
    data = pack_chunk(parts, states)
    head = len(data) - sum(map(len, chain.from_iterable(parts)))
    for size in range(len(data)):
        if size < head:
            with pytest.raises(TruncatedError, match="the data ends inside"):
                parse_chunk(Chunk(data[:size], len(data)), True, len(parts))
            continue
        found = parse_chunk(Chunk(data[:size], len(data)), True, len(parts))
        assert [lane.state for lane in found] == states
        left = (size - head) // 4 * 4
        assert sum(len(lane.words) for lane in found) == left
        assert all(own.startswith(lane.words) for lane, own in zip(found, joined(parts), strict=True))
        expected = np.zeros(LANES)
        for lengths in ([len(own) for own in words] for words in parts):
            share = min(left / max(sum(lengths), 1), 1)
            expected += share * np.array(lengths)
            left = max(left - sum(lengths), 0)
        assert max(abs(expected - [len(lane.words) for lane in found])) <= 6


def test_a_chunk_has_all_lanes() -> None:
    for parts, states in (([[b""] * 4, [b""] * 3], []), ([[b""] * 4], [LEAST_STATE] * 2)):
        with pytest.raises(ValueError, match="every part of a chunk has 4 lanes, and a chunk as many states, or none"):
            pack_chunk(parts, states)


@given(states_of_lanes, words_of_parts, st.lists(words_of_parts, max_size=4), st.data())
def test_lanes_are_joined_over_chunks(
    states: list[int], first: list[list[bytes]], others: list[list[list[bytes]]], data: st.DataObject
) -> None:
    chunks = [whole(pack_chunk(first, states)), *map(whole, map(pack_chunk, others))]
    parts = [len(first), *map(len, others)]
    for count in range(1, len(chunks) + 1):
        found = join_lanes(chunks[:count], parts)
        assert [lane.state for lane in found] == states
        assert [lane.words for lane in found] == joined([*first, *chain.from_iterable(others[: count - 1])])
    if others:
        cut = data.draw(st.integers(0, chunks[-1].length - 1))
        short = join_lanes([*chunks[:-1], Chunk(chunks[-1].data[:cut], chunks[-1].length)], parts)
        for lane, before, after in zip(short, join_lanes(chunks[:-1], parts), join_lanes(chunks, parts), strict=True):
            assert lane.words.startswith(before.words)
            assert after.words.startswith(lane.words)


# --- damage

FIRST = pack_chunk([[b"word" * n for n in range(LANES)]], [LEAST_STATE + n for n in range(LANES)])


@pytest.mark.parametrize("size", range(3 + 5 * LANES))
def test_a_chunk_without_all_lengths_and_states_is_refused(size: int) -> None:
    with pytest.raises(FormatError, match="the lanes of a chunk do not fit into it") as found:
        parse_chunk(whole(FIRST[:size]), True, 1)
    assert found.type is FormatError


def test_lengths_beyond_the_chunk_and_parts_of_words_are_refused() -> None:
    for data in (b"\2\0\0abcd", b"\0\0\2abcd", b"\xff\xff\xff\xff\x7f\0\0abc", b"\0\0\0abcde"):
        with pytest.raises(FormatError, match=r"the lanes of a chunk .*do not fit into it") as found:
            parse_chunk(whole(data), False, 1)
        assert found.type is FormatError


def test_a_later_chunk_that_is_cut_and_makes_no_sense_is_left_out() -> None:
    """No checksum holds for what is there of it, and the chunks before it are whole."""
    for data in (b"\x09\0\0abcd", b"\x81\0\0\0"):
        assert join_lanes([whole(FIRST), Chunk(data, 20)], [1, 1]) == join_lanes([whole(FIRST)], [1])
        with pytest.raises(FormatError):
            join_lanes([whole(FIRST), whole(data)], [1, 1])


def test_lengths_have_one_encoding() -> None:
    with pytest.raises(FormatError, match="longer than it needs to be"):
        parse_chunk(whole(b"\x81\0\0\0abc"), False, 1)


def test_claims_take_no_memory() -> None:
    """Of 2^35 words in a lane of a part, of which one is there."""
    for parts in (1, 2):
        claim = bytes.fromhex("ffffffff7f 00 00") + bytes(4 * (parts - 1)) + b"word"
        (first, *others) = parse_chunk(Chunk(claim, 4 * parts + 3 + 4 * ((1 << 35) - 1)), False, parts)
        assert (first.words, sum(len(lane.words) for lane in others)) == (b"word", 0)


@pytest.mark.parametrize(
    "state", ["00", "03 abcdef", "09 0102030405060708 09", "05 01020304 00", "04 00000000", "08 " + 8 * "ff"]
)
def test_first_states_that_are_none_are_refused(state: str) -> None:
    good = bytes.fromhex("04 00000001")
    for data in (bytes(3) + bytes.fromhex(state) + 3 * good, bytes(3) + 3 * good + bytes.fromhex(state)):
        with pytest.raises(FormatError, match=r"a lane claims a state of \d bytes|is no state") as found:
            join_lanes([whole(data)], [1])
        assert found.type is FormatError


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3), st.lists(st.integers(1, 3), min_size=3, max_size=3))
def test_any_chunks_are_read_or_refused(chunks: list[bytes], parts: list[int]) -> None:
    for first in ([], [FIRST]):
        try:
            found = join_lanes([whole(chunk) for chunk in [*first, *chunks]], [*(1 for _ in first), *parts])
        except FormatError:
            continue
        assert len(found) == LANES


@given(st.data())
def test_damaged_lanes_are_read_or_refused(data: st.DataObject) -> None:
    changed = bytearray(FIRST)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = join_lanes([whole(bytes(changed))], [1])
    except FormatError:
        return
    assert all(LEAST_STATE <= lane.state <= MOST_STATE and len(lane.words) % 4 == 0 for lane in found)
