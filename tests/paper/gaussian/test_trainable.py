"""The trainable form: float weights, and the integers the exact network is made of."""

from __future__ import annotations

import pytest
import torch

from ddpmcodec.paper.gaussian import model as model_file
from ddpmcodec.paper.gaussian.architecture import Architecture, local_mean
from ddpmcodec.paper.gaussian.features import gaussian_estimate
from ddpmcodec.paper.gaussian.trainable import INITIAL_COEFFICIENT, TRAINED_NORMS, TrainableGaussian
from ddpmcodec.training.gaussian_trainer import TrainingPredictor


def test_weights_are_integers_that_use_seven_bits_in_every_channel(network: TrainableGaussian) -> None:
    weights = {k: p for k, p in network.integer_parameters().items() if k.endswith(".weight")}
    assert len(weights) == len(network.architecture.convolutions())
    for weight in weights.values():
        assert torch.equal(weight, weight.round())
        assert torch.equal(weight.abs().amax((1, 2, 3)), torch.full((len(weight),), 127.0))


def test_the_factor_undoes_the_grid(network: TrainableGaussian) -> None:
    params, name = network.integer_parameters(), "down0.conv1"
    direction = torch.nn.functional.normalize(network.weights["down0/conv1"].flatten(1))
    gain, factor = network.vector(f"{name}.gain"), params[f"{name}.factor"]
    real = 24 * factor.unsqueeze(1) * params[f"{name}.weight"].flatten(1)  # 24: activations count in 1/24
    step = 24 * factor.unsqueeze(1)
    assert ((real - gain.unsqueeze(1) * direction).abs() < 0.5001 * step).all()


def test_weights_count_by_direction_only(network: TrainableGaussian) -> None:
    before = {k: p.detach().clone() for k, p in network.integer_parameters().items()}
    for name, weight in network.weights.items():
        weight.data *= 1.0 if name == "head" else 4.0
    for name, p in network.integer_parameters().items():
        assert torch.equal(p, before[name])


def test_rounding_does_not_change_a_gradient(network: TrainableGaussian) -> None:
    weight = network.weights["bottom0/conv2"]
    direction = torch.nn.functional.normalize(weight.flatten(1)).view_as(weight)
    real = direction / (direction.detach().abs().amax((1, 2, 3), keepdim=True) / 127)
    coefficients = torch.linspace(-1, 1, weight.numel()).view_as(weight)
    rounded = network.integer_parameters()["bottom0.conv2.weight"]
    found, expected = (torch.autograd.grad((coefficients * w).sum(), weight)[0] for w in (rounded, real))
    assert found.any()
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_an_untrained_network_answers_with_the_mean_around_and_follows_colours(architecture: Architecture) -> None:
    c_t, s_t = torch.rand(1, 3, 8, 8) * 100, torch.ones(1, 1, 1, 1)
    found = TrainingPredictor(TrainableGaussian(architecture))(c_t, s_t)
    assert torch.allclose(found.mean, local_mean(gaussian_estimate(c_t, s_t)[0]) + 127.5, atol=1e-4)
    assert found.coefficients[0, :, 3, 3].tolist() == pytest.approx([INITIAL_COEFFICIENT, 0, INITIAL_COEFFICIENT])


def test_a_step_rotates_trained_weights_less_than_new_ones(architecture: Architecture) -> None:
    """Their integers know no lengths, so those that begin a run are as long as weights become in one."""
    new, trained = (TrainableGaussian(architecture) for _ in range(2))
    trained.load_integer_parameters(model_file.constants(new))
    for name, weight in new.weights.items():
        longer = trained.weights[name].norm() / weight.norm().clamp(min=1e-8)
        assert name == "head" or longer > (4 if name.endswith(("conv1", "conv2")) else 1.5)


def test_a_network_comes_back_from_its_integers(network: TrainableGaussian) -> None:
    params = model_file.constants(network)
    restored = TrainableGaussian(network.architecture)
    restored.load_integer_parameters(params)
    for name, p in restored.integer_parameters().items():
        assert torch.allclose(p, params[name].float(), rtol=1e-5, atol=1e-5)
    for name, weight in restored.weights.items():
        inner = name.endswith(("conv1", "conv2"))
        norms = weight.flatten(1).norm(dim=1)
        assert name == "head" or torch.allclose(norms, torch.full_like(norms, TRAINED_NORMS[inner]))
