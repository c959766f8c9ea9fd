"""A truncated logistic with weights: its formula in exact integers, mass everywhere, `find_in` as the inverse."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.ans import logistic, reweighted
from ddpmcodec.ans.logistic import SCALE_COUNT, centred
from ddpmcodec.ans.reweighted import LARGEST_WEIGHT, ONE
from ddpmcodec.ans.stream import PRECISION


class Case(NamedTuple):
    """A range, a logistic, and weights of the integers from `first` on, all of them in the range."""

    lo: int
    hi: int
    mean: int
    scale: int
    first: int
    weights: list[int]

    def truncated(self) -> tuple[int, ...]:
        found: tuple[int, ...] = logistic.truncate(np.int64(self.lo), np.int64(self.hi), self.mean, self.scale)
        return found

    def window(self) -> tuple[reweighted.Window, np.ndarray]:
        truncated, count = self.truncated(), len(self.weights)
        edges = [reweighted.mass_before(truncated, np.int64(self.first + k)) for k in range(count + 1)]
        sums = np.zeros(count + 1, np.int64)
        window = reweighted.reweighed(
            truncated, np.int64(self.first), np.diff(edges), np.array(self.weights), sums, count
        )
        return window, sums

    def interval(self, x: int) -> tuple[int, int]:
        start, freq = reweighted.interval_of(self.truncated(), *self.window(), np.int64(x))
        return int(start), int(freq)

    def find(self, slot: int) -> int:
        return int(reweighted.find_in(self.truncated(), np.int64(self.hi), *self.window(), np.int64(slot)))

    def described(self) -> list[int]:
        """cum(lo), ..., cum(hi + 1), in Python's integers."""
        _, origin, scale, below, _, room = map(int, self.truncated())
        masses = [(int(centred(64 * x - origin, scale)) - below) >> 14 for x in range(self.lo, self.hi + 2)]
        weighed, end = [0], self.first + len(self.weights)
        for x, (before, after) in enumerate(pairwise(masses), self.lo):
            weight = self.weights[x - self.first] if self.first <= x < end else ONE
            weighed.append(weighed[-1] + (after - before) * weight)
        return [total * room // weighed[-1] + k for k, total in enumerate(weighed)]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    lo = draw(st.integers(-510, 509))
    hi = draw(st.integers(lo + 1, min(510, lo + draw(st.sampled_from([1, 4, 40, 1020])))))
    mean, scale = draw(st.integers(64 * lo - 400, 64 * hi + 400)), draw(st.integers(0, SCALE_COUNT - 1))
    first = draw(st.integers(lo, hi))
    weights = st.sampled_from([1, 7, ONE - 1, ONE, ONE + 1, 5000, LARGEST_WEIGHT])
    return Case(lo, hi, mean, scale, first, draw(st.lists(weights, min_size=1, max_size=min(25, hi + 1 - first))))


def is_near(case: Case) -> bool:
    return bool(reweighted.is_near(case.truncated()))


@given(cases().filter(is_near))
def test_intervals_are_those_of_the_formula(case: Case) -> None:
    cumulative = case.described()
    assert (cumulative[0], cumulative[-1]) == (0, 1 << PRECISION)
    assert min(np.diff(cumulative)) >= 1
    for x in {case.lo, case.hi, case.first, case.first + len(case.weights) - 1, (case.lo + case.hi) // 2}:
        start, freq = case.interval(x)
        assert (start, start + freq) == tuple(cumulative[x - case.lo : x - case.lo + 2])


@given(cases().filter(is_near), st.integers(0, (1 << PRECISION) - 1))
def test_find_is_the_inverse(case: Case, slot: int) -> None:
    found = case.find(slot)
    start, freq = case.interval(found)
    assert start <= slot < start + freq
    assert case.find(start) == case.find(start + freq - 1) == found


def test_a_weight_is_a_factor_of_the_odds() -> None:
    plain = Case(-100, 100, 0, 60, -2, [ONE] * 5)
    double = plain._replace(weights=[ONE, ONE, 2 * ONE, ONE, ONE])
    assert plain.interval(1)[1] == pytest.approx(logistic.interval(-100, 100, 1, 1, 0, 60)[1], rel=1e-3)
    for other in (-1, 2, 30):
        before, after = (case.interval(0)[1] / case.interval(other)[1] for case in (plain, double))
        assert after == pytest.approx(2 * before, rel=1e-2)


@pytest.mark.parametrize(("mean", "near"), [(0, True), (64 * 30, True), (64 * 90, False)])
def test_a_range_far_out_keeps_its_logistic(mean: int, near: bool) -> None:
    assert is_near(Case(-20, 20, mean, 56, 0, [ONE])) == near
