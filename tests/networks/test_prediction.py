"""The distribution of the clean pixels: it is one, it is stable, and its integers say the same."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpmcodec.ans import cost_bits, encode_values
from ddpmcodec.networks.features import scale_origin, uniform_spread
from ddpmcodec.networks.model import integers_of
from ddpmcodec.networks.prediction import Prediction, coupled_means, predict, range_bits, residual

MEANS, COUPLING = (100.0, 80.0, 125.5), (0.8, -0.5, 1.5)


def prediction(mean: tuple[float, ...], scale: float, coupling: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Prediction:
    """Of one pixel."""
    log_scale = torch.full((1, 3, 1, 1), math.log(scale), dtype=torch.float64)
    return Prediction(dim(*mean), log_scale, dim(*coupling))


def dim(*rgb: float) -> Tensor:
    """[1, 3, 1, 1] of a pixel's numbers; one for all three channels."""
    return torch.tensor(rgb * (3 // len(rgb)), dtype=torch.float64).view(1, 3, 1, 1)


def bits(of: Prediction, known: tuple[Tensor, Tensor], told: tuple[Tensor, Tensor]) -> list[float]:
    found: list[float] = range_bits(of, *known, *told).flatten().tolist()
    return found


# --- a distribution


@pytest.mark.parametrize("scale", [0.02, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("known", [(0, 255), (97, 101), (250, 255), (7, 7)])
def test_probabilities_of_all_values_add_up_to_one(known: tuple[int, int], scale: float) -> None:
    lo, hi = (dim(float(bound)) for bound in known)
    values = [dim(float(v)) for v in range(known[0], known[1] + 1)]
    cost = [bits(prediction(MEANS, scale), (lo, hi), (v, v)) for v in values]
    assert (2.0 ** -torch.tensor(cost)).sum(0).tolist() == pytest.approx([1, 1, 1])


def test_probabilities_of_all_colours_add_up_to_one() -> None:
    coupled = prediction(MEANS, 2.0, COUPLING)
    known = dim(98, 79, 124), dim(101, 82, 128)
    colours = itertools.product(range(98, 102), range(79, 83), range(124, 129))
    total = sum(2 ** -sum(bits(coupled, known, (dim(*rgb), dim(*rgb)))) for rgb in colours)
    assert total == pytest.approx(1)


def test_the_costs_of_steps_add_up_to_the_cost_of_the_pixel() -> None:
    steps = [(0, 255), (60, 190), (95, 130), (95, 104), (99, 101), (100, 100)]
    ranges = [(dim(float(lo)), dim(float(hi))) for lo, hi in steps]
    of = prediction(MEANS, 7.0)
    each = [bits(of, known, told) for known, told in itertools.pairwise(ranges)]
    assert torch.tensor(each).sum(0).tolist() == pytest.approx(bits(of, ranges[0], ranges[-1]))
    assert bits(of, ranges[2], ranges[2]) == [0, 0, 0]


@pytest.mark.parametrize("mean", [-500.0, 128.0, 500.0])
@pytest.mark.parametrize("scale", [2**-6, 1.0, 2.0**9])
def test_costs_and_gradients_are_finite_far_in_the_tails(mean: float, scale: float) -> None:
    of = Prediction(*(t.float().requires_grad_() for t in prediction((mean,) * 3, scale, COUPLING)))
    for known, told in (((0, 255), (255, 255)), ((0, 255), (0, 254)), ((3, 9), (4, 4))):
        edges = [dim(float(edge)).float() for edge in (*known, *told)]
        cost = range_bits(of, *edges)
        cost.sum().backward()
        assert cost.isfinite().all()
        assert (cost > -0.01).all()
        assert all(t.grad is not None and t.grad.isfinite().all() for t in of)


def test_costs_in_the_tail_are_those_of_the_exponential_it_is() -> None:
    cost = bits(prediction((-500.0,) * 3, 4.0), (dim(100.0), dim(100.0 + 255)), (dim(108.0), dim(108.0)))
    geometric = -math.log2(math.exp(-8 / 4) * (1 - math.exp(-1 / 4)))
    assert cost == pytest.approx([geometric] * 3, abs=1e-6)


# --- coupling


def test_a_mean_inside_the_inner_half_of_its_range_was_right() -> None:
    lo, hi = torch.tensor(100.0), torch.tensor(140.0)
    means = torch.tensor([90.0, 109.0, 110.0, 130.0, 132.0, 300.0])
    assert residual(means, lo, hi).tolist() == [20, 1, 0, 0, -2, -170]
    assert residual(means, lo, lo).tolist() == (100 - means).tolist()


def test_green_follows_red_and_blue_follows_both() -> None:
    red, green, blue = MEANS
    a, b, c = COUPLING
    told = dim(110, 95, 130)
    found = coupled_means(prediction(MEANS, 1.0, COUPLING), told, told).flatten().tolist()
    follows = green + a * (110 - red)
    assert found == pytest.approx([red, follows, blue + b * (110 - red) + c * (95 - follows)])


# --- integers


@pytest.fixture
def outputs() -> Tensor:
    """[2, 9, 7, 9] network outputs, with extreme ones in the second image."""
    drawn = torch.randn(2, 9, 7, 9, generator=torch.Generator().manual_seed(2))
    return drawn * torch.tensor([1.0, 30.0]).view(2, 1, 1, 1)


def test_integers_are_the_float_prediction_rounded(
    outputs: Tensor, draw_ranges: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> None:
    lo, hi = (torch.from_numpy(a).long() for a in draw_ranges(2, 9, 7))
    spreads = uniform_spread(torch.arange(1, 257).float())
    integers = integers_of(outputs, lo, hi, spreads, scale_origin(spreads))
    low, high = (a.permute(0, 3, 1, 2).float() for a in (lo, hi))
    real = predict(outputs, (low + high) / 2 - 127.5, uniform_spread(high - low + 1), torch.zeros(2))
    mean, log_scale, coupling = (t.permute(0, 2, 3, 1).numpy() for t in real)
    inside, tied = np.abs(mean) < 511, np.abs(coupling) < 15
    assert np.abs(integers.mean / 64 - mean)[inside].max() <= 1 / 128 + 1e-4
    assert np.abs((integers.scale.astype(int) - 48) * math.log(2) / 8 - log_scale).max() <= math.log(2) / 16 + 1e-5
    assert np.abs(integers.coupling / 64 - coupling)[tied].max() <= 1 / 128 + 1e-5
    assert (integers.mean[~inside] ** 2 >= (64 * 510) ** 2).all()


def test_the_coder_charges_what_training_optimises() -> None:
    rng = np.random.default_rng(4)
    edges = np.sort(rng.integers(0, 256, (4, 3000)), axis=0)
    lo, new_lo, new_hi, hi = edges
    mean, scale = rng.integers(64 * lo - 640, 64 * hi + 640), rng.integers(16, 100, 3000)
    _, freqs = encode_values(lo, hi, new_lo, new_hi, mean, scale)
    one_by_one = [torch.from_numpy(a).double().view(-1, 1, 1, 1).expand(-1, 3, 1, 1) for a in (lo, hi, new_lo, new_hi)]
    means, log_scales = (torch.from_numpy(a).view(-1, 1, 1, 1).expand(-1, 3, 1, 1) for a in (mean / 64, scale - 48))
    of = Prediction(means, log_scales * (math.log(2) / 8), torch.zeros_like(means))
    real = range_bits(of, *one_by_one)[:, 0, 0, 0].numpy()
    likely = real < 12  # below, the coder's least frequencies show
    assert likely.mean() > 0.5
    assert np.abs(cost_bits(freqs) - real)[likely].max() < 0.05
    assert np.abs(cost_bits(freqs) - real)[likely].mean() < 1e-3
