"""The truncated logistic: its formula in exact integers, mass everywhere, pops that find what an interval is of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ddpmcodec.errors import TruncatedError
from ddpmcodec.paper.ans import LOGISTIC_PRECISION, Stack, encode_values, pop_logistic, push_logistic
from native_testing import testing

ONE = 1 << LOGISTIC_PRECISION
SCALE_COUNT, MAX_WIDTH = 128, 1 << 16
STEPS, LAST = 64, 28  # of the table: in a unit; where it ends
TABLE: list[int] = testing.logistic_table()


class Truncated(NamedTuple):
    """A truncated logistic."""

    lo: int
    hi: int
    mean: int
    scale: int

    def interval(self, new_lo: int, new_hi: int) -> tuple[int, int]:
        (start,), (freq,) = encode_values(self.lo, self.hi, new_lo, new_hi, self.mean, self.scale)
        return int(start), int(freq)

    def popped(self, slot: int) -> int:
        """The pixel that comes off a stack whose top bits are the slot, of one on 0..255."""
        return int(pop_logistic(Stack(1 << 62 | slot, np.empty(0, np.uint32), 0), self.mean, self.scale)[0])

    def cumulative(self) -> NDArray[np.int64]:
        """cum(lo), ..., cum(hi + 1)."""
        x = np.arange(self.lo, self.hi + 1)
        starts, freqs = encode_values(self.lo, self.hi, x, x, self.mean, self.scale)
        return np.append(starts, starts[-1] + freqs[-1]).astype(np.int64)


@st.composite
def truncated_logistics(draw: st.DrawFn, whole: bool = False) -> Truncated:
    """Ranges of pixels, or the whole of them; means inside and absurdly far outside them, every scale."""
    lo = 0 if whole else draw(st.integers(0, 255))
    hi = 255 if whole else draw(st.integers(lo, 255))
    mean = draw(st.one_of(st.integers(64 * lo - 99, 64 * hi + 99), st.integers(-(2**31), 2**31 - 1)))
    return Truncated(lo, hi, mean, draw(st.integers(0, SCALE_COUNT - 1)))


def eighth_root(n: int) -> int:
    """round(n ** (1/8)) by bisection in integers."""
    low, high = 0, 1 << 64
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if (2 * middle - 1) ** 8 <= n << 8 else (low, middle)
    return low


def specified_cumulative(logistic: Truncated, x: int) -> int:
    """cum(x) as the module's docstring has it, in Python's unbounded integers."""
    reciprocal, margin = eighth_root(1 << (240 - logistic.scale)), eighth_root(1 << (24 + logistic.scale))
    mean = min(max(logistic.mean, 64 * logistic.lo - 32 - margin), 64 * logistic.hi + 32 + margin)

    def g(x: int) -> int:
        distance = 64 * x - 32 - mean
        step, fraction = divmod(min(abs(distance) * reciprocal, (LAST * STEPS << 24) - 1), 1 << 24)
        value = TABLE[step] + ((TABLE[step + 1] - TABLE[step]) * fraction >> 24)
        return value if distance >= 0 else -value

    width = logistic.hi - logistic.lo + 1
    return (g(x) - g(logistic.lo)) * (ONE - width) // (g(logistic.hi + 1) - g(logistic.lo)) + x - logistic.lo


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.tanh(z / 2)


# the distribution


@given(truncated_logistics(), st.data())
def test_interval_is_the_specified_formula(logistic: Truncated, data: st.DataObject) -> None:
    new_lo = data.draw(st.integers(logistic.lo, logistic.hi))
    new_hi = data.draw(st.integers(new_lo, logistic.hi))
    start, end = specified_cumulative(logistic, new_lo), specified_cumulative(logistic, new_hi + 1)
    assert logistic.interval(new_lo, new_hi) == (start, end - start)


@given(truncated_logistics())
def test_every_integer_has_mass_and_the_masses_fill_the_whole(logistic: Truncated) -> None:
    cumulative = logistic.cumulative()
    assert cumulative[0] == 0
    assert cumulative[-1] == ONE
    assert (np.diff(cumulative) >= 1).all()


@given(truncated_logistics())
def test_the_whole_range_is_certain(logistic: Truncated) -> None:
    assert logistic.interval(logistic.lo, logistic.hi) == (0, ONE)


@given(truncated_logistics(), st.data())
def test_a_cell_has_the_mass_of_its_integers(logistic: Truncated, data: st.DataObject) -> None:
    new_lo = data.draw(st.integers(logistic.lo, logistic.hi))
    new_hi = data.draw(st.integers(new_lo, logistic.hi))
    cumulative = logistic.cumulative()
    start, freq = logistic.interval(new_lo, new_hi)
    assert start == cumulative[new_lo - logistic.lo]
    assert start + freq == cumulative[new_hi + 1 - logistic.lo]


@pytest.mark.parametrize(
    "logistic", [Truncated(0, MAX_WIDTH - 1, 64 * 999, 127), Truncated(-70_000, -4465, -(2**31), 0)]
)
def test_the_widest_ranges_do_not_overflow(logistic: Truncated) -> None:
    cumulative = logistic.cumulative()
    assert cumulative[-1] == ONE
    assert (np.diff(cumulative) >= 1).all()
    assert cumulative[1000] == specified_cumulative(logistic, logistic.lo + 1000)


def test_shares_are_those_of_the_logistic() -> None:
    logistic = Truncated(100, 140, 64 * 117 + 20, 48 + 16)  # scale 4
    edges = sigmoid((np.arange(100, 142) - 0.5 - logistic.mean / 64) / 4)
    expected = np.diff(edges) / (edges[-1] - edges[0])
    np.testing.assert_allclose(np.diff(logistic.cumulative()) / ONE, expected, rtol=0.005)


@pytest.mark.parametrize(("mean", "sign"), [(-(10**6), -1), (10**6, 1)])
def test_a_range_far_from_the_mean_is_geometric(mean: int, sign: int) -> None:
    """Neighbours differ by exp(1/scale), whatever the distance; here the scale is 8 grey levels."""
    shares = np.diff(Truncated(50, 90, mean, 72).cumulative()).astype(np.float64)
    np.testing.assert_allclose(shares[1:] / shares[:-1], np.exp(sign / 8), rtol=0.005)


def test_a_range_narrow_against_the_scale_is_uniform() -> None:
    np.testing.assert_allclose(np.diff(Truncated(126, 129, 64 * 128, 127).cumulative()) / ONE, 0.25, rtol=1e-4)


# popping


@given(truncated_logistics(whole=True), st.integers(0, ONE - 1))
def test_a_slot_is_of_the_integer_whose_interval_holds_it(logistic: Truncated, slot: int) -> None:
    """The first and the last slot of every integer, and any."""
    cumulative = logistic.cumulative()
    slots = np.concatenate([cumulative[:-1], cumulative[1:] - 1, [slot]])
    expected = np.searchsorted(cumulative, slots, side="right") - 1
    assert [logistic.popped(slot) for slot in slots.tolist()] == expected.tolist()


# many values


class Realistic(NamedTuple):
    """Vectors int32 [n] of truncated logistics and values drawn from them."""

    lo: NDArray[np.int32]
    hi: NDArray[np.int32]
    mean: NDArray[np.int32]
    scale: NDArray[np.int32]
    x: NDArray[np.int32]


def realistic(n: int, seed: int = 0) -> Realistic:
    """Scales 0.5 to 20 grey levels, the range unknown or some scales wide round the value."""
    rng = np.random.default_rng(seed)
    scale, mean = rng.integers(40, 83, n), rng.integers(0, 255 * 64, n)
    width = np.exp2((scale - 48) / 8)
    x = np.clip(np.rint(mean / 64 + width * rng.logistic(size=n)), 0, 255)
    known = rng.random(n) < 0.5
    lo = np.where(known, np.maximum(x - np.floor(3 * width * rng.random(n)), 0), 0)
    hi = np.where(known, np.minimum(x + np.floor(3 * width * rng.random(n)), 255), 255)
    return Realistic(*(a.astype(np.int32) for a in (lo, hi, mean, scale, x)))


def pushed(v: Realistic) -> Stack:
    """A stack that gives the values back first to last."""
    stack = Stack.empty()
    stack.push(*encode_values(v.lo, v.hi, v.x, v.x, v.mean, v.scale), LOGISTIC_PRECISION)
    return stack


def test_values_come_back_from_a_stack() -> None:
    v = realistic(20_000)
    stack = Stack.empty()
    push_logistic(stack, v.x, v.mean, v.scale)
    np.testing.assert_array_equal(pop_logistic(stack, v.mean, v.scale), v.x)
    assert stack.is_empty()


def test_golden_words_of_values() -> None:
    """Exactly: the table, the formula and the stack together."""
    i = np.arange(60)
    x, scale = 37 * i % 256, 10 + 29 * i % 100
    lo, hi = np.maximum(x - 11 * i % 70, 0), np.minimum(x + 17 * i % 80, 255)
    mean = 64 * x + 23 * i % 61 * 2 ** (scale // 8 - 1) - 100
    stack = pushed(Realistic(lo, hi, mean, scale, x))
    found = int(stack.head).to_bytes(8, "little") + stack.words[: stack.size][::-1].astype("<u4").tobytes()
    assert found.hex() == (
        "006f1bc127000000bfa043bb0de0cf4525ec0c89550100133c00000ddfb9"
        "00b94301003cd037240ea3dfebc5090000c6bea338b49822522c32b9ae2cbbd88322b259c1bb"
    )


def test_reading_past_the_end_raises() -> None:
    v = realistic(1000)
    stack = Stack.empty()
    push_logistic(stack, v.x, v.mean, v.scale)
    words = stack.to_words()
    for length in (2, 3, len(words) // 2, len(words) - 1):
        with pytest.raises(TruncatedError, match="last symbol"):
            pop_logistic(Stack.from_words(words[:length]), v.mean, v.scale)


def test_steps_of_refinement_cost_what_the_value_costs() -> None:
    """Whole range to cell, cell to integer: the costs telescope."""
    v = realistic(50_000, seed=4)
    new_lo, new_hi = np.maximum(v.lo, v.x - v.x % 7), np.minimum(v.hi, v.x - v.x % 7 + 6)
    _, first = encode_values(v.lo, v.hi, new_lo, new_hi, v.mean, v.scale)
    _, second = encode_values(new_lo, new_hi, v.x, v.x, v.mean, v.scale)
    _, at_once = encode_values(v.lo, v.hi, v.x, v.x, v.mean, v.scale)
    in_two, in_one = np.log2(first / ONE).sum() + np.log2(second / ONE).sum(), np.log2(at_once / ONE).sum()
    assert in_two == pytest.approx(in_one, rel=1e-4)


@pytest.mark.parametrize(
    "columns",
    [
        (5, 4, 5, 4, 0, 0),
        (0, 9, 5, 4, 0, 0),
        (0, 9, 5, 10, 0, 0),
        (0, 9, -1, 5, 0, 0),
        (0, 9, 1, 1, 0, -1),
        (0, 9, 1, 1, 0, SCALE_COUNT),
        (0, MAX_WIDTH, 1, 1, 0, 0),
    ],
)
def test_columns_that_contradict_each_other_are_refused(columns: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="symbol 0"):
        encode_values(*columns)
