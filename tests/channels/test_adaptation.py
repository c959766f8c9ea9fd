"""Adaptation: what a step has told so far corrects the laws of what it tells next, within the coder's limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ddpmcodec.channels import cells
from ddpmcodec.channels.adaptation import (
    CORRECTION_LIMIT,
    GAIN_BITS,
    GAIN_LIMIT,
    LAST_COUNT,
    NEIGHBOUR_CONTEXT,
    NOT_TOLD,
    PIXEL_CONTEXT,
    Adaptation,
    contexts,
    corrected,
    law_of,
    learn,
    start,
)
from ddpmcodec.networks.local import CONTEXTS, GAINS, NO_LOCAL
from ddpmcodec.schedule import Step

SCALE = 72  # index; 8 grey levels
LAW = np.zeros((3, CONTEXTS + GAINS), np.int64)


def fresh(height: int = 9, width: int = 9) -> Adaptation:
    return start(LAW, height, width)


def feed(adaptation: Adaptation, pixels: NDArray[np.int64], mean: int, scale: int = SCALE) -> None:
    """A row of pixels [W, C], all predicted the same, told from left to right."""
    for x, pixel in enumerate(pixels):
        residuals = [*(64 * pixel[:2] - mean).tolist(), 0, 0]
        for channel, value in enumerate(pixel):
            before = (residuals[0] if channel else 0, residuals[1] if channel > 1 else 0)
            where = contexts(adaptation, scale, 4, x, channel, 1)
            law = corrected(adaptation, where, mean, scale, channel, *before)
            learn(adaptation, where, int(value), law, (mean, scale), 4, x, channel)


# --- contexts


@pytest.mark.parametrize(("scale", "column"), [(0, 0), (35, 0), (36, 1), (72, 4), (107, 6), (127, 7)])
def test_the_first_context_is_the_predicted_scale(scale: int, column: int) -> None:
    assert contexts(fresh(), scale, 4, 4, 0, 1)[0] == column


@pytest.mark.parametrize(
    ("channel", "red", "green", "column"),
    [(0, 300, 300, 0), (1, 0, 300, 1), (1, -300, 0, 6), (2, 31, -31, 1), (2, 32, 0, 7), (2, -256, 64, 1 + 30 + 2)],
)
def test_the_second_is_how_surprising_the_channels_before_were(channel: int, red: int, green: int, column: int) -> None:
    adaptation = fresh()
    adaptation.residuals[4, 4, :2] = red, green
    assert contexts(adaptation, SCALE, 4, 4, channel, 1)[1] == PIXEL_CONTEXT + column


@pytest.mark.parametrize("distance", [1, 2, 4])
def test_the_third_is_how_surprising_the_neighbours_were_in_the_same_channel(distance: int) -> None:
    adaptation = fresh()
    adaptation.residuals[..., 1] = 500
    assert contexts(adaptation, SCALE, 4, 4, 0, distance)[2] == NEIGHBOUR_CONTEXT
    adaptation.residuals[4 - distance, 4, 0] = -100
    adaptation.residuals[4 - distance, 4 + distance, 0] = 20
    assert contexts(adaptation, SCALE, 4, 4, 0, distance)[2] == NEIGHBOUR_CONTEXT + 1 + 2  # 1.3 times the mean: 78
    assert adaptation.near[1:3].tolist() == [-100, 20]
    assert np.count_nonzero(adaptation.near) == 2


def test_there_are_no_neighbours_outside() -> None:
    adaptation = fresh()
    adaptation.residuals[...] = 100
    for y, x, told in ((0, 0, 0), (0, 5, 2), (5, 0, 6), (5, 8, 8), (5, 4, 12)):
        contexts(adaptation, SCALE, y, x, 0, 1)
        assert np.count_nonzero(adaptation.near) == told


# --- what is learned


def test_nothing_learned_corrects_nothing() -> None:
    adaptation = fresh()
    adaptation.residuals[...] = 100
    where = contexts(adaptation, SCALE, 4, 4, 2, 1)
    assert corrected(adaptation, where, -77, SCALE, 2, 300, -200) == (-77, SCALE)


@pytest.mark.parametrize("octaves", [-2, -1, 0, 1, 2])
def test_scales_become_those_of_the_image(octaves: int) -> None:
    adaptation, rng = fresh(9, 6000), np.random.default_rng(octaves + 2)
    pixels = np.round(rng.logistic(128, 8 * 2.0**octaves, (6000, 1))).astype(np.int64)
    feed(adaptation, pixels, 64 * 128)
    where = contexts(adaptation, SCALE, 4, 5999, 0, 1)
    assert corrected(adaptation, where, 0, SCALE, 0, 0, 0)[1] - SCALE == pytest.approx(8 * octaves, abs=3)


def test_flat_images_teach_no_more_than_can_be_unlearned() -> None:
    adaptation = fresh(9, 20000)
    feed(adaptation, np.full((20000, 1), 77), 64 * 77, 30)
    feed(adaptation, np.full((20000, 1), 77), 64 * 77, SCALE)
    assert np.abs(adaptation.corrections).max() <= CORRECTION_LIMIT
    where = contexts(adaptation, 30, 0, 0, 0, 1)
    assert corrected(adaptation, where, 0, 30, 0, 0, 0)[1] >= 0
    rng = np.random.default_rng(3)
    feed(adaptation, np.round(rng.logistic(128, 8, (3000, 1))).astype(np.int64), 64 * 128)
    where = contexts(adaptation, SCALE, 4, 2999, 0, 1)
    assert corrected(adaptation, where, 0, SCALE, 0, 0, 0)[1] == pytest.approx(SCALE, abs=6)


def test_means_beyond_the_grey_levels_surprise_nobody() -> None:
    adaptation = fresh()
    feed(adaptation, np.full((9, 3), 255), 64 * 300, 24)
    assert not adaptation.residuals[4].any()


def test_channels_that_move_together_move_means() -> None:
    adaptation, rng = fresh(9, 4000), np.random.default_rng(1)
    red = np.round(rng.logistic(0, 8, 4000)).astype(np.int64)
    green = np.round(0.5 * red + rng.logistic(0, 3, 4000)).astype(np.int64)
    feed(adaptation, np.stack([128 + red, 128 + green], 1), 64 * 128)
    assert adaptation.gains[1, 0] / 2**GAIN_BITS == pytest.approx(0.5, abs=0.15)
    assert not adaptation.gains[0, :2].any()
    where = contexts(adaptation, SCALE, 0, 0, 1, 1)
    assert corrected(adaptation, where, 0, SCALE, 1, 640, 0)[0] == pytest.approx(320, abs=100)


def test_neighbours_that_err_alike_move_means() -> None:
    adaptation, rng = fresh(9, 4000), np.random.default_rng(2)
    drift = np.zeros(4000)
    for x in range(1, 4000):
        drift[x] = 0.9 * drift[x - 1] + rng.logistic(0, 3)
    feed(adaptation, np.round(128 + drift[:, None]).astype(np.int64), 64 * 128)
    gains = adaptation.gains[0, 2:] / 2**GAIN_BITS
    assert gains[0] == pytest.approx(0.9, abs=0.3)
    assert np.abs(np.delete(gains, [0, 4])).max() == 0  # of neighbours that nothing was told of


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=40),
    st.integers(-32767, 32767),
    st.integers(0, 127),
)
def test_whatever_happens_laws_stay_within_the_coders_limits(
    pixels: list[tuple[int, int, int]], mean: int, scale: int
) -> None:
    adaptation = fresh(9, 40)
    adaptation.gains[...] = GAIN_LIMIT
    feed(adaptation, np.array(pixels, np.int64), mean, scale)
    for channel in range(3):
        where = contexts(adaptation, scale, 5, 2, channel, 1)
        found, index = corrected(adaptation, where, mean, scale, channel, 16320, -16320)
        assert (abs(found) <= 32767, 0 <= index <= 127) == (True, True)
    assert np.abs(adaptation.gains).max() <= GAIN_LIMIT
    assert adaptation.counts.max() <= LAST_COUNT


def test_a_step_begins_with_the_law_of_the_model_and_leaves_it_alone() -> None:
    law = np.arange(LAW.size).reshape(LAW.shape)
    adaptation = start(law, 4, 5)
    assert np.array_equal(law_of(adaptation), law)
    assert (adaptation.residuals == NOT_TOLD).all()
    feed(start(law, 9, 9), np.full((5, 3), 200), 0)
    assert np.array_equal(law, np.arange(LAW.size).reshape(LAW.shape))


# --- which steps adapt


@pytest.mark.parametrize(
    ("level", "law", "adapts"), [(0, LAW, True), (0, NO_LOCAL.law, False), (512, LAW, False)], ids=str
)
def test_steps_to_exact_pixels_of_models_with_laws_adapt(level: int, law: NDArray[np.int64], adapts: bool) -> None:
    step, local = Step(level, 1, 0, 1), NO_LOCAL._replace(law=law)
    constants = cells.step_constants(step, cells.unknown_levels(), np.zeros((4, 5, 3), np.uint16), local)
    assert (cells.adaptation_of(constants, 4, 5).residuals.size > 0) == adapts


@pytest.mark.parametrize(("hi", "taught"), [(255, True), (254, False)])
def test_only_where_nothing_was_known(hi: int, taught: bool) -> None:
    local = NO_LOCAL._replace(law=LAW)
    pixels, zeros = np.full((3, 4, 3), 9, np.uint8), np.zeros((3, 4, 3), np.int32)
    constants = cells.step_constants(
        Step(0, 1, 0, 1), cells.unknown_levels(), zeros.astype(np.uint16), local
    )  # fmt: skip
    adaptation = cells.adaptation_of(constants, 3, 4)
    scales = np.full((3, 4, 3), SCALE, np.uint8)
    lo, top = zeros.astype(np.uint8), np.full((3, 4, 3), hi, np.uint8)
    coupling = zeros.astype(np.int16)
    cells.encode_step(pixels, lo, top, zeros.copy(), zeros, scales, coupling, *constants, adaptation=adaptation)
    assert (adaptation.residuals != NOT_TOLD).all() == taught
    assert adaptation.corrections.any() == taught
