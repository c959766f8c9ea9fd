"""Noise levels against the papers' formulas, computed here in another way; step lists against what they must cover."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpmcodec.errors import FormatError
from ddpmcodec.schedule import (
    MAX_LEVEL,
    Levels,
    Step,
    alpha_sigma,
    bayer_ranks,
    check_levels,
    cosine,
    ddpm_linear,
    describe,
    log_linear,
    noise_level,
    respace,
    step_pixels,
    steps_from_json,
    steps_to_json,
    validate_steps,
)

EXACT = Step(0, 1, 0, 1)


def alphabar(levels: Levels) -> Levels:
    return alpha_sigma(levels)[0] ** 2


@pytest.mark.parametrize("t", [1, 2, 100, 500, 1000])
def test_ddpm_alphabar_is_the_product_of_one_minus_beta(t: int) -> None:
    product = math.prod(1 - (1e-4 + (0.02 - 1e-4) * i / 999) for i in range(t))
    assert alphabar(ddpm_linear())[t - 1] == pytest.approx(product, rel=1e-10)


def test_ddpm_ends_are_those_of_the_paper() -> None:
    levels = ddpm_linear()
    assert len(levels) == 1000
    assert levels[0] == pytest.approx(127.5 * math.sqrt(1e-4 / 0.9999))
    assert alphabar(levels)[-1] == pytest.approx(4.036e-5, rel=1e-3)  # L_T of about 1e-5 bits/dim, section 4


@pytest.mark.parametrize("t", [1, 10, 50, 99])
def test_cosine_alphabar_is_a_squared_cosine(t: int) -> None:
    angle, start = (math.pi / 2 * (x + 0.008) / 1.008 for x in (t / 100, 0))
    assert alphabar(cosine(100))[t - 1] == pytest.approx((math.cos(angle) / math.cos(start)) ** 2, rel=1e-9)


def test_cosine_beta_is_clipped_at_the_last_step() -> None:
    kept = alphabar(cosine(100))
    assert 1 - kept[-1] / kept[-2] == pytest.approx(0.999)


def test_log_linear_has_one_ratio_and_both_ends() -> None:
    levels = log_linear(0.5, 64, 8)
    np.testing.assert_allclose(levels[1:] / levels[:-1], 2)
    assert (levels[0], levels[-1]) == (0.5, 64)


@settings(deadline=None)
@given(st.integers(2, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(2, n))))
def test_respacing_keeps_both_ends_and_takes_levels_from_the_list(sizes: tuple[int, int]) -> None:
    full, kept = sizes
    levels = log_linear(1, 100, full)
    short = respace(levels, kept)
    assert len(short) == kept
    assert set(short) <= set(levels)
    assert (short[0], short[-1]) == (levels[0], levels[-1])


def test_respacing_is_even_in_t() -> None:
    np.testing.assert_array_equal(respace(np.arange(1.0, 12.0), 6), [1, 3, 5, 7, 9, 11])


def test_levels_are_frozen() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ddpm_linear()[0] = 1


def test_checking_leaves_the_caller_a_writable_list() -> None:
    mine = np.array([1.0, 2.0])
    check_levels(mine)
    mine[0] = 0.5
    assert mine[0] == 0.5


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([], "at least one number"),
        ([[1.0, 2.0]], r"shape \(1, 2\)"),
        ([0.0, 1.0], "positive and finite"),
        ([1.0, math.nan], "positive and finite"),
        ([1.0, math.inf], "positive and finite"),
        ([1.0, 2.0, 2.0], "s_3 = 2 follows s_2 = 2"),
        ([1.0, 3.0, 2.0], "s_3 = 2 follows s_2 = 3"),
    ],
)
def test_levels_that_are_no_schedule_are_refused(levels: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_levels(levels)


def test_impossible_schedules_are_refused() -> None:
    with pytest.raises(ValueError, match="betas in"):
        ddpm_linear(beta_end=1.0)
    with pytest.raises(ValueError, match="offset >= 0, got T = 10, offset = -1"):
        cosine(10, offset=-1)
    with pytest.raises(ValueError, match="0 < s_1 < s_T"):
        log_linear(2, 1, 5)
    with pytest.raises(ValueError, match="can keep 2 to 3 of 3 noise levels, not 4"):
        respace([1, 2, 3], 4)


@settings(deadline=None)
@given(st.floats(1e-6, 1e9))
def test_alpha_and_sigma_of_a_level(s: float) -> None:
    alpha, sigma = alpha_sigma(s)
    assert alpha**2 + sigma**2 == pytest.approx(1)
    assert noise_level(alpha, sigma) == pytest.approx(s)


def test_alpha_and_sigma_of_nothing_known_and_of_no_noise() -> None:
    np.testing.assert_array_equal(alpha_sigma([0, math.inf]), [[1, 0], [0, 1]])
    assert noise_level(0, 1) == math.inf


def test_bayer_ranks_of_a_4x4_cell() -> None:
    np.testing.assert_array_equal(
        bayer_ranks(4),
        [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]],
    )


@pytest.mark.parametrize("period", [1, 2, 4, 8, 16])
def test_bayer_ranks_are_a_permutation_whose_powers_of_four_are_lattices(period: int) -> None:
    ranks = bayer_ranks(period)
    assert sorted(ranks.ravel()) == list(range(period * period))
    spacing = period
    while spacing >= 1:
        lattice = np.zeros((period, period), dtype=bool)
        lattice[::spacing, ::spacing] = True
        np.testing.assert_array_equal(ranks < (period // spacing) ** 2, lattice)
        spacing //= 2


@pytest.mark.parametrize("period", [2, 4, 8, 16])
def test_the_second_pixel_lies_half_a_period_away(period: int) -> None:
    assert bayer_ranks(period)[period // 2, period // 2] == 1


@pytest.mark.parametrize("period", [0, 3, 32])
def test_other_periods_are_refused(period: int) -> None:
    with pytest.raises(ValueError, match=f"not {period}"):
        bayer_ranks(period)


def test_the_pixels_of_a_step_repeat_in_a_larger_cell() -> None:
    np.testing.assert_array_equal(
        step_pixels(Step(0, 2, 1, 3), 4),
        [[0, 1, 0, 1], [0, 1, 0, 1], [0, 1, 0, 1], [0, 1, 0, 1]],
    )


@pytest.mark.parametrize(
    "steps",
    [
        [EXACT],
        [Step(2560, 1, 0, 1), Step(512, 1, 0, 1), EXACT],
        [Step(2560, 1, 0, 1), Step(0, 2, 0, 1), Step(0, 2, 1, 4)],
        [Step(0, 4, 0, 4), Step(0, 2, 1, 4)],  # the first four ranks of a 4x4 cell are the first of a 2x2 cell
        [Step(MAX_LEVEL, 1, 0, 1), Step(512, 2, 0, 2), Step(256, 2, 1, 4), Step(0, 2, 0, 4)],
        [Step(0, 2, 0, 1), Step(0, 2, 1, 4, learns=True)],
    ],
)
def test_step_lists_that_end_exact_are_accepted_and_survive_json(steps: list[Step]) -> None:
    validate_steps(steps)
    assert steps_from_json(json.loads(json.dumps(steps_to_json(steps)))) == tuple(steps)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "after the last of 0 steps 1 of 1 pixels"),
        ([Step(256, 1, 0, 1)], "1 of 1 pixels of a 1x1 cell are not exact"),
        ([Step(0, 2, 0, 3)], "1 of 4 pixels of a 2x2 cell are not exact"),
        ([Step(256, 1, 0, 1), Step(256, 1, 0, 1), EXACT], r"step 2 \(256, 1, 0, 1\) does not lower .* 256/256 already"),
        ([Step(0, 2, 0, 1), Step(256, 1, 0, 1), EXACT], r"step 2 .* does not lower .* 0/256 already"),
        ([EXACT, EXACT], "step 2 .* does not lower"),
        ([Step(-1, 1, 0, 1)], "step 1 .* noise level outside"),
        ([Step(MAX_LEVEL + 1, 1, 0, 1), EXACT], "step 1 .* noise level outside"),
        ([Step(0, 3, 0, 9)], "step 1 .* period that is not one of"),
        ([Step(0, 2, 0, 5)], "step 1 .* moves no pixels that exist: need 0 <= first < last <= 4"),
        ([Step(0, 2, 1, 1)], "step 1 .* moves no pixels that exist"),
        ([Step(0, 2, -1, 4)], "step 1 .* moves no pixels that exist"),
    ],
)
def test_step_lists_that_cannot_code_an_image_are_refused(steps: list[Step], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        validate_steps(steps)


def test_only_steps_that_learn_say_so_in_json() -> None:
    """So that lists of older models are written as they were."""
    steps = [Step(0, 2, 0, 1), Step(0, 2, 1, 4, learns=True)]
    assert steps_to_json(steps) == [[0, 2, 0, 1], [0, 2, 1, 4, 1]]


@pytest.mark.parametrize(
    "value",
    [
        None, {}, [0, 1, 0, 1], [[0, 1, 0]], [[0, 1, 0, 1, 0]], [[0, 1, 0, 1, 1, 1]], [[0, 1, 0, 1, True]],
        [[0.0, 1, 0, 1]], [[False, 1, 0, 1]], ["0101"],
    ],
)  # fmt: skip
def test_json_that_is_no_step_list_is_refused(value: object) -> None:
    with pytest.raises(FormatError, match="must be a list of"):
        steps_from_json(value)


def test_a_valid_json_list_of_an_invalid_step_list_is_refused() -> None:
    with pytest.raises(FormatError, match="are not exact"):
        steps_from_json([[256, 1, 0, 1]])


def test_description_of_step_lists() -> None:
    noise = [Step(round(256 * s), 1, 0, 1) for s in (40, 16, 6.3)]
    phases = [Step(0, 2, i, i + 1) for i in range(4)]
    assert describe([*noise, *phases]) == "3 steps to noise 40 .. 6.3, 4 steps to exact pixels in 2x2 phases"
    learns = EXACT._replace(learns=True)
    assert describe([EXACT, learns]) == "1 step to exact pixels, 1 step that learns to exact pixels"
    assert describe([learns, learns]) == "2 steps that learn to exact pixels"
    assert describe([noise[0], EXACT]) == "1 step to noise 40, 1 step to exact pixels"
