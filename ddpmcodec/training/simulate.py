"""States of the code at random points of random step lists: what the denoiser is trained on."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ddpmcodec.networks.features import gaussian_estimate, uniform_spread
from ddpmcodec.schedule import bayer_ranks

LADDER = 7  # most noise steps simulated before the state
FIRST_LEVEL = 100.0  # grey levels; a ladder starts at the first rung below


class Batch(NamedTuple):
    """Uniform items first, then Gaussian ones. [N, 3, H, W] float32 unless said; grey levels 0..255 in lo, hi, new_*."""

    estimate: Tensor
    spread: Tensor
    gaussian: Tensor  # [N]
    lo: Tensor
    hi: Tensor
    new_lo: Tensor
    new_hi: Tensor
    weight: Tensor  # bits of a dimension times its weight, averaged, are the loss


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=generator)


def _log_uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.exp(_uniform(n, math.log(low), math.log(high), generator))


class Ranges(NamedTuple):
    """A state of the uniform channel, all [N, 3, H, W]: c_t (centred), its noise level, and the range the pixel lies in."""

    c: Tensor
    level: Tensor
    lo: Tensor
    hi: Tensor


def unknown_ranges(pixels: Tensor) -> Ranges:
    """Nothing known: infinite noise, any grey level."""
    zero = torch.zeros_like(pixels)
    return Ranges(zero, torch.full_like(pixels, math.inf), zero, torch.full_like(pixels, 255.0))


def uniform_step(pixels: Tensor, state: Ranges, level: Tensor, active: Tensor, generator: torch.Generator) -> Ranges:
    """One step of the uniform channel to noise level `level` (grey levels) where `active` (both broadcast over [N, 3, H, W])."""
    rho = (level / state.level) ** 2
    width = math.sqrt(12) * level * torch.sqrt(1 - rho)
    dither = torch.rand(pixels.shape, generator=generator)
    k = torch.floor((rho * state.c + (1 - rho) * (pixels - 127.5)) / width + dither)
    lo = torch.ceil(((k - dither) * width - rho * state.c) / (1 - rho) + 127.5)
    hi = torch.ceil(((k + 1 - dither) * width - rho * state.c) / (1 - rho) + 127.5) - 1
    lo, hi = torch.minimum(torch.maximum(lo, state.lo), pixels), torch.maximum(torch.minimum(hi, state.hi), pixels)
    new = Ranges((k + 0.5 - dither) * width, level, lo, hi)
    return Ranges(*(torch.where(active, a, b) for a, b in zip(new, state, strict=True)))


def _exact_mask(n: int, size: int, generator: torch.Generator) -> Tensor:
    """[N, 1, H, W] bool: a random number of the first phases of a random lattice."""
    masks = []
    for _ in range(n):
        period = (2, 4, 4, 8)[int(torch.randint(4, (), generator=generator))]
        count = int(torch.randint(period * period, (), generator=generator))
        mask = torch.as_tensor(bayer_ranks(period)) < count
        masks.append(mask.repeat(size // period, size // period))
    return torch.stack(masks).unsqueeze(1)


def uniform_batch(pixels: Tensor, generator: torch.Generator) -> Batch:
    """Random states of the uniform channel for images [N, 3, H, W] (0..255) and what the next step tells."""
    n, _, size, _ = pixels.shape
    target, ratio = _log_uniform(n, 1.2, 90.0, generator), _uniform(n, 0.4, 0.75, generator)
    unknown = torch.rand(n, 1, 1, 1, generator=generator) < 0.12
    state = unknown_ranges(pixels)
    for j in range(LADDER - 1, -1, -1):
        level = target / ratio**j
        state = uniform_step(pixels, state, level, (level < FIRST_LEVEL) & ~unknown, generator)
    refine = torch.rand(n, 1, 1, 1, generator=generator) < 0.6  # lattice refinement has begun in these
    exact = _exact_mask(n, size, generator) & refine
    lo, hi = torch.where(exact, pixels, state.lo), torch.where(exact, pixels, state.hi)
    after = uniform_step(pixels, state._replace(lo=lo, hi=hi), torch.where(unknown, FIRST_LEVEL * ratio, target * ratio),
                  torch.ones_like(unknown), generator)
    finish = torch.rand(n, 1, 1, 1, generator=generator) < torch.where(refine, 0.85, 0.3)
    new_lo, new_hi = torch.where(finish, pixels, after.lo), torch.where(finish, pixels, after.hi)
    open_pixels = (~exact).float()
    weight = open_pixels / open_pixels.mean((1, 2, 3), keepdim=True) * torch.where(finish, 1.0, 2.5)
    estimate, spread = (lo + hi) / 2 - 127.5, uniform_spread(hi - lo + 1)
    return Batch(estimate, spread, torch.zeros(n), lo, hi, new_lo, new_hi, weight.expand_as(pixels))


def gaussian_batch(pixels: Tensor, generator: torch.Generator) -> Batch:
    """Random noise levels of the Gaussian channel; what is told is the pixel itself."""
    n = pixels.shape[0]
    s_t = _log_uniform(n, 0.6, 200.0, generator)
    c_t = pixels - 127.5 + s_t * torch.randn(pixels.shape, generator=generator)
    estimate, spread = gaussian_estimate(c_t, s_t)
    lo, hi = torch.zeros_like(pixels), torch.full_like(pixels, 255.0)
    return Batch(estimate, spread, torch.ones(n), lo, hi, pixels, pixels, torch.ones_like(pixels))
