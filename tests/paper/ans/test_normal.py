"""Normal distributions on the stack: the specified slots, exact inverses, no loss against the ideal."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from stacks import push_uniform, random_stack

from ddpmcodec.errors import TruncatedError
from ddpmcodec.paper.ans import Stack, pop_gaussian, push_gaussian
from native_testing import testing

PRECISION = 26
ONE = 1 << PRECISION
MIN_STD, MAX_STD = 2.0**-10, 2.0**32  # cells
STEPS, LAST, RESOLUTION = 256, 6, 1 << 50  # of the table: in a deviation; where it ends; the integer of probability one
TABLE: list[int] = testing.normal_table()
Floats = NDArray[np.float64]


class Normal(NamedTuple):
    mean: float
    std: float

    def window(self) -> tuple[int, int, int]:
        """(lo, hi, shift)"""
        return testing.normal_window(*self)

    def start(self, k: int) -> int:
        return testing.normal_starts(*self, [k])[0]

    def starts(self) -> NDArray[np.int64]:
        """start(lo), ..., start(hi + 1)."""
        lo, hi, _ = self.window()
        return np.array(testing.normal_starts(*self, list(range(lo, hi + 2))))


@st.composite
def normals(draw: st.DrawFn) -> Normal:
    """Means of all sizes; deviations from below the least that counts to the largest there is."""
    reach = 2.0 ** draw(st.integers(0, 48))
    mean = draw(st.one_of(st.floats(-reach, reach), st.integers(-100, 100).map(lambda n: n / 2)))
    return Normal(mean, 2.0 ** draw(st.floats(-12, 31.99)))


def narrow_normals() -> st.SearchStrategy[Normal]:
    """Those whose windows can be listed."""
    return normals().filter(lambda normal: normal.std < 128)


@st.composite
def symbols(draw: st.DrawFn) -> tuple[int, Normal]:
    """A distribution and a symbol: ordinary, at the edge of the window, or far outside it."""
    found = draw(normals())
    lo, hi, shift = found.window()
    coarse = draw(
        st.one_of(
            st.integers(lo - 3, lo + 3),
            st.integers(hi - 3, hi + 3),
            st.integers(lo, hi),
            st.integers(lo - 2 * ONE + 1, hi + 2 * ONE - 1),
        )
    )
    return (coarse << shift) + draw(st.integers(0, (1 << shift) - 1)), found


def columns(drawn: list[tuple[int, Normal]]) -> tuple[NDArray[np.int64], Floats, Floats]:
    k = np.array([symbol for symbol, _ in drawn], np.int64)
    return k, np.array([normal.mean for _, normal in drawn]), np.array([normal.std for _, normal in drawn])


def sample(n: int, std: float, seed: int = 0) -> tuple[NDArray[np.int64], Floats, Floats]:
    """(k, mean, std): means anywhere within a thousand cells, k drawn from the distributions."""
    rng = np.random.default_rng(seed)
    mean = 1000 * rng.normal(size=n)
    return np.floor(mean + std * rng.normal(size=n) + 0.5).astype(np.int64), mean, np.full(n, std)


def masses(edges: Floats) -> Floats:
    """Normal probabilities between successive arguments, to full relative precision on both sides."""
    upper, lower = (np.array([math.erfc(sign * z / math.sqrt(2)) / 2 for z in edges]) for sign in (1, -1))
    return np.where(edges[1:] > 0, upper[:-1] - upper[1:], lower[1:] - lower[:-1])


# --- the distribution


def specified_start(mean: float, std: float, k: int) -> Fraction:
    """start(k) between lo and hi before it is cut to an integer, in exact arithmetic but for the window's ends."""
    lo, hi, _ = Normal(mean, std).window()
    t = min(abs((k - Fraction(1, 2) - Fraction(mean)) / Fraction(std) * STEPS), Fraction(LAST * STEPS))
    step = min(int(t), LAST * STEPS - 1)
    half = TABLE[step] + (TABLE[step + 1] - TABLE[step]) * (t - step)
    mass = Fraction(1, 2) + (half if k - 0.5 >= mean else -half) / RESOLUTION
    return 1 + (k - lo) + mass * (ONE - 2 - (hi - lo + 1))


@given(st.floats(-1000, 1000), st.floats(0.01, 127))
@example(1.1, 1.1)  # 1.6 - 6.6 in float64 is -5, which it is not
def test_the_window_reaches_six_standard_deviations_each_way(mean: float, std: float) -> None:
    for end, sign in zip(Normal(mean, std).window(), (-1, 1), strict=False):
        exact = Fraction(mean) + Fraction(1, 2) + sign * LAST * Fraction(std)
        assert end - Fraction(1, 10**9) <= exact < end + 1 + Fraction(1, 10**9)


@given(st.floats(-1000, 1000), st.floats(0.01, 127), st.data())
def test_starts_are_the_specified_formula(mean: float, std: float, data: st.DataObject) -> None:
    lo, hi, _ = Normal(mean, std).window()
    if lo < hi:
        k = data.draw(st.integers(lo + 1, hi))
        assert -1e-3 < specified_start(mean, std, k) - Normal(mean, std).start(k) < 1 + 1e-3


@settings(max_examples=30)
@given(narrow_normals())
def test_every_cell_has_a_slot_and_the_cells_fill_all_but_the_escapes(normal: Normal) -> None:
    starts = normal.starts()
    assert (starts[0], starts[-1]) == (1, ONE - 1)
    assert (np.diff(starts) >= 1).all()


@given(normals())
def test_the_window_is_six_deviations_and_has_at_most_1600_cells(normal: Normal) -> None:
    lo, hi, shift = normal.window()
    std = max(normal.std, MIN_STD)
    assert hi - lo < 1600
    assert 64 <= std / 2**shift < 128 or (shift == 0 and std < 64)
    for edge, sign in ((lo, -1), (hi, 1)):
        first = Fraction(edge << shift) - Fraction(1, 2)
        slack = Fraction(abs(normal.mean) + 8 * std) / 2**50  # of a float64
        assert first - slack <= Fraction(normal.mean) + sign * 6 * Fraction(std) < first + 2**shift + slack


@given(normals(), st.integers(1, ONE - 2))
def test_a_slot_is_found_in_the_cell_that_holds_it(normal: Normal, slot: int) -> None:
    (symbol,) = pop_gaussian(Stack(1 << 62 | slot, np.zeros(1, np.uint32), 1), *normal).tolist()
    lo, hi, shift = normal.window()
    k = symbol >> shift
    assert lo <= k <= hi
    assert normal.start(k) <= slot < normal.start(k + 1)


def test_the_lengths_of_escapes_fill_all_slots_and_are_found_in_them() -> None:
    """Length j has the slots that begin with j ones: the first and the last of them."""
    hi = Normal(0.0, 1.0).window()[1]
    bounds = [*(ONE - (ONE >> length) for length in range(PRECISION + 1)), ONE]
    for length, (start, end) in enumerate(pairwise(bounds)):
        for slot in (start, end - 1):
            stack = random_stack(10)
            push_uniform(stack, [ONE - 1, slot], PRECISION)
            before = stack.to_words()
            (k,) = pop_gaussian(stack, 0.0, 1.0).tolist()
            assert (k - hi).bit_length() - 1 == length
            push_gaussian(stack, [k], 0.0, 1.0)
            np.testing.assert_array_equal(stack.to_words(), before)


# --- inverses


@settings(max_examples=30)
@given(st.lists(symbols(), max_size=20), st.integers(2, 30))
def test_what_was_pushed_is_popped_and_the_stack_is_what_it_was(drawn: list[tuple[int, Normal]], words: int) -> None:
    stack, (k, mean, std) = random_stack(words), columns(drawn)
    before = stack.to_words()
    push_gaussian(stack, k, mean, std)
    np.testing.assert_array_equal(pop_gaussian(stack, mean, std), k)
    np.testing.assert_array_equal(stack.to_words(), before)


@given(st.lists(normals(), max_size=20), st.integers(0, 2**32))
def test_pushing_what_was_popped_gives_the_stack_back(drawn: list[Normal], seed: int) -> None:
    """Bits-back coding rests on it."""
    stack = random_stack(200, seed)
    before = stack.to_words()
    _, mean, std = columns([(0, normal) for normal in drawn])
    k = pop_gaussian(stack, mean, std)
    push_gaussian(stack, k, mean, std)
    np.testing.assert_array_equal(stack.to_words(), before)


@pytest.mark.parametrize("slot", [0, 1, ONE // 2, ONE - 2, ONE - 1])
@given(normals(), st.integers(0, 2**32))
def test_escapes_and_edges_that_are_popped_can_be_pushed(slot: int, normal: Normal, seed: int) -> None:
    stack = random_stack(10, seed)
    push_uniform(stack, [slot], PRECISION)
    before = stack.to_words()
    k = pop_gaussian(stack, *normal)
    lo, hi, shift = normal.window()
    assert (k[0] >> shift < lo) == (slot == 0)
    assert (k[0] >> shift > hi) == (slot == ONE - 1)
    push_gaussian(stack, k, *normal)
    np.testing.assert_array_equal(stack.to_words(), before)


def test_the_first_symbol_is_popped_first() -> None:
    stack, (k, mean, std) = Stack.empty(), sample(100, 8)
    push_gaussian(stack, k, mean, std)
    found = [pop_gaussian(stack, m, s)[0] for m, s in zip(mean, std, strict=True)]
    assert found == k.tolist()
    assert stack.is_empty()


def test_one_distribution_serves_all_symbols() -> None:
    stack = Stack.empty()
    push_gaussian(stack, np.arange(-3, 4).reshape(1, 7), 0.25, 2)
    assert pop_gaussian(stack, 0.25, np.full(7, 2.0)).tolist() == list(range(-3, 4))


def test_golden_words() -> None:
    stack = Stack.empty()
    k = [0, 5, -40, 1000, 7, -(2**20), 3, 2**40]
    mean = [0.3, 4.75, -37.2, 990.5, 7.0, 12345.6, -250.0, 2.0**40 - 3]
    push_gaussian(stack, k, mean, [0.4, 2, 8.7, 63, 1e-9, 2**20 / 3, 5, 1e9])
    assert stack.to_words().tolist() == [83608, 3398847396, 4227874815, 4294488750, 704688118]
    assert pop_gaussian(stack, mean, [0.4, 2, 8.7, 63, 1e-9, 2**20 / 3, 5, 1e9]).tolist() == k


# --- no loss


@pytest.mark.parametrize("std", [0.3, 1, 4, 8, 16, 64, 127])
@pytest.mark.parametrize("mean", [0.0, 0.41])
def test_a_symbol_costs_within_a_few_millionths_of_a_bit_of_the_ideal(std: float, mean: float) -> None:
    """The divergence of the slots from the normal distribution."""
    lo, hi, _ = Normal(mean, std).window()
    exact = masses((np.arange(lo, hi + 2) - 0.5 - mean) / std)
    shares = np.diff(Normal(mean, std).starts()) / ONE
    loss = float((exact * np.log2(exact / shares)).sum())
    assert -1e-8 < loss < 2e-7 * (std + 2)


@pytest.mark.parametrize("std", [128.0, 1000.0, 2.0**20, 2.0**30])
def test_wide_distributions_cost_the_entropy_too(std: float) -> None:
    stack, (k, mean, stds) = Stack.empty(), sample(100_000, std)
    push_gaussian(stack, k, mean, stds)
    z = (k - mean) / std
    ideal = (math.log2(std * math.sqrt(2 * math.pi)) + z * z / (2 * math.log(2))).sum()
    assert stack.bits() / len(k) == pytest.approx(ideal / len(k), abs=1e-3)


@pytest.mark.parametrize("std", [8.0, 64.0, 1000.0])
def test_popping_under_one_distribution_and_pushing_under_another_costs_their_divergence(std: float) -> None:
    """What a step of bits-back coding does; the ideal is that of the very symbols that were popped."""
    stack, (_, mean, stds) = random_stack(100_000), sample(200_000, std)
    before = stack.bits()
    k = pop_gaussian(stack, mean, stds)
    other, wider = mean + 0.2 * std, 1.1 * stds
    push_gaussian(stack, k, other, wider)
    nats = ((k - other) / wider) ** 2 / 2 - ((k - mean) / stds) ** 2 / 2 + np.log(wider / stds)
    assert (stack.bits() - before) / len(k) == pytest.approx(nats.mean() / math.log(2), abs=1e-4)


@pytest.mark.parametrize("distance", [7.0, 20.0, 1e4])
def test_a_symbol_far_outside_costs_twice_the_logarithm_of_its_distance(distance: float) -> None:
    stack = Stack.empty()
    push_gaussian(stack, [round(8 * distance)], 0.0, 8.0)
    assert stack.bits() < PRECISION + 2 * math.log2(8 * (distance - 6)) + 2


# --- what is refused, and leaves the stack alone


@pytest.mark.parametrize(
    ("mean", "std"),
    [(math.nan, 1.0), (math.inf, 1.0), (2.0**49, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, math.nan), (0.0, MAX_STD)],
)
def test_an_invalid_distribution_is_refused(mean: float, std: float) -> None:
    stack = random_stack(9)
    before = stack.to_words()
    means, stds = np.array([0.0, mean]), np.array([1.0, std])
    with pytest.raises(ValueError, match=r"symbol 1: .*\|mean\|"):
        push_gaussian(stack, [0, 0], means, stds)
    with pytest.raises(ValueError, match=r"symbol 1: .*\|mean\|"):
        pop_gaussian(stack, means, stds)
    np.testing.assert_array_equal(stack.to_words(), before)


@pytest.mark.parametrize("k", [2 * ONE + 7, -2 * ONE - 7, 2**48 + 1, 2**63 - 1, -(2**63)])
def test_a_symbol_too_far_away_is_refused(k: int) -> None:
    stack = random_stack(9)
    before = stack.to_words()
    with pytest.raises(ValueError, match=f"symbol 1: .*k = {k} "):
        push_gaussian(stack, [0, k], 0.0, 1.0)
    np.testing.assert_array_equal(stack.to_words(), before)


@pytest.mark.parametrize("words", [2, 3, 10])
def test_popping_more_than_there_is_raises_and_changes_nothing(words: int) -> None:
    stack = random_stack(words)
    before = stack.to_words()
    with pytest.raises(TruncatedError, match="last symbol"):
        pop_gaussian(stack, np.zeros(100), 8.0)
    np.testing.assert_array_equal(stack.to_words(), before)


@pytest.mark.parametrize("slot", [0, ONE - 1])
def test_an_escape_whose_distance_is_missing_is_truncated(slot: int) -> None:
    stack = Stack.empty()
    push_uniform(stack, [slot], PRECISION)
    with pytest.raises(TruncatedError):
        pop_gaussian(stack, 0.0, 500.0)
