"""Random steps of the Gaussian channel, and the loss: the bound, term by term."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.paper.bound import term_bits
from ddpmcodec.paper.diffusion import Prediction, pixel_bits, posterior, reverse, step_kl
from ddpmcodec.paper.gaussian_model import COARSEST_LEVEL, FEW_STEPS, FINEST_LEVEL
from ddpmcodec.paper.gaussian_network import TrainableGaussian
from ddpmcodec.paper.schedule import HALF_RANGE, ddpm_linear, log_linear
from ddpmcodec.training import gaussian_trainer as gaussian
from ddpmcodec.training.gaussian_trainer import FINAL_SHARE, Batch, TrainingPredictor, draw, loss, weighted_bits


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randint(256, (300, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float()


@pytest.fixture(scope="module")
def many(pixels: Tensor) -> Batch:
    return draw(pixels, torch.Generator().manual_seed(1))


@pytest.fixture
def batch(gradients: NDArray[np.uint8]) -> Batch:
    return draw(torch.from_numpy(gradients[:10]).permute(0, 3, 1, 2).float(), torch.Generator().manual_seed(0))


def predicted(network: TrainableGaussian, batch: Batch) -> Prediction:
    return TrainingPredictor(network)(batch.c_t, batch.s_t)


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
    assert final.float().mean() == pytest.approx(FINAL_SHARE, abs=0.01)
    assert many.final_weight.mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("T", [16, 32, 256])
def test_terms_are_those_of_the_coding_schedule_and_each_counts_once(
    pixels: Tensor, T: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a step is drawn, its weights add up to as much as those of any other."""
    monkeypatch.setattr(gaussian, "SCHEDULES", (T, T))
    levels, counts = log_linear(max(FINEST_LEVEL, FEW_STEPS / T), COARSEST_LEVEL, T), np.zeros(T)
    for seed in range(100):
        batch = draw(pixels, torch.Generator().manual_seed(seed))
        weights = (batch.step_weight + batch.final_weight).flatten().numpy()
        number = np.abs(np.log(batch.s_t.flatten().numpy()[:, None] / levels)).argmin(1)
        np.testing.assert_allclose(batch.s_t.flatten(), levels[number], rtol=1e-4)
        np.testing.assert_allclose((batch.s_u / batch.s_t).flatten(), levels[0] / levels[1], rtol=1e-4)
        assert ((number == 0) == (batch.final_weight.flatten().numpy() > 0)).all()
        counts += np.bincount(number, weights, T) / len(pixels)
    np.testing.assert_allclose(counts / 100, 1, atol=0.2)
    assert abs(counts.mean() / 100 - 1) < 0.005


def test_levels_of_a_batch_lie_evenly(pixels: Tensor) -> None:
    """Of ten images always two take the last step, and the finest half of the steps gets six or seven."""
    for seed in range(20):
        batch = draw(pixels[:10], torch.Generator().manual_seed(seed))
        assert (batch.final_weight > 0).sum() == 10 * FINAL_SHARE
        assert 5 <= ((batch.s_t > batch.s_u) & (batch.s_u < 17) & (batch.step_weight > 0)).sum() <= 7


def test_l_simple_draws_levels_as_often_as_the_paper_does(pixels: Tensor) -> None:
    batch = draw(pixels, torch.Generator().manual_seed(1), "simple")
    steps = batch.s_t[batch.final_weight == 0]
    paper = ddpm_linear()
    for share in (0.25, 0.5, 0.75):
        quantile = float(np.quantile(paper[paper < COARSEST_LEVEL], share))
        assert (steps < quantile).float().mean() == pytest.approx(share, abs=0.05)
    weights = batch.step_weight[batch.final_weight == 0] * (1 - FINAL_SHARE)
    assert torch.allclose(weights, torch.round(weights))  # T - 1, however often the level is drawn


# --- what it costs


def test_a_step_costs_its_divergence(network: TrainableGaussian, batch: Batch) -> None:
    ones, nothing = torch.ones_like(batch.s_t), torch.zeros_like(batch.s_t)
    prediction = predicted(network, batch)
    found = weighted_bits(prediction, batch._replace(step_weight=ones, final_weight=nothing))
    q = posterior(batch.c_t, batch.pixels - 127.5, batch.s_t, batch.s_u)
    scale = torch.exp(prediction.log_scale)
    p = reverse(batch.c_t, prediction.mean - 127.5, scale, prediction.coefficients, batch.s_t, batch.s_u)
    assert torch.equal(found, step_kl(q, p))
    assert (found.sum(1) > 0).all()


def test_the_last_step_costs_the_pixel(network: TrainableGaussian, batch: Batch) -> None:
    ones, nothing = torch.ones_like(batch.s_t), torch.zeros_like(batch.s_t)
    prediction = predicted(network, batch)
    found = weighted_bits(prediction, batch._replace(step_weight=nothing, final_weight=ones))
    assert torch.equal(found, pixel_bits(prediction, batch.pixels))


def test_terms_are_those_of_the_bound(network: TrainableGaussian, batch: Batch) -> None:
    ones, nothing = torch.ones_like(batch.s_t), torch.zeros_like(batch.s_t)
    found = weighted_bits(predicted(network, batch), batch._replace(step_weight=ones, final_weight=nothing))
    for i, (s_t, s_u) in enumerate(zip(batch.s_t.flatten().tolist(), batch.s_u.flatten().tolist(), strict=True)):
        one = Batch(*(x[i : i + 1] for x in batch))
        bits = term_bits(predicted(network, one), one.pixels, one.c_t, s_t, s_u)
        assert bits.mean().item() == pytest.approx(found[i].mean().item(), rel=1e-3)


def test_the_loss_is_the_mean_of_weighted_bits(network: TrainableGaussian, batch: Batch) -> None:
    expected = weighted_bits(predicted(network, batch), batch).mean()
    assert loss(TrainingPredictor(network), batch).item() == pytest.approx(expected.item())


def test_the_loss_moves_every_parameter(network: TrainableGaussian, batch: Batch) -> None:
    loss(TrainingPredictor(network), batch).backward()  # type: ignore[no-untyped-call]
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    assert [n for n, p in network.named_parameters() if p.grad is not None and not p.grad.any()] == []
