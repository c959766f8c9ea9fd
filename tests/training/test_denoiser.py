"""A network in training under the denoiser contract."""

from __future__ import annotations

import pytest
import torch

from ddpmcodec.networks.features import gaussian_estimate
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.training.denoiser import LatentDenoiser
from ddpmcodec.training.objective import LatentPredictor


def noisy(height: int, width: int, s_t: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height)
    v = torch.randint(0, 256, (2, 3, height, width), generator=generator) - 127.5
    return v + s_t * torch.randn(2, 3, height, width, generator=generator)


@pytest.mark.parametrize("s_t", [0.7, 12.0, 3000.0])
@pytest.mark.parametrize("quantise", [True, False])
def test_it_is_the_network_that_is_trained(latent: LatentNetwork, s_t: float, quantise: bool) -> None:
    c_t = noisy(8, 12, s_t)
    expected = LatentPredictor(latent, quantise)(*gaussian_estimate(c_t, torch.tensor(s_t)), torch.ones(2))
    found = LatentDenoiser(latent, quantise)(c_t, s_t)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not found.mean.requires_grad


def test_it_follows_the_training(latent: LatentNetwork) -> None:
    denoiser, c_t = LatentDenoiser(latent), noisy(8, 8, 5.0)
    before = denoiser(c_t, 5.0).mean
    latent.vector("leave.bias").data += 1
    assert not torch.equal(denoiser(c_t, 5.0).mean, before)


def test_sides_are_continued_with_the_last_row_and_column(latent: LatentNetwork) -> None:
    c_t = noisy(8, 8, 2.0)
    c_t[:, :, 7], c_t[:, :, :, 5:] = c_t[:, :, 6], c_t[:, :, :, 4:5]
    denoiser = LatentDenoiser(latent)
    whole, part = denoiser(c_t, 2.0), denoiser(c_t[:, :, :7, :5], 2.0)
    assert part.mean.shape == (2, 3, 7, 5)
    assert all(torch.equal(a[:, :, :7, :5], b) for a, b in zip(whole, part, strict=True))


def test_the_type_of_the_input_is_kept(latent: LatentNetwork) -> None:
    single, double = (
        LatentDenoiser(latent)(noisy(4, 4, 9.0).to(dtype), 9.0) for dtype in (torch.float32, torch.float64)
    )
    assert {tensor.dtype for tensor in double} == {torch.float64}
    assert torch.equal(single.mean.double(), double.mean)
