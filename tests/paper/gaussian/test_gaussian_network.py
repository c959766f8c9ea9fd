"""Means as sums over neighbours: what they are sums of."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ddpmcodec.paper import gaussian_model as model_file
from ddpmcodec.paper.gaussian_features import gaussian_estimate
from ddpmcodec.paper.gaussian_network import (
    BLENDS,
    INITIAL_COEFFICIENT,
    NEIGHBOUR_OFFSETS,
    TRAINED_NORMS,
    Architecture,
    TrainableGaussian,
    blend,
    local_mean,
)
from ddpmcodec.training.gaussian_trainer import TrainingPredictor

H, W = 11, 14
NUMBERS = BLENDS + len(NEIGHBOUR_OFFSETS)


def image(seed: int, *, low: float = -127.5, high: float = 127.5) -> Tensor:
    return low + (high - low) * torch.rand(2, 3, H, W, generator=torch.Generator().manual_seed(seed))


def around(**given: float) -> Tensor:
    """All zero, but for `blend` and one neighbour's weight."""
    numbers = torch.zeros(2, NUMBERS, H, W)
    numbers[:, :BLENDS] = given.get("blend", 0.0)
    if "neighbour" in given:
        numbers[:, BLENDS + int(given["neighbour"])] = given["weight"]
    return numbers


def test_neighbours_are_a_five_by_five_square_and_a_ring_of_reach_four() -> None:
    assert len(set(NEIGHBOUR_OFFSETS)) == len(NEIGHBOUR_OFFSETS) == 24 + 8
    assert (0, 0) not in NEIGHBOUR_OFFSETS
    assert {max(abs(y), abs(x)) for y, x in NEIGHBOUR_OFFSETS} == {1, 2, 4}


def test_without_weights_neighbours_add_nothing() -> None:
    assert not blend(image(0), around()).any()


def test_a_blend_of_one_leads_to_the_local_mean() -> None:
    estimate = image(0)
    assert torch.allclose(estimate + blend(estimate, around(blend=1.0)), local_mean(estimate), atol=1e-4)


@pytest.mark.parametrize("neighbour", [0, 11, 23, 24, 31], ids=lambda j: str(NEIGHBOUR_OFFSETS[j]))
def test_a_weight_takes_its_share_of_a_neighbours_difference_from_the_mean(neighbour: int) -> None:
    estimate = image(1)
    found = blend(estimate, around(neighbour=neighbour, weight=0.25))
    dy, dx = NEIGHBOUR_OFFSETS[neighbour]
    middle = local_mean(estimate)
    for y, x in ((5, 7), (4, 4), (0, 0), (H - 1, W - 1)):
        inside = 0 <= y + dy < H and 0 <= x + dx < W
        wanted = 0.25 * (estimate[..., y + dy, x + dx] - middle[..., y, x]) if inside else torch.zeros(2, 3)
        assert torch.allclose(found[..., y, x], wanted, atol=1e-5)


@pytest.mark.parametrize(("y", "x"), [(5, 6), (0, 0), (H - 1, 4)])
def test_the_local_mean_is_that_of_two_windows(y: int, x: int) -> None:
    estimate = (4 * image(2)).round() / 4
    near, wide = (estimate[..., max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1].flatten(2) for r in (1, 3))
    total, count = 8 * near.sum(2) + wide.sum(2), 8 * near.shape[2] + wide.shape[2]
    assert torch.allclose(local_mean(estimate)[..., y, x], total / count, atol=1e-4)


# --- the trainable form: float weights, and the integers the exact network is made of


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
