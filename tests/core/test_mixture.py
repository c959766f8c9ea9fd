"""Distributions of the core: the discretised logistic, truncated, mixed, and taken apart again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from native_testing import testing

SCALES = 128
WHOLE, PRECISION, WEIGHTS = 1 << 38, 1 << 24, 1 << 14
FAR = 32767  # the farthest mean, in 1/64


def units(scale: int) -> float:
    return float(2.0 ** ((scale - 48) / 8))


# --- the logistic


@pytest.mark.parametrize("scale", [0, 20, 48, 80, 127])
def test_the_logistic_is_what_its_name_says(scale: int) -> None:
    """Half the hyperbolic tangent of half the distance in scales, in 2^-38."""
    distances = np.arange(-70_000, 70_001, 7)
    found = np.array(testing.centred(distances.tolist(), scale)) / WHOLE
    expected = np.tanh(distances / 64 / units(scale) / 2) / 2
    inside = np.abs(distances) < 28 * 64 * units(scale)  # where the table ends
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-5)
    assert (np.abs(found) <= 0.5).all()


@pytest.mark.parametrize("scale", range(0, SCALES, 9))
def test_the_logistic_never_falls_and_is_odd(scale: int) -> None:
    found = testing.centred(list(range(-3000, 3001)), scale)
    assert found == sorted(found)
    assert found == [-value for value in reversed(found)]


@pytest.mark.parametrize("mean", [-(2**31), -FAR, -64 * 300, 0, 31, 1000, 64 * 255, FAR, 2**31 - 1])
@pytest.mark.parametrize("scale", [0, 1, 48, 100, 127])
@pytest.mark.parametrize(("lo", "hi"), [(0, 0), (0, 1), (0, 255), (-510, 510), (7, 8), (-40, -3)])
def test_a_truncated_logistic_has_all_of_its_mass_in_its_range(lo: int, hi: int, mean: int, scale: int) -> None:
    mass = testing.truncated(lo, hi, mean, scale)
    assert mass == sorted(mass)
    assert mass[0] == 0
    assert 1 << 16 <= mass[-1] <= WHOLE


@pytest.mark.parametrize("scale", [30, 48, 70, 127])
def test_a_truncated_logistic_is_the_logistic_between_its_bounds(scale: int) -> None:
    mass = np.array(testing.truncated(-20, 35, 64 * 3 + 5, scale))
    x = (np.arange(-20, 37) - 0.5 - 3 - 5 / 64) / units(scale)
    cdf = np.tanh(x / 2) / 2
    np.testing.assert_allclose(mass / mass[-1], (cdf - cdf[0]) / (cdf[-1] - cdf[0]), atol=1e-5)


@pytest.mark.parametrize("scale", [0, 48, 127])
def test_a_truncated_logistic_mirrors(scale: int) -> None:
    left, right = testing.truncated(-9, 30, 77, scale), testing.truncated(-30, 9, -77, scale)
    assert np.diff(left).tolist() == np.diff(right)[::-1].tolist()


# --- weights


def test_weights_are_the_softmax_in_sixteenths_of_an_octave() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 4):
        for _ in range(200):
            logits = rng.integers(-80, 81, count)
            power = 2.0 ** (logits / 16)
            np.testing.assert_allclose(testing.weights_of(logits.tolist()), WEIGHTS * power / power.sum(), atol=4)


LIMIT = 1 << 30
EXTREMES = [[0, 0, 0, 0], [LIMIT, -LIMIT], [-LIMIT] * 3, [LIMIT, LIMIT, -LIMIT, 0], [481, 0], [479, 0], [7]]


@pytest.mark.parametrize("logits", EXTREMES)
def test_weights_are_shares_of_a_whole_whatever_the_logits(logits: list[int]) -> None:
    found = testing.weights_of(logits)
    assert sum(found) == WEIGHTS
    assert min(found) >= 1


# --- mixtures


class Given(NamedTuple):
    """Arguments of a mixture."""

    weights: list[int]
    lo: int
    hi: int
    means: list[int]
    scales: list[int]


@st.composite
def mixtures(draw: st.DrawFn) -> Given:
    """Of all that a network may say: 1 to 4 components, 1 to 1021 values, means far out, scales at both ends."""
    count, width = draw(st.integers(1, 4)), draw(st.one_of(st.integers(1, 9), st.integers(1, 1021)))
    lo = draw(st.integers(-510, 511 - width))
    weights = testing.weights_of(draw(st.lists(st.integers(-500, 500), min_size=count, max_size=count)))
    near = st.integers(64 * (lo - 3), 64 * (lo + width + 3))
    means = draw(st.lists(st.one_of(st.integers(-FAR, FAR), near), min_size=count, max_size=count))
    scale = st.one_of(st.sampled_from([0, 127]), st.integers(0, 127))
    return Given(weights, lo, lo + width - 1, means, draw(st.lists(scale, min_size=count, max_size=count)))


def cumulative(mixture: Given) -> NDArray[np.int64]:
    return np.array(testing.cumulative(*mixture))


@given(mixtures())
def test_a_mixture_rises_from_nothing_to_the_whole_by_one_or_more(mixture: Given) -> None:
    found = cumulative(mixture)
    assert (found[0], found[-1]) == (0, PRECISION)
    assert (np.diff(found) >= 1).all()


@given(mixtures(), st.integers(0, PRECISION - 1))
def test_find_is_the_inverse_of_intervals(mixture: Given, slot: int) -> None:
    """At the first and the last slot of every value, and at any."""
    found = cumulative(mixture)
    slots = np.concatenate([found[:-1], found[1:] - 1, [slot]])
    expected = mixture.lo + np.searchsorted(found, slots, side="right") - 1
    assert testing.find(*mixture, slots.tolist()) == expected.tolist()


@given(mixtures(), st.data())
def test_weights_after_a_value_are_shares_of_a_whole(mixture: Given, data: st.DataObject) -> None:
    first = data.draw(st.integers(mixture.lo, mixture.hi))
    found = testing.after(*mixture, first, data.draw(st.integers(first, mixture.hi)))
    assert sum(found) == WEIGHTS
    assert min(found) >= 1


def masses(mixture: Given, first: int, last: int) -> NDArray[np.float64]:
    """Of each component in first..last, by its weight."""
    parts = [np.array(testing.truncated(mixture.lo, mixture.hi, m, s)) for m, s in zip(*mixture[3:], strict=True)]
    share = [(part[last + 1 - mixture.lo] - part[first - mixture.lo]) / part[-1] for part in parts]
    return np.array(mixture.weights) * share


@given(mixtures())
def test_a_mixture_is_the_sum_of_its_components(mixture: Given) -> None:
    width = mixture.hi - mixture.lo + 1
    expected = [
        masses(mixture, mixture.lo, mixture.lo + k - 1).sum() / WEIGHTS for k in range(0, width, 1 + width // 20)
    ]
    found = cumulative(mixture)[: -1 : 1 + width // 20]
    np.testing.assert_allclose(found / PRECISION, expected, atol=(width + 2) / PRECISION)


MIXED: Sequence[Given] = [
    Given([8192, 8192], 0, 255, [64 * 60, 64 * 70], [60, 60]),
    Given([10000, 6000, 384], 0, 255, [64 * 60, 64 * 70, 64 * 60], [60, 48, 80]),
    Given([4096] * 4, -255, 255, [0, 100, -64, 640], [70, 60, 50, 40]),
]


@pytest.mark.parametrize("mixture", MIXED)
@pytest.mark.parametrize(("first", "last"), [(60, 60), (55, 75), (66, 66), (10, 12)])
def test_weights_after_a_value_are_what_bayes_says(mixture: Given, first: int, last: int) -> None:
    mass = masses(mixture, first, last)
    found = testing.after(*mixture, first, last)
    np.testing.assert_allclose(found, WEIGHTS * mass / mass.sum(), atol=4)


def test_weights_stay_where_no_component_is_likelier() -> None:
    assert testing.after([10000, 6384], 0, 255, [0, 64], [0, 0], 250, 250) == [10000, 6384]
    assert testing.after([WEIGHTS], 0, 255, [0], [50], 3, 3) == [WEIGHTS]


def test_what_is_no_mixture_is_refused() -> None:
    for wrong in (([], 0, 1, [], []), ([1], 0, 1, [0, 0], [1]), ([1], 0, 1, [0], [128]), ([1], 0, 1, [0], [-1])):
        with pytest.raises(ValueError, match=r"components|scale"):
            testing.cumulative(*wrong)
