"""What the network sees: integers that hold the estimate, its standard deviation and its neighbourhood."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpmcodec.paper.gaussian_features import (
    NEIGHBOUR_FEATURES,
    PER_PIXEL,
    PRIOR_STD,
    STD_CENTRES,
    context_features,
    fade,
    gaussian_estimate,
    neighbourhood_mean,
    own_features,
    pixel_features,
    scale_origin,
    std_features,
)

STDS = torch.cat([torch.tensor([1e-3]), torch.logspace(-2, 1.86, 255)])


def random_state(n: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Estimates and standard deviations [N, 3, H, W]."""
    generator = torch.Generator().manual_seed(5)
    shape = (n, 3, height, width)
    estimate = (510 * torch.rand(shape, generator=generator)).round() / 2 - 127.5
    return estimate, 0.1 + 64 * torch.rand(shape, generator=generator)


def assert_integers(features: Tensor) -> None:
    assert torch.equal(features, features.round())
    assert features.abs().max() <= 127


def test_gaussian_estimate_is_the_posterior_under_the_prior() -> None:
    c_t, s_t = torch.tensor([-90.0, 3.0, 200.0]), torch.tensor([0.5, 64.0, 1e4])
    estimate, std = gaussian_estimate(c_t, s_t)
    precision = 1 / s_t.double() ** 2 + 1 / PRIOR_STD**2
    assert torch.allclose(std.double(), precision**-0.5)
    assert torch.allclose(estimate.double(), c_t / s_t.double() ** 2 / precision)


def test_coarse_and_fine_features_hold_every_half_grey_level() -> None:
    centre = torch.arange(511, dtype=torch.float32) / 2 - 127.5
    coarse, fine = own_features(centre, torch.ones_like(centre))[:, :2].unbind(-1)
    assert torch.equal(coarse + fine / 254, centre)


def test_waves_finer_than_the_noise_fade_out() -> None:
    estimate = torch.linspace(-8, 8, 33)
    sharp, blurred = (own_features(estimate, torch.full_like(estimate, s))[:, 2:6].abs() for s in (0.0, 70.0))
    assert (sharp.amax(0) > 100).all()
    assert (blurred <= 1).all()


def test_std_features_interpolate_between_neighbouring_centres() -> None:
    features = std_features(STDS)
    assert_integers(features)
    assert features[0].argmax() == 0
    assert not features[0, 1:].any()
    assert ((features > 0).sum(-1) <= 2).all()
    assert ((features.sum(-1) - 127).abs() <= 1).all()
    assert 2 ** STD_CENTRES[-1] > PRIOR_STD


def test_differences_fade_with_the_noise() -> None:
    found = fade(STDS)
    assert torch.allclose(255 * found, (255 * found).round(), atol=1e-4)
    assert (found[0], found[-1] < 0.01) == (1, True)
    assert (found.diff() <= 0).all()


def test_the_scale_of_a_logistic_of_a_standard_deviation() -> None:
    index = scale_origin(torch.tensor([20.0, 40.0]))
    scale = 2 ** ((index - 48) / 8)
    assert torch.allclose(scale * np.pi / np.sqrt(3), torch.tensor([20.0, 40.0]), rtol=0.01)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 9), (11, 5)])
@pytest.mark.parametrize("window", [3, 7])
def test_neighbourhood_mean_is_of_what_lies_inside_the_image(height: int, width: int, window: int) -> None:
    estimate, reach = random_state(2, height, width)[0], window // 2
    found = neighbourhood_mean(estimate, window)
    for y in range(height):
        for x in range(width):
            box = (..., slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1))
            expected = estimate[box].mean((-1, -2))
            assert torch.allclose(found[..., y, x], expected, atol=0.26)  # estimates count in quarters of a grey level


def test_a_flat_neighbourhood_says_nothing_more() -> None:
    flat = torch.full((1, 3, 9, 9), 31.5)
    assert not context_features(flat, 1.0, 2.0).any()


def test_neighbours_are_seen_in_standard_deviations() -> None:
    estimate, _ = random_state(1, 9, 9)
    sure, unsure = (context_features(estimate, 1.0, inverse) for inverse in (100.0, 0.001))
    assert sure.shape == (1, 3, 9, 9, NEIGHBOUR_FEATURES)
    assert sure[..., 1].abs().max() == 127
    assert unsure[..., 1].abs().max() <= 9


def test_pixel_features_are_integers_and_the_last_says_inside() -> None:
    estimate, std = random_state(2, 5, 7)
    features = pixel_features(estimate, std)
    assert features.shape == (2, 5, 7, PER_PIXEL)
    assert_integers(features)
    assert features[..., -1].eq(127).all()
