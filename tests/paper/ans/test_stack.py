"""The stack: pushing and popping as exact inverses, and no data out of nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from stacks import pop_uniform, push_uniform, random_stack

from ddpmcodec import _native
from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.paper.ans import (
    LOGISTIC_PRECISION,
    STATE_LOW,
    Stack,
    encode_values,
    pop_gaussian,
    pop_logistic,
    push_logistic,
)

PRECISIONS = [1, 8, 16, 24, 26, 28, 31]


def intervals(n: int, precision: int, seed: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Random starts and freqs of all sizes."""
    rng = np.random.default_rng(seed)
    freqs = np.exp2(rng.uniform(0, precision, n)).astype(np.uint64)
    return rng.integers(0, (1 << precision) - freqs, endpoint=True, dtype=np.uint64), freqs


# --- words


@pytest.mark.parametrize("words", [2, 3, 50, 5000])
def test_a_stack_comes_back_from_its_words(words: int) -> None:
    stack = random_stack(words)
    assert len(stack.to_words()) == words
    again = Stack.from_words(stack.to_words())
    assert (again.head, again.size) == (stack.head, stack.size)
    np.testing.assert_array_equal(again.to_words(), stack.to_words())


def test_an_empty_stack_holds_nothing() -> None:
    stack = Stack.empty()
    assert stack.is_empty()
    assert stack.bits() == 0
    assert stack.to_words().tolist() == [STATE_LOW >> 32, STATE_LOW & 0xFFFFFFFF]


def test_golden_words() -> None:
    stack = Stack.empty()
    stack.push([3, 1000, 0, 9], [1, 70000, 1 << 26, 2], 26)
    push_uniform(stack, range(4), 31)
    push_uniform(stack, [1, 0], 1)
    assert stack.to_words().tolist() == [62652604, 1, 1, 2, 2147483651, 1610612739, 9]


# --- pushing and popping


@given(st.lists(st.integers(0, 2**31 - 1), max_size=50), st.sampled_from(PRECISIONS), st.integers(2, 60))
def test_what_was_pushed_first_to_last_is_popped_first_to_last(values: list[int], precision: int, words: int) -> None:
    stack = random_stack(words)
    before = stack.to_words()
    values = [value >> (31 - precision) for value in values]
    push_uniform(stack, values, precision)
    assert pop_uniform(stack, len(values), precision).tolist() == values
    np.testing.assert_array_equal(stack.to_words(), before)


@given(st.sampled_from(PRECISIONS), st.integers(0, 2**32))
def test_pushing_what_was_popped_gives_the_stack_back(precision: int, seed: int) -> None:
    stack = random_stack(60, seed)
    before = stack.to_words()
    values = pop_uniform(stack, 40, precision)
    push_uniform(stack, values, precision)
    np.testing.assert_array_equal(stack.to_words(), before)


def test_a_stack_grows_by_what_its_symbols_cost() -> None:
    stack = Stack.empty()
    starts, freqs = intervals(20_000, 24, 1)
    stack.push(starts, freqs, 24)
    assert stack.bits() == pytest.approx(24 * len(freqs) - np.log2(freqs).sum(), abs=2)


def test_a_certain_symbol_changes_nothing() -> None:
    stack = random_stack(5)
    before = stack.to_words()
    stack.push([0, 0], [1 << 26, 1 << 26], 26)
    np.testing.assert_array_equal(stack.to_words(), before)


@given(st.integers(1, 300), st.integers(0, 2**32))
def test_pixels_come_back(n: int, seed: int) -> None:
    rng, stack = np.random.default_rng(seed), random_stack(4, seed)
    before = stack.to_words()
    x, mean, scale = rng.integers(0, 256, n), rng.integers(-32767, 32768, n), rng.integers(0, 128, n)
    push_logistic(stack, x, mean, scale)
    assert pop_logistic(stack, mean, scale).tolist() == x.tolist()
    np.testing.assert_array_equal(stack.to_words(), before)


def test_pushing_the_pixels_that_were_popped_gives_the_stack_back() -> None:
    stack, rng = random_stack(300), np.random.default_rng(0)
    before = stack.to_words()
    mean, scale = rng.integers(0, 255 * 64, 1000), rng.integers(0, 80, 1000)
    x = pop_logistic(stack, mean, scale)
    assert 0 <= x.min() < x.max() <= 255
    push_logistic(stack, x, mean, scale)
    np.testing.assert_array_equal(stack.to_words(), before)


def test_pixels_cost_what_the_logistic_says() -> None:
    stack = Stack.empty()
    push_logistic(stack, np.arange(256), 64 * 100, 80)
    _, freqs = encode_values(0, 255, np.arange(256), np.arange(256), 64 * 100, 80)
    assert stack.bits() == pytest.approx((LOGISTIC_PRECISION - np.log2(freqs)).sum(), abs=1)


# --- what is refused, and leaves the stack alone


def test_popping_more_than_there_is_raises_and_changes_nothing() -> None:
    stack = random_stack(6)
    before = stack.to_words()
    for attempt in (
        lambda: pop_uniform(stack, 100, 16),
        lambda: pop_logistic(stack, np.full(500, 640), 40),
    ):
        with pytest.raises(TruncatedError, match="ends"):
            attempt()
        np.testing.assert_array_equal(stack.to_words(), before)


@pytest.mark.parametrize("symbol", [(0, 0), (7, 0), (256, 1), (1, 256), (2**64 - 1, 2)])
def test_an_interval_that_is_none_is_refused(symbol: tuple[int, int]) -> None:
    stack = random_stack(6)
    before = stack.to_words()
    with pytest.raises(ValueError, match=f"symbol 1: start {symbol[0]}, freq {symbol[1]} "):
        stack.push([0, symbol[0], 0], [5, symbol[1], 5], 8)
    np.testing.assert_array_equal(stack.to_words(), before)


@pytest.mark.parametrize("precision", [0, 32])
def test_a_precision_no_head_has_room_for_is_refused(precision: int) -> None:
    with pytest.raises(ValueError, match="31 bits"):
        push_uniform(Stack.empty(), [0], precision)


@pytest.mark.parametrize(("capacity", "size"), [(3, 4), (3, -1), (3, 3), (0, 0), (3, 2**62)])
def test_the_core_leaves_alone_what_is_no_word_of_a_stack(capacity: int, size: int) -> None:
    words, one = np.zeros(capacity, np.uint32), np.ones(1, np.uint64)
    with pytest.raises(ValueError, match="fewer"):
        _native.push_intervals(one, one, 8, STATE_LOW, words, size)
    with pytest.raises(ValueError, match="fewer"):
        _native.push_normals(np.zeros(1, np.int64), np.zeros(1), np.ones(1), STATE_LOW, words, size)
    if not 0 <= size <= capacity:
        for pop in (lambda s: pop_logistic(s, 0, 40), lambda s: pop_gaussian(s, 0, 8)):
            with pytest.raises(ValueError, match="fewer"):
                pop(Stack(STATE_LOW, words, size))


def test_the_core_refuses_columns_of_other_lengths_and_types() -> None:
    two, three = np.ones(2, np.uint64), np.ones(3, np.uint64)
    with pytest.raises(ValueError, match="lengths"):
        _native.push_intervals(two, three, 8, STATE_LOW, np.zeros(9, np.uint32), 0)
    with pytest.raises(TypeError, match="incompatible"):
        _native.push_intervals(two, two, 8, STATE_LOW, np.zeros(9, np.uint64), 0)


@pytest.mark.parametrize("words", [0, 1])
def test_less_than_a_head_is_truncated(words: int) -> None:
    with pytest.raises(TruncatedError, match=f"has {words} words"):
        Stack.from_words(np.zeros(words, np.uint32))


@pytest.mark.parametrize("head", [0, STATE_LOW - 1, 1 << 63])
def test_a_head_that_is_no_state_is_refused(head: int) -> None:
    with pytest.raises(FormatError, match="state"):
        Stack.from_words(np.array([head >> 32, head & 0xFFFFFFFF, 1], np.uint32))
