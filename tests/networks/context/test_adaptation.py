"""Online adaptation of scales and means: what it learns, and that whatever happens it stays within its bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.ans.logistic import SCALE_COUNT, cost_bits, encode_values
from ddpmcodec.coding_schedule import STEPS
from ddpmcodec.networks.context import adaptation
from ddpmcodec.networks.context.adaptation import (
    BIAS_LIMIT,
    CONTEXTS,
    KINDS,
    LAST_COUNT,
    NEIGHBOURS,
    NOT_CODED,
    WEIGHT_LIMIT,
    WEIGHTS,
    adapt,
    contexts,
    corrected,
    kind_of,
    learned,
    no_initial,
    normalised,
    start,
)

KNOWN = np.int64(-255), np.int64(255)


def test_it_begins_with_what_the_model_learned() -> None:
    rng = np.random.default_rng(0)
    initial = rng.integers(-1000, 1000, no_initial().shape).astype(np.int32)
    learner = start(initial, 3)
    assert learner.biases.shape == (3, KINDS, 3, CONTEXTS)
    assert learner.weights.shape == (3, KINDS, 3, WEIGHTS)
    for image in range(3):
        np.testing.assert_array_equal(learned(learner)[image], initial)
    learner.biases[0] += 1
    np.testing.assert_array_equal(learned(learner)[1], initial)


def test_steps_and_kinds_of_bands_learn_on_their_own() -> None:
    kinds = {kind_of(step.number, band) for step in STEPS for band in (1, 2, 3)}
    assert kinds == set(range(KINDS))
    assert kind_of(2, 3) == kind_of(2, 17)


# --- contexts


def fresh(height: int = 4, width: int = 5) -> np.ndarray:
    return np.full((height, width, 3), NOT_CODED, np.int16)


def columns(residuals: np.ndarray, scale: int, y: int, x: int, channel: int) -> tuple[Any, list[int]]:
    near = np.full(len(NEIGHBOURS), 99, np.int64)
    return contexts(near, residuals, np.int64(scale), y, x, channel), near.tolist()


def test_without_anything_coded_neighbours_and_channels_say_nothing() -> None:
    where, near = columns(fresh(), 50, 2, 2, 0)
    assert where == (2, adaptation.CHANNEL_CONTEXT, adaptation.NEIGHBOUR_CONTEXT)
    assert near == [0] * len(NEIGHBOURS)


def test_neighbours_are_those_of_the_channel_inside_the_band() -> None:
    residuals = fresh()
    residuals[..., 1] = 5
    residuals[1, 2, 1], residuals[2, 1, 1] = 77, -33
    _, near = columns(residuals, 50, 2, 2, 1)
    assert near[: adaptation.NEAREST] == [-33, 77, 5, 5]
    _, near = columns(residuals, 50, 0, 0, 1)
    assert near == [0] * len(NEIGHBOURS)
    _, near = columns(residuals, 50, 2, 4, 0)
    assert near == [0] * len(NEIGHBOURS)


@given(
    st.integers(0, SCALE_COUNT - 1), st.integers(0, 3), st.integers(0, 4), st.integers(0, 2), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_contexts_are_columns_of_three_tables(scale: int, y: int, x: int, channel: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    residuals = rng.choice(np.array([NOT_CODED, -32767, 32767, 0, 31, 33, -70, 400], np.int16), (4, 5, 3))
    (by_scale, by_channels, by_neighbours), _ = columns(residuals, scale, y, x, channel)
    assert 0 <= by_scale < adaptation.SCALE_CLASSES
    assert adaptation.CHANNEL_CONTEXT <= by_channels < adaptation.NEIGHBOUR_CONTEXT
    assert adaptation.NEIGHBOUR_CONTEXT <= by_neighbours < CONTEXTS


def test_larger_residuals_are_other_classes() -> None:
    found = []
    for size in (0, *adaptation.THRESHOLDS):
        residuals = fresh()
        residuals[2, 2, 0] = size
        found.append(columns(residuals, 50, 2, 2, 1)[0][1])
    assert found == [adaptation.CHANNEL_CONTEXT + 1 + k for k in range(adaptation.CLASSES)]


def test_residuals_are_in_scales_and_fit() -> None:
    assert normalised(np.int64(64), np.int64(48)) == 64  # a unit, at a scale of 1
    assert normalised(np.int64(-64), np.int64(56)) == -32
    assert normalised(np.int64(1 << 16), np.int64(0)) == -normalised(np.int64(-(1 << 16)), np.int64(0))
    assert normalised(np.int64(1 << 16), np.int64(0)) <= 32767


# --- learning


class One:
    """A learner's rows for one kind and channel, and a code length that it is to bring down."""

    def __init__(self) -> None:
        self.biases, self.counts = np.zeros(CONTEXTS, np.int64), np.full(CONTEXTS, adaptation.FIRST_COUNT, np.int64)
        self.weights, self.near = np.zeros(WEIGHTS, np.int64), np.zeros(len(NEIGHBOURS), np.int64)
        self.here = np.full(3, NOT_CODED, np.int16)
        self.where = (0, adaptation.CHANNEL_CONTEXT, adaptation.NEIGHBOUR_CONTEXT)

    def code(self, value: int, mean: int, scale: int, channel: int = 0) -> float:
        """Bits of a value that the model predicts as (mean, scale); and learn from it."""
        used = corrected(
            self.biases, self.weights, self.near, self.where, np.int64(mean), np.int64(scale), self.here, channel
        )
        new = np.int64(value), np.int64(value)
        adapt(
            self.biases, self.counts, self.weights, self.near, self.where, KNOWN, new, *used, self.here, channel
        )  # fmt: skip
        freq = encode_values(*KNOWN, value, value, *used)[1]
        return float(cost_bits(freq)[0])


@pytest.mark.parametrize(("true", "predicted"), [(48, 72), (72, 48), (60, 60)])
def test_scales_that_are_wrong_are_corrected(true: int, predicted: int) -> None:
    rng, one = np.random.default_rng(1), One()
    values = np.rint(rng.logistic(0, 2 ** ((true - 48) / 8), 3000)).astype(int).clip(-255, 255)
    costs = [one.code(value, 0, predicted) for value in values.tolist()]
    right = cost_bits(encode_values(*KNOWN, values, values, 0, true)[1])
    assert np.mean(costs[1500:]) < np.mean(right[1500:]) + 0.03
    if true != predicted:
        assert np.mean(costs[1500:]) < np.mean(costs[:100])


def test_means_follow_the_other_channels() -> None:
    """Where a channel's residual is half of another's, a weight finds it."""
    rng, one = np.random.default_rng(2), One()
    costs, scale = [], 64
    for residual in rng.logistic(0, 1, 6000):
        one.here[0] = np.clip(64 * residual, -32767, 32767)
        value = int(np.clip(np.rint(4 * (0.5 * residual + 0.2 * rng.logistic(0, 1))), -255, 255))
        costs.append(one.code(value, 0, scale, channel=1))
    assert one.weights[0] / 2**adaptation.WEIGHT_BITS == pytest.approx(0.5, abs=0.1)
    assert np.mean(costs[4000:]) < np.mean(costs[:500]) - 0.25


def test_means_follow_the_neighbours() -> None:
    rng, one = np.random.default_rng(3), One()
    for residual in rng.logistic(0, 1, 8000):
        one.near[0] = np.clip(64 * residual, -32767, 32767)
        one.code(int(np.clip(np.rint(4 * (0.3 * residual + 0.3 * rng.logistic(0, 1))), -255, 255)), 0, 64)
    assert one.weights[2] / 2**adaptation.WEIGHT_BITS == pytest.approx(0.3, abs=0.1)


@given(
    st.lists(
        st.tuples(st.integers(-255, 255), st.integers(-32767, 32767), st.integers(0, SCALE_COUNT - 1)), max_size=60
    ),
    st.integers(0, 2**32 - 1),
)
def test_everything_stays_within_bounds(coded: list[tuple[int, int, int]], seed: int) -> None:
    rng, one = np.random.default_rng(seed), One()
    for value, mean, scale in coded:
        one.near[:] = rng.integers(-32767, 32768, len(one.near))
        one.here[:] = rng.integers(-32768, 32768, 3)
        one.code(value, mean, scale, channel=2)
    assert np.abs(one.biases).max() <= BIAS_LIMIT
    assert np.abs(one.weights).max() <= WEIGHT_LIMIT
    assert one.counts.max() <= LAST_COUNT


def test_corrected_distributions_are_ones_that_the_coder_takes() -> None:
    one = One()
    one.biases[:] = BIAS_LIMIT
    one.weights[:] = WEIGHT_LIMIT
    one.near[:] = 32767
    one.here[:] = 32767
    for scale in (0, 60, SCALE_COUNT - 1):
        for sign in (1, -1):
            mean, found = corrected(
                sign * one.biases, sign * one.weights, one.near, one.where, np.int64(sign * 32767), np.int64(scale),
                one.here, 2,
            )  # fmt: skip
            assert abs(mean) <= 32767
            assert 0 <= found < SCALE_COUNT
