"""Random steps of the Gaussian channel, and the loss: the bound, term by term."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.bound import term_bits
from ddpmcodec.diffusion import posterior, reverse, step_kl
from ddpmcodec.networks.gaussian.latent import LatentNetwork
from ddpmcodec.networks.prediction import Prediction, pixel_bits
from ddpmcodec.schedule import HALF_RANGE
from ddpmcodec.training.gaussian import (
    FINAL_LEVELS,
    FINAL_SHARE,
    STEP_LEVELS,
    Batch,
    LatentPredictor,
    draw,
    loss,
    weighted_bits,
)


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randint(256, (300, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float()


@pytest.fixture(scope="module")
def many(pixels: Tensor) -> Batch:
    return draw(pixels, torch.Generator().manual_seed(1))


@pytest.fixture
def batch(gradients: NDArray[np.uint8]) -> Batch:
    return draw(torch.from_numpy(gradients[:10]).permute(0, 3, 1, 2).float(), torch.Generator().manual_seed(0))


def predicted(latent: LatentNetwork, batch: Batch) -> Prediction:
    return LatentPredictor(latent)(batch.c_t, batch.s_t)


# --- what is drawn


def test_the_same_seed_gives_the_same_batch(pixels: Tensor, many: Batch) -> None:
    again, other = (draw(pixels, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert all(a.equal(b) for a, b in zip(many, again, strict=True))
    assert not many.c_t.equal(other.c_t)


def test_latents_have_the_noise_they_claim(pixels: Tensor, many: Batch) -> None:
    noise = (many.c_t - (pixels - HALF_RANGE)) / many.s_t
    assert noise.mean().abs() < 0.02
    assert noise.std().sub(1).abs() < 0.02


def test_every_image_pays_for_a_step_or_for_its_pixels(many: Batch) -> None:
    final = many.final_weight > 0
    assert final.equal(many.step_weight == 0)
    assert final.float().mean() == pytest.approx(FINAL_SHARE, abs=0.1)
    assert many.final_weight.mean() == pytest.approx(1, abs=0.3)


def test_levels_are_those_of_log_linear_schedules(many: Batch) -> None:
    final, s_t = many.final_weight > 0, many.s_t
    for levels, (low, high) in ((s_t[final], FINAL_LEVELS), (s_t[~final], STEP_LEVELS)):
        assert low <= levels.min() < 2 * low
        assert high / 2 < levels.max() <= high
    ratio = (many.s_u / s_t)[~final]
    steps = torch.log(torch.tensor(STEP_LEVELS[0] / STEP_LEVELS[1])) / torch.log(ratio)
    assert 8 <= steps.min().round() < steps.max().round() <= 64
    assert torch.allclose(many.step_weight[~final], steps / (1 - FINAL_SHARE), rtol=1e-3)


# --- what it costs


def test_a_step_costs_its_divergence(latent: LatentNetwork, batch: Batch) -> None:
    ones, nothing = torch.ones_like(batch.s_t), torch.zeros_like(batch.s_t)
    prediction = predicted(latent, batch)
    found = weighted_bits(prediction, batch._replace(step_weight=ones, final_weight=nothing))
    q = posterior(batch.c_t, batch.pixels - 127.5, batch.s_t, batch.s_u)
    scale = torch.exp(prediction.log_scale)
    p = reverse(batch.c_t, prediction.mean - 127.5, scale, prediction.coefficients, batch.s_t, batch.s_u)
    assert torch.equal(found, step_kl(q, p))
    assert (found.sum(1) > 0).all()


def test_the_last_step_costs_the_pixel(latent: LatentNetwork, batch: Batch) -> None:
    ones, nothing = torch.ones_like(batch.s_t), torch.zeros_like(batch.s_t)
    prediction = predicted(latent, batch)
    found = weighted_bits(prediction, batch._replace(step_weight=nothing, final_weight=ones))
    assert torch.equal(found, pixel_bits(prediction, batch.pixels))


def test_terms_are_those_of_the_bound(latent: LatentNetwork, batch: Batch) -> None:
    ones, nothing = torch.ones_like(batch.s_t), torch.zeros_like(batch.s_t)
    found = weighted_bits(predicted(latent, batch), batch._replace(step_weight=ones, final_weight=nothing))
    for i, (s_t, s_u) in enumerate(zip(batch.s_t.flatten().tolist(), batch.s_u.flatten().tolist(), strict=True)):
        one = Batch(*(x[i : i + 1] for x in batch))
        bits = term_bits(predicted(latent, one), one.pixels, one.c_t, s_t, s_u)
        assert bits.mean().item() == pytest.approx(found[i].mean().item(), rel=1e-3)


def test_the_loss_is_the_mean_of_weighted_bits(latent: LatentNetwork, batch: Batch) -> None:
    expected = weighted_bits(predicted(latent, batch), batch).mean()
    assert loss(LatentPredictor(latent), batch).item() == pytest.approx(expected.item())


def test_the_loss_moves_every_parameter(latent: LatentNetwork, batch: Batch) -> None:
    loss(LatentPredictor(latent), batch).backward()  # type: ignore[no-untyped-call]
    assert [n for n, p in latent.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    assert [n for n, p in latent.named_parameters() if p.grad is not None and not p.grad.any()] == []
