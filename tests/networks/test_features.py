"""What the network sees: integers that hold the estimate, its spread and its neighbourhood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpmcodec.networks.exact import Architecture
from ddpmcodec.networks.features import (
    CONTEXT,
    OWN,
    PER_PIXEL,
    PRIOR_STD,
    SPREAD_CENTRES,
    context_features,
    gaussian_estimate,
    inverse_spread,
    neighbourhood_mean,
    own_features,
    pixel_features,
    range_table,
    scale_origin,
    spread_features,
    uniform_spread,
    weights,
)
from ddpmcodec.networks.model import EagerPredictor, Model

ALL_WIDTHS = torch.arange(1, 257, dtype=torch.float32)


def random_state(n: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Estimates and spreads [N, 3, H, W], a quarter of the dimensions exact."""
    generator = torch.Generator().manual_seed(5)
    shape = (n, 3, height, width)
    estimate = (510 * torch.rand(shape, generator=generator)).round() / 2 - 127.5
    spread = 74 * torch.rand(shape, generator=generator) * (torch.rand(shape, generator=generator) > 0.25)
    return estimate, spread


def assert_integers(features: Tensor) -> None:
    assert torch.equal(features, features.round())
    assert features.abs().max() <= 127


@pytest.mark.parametrize("width", [1, 2, 7, 256])
def test_spread_is_the_standard_deviation_of_a_uniform_integer(width: int) -> None:
    assert uniform_spread(torch.tensor(float(width))).item() == pytest.approx(np.arange(width).std())


def test_gaussian_estimate_is_the_posterior_under_the_prior() -> None:
    c_t, s_t = torch.tensor([-90.0, 3.0, 200.0]), torch.tensor([0.5, 64.0, 1e4])
    estimate, spread = gaussian_estimate(c_t, s_t)
    precision = 1 / s_t.double() ** 2 + 1 / PRIOR_STD**2
    assert torch.allclose(spread.double(), precision**-0.5)
    assert torch.allclose(estimate.double(), c_t / s_t.double() ** 2 / precision)


def test_coarse_and_fine_features_hold_the_centre_of_every_range() -> None:
    centre = torch.arange(511, dtype=torch.float32) / 2 - 127.5
    coarse, fine = own_features(centre, torch.ones_like(centre))[:, :2].unbind(-1)
    assert torch.equal(coarse + fine / 254, centre)


def test_waves_finer_than_the_spread_fade_out() -> None:
    estimate = torch.linspace(-8, 8, 33)
    sharp, blurred = (own_features(estimate, torch.full_like(estimate, s))[:, 2:6].abs() for s in (0.0, 70.0))
    assert (sharp.amax(0) > 100).all()
    assert (blurred <= 1).all()


def test_spread_features_interpolate_between_neighbouring_centres() -> None:
    features = spread_features(torch.cat([torch.zeros(1), uniform_spread(ALL_WIDTHS)]))
    assert_integers(features)
    assert torch.equal(features[0], torch.tensor([127.0, 0, 0, 0, 0, 0]))
    assert ((features > 0).sum(-1) <= 2).all()
    assert ((features.sum(-1) - 127).abs() <= 1).all()
    assert 2 ** SPREAD_CENTRES[-1] > uniform_spread(ALL_WIDTHS[-1])


def test_weights_are_integers_that_fall_with_the_spread() -> None:
    found = weights(uniform_spread(ALL_WIDTHS))
    assert torch.equal(found, found.round())
    assert (found[0], found[-1]) == (255, 2)
    assert (found.diff() <= 0).all()


def test_nothing_is_divided_by_the_spread_of_an_exact_pixel() -> None:
    assert inverse_spread(torch.tensor([0.0, 0.5])).tolist() == [0.0, 2.0]


def test_the_scale_of_a_logistic_as_wide_as_the_spread() -> None:
    index = scale_origin(torch.tensor([20.0, 40.0]))
    scale = 2 ** ((index - 48) / 8)
    assert torch.allclose(scale * np.pi / np.sqrt(3), torch.tensor([20.0, 40.0]), rtol=0.01)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 9), (11, 5)])
@pytest.mark.parametrize("window", [3, 7])
def test_neighbourhood_mean_weighs_what_lies_inside_the_image(height: int, width: int, window: int) -> None:
    estimate, spread = random_state(2, height, width)
    weight, reach = weights(spread), window // 2
    found = neighbourhood_mean(estimate, weight, window)
    for y in range(height):
        for x in range(width):
            box = (..., slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1))
            expected = (weight[box] * estimate[box]).sum((-1, -2)) / weight[box].sum((-1, -2))
            assert torch.allclose(found[..., y, x], expected, atol=0.26)  # estimates count in quarters of a grey level


def test_a_flat_neighbourhood_tells_nothing_more() -> None:
    _, spread = random_state(1, 9, 9)
    flat = torch.full_like(spread, 31.5)
    assert not context_features(flat, weights(spread), inverse_spread(spread)).any()


def test_an_exact_pixel_asks_nothing_of_its_neighbours() -> None:
    estimate, spread = random_state(1, 9, 9)
    context = context_features(estimate, weights(spread), inverse_spread(spread))
    assert context.shape == (1, 3, 9, 9, CONTEXT)
    assert not context[spread == 0][:, 1:].any()
    assert context[spread > 0][:, 1:].any()


def test_pixel_features_are_integers_that_name_their_channel() -> None:
    estimate, spread = random_state(2, 5, 7)
    features = pixel_features(estimate, spread, torch.tensor([0.0, 1.0]))
    assert features.shape == (2, 5, 7, PER_PIXEL)
    assert_integers(features)
    assert [features[n, ..., -1].unique().tolist() for n in (0, 1)] == [[0.0], [127.0]]


def test_the_table_holds_the_own_features_of_every_range() -> None:
    table = range_table()
    assert (table.shape, table.dtype) == ((256, 256, OWN), torch.int8)
    assert not table[10, 9].any()
    expected = own_features(torch.tensor(-47.5), uniform_spread(torch.tensor(41.0)))
    assert torch.equal(table[60, 100].float(), expected)


def test_training_sees_what_the_coder_sees(
    model: Model, architecture: Architecture, draw_ranges: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> None:
    lo, hi = (torch.from_numpy(a).long() for a in draw_ranges(2, 9, 11))
    coder = EagerPredictor(model.architecture, model.params)._features(lo, hi).flatten(3)
    low, high = (a.permute(0, 3, 1, 2).float() for a in (lo, hi))
    training = pixel_features((low + high) / 2 - 127.5, uniform_spread(high - low + 1), torch.zeros(2))
    assert torch.equal(training[..., :-1], coder)
