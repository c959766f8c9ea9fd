"""Training of a Gaussian model: random steps of the code, and their bits through the quantised network."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ddpmcodec.diffusion import posterior, reverse, step_kl
from ddpmcodec.networks.gaussian.architecture import denoise
from ddpmcodec.networks.gaussian.eager import EagerOperations, patches, unpatch
from ddpmcodec.networks.gaussian.features import gaussian_estimate, pixel_features, scale_origin
from ddpmcodec.networks.gaussian.latent import LatentNetwork
from ddpmcodec.networks.gaussian.neighbours import OUTPUTS, blend
from ddpmcodec.networks.prediction import LAST_SCALE, LN2, SCALE_UNIT, Prediction, pixel_bits
from ddpmcodec.schedule import HALF_RANGE

STEP_LEVELS = (1.0, 200.0)  # noise levels of steps, grey levels
FINAL_LEVELS = (0.6, 6.0)  # and of the last step, to the pixel itself
FINAL_SHARE = 0.3  # of the images of a batch


class Batch(NamedTuple):
    """Latents and pixels, [N, 3, H, W]; per image, [N, 1, 1, 1], the levels of a step and two weights."""

    pixels: Tensor
    c_t: Tensor
    s_t: Tensor
    s_u: Tensor
    step_weight: Tensor  # of the bits of the step to s_u
    final_weight: Tensor  # of the bits of the pixel itself


def _log_uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low * torch.exp(math.log(high / low) * torch.rand(n, 1, 1, 1, generator=generator))


def draw(pixels: Tensor, generator: torch.Generator) -> Batch:
    """Random noise levels for images [N, 3, H, W] (0..255): most take a step of a log-linear schedule of random length,
    some the last one, to the pixel itself."""
    n = pixels.shape[0]
    final = torch.rand(n, 1, 1, 1, generator=generator) < FINAL_SHARE
    s_t = torch.where(final, _log_uniform(n, *FINAL_LEVELS, generator), _log_uniform(n, *STEP_LEVELS, generator))
    steps = _log_uniform(n, 8.0, 64.0, generator)
    s_u = s_t * (STEP_LEVELS[0] / STEP_LEVELS[1]) ** (1 / steps)
    c_t = pixels - HALF_RANGE + s_t * torch.randn(pixels.shape, generator=generator)
    step_weight = torch.where(final, 0.0, steps / (1 - FINAL_SHARE))
    return Batch(pixels, c_t, s_t, s_u, step_weight, final / FINAL_SHARE)


class LatentPredictor:
    """The network in training: (c_t, s_t) -> `Prediction`, s_t a tensor that broadcasts over c_t."""

    def __init__(self, latent: LatentNetwork, quantise: bool = True) -> None:
        self.latent, self.quantise = latent, quantise

    def __call__(self, c_t: Tensor, s_t: Tensor) -> Prediction:
        estimate, std = gaussian_estimate(c_t, s_t)
        numbers = self._outputs(estimate, std).permute(0, 3, 1, 2)
        offset, index, coefficients = numbers[:, :OUTPUTS].chunk(3, 1)
        mean = estimate + std * offset + blend(estimate, numbers[:, OUTPUTS:])
        index = (scale_origin(std) + 8 * index).clamp(0, LAST_SCALE)
        return Prediction(mean + HALF_RANGE, (index - SCALE_UNIT) * (LN2 / 8), coefficients)

    def _outputs(self, estimate: Tensor, std: Tensor) -> Tensor:
        """[N, H, W, OUTPUTS_PER_PIXEL]"""
        params = self.latent.integer_parameters(quantise=self.quantise)
        ops = EagerOperations(params, train=True, quantise=self.quantise)
        features = patches(pixel_features(estimate, std))
        features = features.to(torch.bfloat16, memory_format=torch.channels_last)
        return unpatch(denoise(self.latent.architecture, ops, features))


def weighted_bits(prediction: Prediction, batch: Batch) -> Tensor:
    """[N, 3, H, W]: L_{t-1} of the step to s_u, and L_0 of the pixel itself, each times its weight."""
    mean, scale = prediction.mean - HALF_RANGE, torch.exp(prediction.log_scale)
    q = posterior(batch.c_t, batch.pixels - HALF_RANGE, batch.s_t, batch.s_u)
    step = step_kl(q, reverse(batch.c_t, mean, scale, prediction.coefficients, batch.s_t, batch.s_u))
    return step * batch.step_weight + pixel_bits(prediction, batch.pixels) * batch.final_weight


def loss(predictor: LatentPredictor, batch: Batch) -> Tensor:
    """An unbiased estimate of the bound, all terms but L_T: mean weighted bits per dimension."""
    return weighted_bits(predictor(batch.c_t, batch.s_t), batch).mean()
