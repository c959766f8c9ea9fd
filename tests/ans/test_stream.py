"""The stream gives back what was pushed and the check, and notices when it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ddpmcodec.ans.message import empty_message, flatten, push
from ddpmcodec.ans.stream import (
    PRECISION,
    STATE_LOW,
    advance,
    close_stream,
    encode_reverse,
    encode_segments,
    needs_word,
    open_stream,
    refill,
    slot,
    state_bytes,
)
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError

ONE = 1 << PRECISION
Symbols = tuple[NDArray[np.uint32], NDArray[np.uint32]]


@st.composite
def intervals(draw: st.DrawFn) -> tuple[int, int]:
    """(start, freq) inside [0, 2^24]: single units, certainty and everything between."""
    freq = draw(st.one_of(st.integers(1, ONE), st.sampled_from([1, 2, ONE // 2, ONE - 1, ONE])))
    return draw(st.integers(0, ONE - freq)), freq


def arrays(symbols: list[tuple[int, int]]) -> Symbols:
    starts, freqs = np.array(symbols, np.uint32).reshape(-1, 2).T
    return starts, freqs


def random_symbols(n: int, seed: int = 0) -> Symbols:
    rng = np.random.default_rng(seed)
    freqs = np.exp2(rng.uniform(0, PRECISION, n)).astype(np.uint32)
    return (rng.random(n) * (ONE - freqs)).astype(np.uint32), freqs


def decode(data: bytes, starts: NDArray[np.uint32], freqs: NDArray[np.uint32]) -> int:
    """Follow the symbols through a stream, each slot inside its interval, to the check at the end."""
    state, words = open_stream(data)
    position = 0
    for start, freq in zip(starts, freqs, strict=True):
        assert start <= slot(state) < int(start) + int(freq)
        state = advance(state, start, freq)
        if needs_word(state):
            state = refill(state, words[position])
            position += 1
        assert not needs_word(state)
    return close_stream(state, position, words)


@given(st.lists(intervals(), max_size=60), st.integers(0, STATE_LOW - 1))
def test_decoding_front_to_back_meets_every_symbol_and_ends_with_the_check(
    symbols: list[tuple[int, int]], check: int
) -> None:
    starts, freqs = arrays(symbols)
    assert decode(encode_reverse(starts, freqs, check), starts, freqs) == check


@given(st.lists(intervals(), max_size=30), st.integers(0, 30))
def test_certain_symbols_cost_nothing(symbols: list[tuple[int, int]], place: int) -> None:
    without = [symbol for symbol in symbols if symbol != (0, ONE)]
    with_certain = [*without[:place], (0, ONE), *without[place:]]
    assert encode_reverse(*arrays(with_certain), 5) == encode_reverse(*arrays(without), 5)


def test_the_state_is_left_alone_by_a_certain_symbol() -> None:
    assert advance(np.uint64(0x123456789ABCDEF0), 0, ONE) == 0x123456789ABCDEF0


def test_golden_bytes() -> None:
    starts, freqs = arrays([(0, ONE), (3, 1), (ONE - 1, 1), (5000, 70000), (0, ONE // 2), (ONE // 2, ONE // 4), (9, 3)])
    assert encode_reverse(starts, freqs, 0x1234567).hex() == "03000082004201ffffffb609000069"
    assert encode_reverse(starts[:0], freqs[:0], 0x1234567).hex() == "6745238100"


@settings(max_examples=20)
@given(st.lists(intervals(), max_size=60), st.integers(0, STATE_LOW - 1))
def test_the_words_are_those_of_a_message_with_one_lane(symbols: list[tuple[int, int]], check: int) -> None:
    head, tail = empty_message((1,))
    message = head + np.uint64(check), tail
    for start, freq in reversed(symbols):
        message = push(message, start, freq, PRECISION)
    high, low, *words = flatten(message).tolist()
    state = np.array([low, high], "<u4").tobytes()
    bare = state[: max(len(state.rstrip(b"\0")), 5)]  # at least five bytes, without leading zeros
    assert encode_reverse(*arrays(symbols), check) == bare + np.array(words, "<u4").tobytes()


def test_length_is_the_sum_of_the_costs_and_the_state() -> None:
    _, freqs = symbols = random_symbols(20_000)
    bits = PRECISION * len(freqs) - np.log2(freqs).sum()
    assert 0 < 8 * len(encode_reverse(*symbols, 0)) - bits <= 31 + 8


def test_words_left_over_are_an_error() -> None:
    symbols = random_symbols(10)
    with pytest.raises(FormatError, match="2 words follow"):
        decode(encode_reverse(*symbols, 1) + bytes(8), *symbols)


@pytest.mark.parametrize("state", [STATE_LOW - 1, 2 * STATE_LOW, (1 << 63) - 1])
def test_a_final_state_that_is_no_initial_one_is_an_error(state: int) -> None:
    with pytest.raises(ChecksumError, match="no initial state"):
        close_stream(np.uint64(state), 0, np.empty(0, np.uint32))


@pytest.mark.parametrize("seed", range(8))
def test_a_stream_cut_inside_its_state_is_truncated(seed: int) -> None:
    data = encode_reverse(*random_symbols(10, seed), 1)
    for length in range(state_bytes(len(data))):
        with pytest.raises(TruncatedError, match=f"has {length} bytes"):
            open_stream(data[:length], len(data))


@pytest.mark.parametrize("odd", [0, 1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_the_odd_bytes_of_a_cut_word_are_dropped(odd: int, seed: int) -> None:
    data = encode_reverse(*random_symbols(10, seed), 1)
    state, words = open_stream(data[: state_bytes(len(data)) + 8 + odd], len(data))
    whole_state, whole_words = open_stream(data)
    assert state == whole_state
    np.testing.assert_array_equal(words, whole_words[:2])


@given(st.integers(STATE_LOW, (1 << 63) - 1), st.integers(0, 9))
def test_the_length_of_a_stream_says_how_long_its_state_is(state: int, words: int) -> None:
    size = max(-(-state.bit_length() // 8), 5)
    assert state_bytes(size + 4 * words) == size
    assert open_stream(state.to_bytes(size, "little") + bytes(4 * words))[0] == state


@pytest.mark.parametrize(
    "data",
    [bytes(5), (STATE_LOW - 1).to_bytes(5, "little"), bytes(7) + b"\x80", bytes([255] * 8), bytes([255] * 4 + [0, 0])],
    ids=["zero", "low", "high", "highest", "a zero in front"],
)
def test_a_state_that_no_encoder_writes_is_an_error(data: bytes) -> None:
    with pytest.raises(FormatError, match="no rANS state"):
        open_stream(data)


@pytest.mark.parametrize("symbol", [(0, 0), (7, 0), (ONE, 1), (1, ONE), (0, ONE + 1), (2**32 - 1, 2**32 - 1)])
def test_an_interval_that_is_none_is_refused(symbol: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"symbol 1: start {symbol[0]}, frequency {symbol[1]}"):
        encode_reverse(*arrays([(0, 5), symbol, (0, 5)]), 0)


@pytest.mark.parametrize("check", [-1, STATE_LOW])
def test_a_check_that_does_not_fit_is_refused(check: int) -> None:
    with pytest.raises(ValueError, match="31 bits"):
        encode_reverse(*random_symbols(2), check)


def test_vectors_of_different_lengths_are_refused() -> None:
    starts, freqs = random_symbols(3)
    with pytest.raises(ValueError, match="one length"):
        encode_reverse(starts[:2], freqs, 0)


# --- segments


@st.composite
def segmented(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[int]]:
    """Symbols, and where segments end, some of them empty."""
    symbols = draw(st.lists(intervals(), max_size=40))
    ends = draw(st.lists(st.integers(0, len(symbols)), max_size=5))
    return symbols, [*sorted(ends), len(symbols)]


@given(segmented(), st.integers(0, STATE_LOW - 1))
def test_segments_are_the_stream_cut_in_pieces(drawn: tuple[list[tuple[int, int]], list[int]], check: int) -> None:
    symbols, ends = drawn
    pieces = encode_segments(*arrays(symbols), ends, check)
    assert len(pieces) == len(ends)
    assert b"".join(pieces) == encode_reverse(*arrays(symbols), check)
    assert len(pieces[0]) >= 5


@given(segmented())
def test_a_segment_ends_with_the_last_word_that_its_symbols_need(
    drawn: tuple[list[tuple[int, int]], list[int]],
) -> None:
    symbols, ends = drawn
    starts, freqs = arrays(symbols)
    pieces = encode_segments(starts, freqs, ends, 77)
    stream = b"".join(pieces)
    size = state_bytes(len(stream))
    state, words = open_stream(stream)
    position, taken = 0, []
    for start, freq in symbols:
        state = advance(state, start, freq)
        if needs_word(state):
            state, position = refill(state, words[position]), position + 1
        taken.append(size + 4 * position)
    lengths = np.cumsum([len(piece) for piece in pieces]).tolist()
    assert lengths == [taken[end - 1] if end else size for end in ends]


@pytest.mark.parametrize("ends", [[], [1, 2], [4], [2, 1, 3], [-1, 3]])
def test_segments_that_do_not_end_with_the_symbols_are_refused(ends: list[int]) -> None:
    with pytest.raises(ValueError, match="segments must end in order, the last after all 3 symbols"):
        encode_segments(*random_symbols(3), ends, 0)


@pytest.mark.parametrize("place", [0, 3, 4])
def test_the_interval_that_is_none_is_named_in_any_segment(place: int) -> None:
    starts, freqs = random_symbols(5)
    freqs[place] = 0
    with pytest.raises(ValueError, match=f"symbol {place}: start"):
        encode_segments(starts, freqs, [2, 2, 4, 5], 0)
