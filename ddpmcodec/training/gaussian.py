"""Training of a Gaussian model: random terms of the bound, and their bits through the quantised network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.paper.diffusion import posterior, reverse, step_kl
from ddpmcodec.paper.gaussian.architecture import denoise
from ddpmcodec.paper.gaussian.eager import EagerOperations, patches, unpatch
from ddpmcodec.paper.gaussian.exact_features import ESTIMATE_LIMIT, LevelConstants, fused_features, level_constants
from ddpmcodec.paper.gaussian.features import gaussian_estimate, pixel_features, scale_origin
from ddpmcodec.paper.gaussian.latent import LatentNetwork
from ddpmcodec.paper.gaussian.model import COARSEST_LEVEL, FEW_STEPS, FINEST_LEVEL
from ddpmcodec.paper.gaussian.neighbours import PIXEL_OUTPUTS, blend
from ddpmcodec.paper.gaussian.predictors import bfloat16_bits, blank
from ddpmcodec.paper.prediction import LAST_SCALE, LN2, SCALE_UNIT, Prediction, pixel_bits
from ddpmcodec.paper.schedule import HALF_RANGE, LEVEL_UNIT, ddpm_linear
from ddpmcodec.training.gaussian_operations import Array, TrainingOperations, array_of, numbers, tensor_of

Objective = Literal["bound", "simple"]

SCHEDULES = (16, 256)  # T, noise levels of a code, that is trained for
FINAL_SHARE = 0.2  # of the images of a batch that take the last step, to the pixel itself
BITS = bfloat16_bits(torch.arange(-127, 128))
FINE = 2.0  # steps are drawn with a density of exp(-FINE x), x from 0 at the finest level to 1, about as they cost


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


def draw(pixels: Tensor, generator: torch.Generator, objective: Objective = "bound") -> Batch:
    """Random terms of the bound, each of a coding schedule of random length, for images [N, 3, H, W] (0..255).

    The terms of a batch lie evenly over the schedule (low-discrepancy: Kingma et al. 2021, arXiv 2107.00630, appendix
    I.1), and are weighted by the inverse of how often they are drawn, so that the loss is an unbiased estimate of the
    bound. With the objective "simple" they are drawn as often as the paper's 1,000 timesteps have such a level, and are
    not weighted: on a log-linear schedule that is L_simple for the means.
    """
    n = pixels.shape[0]
    place = ((torch.rand(1, generator=generator) + torch.arange(n) / n) % 1).view(n, 1, 1, 1)
    final, place = place < FINAL_SHARE, ((place - FINAL_SHARE) / (1 - FINAL_SHARE)).clamp(min=0)
    T = torch.floor(_log_uniform(n, SCHEDULES[0], SCHEDULES[1] + 1, generator))
    first = (FEW_STEPS / T).clamp(min=FINEST_LEVEL)
    ratio = (COARSEST_LEVEL / first) ** (1 / (T - 1))
    x, weight = _fine_places(place) if objective == "bound" else _paper_places(place, first)
    number = torch.minimum(torch.floor(x * (T - 1)), T - 2)  # of the step, from 0
    s_t = torch.where(final, first, first * ratio ** (1 + number))
    c_t = pixels - HALF_RANGE + s_t * torch.randn(pixels.shape, generator=generator)
    step_weight = torch.where(final, 0.0, (T - 1) * weight / (1 - FINAL_SHARE))
    return Batch(pixels, c_t, s_t, s_t / ratio, step_weight, final / FINAL_SHARE)


def _fine_places(q: Tensor) -> tuple[Tensor, Tensor]:
    """Quantiles q of the density exp(-FINE x) on [0, 1), and its inverse there."""
    mass = -math.expm1(-FINE) / FINE
    x = -torch.log1p(-FINE * mass * q) / FINE
    return x, mass * torch.exp(FINE * x)


def _paper_places(q: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Where, from `first` to `COARSEST_LEVEL` in log, the quantiles q of the paper's own levels lie; weights of one."""
    levels = torch.tensor(ddpm_linear(), dtype=torch.float32)
    levels = levels[levels < COARSEST_LEVEL]
    s = levels[(q * len(levels)).long()]
    return (torch.log(s / first) / torch.log(COARSEST_LEVEL / first)).clamp(min=0), torch.ones_like(q)


class EagerLatentPredictor:
    """The network in training: (c_t, s_t) -> `Prediction`, c_t [N, 3, H, W], s_t [N, 1, 1, 1]. The reference."""

    def __init__(self, latent: LatentNetwork) -> None:
        self.latent = latent

    def __call__(self, c_t: Tensor, s_t: Tensor) -> Prediction:
        estimate, std = gaussian_estimate(c_t, s_t)
        numbers = self._outputs(estimate, std).permute(0, 3, 1, 2)
        offset, index, coefficients = numbers[:, :PIXEL_OUTPUTS].chunk(3, 1)
        mean = estimate + std * offset + blend(estimate, numbers[:, PIXEL_OUTPUTS:])
        index = (scale_origin(std) + 8 * index).clamp(0, LAST_SCALE)
        return Prediction(mean + HALF_RANGE, (index - SCALE_UNIT) * (LN2 / 8), coefficients)

    def _outputs(self, estimate: Tensor, std: Tensor) -> Tensor:
        """[N, H, W, OUTPUTS_PER_PIXEL]"""
        ops = EagerOperations(self.latent.integer_parameters(), train=True)
        features = patches(pixel_features(estimate, std))
        features = features.to(torch.bfloat16, memory_format=torch.channels_last)
        return unpatch(denoise(self.latent.architecture, ops, features))


class LatentPredictor:
    """The same on a CPU, by kernels: what the network sees is what the coder shows it, bit for bit, at noise levels
    rounded to the coder's. Height and width are multiples of `MULTIPLE`."""

    def __init__(self, latent: LatentNetwork) -> None:
        self.latent = latent

    def __call__(self, c_t: Tensor, s_t: Tensor) -> Prediction:
        levels = [max(round(LEVEL_UNIT * s), 1) for s in s_t.flatten().tolist()]
        constants = [level_constants(level) for level in levels]
        estimate, features = _seen(array_of(c_t), constants)
        ops = TrainingOperations(self.latent.integer_parameters())
        first, around = numbers(denoise(self.latent.architecture, ops, tensor_of(features)), estimate)
        offset, index, coefficients = first.chunk(3, 1)
        std, origin = (_by_image([getattr(level, name) for level in constants]) for name in ("std", "origin"))
        index = (origin + 8 * index).clamp(0, LAST_SCALE)
        mean = tensor_of(estimate) + std * offset + around
        return Prediction(mean + HALF_RANGE, (index - SCALE_UNIT) * (LN2 / 8), coefficients)


def _seen(c_t: NDArray[np.float32], constants: Sequence[LevelConstants]) -> tuple[Array, Array]:
    """Estimates [N, H, W, 3], and patches of features in bfloat16 bits, of latents at a noise level each."""
    estimate, features = np.empty_like(c_t), blank(c_t)
    for image, level in enumerate(constants):
        own = estimate[image : image + 1]
        np.clip(c_t[image] * level.shrink, -ESTIMATE_LIMIT, ESTIMATE_LIMIT, out=own[0])
        given = level.inverse, level.fade, level.visible, level.hats, BITS
        fused_features(own, *given, features[image : image + 1])
    return estimate, features


def _by_image(numbers: Sequence[np.float32]) -> Tensor:
    return torch.from_numpy(np.array(numbers)).view(-1, 1, 1, 1)


def weighted_bits(prediction: Prediction, batch: Batch) -> Tensor:
    """[N, 3, H, W]: L_{t-1} of the step to s_u, and L_0 of the pixel itself, each times its weight."""
    mean, scale = prediction.mean - HALF_RANGE, torch.exp(prediction.log_scale)
    q = posterior(batch.c_t, batch.pixels - HALF_RANGE, batch.s_t, batch.s_u)
    step = step_kl(q, reverse(batch.c_t, mean, scale, prediction.coefficients, batch.s_t, batch.s_u))
    return step * batch.step_weight + pixel_bits(prediction, batch.pixels) * batch.final_weight


def loss(predictor: Callable[[Tensor, Tensor], Prediction], batch: Batch) -> Tensor:
    """Mean weighted bits per dimension: with the objective "bound" an unbiased estimate of it, all terms but L_T."""
    return weighted_bits(predictor(batch.c_t, batch.s_t), batch).mean()
