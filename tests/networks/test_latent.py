"""The trainable form: float weights, and the integers the exact network is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from ddpmcodec.networks import checkpoint
from ddpmcodec.networks.exact import Architecture
from ddpmcodec.networks.features import uniform_spread
from ddpmcodec.networks.latent import INITIAL_COUPLING, TRAINED_NORMS, LatentNetwork
from ddpmcodec.networks.model import EagerPredictor
from ddpmcodec.networks.neighbours import local_mean
from ddpmcodec.training.objective import LatentPredictor


def test_weights_are_integers_that_use_seven_bits_in_every_channel(latent: LatentNetwork) -> None:
    weights = {k: p for k, p in latent.integer_parameters().items() if k.endswith(".weight")}
    assert len(weights) == len(latent.architecture.convolutions())
    for weight in weights.values():
        assert torch.equal(weight, weight.round())
        assert torch.equal(weight.abs().amax((1, 2, 3)), torch.full((len(weight),), 127.0))


def test_the_factor_undoes_the_grid(latent: LatentNetwork) -> None:
    params, name = latent.integer_parameters(quantise=False), "down0.conv1"
    direction = torch.nn.functional.normalize(latent.weights["down0/conv1"].flatten(1))
    gain, factor = latent.vector(f"{name}.gain"), params[f"{name}.factor"]
    real = 24 * factor.unsqueeze(1) * params[f"{name}.weight"].flatten(1)  # 24: activations count in 1/24
    assert torch.allclose(real, gain.unsqueeze(1) * direction, atol=1e-6)


def test_weights_count_by_direction_only(latent: LatentNetwork) -> None:
    before = {k: p.detach().clone() for k, p in latent.integer_parameters().items()}
    for name, weight in latent.weights.items():
        weight.data *= 1.0 if name == "leave" else 4.0
    for name, p in latent.integer_parameters().items():
        assert torch.equal(p, before[name])


def test_rounding_does_not_change_a_gradient(latent: LatentNetwork) -> None:
    gradients = []
    for quantise in (True, False):
        weight = latent.integer_parameters(quantise=quantise)["bottom0.conv2.weight"]
        coefficients = torch.linspace(-1, 1, weight.numel()).view_as(weight)
        gradients += torch.autograd.grad((coefficients * weight).sum(), latent.weights["bottom0/conv2"])
    assert gradients[0].any()
    assert torch.equal(*gradients)


def test_an_untrained_network_answers_with_the_mean_around_and_follows_colours(architecture: Architecture) -> None:
    state = torch.rand(1, 3, 8, 8) * 100
    found = LatentPredictor(LatentNetwork(architecture))(state, torch.ones_like(state), torch.zeros(1))
    assert torch.allclose(found.mean, local_mean(state, torch.ones_like(state)) + 127.5)
    assert found.coupling[0, :, 3, 3].tolist() == pytest.approx([INITIAL_COUPLING, 0, INITIAL_COUPLING])


def test_the_exported_network_predicts_what_the_trained_one_does(
    latent: LatentNetwork, draw_ranges: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> None:
    lo, hi = draw_ranges(2, 12, 8)
    exact = EagerPredictor(latent.architecture, checkpoint.constants(latent))(lo, hi)
    low, high = (torch.from_numpy(a).permute(0, 3, 1, 2).float() for a in (lo, hi))
    with torch.no_grad():
        real = LatentPredictor(latent)((low + high) / 2 - 127.5, uniform_spread(high - low + 1), torch.zeros(2))
    error = np.abs(exact.mean / 64 - real.mean.permute(0, 2, 3, 1).numpy())
    assert np.median(error) < 0.01
    assert error.max() < 1.0


def test_a_network_comes_back_from_its_integers(latent: LatentNetwork) -> None:
    params = checkpoint.constants(latent)
    restored = LatentNetwork(latent.architecture)
    restored.load_integer_parameters(params)
    for name, p in restored.integer_parameters().items():
        assert torch.allclose(p, params[name].float(), rtol=1e-5, atol=1e-5)
    for name, weight in restored.weights.items():
        inner = name.endswith(("conv1", "conv2"))
        norms = weight.flatten(1).norm(dim=1)
        assert name == "leave" or torch.allclose(norms, torch.full_like(norms, TRAINED_NORMS[inner]))


def test_a_network_without_neighbours_grows_into_one_that_predicts_the_same(
    architecture: Architecture, draw_ranges: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> None:
    lo, hi = draw_ranges(1, 8, 8)
    torch.manual_seed(2)
    alone = LatentNetwork(replace(architecture, neighbours=0))
    torch.nn.init.normal_(alone.weights["leave"], std=0.05)
    grown = LatentNetwork(architecture)
    grown.load_integer_parameters(checkpoint.constants(alone))
    before, after = (EagerPredictor(n.architecture, checkpoint.constants(n))(lo, hi) for n in (alone, grown))
    assert np.abs(before.mean - after.mean).max() <= 1
    assert np.array_equal(before.coupling, after.coupling)
