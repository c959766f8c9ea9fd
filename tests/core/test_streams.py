"""rANS: what is pushed is popped, the check comes back, and a stream that is cut is known as that."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_testing import testing

WHOLE, LEAST_STATE, STATE_LOW = 1 << 24, 1 << 24, 1 << 31
CHECK = 0xABCDEF


class Symbols(NamedTuple):
    starts: list[int]
    freqs: list[int]


def drawn(count: int, seed: int) -> Symbols:
    """Symbols of all sizes, from 2^-24 to the whole."""
    rng = np.random.default_rng(seed)
    freqs = np.minimum(np.exp2(rng.uniform(0, 24.2, count)).astype(int), WHOLE)
    return Symbols(rng.integers(0, WHOLE - freqs + 1).tolist(), freqs.tolist())


def joined(words: list[list[int]]) -> list[int]:
    return [word for segment in words for word in segment]


@given(st.integers(0, 300), st.integers(0, 1 << 20), st.integers(0, WHOLE - 1))
def test_what_is_pushed_is_popped_and_the_check_comes_back(count: int, seed: int, check: int) -> None:
    symbols = drawn(count, seed)
    state, words = testing.packed(*symbols, [count], check)
    met = testing.taken(state, joined(words), *symbols)
    for (slot, *_), start, freq in zip(met, *symbols, strict=False):
        assert start <= slot < start + freq
    assert met[-1][1:] == (LEAST_STATE + check, len(joined(words)), False)


@given(st.integers(1, 200), st.integers(0, 1 << 20))
def test_a_stream_costs_its_code_length_and_a_check(count: int, seed: int) -> None:
    symbols = drawn(count, seed)
    state, words = testing.packed(*symbols, [count], CHECK)
    ideal = (24 - np.log2(symbols.freqs)).sum()
    assert abs(32 * len(joined(words)) + np.log2(state / (LEAST_STATE + CHECK)) - ideal) < 1


def test_words_are_cut_where_a_decoder_needs_no_more() -> None:
    symbols, ends = drawn(500, 3), [0, 90, 90, 250, 499, 500]
    state, words = testing.packed(*symbols, ends, CHECK)
    assert len(words) == len(ends)
    met = testing.taken(state, joined(words), *symbols)
    taken = np.cumsum([len(segment) for segment in words]).tolist()
    assert [met[end][2] for end in ends] == taken


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_stream_ends_where_its_words_do_and_not_before(seed: int) -> None:
    """All symbols before the one that lacked a word are right, and the first slot after that need not be."""
    symbols = drawn(200, seed)
    state, words = testing.packed(*symbols, [200], CHECK)
    whole = testing.taken(state, joined(words), *symbols)
    for kept in range(len(joined(words))):
        met = testing.taken(state, joined(words)[:kept], *symbols)
        needed = next(k for k, (_, _, taken, _) in enumerate(whole) if taken > kept)
        assert met[:needed] == whole[:needed]
        assert not any(ended for *_, ended in met[:needed])


def test_a_state_that_fell_too_far_is_an_end() -> None:
    """Every value of one of 2^-24 takes 24 bits: a state of 63 has two of them."""
    met = testing.taken((1 << 62) + 5, [], [5, 0], [1, 1])
    assert [ended for *_, ended in met] == [False, False, True]


def test_states_stay_in_their_range() -> None:
    symbols = drawn(400, 9)
    state, words = testing.packed(*symbols, [400], CHECK)
    for _, between, _, _ in testing.taken(state, joined(words), *symbols):
        assert LEAST_STATE <= between < 1 << 63


def test_a_check_of_more_than_24_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="24 bits"):
        testing.packed([0], [1], [1], WHOLE)


@pytest.mark.parametrize(("start", "freq"), [(0, 0), (1, WHOLE), (WHOLE, 1)])
def test_symbols_that_are_no_part_of_the_whole_are_refused(start: int, freq: int) -> None:
    with pytest.raises(RuntimeError, match="part of the whole"):
        testing.packed([start], [freq], [1], 0)
