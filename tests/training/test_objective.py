"""The loss: weighted bits per dimension of both channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddpmcodec.kernels import posterior, reverse, step_kl
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.prediction import Prediction, range_bits
from ddpmcodec.training.objective import LatentPredictor, draw, gaussian_bits, loss
from ddpmcodec.training.simulate import GaussianBatch, UniformBatch

Batches = tuple[UniformBatch, GaussianBatch]


@pytest.fixture
def batches(gradients: NDArray[np.uint8]) -> Batches:
    pixels = torch.from_numpy(gradients[:10]).permute(0, 3, 1, 2).float()
    return draw(pixels, 0.3, torch.Generator().manual_seed(0))


def predicted(latent: LatentNetwork, batch: UniformBatch | GaussianBatch, gaussian: float) -> Prediction:
    return LatentPredictor(latent)(batch.estimate, batch.spread, torch.full((len(batch.spread),), gaussian))


def test_the_last_share_of_a_batch_is_gaussian(gradients: NDArray[np.uint8], batches: Batches) -> None:
    uniform, gaussian = batches
    assert (len(uniform.estimate), len(gaussian.estimate)) == (7, 3)
    assert gaussian.pixels.equal(torch.from_numpy(gradients[7:10]).permute(0, 3, 1, 2).float())


def test_a_batch_may_be_without_gaussian_images(latent: LatentNetwork, gradients: NDArray[np.uint8]) -> None:
    pixels = torch.from_numpy(gradients[:2]).permute(0, 3, 1, 2).float()
    assert loss(LatentPredictor(latent), *draw(pixels, 0.0, torch.Generator().manual_seed(0))).isfinite()


def test_the_loss_is_the_mean_of_both_channels_bits(latent: LatentNetwork, batches: Batches) -> None:
    uniform, gaussian = batches
    bits = range_bits(predicted(latent, uniform, 0.0), uniform.lo, uniform.hi, uniform.new_lo, uniform.new_hi)
    weighted = (bits * uniform.weight).sum() + gaussian_bits(predicted(latent, gaussian, 1.0), gaussian).sum()
    expected = weighted / (10 * bits[0].numel())
    assert loss(LatentPredictor(latent), *batches).item() == pytest.approx(expected.item(), rel=1e-3)


def test_what_has_no_weight_costs_nothing(latent: LatentNetwork, batches: Batches) -> None:
    uniform, gaussian = batches
    nothing = torch.zeros_like(gaussian.step_weight)
    unweighted = gaussian._replace(step_weight=nothing, final_weight=nothing)
    prediction = predicted(latent, gaussian, 1.0)
    assert not gaussian_bits(prediction, unweighted).any()
    assert loss(LatentPredictor(latent), uniform, unweighted) < loss(LatentPredictor(latent), uniform, gaussian)


def test_a_gaussian_step_costs_its_divergence(latent: LatentNetwork, batches: Batches) -> None:
    _, gaussian = batches
    ones, nothing = torch.ones_like(gaussian.s_t), torch.zeros_like(gaussian.s_t)
    prediction = predicted(latent, gaussian, 1.0)
    found = gaussian_bits(prediction, gaussian._replace(step_weight=ones, final_weight=nothing))
    told = posterior(gaussian.c_t, gaussian.pixels - 127.5, gaussian.s_t, gaussian.s_u)
    scale = torch.exp(prediction.log_scale)
    kernel = reverse(gaussian.c_t, prediction.mean - 127.5, scale, prediction.coupling, gaussian.s_t, gaussian.s_u)
    assert torch.equal(found, step_kl(told, kernel))
    assert (found.sum(1) > 0).all()


def test_the_last_gaussian_step_costs_the_pixel(latent: LatentNetwork, batches: Batches) -> None:
    _, gaussian = batches
    ones, nothing = torch.ones_like(gaussian.s_t), torch.zeros_like(gaussian.s_t)
    prediction = predicted(latent, gaussian, 1.0)
    found = gaussian_bits(prediction, gaussian._replace(step_weight=nothing, final_weight=ones))
    lo, hi = torch.zeros_like(gaussian.pixels), torch.full_like(gaussian.pixels, 255)
    assert torch.equal(found, range_bits(prediction, lo, hi, gaussian.pixels, gaussian.pixels))


def test_the_loss_moves_every_parameter(latent: LatentNetwork, batches: Batches) -> None:
    loss(LatentPredictor(latent), *batches).backward()
    assert [n for n, p in latent.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    assert [n for n, p in latent.named_parameters() if p.grad is not None and not p.grad.any()] == []
