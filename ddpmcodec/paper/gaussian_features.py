"""What the network sees of a latent c_t = v + s_t n: integers in [-127, 127] that hold an estimate of v and its
standard deviation.

Estimate and standard deviation are those of the posterior of v under the prior N(0, PRIOR_STD^2), so that all noise
levels share one scale. `pixel_features` computes them in float, for training; `level_features` the same bits on every
machine: what depends on the level alone comes from decimal arithmetic, rounded once; the rest is IEEE float32. An
estimate is cut at +-256, which training never reaches, so that sums of quarters of grey levels stay below 2^24.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.format.block import LEVEL_UNIT
from ddpmcodec.paper.diffusion import OCTAVE, SCALE_UNIT, Latents

PRIOR_STD = 64.0  # grey levels; about the standard deviation of natural pixel values
PERIODS = (4.0, 16.0)  # grey levels; the role of VDM's Fourier features: fine differences at full precision
STD_CENTRES = tuple(-2.0 + 1.65 * k for k in range(6))  # log2 grey levels, knots of a linear interpolation basis
OWN_FEATURES = 2 + 2 * len(PERIODS) + len(STD_CENTRES)  # features of a value by itself
WINDOWS = (3, 7)  # sides of the neighbourhoods whose means the network is shown
NEIGHBOUR_FEATURES = 1 + 2 * len(WINDOWS)  # features of a value among its neighbours
PER_VALUE = OWN_FEATURES + NEIGHBOUR_FEATURES
PER_PIXEL = 3 * PER_VALUE + 1  # one more is 127 inside the image: convolutions are padded with zeros
LOCAL_STD = 6.0  # grey levels; how far neighbouring pixels differ
FADE_LEVELS = 255
ESTIMATE_UNIT = 4.0  # estimates are averaged in quarters of a grey level, so that all sums are integers below 2^24


def gaussian_estimate(c_t: Tensor, s_t: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate and standard deviation (grey levels) of v given c_t = v + s_t n, under the prior N(0, PRIOR_STD^2)."""
    shrink = PRIOR_STD**2 / (PRIOR_STD**2 + s_t * s_t)
    return c_t * shrink, (s_t * torch.sqrt(shrink)).expand_as(c_t)


def std_features(std: Tensor) -> Tensor:
    """[..., 6] integers in 0..127: where log2(std + 1/4) lies among `STD_CENTRES`."""
    position = torch.log2(std + 0.25).unsqueeze(-1)
    centres = torch.tensor(STD_CENTRES, device=std.device)
    hats = 1 - (position - centres).abs() / (STD_CENTRES[1] - STD_CENTRES[0])
    return torch.round(127 * hats.clamp(0, 1))


def triangle(x: Tensor) -> Tensor:
    """A wave of period 1 between -1 and 1."""
    return 4 * (x - torch.floor(x) - 0.5).abs() - 1


def own_features(estimate: Tensor, std: Tensor) -> Tensor:
    """[..., OWN_FEATURES] integer-valued float32 features of each value by itself.

    estimate: [...] centred grey levels (pixel - 127.5). std: [...] grey levels.
    """
    coarse = torch.round(estimate).clamp(-127, 127)
    parts = [coarse, torch.round((254 * (estimate - coarse)).clamp(-127, 127))]
    for period in PERIODS:
        visible = 127 / (1 + (4 * std / period) ** 2)  # a wave finer than the noise says nothing: fade it out
        phase = estimate / period
        parts += [torch.round(visible * triangle(phase)), torch.round(visible * triangle(phase + 0.25))]
    return torch.cat([torch.stack(parts, -1), std_features(std)], -1)


def fade(std: Tensor) -> Tensor:
    """How much the difference from the wide neighbourhood is shown, in 255ths: its precision beside LOCAL_STD."""
    weight = torch.round(FADE_LEVELS * LOCAL_STD**2 / (LOCAL_STD**2 + std * std)).clamp(min=1)
    return weight * (1 / FADE_LEVELS)


def box_sum(x: Tensor, window: int) -> Tensor:
    return F.avg_pool2d(x, window, 1, window // 2, divisor_override=1)


def neighbourhood_mean(estimate: Tensor, window: int) -> Tensor:
    """Mean of the estimates in a window x window square, of those inside the image; [N, 3, H, W]."""
    total = box_sum(torch.round(ESTIMATE_UNIT * estimate), window)
    return total / (ESTIMATE_UNIT * box_sum(torch.ones_like(estimate), window))


def context_features(estimate: Tensor, fade: Tensor | float, inverse: Tensor | float) -> Tensor:
    """[N, 3, H, W, NEIGHBOUR_FEATURES] integer-valued features of each value among its neighbours; inverse: 1 / std.

    First the estimate without its wide neighbourhood's mean, faded where it is uncertain; then for every window how
    far, in standard deviations, the mean of the neighbourhood lies from the estimate: what a linear denoiser would
    answer. Without them a network has to find small differences under large grey levels by itself, and in its first
    hundreds of steps it does not.
    """
    means = [neighbourhood_mean(estimate, window) for window in WINDOWS]
    parts = [torch.round((4 * (estimate - means[-1]) * fade).clamp(-127, 127))]
    for mean in means:
        offset = 32 * ((mean - estimate) * inverse)
        coarse = torch.round(offset.clamp(-127, 127))
        parts += [coarse, torch.round((254 * (offset - coarse)).clamp(-127, 127))]
    return torch.stack(parts, -1)


def pixel_features(estimate: Tensor, std: Tensor) -> Tensor:
    """[N, H, W, PER_PIXEL] features of images [N, 3, H, W]."""
    own, context = own_features(estimate, std), context_features(estimate, fade(std), 1 / std)
    values = torch.cat([own, context], -1).permute(0, 2, 3, 1, 4).flatten(3)
    return torch.cat([values, torch.full_like(values[..., :1], 127)], -1)


def scale_origin(std: Tensor) -> Tensor:
    """Scale index (float) of a logistic of this standard deviation, which the network's scale output is relative to."""
    return SCALE_UNIT + OCTAVE * torch.log2(std * (math.sqrt(3) / math.pi) + 0.05)


ESTIMATE_LIMIT = 256.0
_PI = Decimal("3.1415926535897932384626433832795028841972")


class LevelConstants(NamedTuple):
    """What one noise level contributes: float32 numbers, and the integer features of the standard deviation."""

    shrink: np.float32  # of c_t, to the posterior mean of v under the prior N(0, PRIOR_STD^2)
    std: np.float32  # of that posterior, grey levels
    inverse: np.float32
    fade: np.float32  # `fade`
    origin: np.float32  # of the scale index
    visible: NDArray[np.float32]  # amplitude of the waves, by period
    hats: NDArray[np.int8]  # `std_features`


def _log2(x: Decimal) -> Decimal:
    return x.ln() / Decimal(2).ln()


def _float32(x: Decimal) -> np.float32:
    return np.float32(float(x))


def _hats(std: Decimal) -> list[int]:
    position, step = _log2(std + Decimal("0.25")), Decimal(STD_CENTRES[1]) - Decimal(STD_CENTRES[0])
    return [round(127 * max(1 - abs(position - Decimal(centre)) / step, Decimal(0))) for centre in STD_CENTRES]


@lru_cache(maxsize=4096)
def level_constants(level: int) -> LevelConstants:
    """The constants of noise level `level` / 1024 grey level. Raises ValueError below 1."""
    if level < 1:
        raise ValueError(f"a noise level must be at least 1/{LEVEL_UNIT} grey level, got {level}")
    with localcontext(Context(prec=40)):
        s, prior, local = Decimal(level) / LEVEL_UNIT, Decimal(PRIOR_STD) ** 2, Decimal(LOCAL_STD) ** 2
        shrink = prior / (prior + s * s)
        std = s * shrink.sqrt()
        weight = max(round(FADE_LEVELS * local / (local + std * std)), 1)
        return LevelConstants(
            shrink=_float32(shrink),
            std=_float32(std),
            inverse=_float32(1 / std),
            fade=np.float32(weight) * np.float32(1 / FADE_LEVELS),
            origin=_float32(SCALE_UNIT + OCTAVE * _log2(std * Decimal(3).sqrt() / _PI + Decimal("0.05"))),
            visible=np.array([_float32(127 / (1 + (4 * std / Decimal(period)) ** 2)) for period in PERIODS]),
            hats=np.array(_hats(std), np.int8),
        )


def estimate_of(c: Latents, spacing: float, constants: LevelConstants) -> NDArray[np.float32]:
    """Posterior means of the pixels, centred grey levels, of latents in units of `spacing`; the shape of c."""
    estimate: NDArray[np.float32] = (c.astype(np.float32) * np.float32(spacing)) * constants.shrink
    return np.clip(estimate, -ESTIMATE_LIMIT, ESTIMATE_LIMIT, out=estimate)


def level_features(estimate: Tensor, constants: LevelConstants) -> Tensor:
    """[N, H, W, PER_PIXEL] integer-valued float32 from estimates [N, 3, H, W]: what the coder shows the network."""
    coarse = torch.round(estimate).clamp(-127, 127)
    parts = [coarse, torch.round((254 * (estimate - coarse)).clamp(-127, 127))]
    for period, visible in zip(PERIODS, constants.visible.tolist(), strict=True):
        phase = estimate / period
        parts += [torch.round(visible * triangle(phase)), torch.round(visible * triangle(phase + 0.25))]
    hats = torch.from_numpy(constants.hats).to(estimate).expand(*estimate.shape, -1)
    context = context_features(estimate, float(constants.fade), float(constants.inverse))
    values = torch.cat([torch.stack(parts, -1), hats, context], -1).permute(0, 2, 3, 1, 4).flatten(3)
    return torch.cat([values, torch.full_like(values[..., :1], 127)], -1)
