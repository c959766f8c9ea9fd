"""The distribution of the clean pixels: it is one, it is stable, and its integers say the same."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpmcodec.paper.ans import LOGISTIC_PRECISION, encode_values
from ddpmcodec.paper.denoiser import Prediction, conditional_means, pixel_bits, to_floats, to_integers

MEANS, COEFFICIENTS = (100.0, 80.0, 125.5), (0.8, -0.5, 1.5)


def prediction(mean: tuple[float, ...], scale: float, coefficients: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Prediction:
    """Of one pixel."""
    log_scale = torch.full((1, 3, 1, 1), math.log(scale), dtype=torch.float64)
    return Prediction(dim(*mean), log_scale, dim(*coefficients))


def dim(*rgb: float) -> Tensor:
    """[1, 3, 1, 1] of a pixel's numbers; one for all three channels."""
    return torch.tensor(rgb * (3 // len(rgb)), dtype=torch.float64).view(1, 3, 1, 1)


def expanded(of: Prediction, like: Tensor) -> Prediction:
    """The same for all pixels."""
    return Prediction(*(x.expand_as(like) for x in of))


# --- a distribution


@pytest.mark.parametrize("scale", [0.02, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("mean", [-300.0, 0.0, 100.3, 255.0])
def test_probabilities_of_all_values_add_up_to_one(mean: float, scale: float) -> None:
    pixels = torch.arange(256, dtype=torch.float64).expand(1, 3, 1, 256)
    cost = pixel_bits(expanded(prediction((mean,) * 3, scale), pixels), pixels)
    assert (2.0**-cost).sum(3).flatten().tolist() == pytest.approx([1, 1, 1])


def test_probabilities_of_all_colours_add_up_to_one() -> None:
    coupled = prediction(MEANS, 0.4, COEFFICIENTS)
    colours = itertools.product(range(94, 107), range(70, 91), range(112, 139))
    pixels = torch.tensor(list(colours), dtype=torch.float64).view(-1, 3, 1, 1)
    total = (2 ** -pixel_bits(expanded(coupled, pixels), pixels).sum(1)).sum().item()
    assert total == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("mean", [-500.0, 128.0, 500.0])
@pytest.mark.parametrize("scale", [2**-6, 1.0, 2.0**9])
def test_costs_and_gradients_are_finite_far_in_the_tails(mean: float, scale: float) -> None:
    of = Prediction(*(t.float().requires_grad_() for t in prediction((mean,) * 3, scale, COEFFICIENTS)))
    for pixel in (0.0, 4.0, 255.0):
        cost = pixel_bits(of, dim(pixel).float())
        cost.sum().backward()
        assert cost.isfinite().all()
        assert (cost > -0.01).all()
        assert all(t.grad is not None and t.grad.isfinite().all() for t in of)


def test_costs_in_the_tail_are_those_of_the_exponential_it_is() -> None:
    cost = pixel_bits(prediction((-500.0,) * 3, 4.0), dim(8.0)).flatten().tolist()
    geometric = -math.log2(math.exp(-8 / 4) * (1 - math.exp(-1 / 4)))
    assert cost == pytest.approx([geometric] * 3, abs=1e-6)


# --- inside a pixel


def test_green_follows_red_and_blue_follows_both() -> None:
    red, green, blue = MEANS
    a, b, c = COEFFICIENTS
    found = conditional_means(prediction(MEANS, 1.0, COEFFICIENTS), dim(110, 95, 130)).flatten().tolist()
    follows = green + a * (110 - red)
    assert found == pytest.approx([red, follows, blue + b * (110 - red) + c * (95 - follows)])


# --- integers


def test_integers_are_the_float_prediction_rounded() -> None:
    drawn = torch.randn(3, 2, 3, 9, 7, generator=torch.Generator().manual_seed(2))
    real = Prediction(100 + 300 * drawn[0], 1 + 4 * drawn[1], 9 * drawn[2])
    integers = to_integers(real)
    found = to_floats(integers, real.mean)
    assert to_integers(found).sha256() == integers.sha256()
    inside, low, small = real.mean.abs() < 511, real.log_scale.abs() < 4, real.coefficients.abs() < 15
    for ours, theirs, where, unit in zip(
        found, real, (inside, low, small), (1 / 64, math.log(2) / 8, 1 / 64), strict=True
    ):
        assert (ours - theirs)[where].abs().max() <= unit / 2 + 1e-4
    assert (found.mean[~inside].abs() > 510).all()


def test_the_coder_charges_what_training_optimises() -> None:
    rng = np.random.default_rng(4)
    pixel = rng.integers(0, 256, 3000)
    mean, scale = rng.integers(-640, 64 * 265, 3000), rng.integers(16, 100, 3000)
    _, freqs = encode_values(0 * pixel, 0 * pixel + 255, pixel, pixel, mean, scale)
    pixels, means, scales = (torch.from_numpy(a).double().view(-1, 1, 1, 1) for a in (pixel, mean / 64, scale - 48))
    of = Prediction(*(x.expand(-1, 3, 1, 1) for x in (means, scales * (math.log(2) / 8), 0 * means)))
    real = pixel_bits(of, pixels.expand(-1, 3, 1, 1))[:, 0, 0, 0].numpy()
    likely = real < 12  # below, the coder's least frequencies show
    assert likely.mean() > 0.3
    error = np.abs(LOGISTIC_PRECISION - np.log2(freqs) - real)[likely]
    assert error.max() < 0.05
    assert error.mean() < 1e-3
