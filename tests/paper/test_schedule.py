"""Noise levels against the papers' formulas, computed here in another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpmcodec.paper.schedule import (
    Levels,
    alpha_sigma,
    check_levels,
    cosine,
    ddpm_linear,
    log_linear,
    noise_level,
    respace,
    rounded,
)


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
        ([], "one number"),
        ([[1.0, 2.0]], r"shape \(1, 2\)"),
        ([0.0, 1.0], "positive and finite"),
        ([1.0, math.nan], "positive and finite"),
        ([1.0, math.inf], "positive and finite"),
        ([1.0, 2.0, 2.0], "s_3 = 2"),
        ([1.0, 3.0, 2.0], "s_3 = 2"),
    ],
)
def test_levels_that_are_no_schedule_are_refused(levels: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_levels(levels)


def test_rounded_levels_are_whole_units() -> None:
    assert rounded([0.6, 1.0, 400.0]).tolist() == [614 / 1024, 1, 400]
    with pytest.raises(ValueError, match="too many"):
        rounded([1.0001, 1.0002])
    with pytest.raises(ValueError, match="increase"):
        rounded([2.0, 1.0])


def test_impossible_schedules_are_refused() -> None:
    with pytest.raises(ValueError, match="betas in"):
        ddpm_linear(beta_end=1.0)
    with pytest.raises(ValueError, match="T = 10, offset = -1"):
        cosine(10, offset=-1)
    with pytest.raises(ValueError, match="0 < s_1 < s_T"):
        log_linear(2, 1, 5)
    with pytest.raises(ValueError, match="3 noise levels, not 4"):
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
