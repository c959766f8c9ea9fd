"""What the exact network sees of a latent, the same bits on every machine.

`features.pixel_features` of c_t = v + s n, all values at one noise level s. What depends on the level alone comes from
decimal arithmetic, rounded once; the rest is IEEE float32, in eager operations (the reference) and in one kernel. An
estimate is cut at +-256, which training never reaches, so that sums of quarters of grey levels stay below 2^24.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.paper.denoiser import Latents
from ddpmcodec.paper.gaussian.elementwise import HALF, LARGEST_INTEGER, ONE, box_sums, inline, kernel, rounded
from ddpmcodec.paper.gaussian.features import (
    ESTIMATE_UNIT,
    FADE_LEVELS,
    LOCAL_STD,
    PER_VALUE,
    PERIODS,
    PRIOR_STD,
    STD_CENTRES,
    WINDOWS,
    context_features,
    triangle,
)
from ddpmcodec.paper.prediction import SCALE_UNIT
from ddpmcodec.paper.schedule import LEVEL_UNIT

ESTIMATE_LIMIT = 256.0
QUARTERS_LIMIT = np.float32(ESTIMATE_UNIT * ESTIMATE_LIMIT)
QUARTER, FOUR, THIRTY_TWO, FINE = np.float32(0.25), np.float32(4), np.float32(32), np.float32(254)
_PERIODS = np.array(PERIODS, np.float32)
_PI = Decimal("3.1415926535897932384626433832795028841972")


class LevelConstants(NamedTuple):
    """What one noise level contributes: float32 numbers, and the integer features of the standard deviation."""

    shrink: np.float32  # of c_t, to the posterior mean of v under the prior N(0, PRIOR_STD^2)
    std: np.float32  # of that posterior, grey levels
    inverse: np.float32
    fade: np.float32  # `features.fade`
    origin: np.float32  # of the scale index
    visible: NDArray[np.float32]  # amplitude of the waves, by period
    hats: NDArray[np.int8]  # `features.std_features`


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
            origin=_float32(SCALE_UNIT + 8 * _log2(std * Decimal(3).sqrt() / _PI + Decimal("0.05"))),
            visible=np.array([_float32(127 / (1 + (4 * std / Decimal(period)) ** 2)) for period in PERIODS]),
            hats=np.array(_hats(std), np.int8),
        )


def estimate_of(c: Latents, spacing: float, constants: LevelConstants) -> NDArray[np.float32]:
    """Posterior means of the pixels, centred grey levels, of latents in units of `spacing`; the shape of c."""
    estimate: NDArray[np.float32] = (c.astype(np.float32) * np.float32(spacing)) * constants.shrink
    return np.clip(estimate, -ESTIMATE_LIMIT, ESTIMATE_LIMIT, out=estimate)


def eager_features(estimate: Tensor, constants: LevelConstants) -> Tensor:
    """[N, H, W, PER_PIXEL] integer-valued float32 from estimates [N, 3, H, W]: the reference of the kernel."""
    coarse = torch.round(estimate).clamp(-127, 127)
    parts = [coarse, torch.round((254 * (estimate - coarse)).clamp(-127, 127))]
    for period, visible in zip(PERIODS, constants.visible.tolist(), strict=True):
        phase = estimate / period
        parts += [torch.round(visible * triangle(phase)), torch.round(visible * triangle(phase + 0.25))]
    hats = torch.from_numpy(constants.hats).to(estimate).expand(*estimate.shape, -1)
    context = context_features(estimate, float(constants.fade), float(constants.inverse))
    values = torch.cat([torch.stack(parts, -1), hats, context], -1).permute(0, 2, 3, 1, 4).flatten(3)
    return torch.cat([values, torch.full_like(values[..., :1], 127)], -1)


@kernel
def quarters(estimate):  # type: ignore[no-untyped-def]
    """int32, in quarters of a grey level, as neighbourhoods are averaged."""
    out = np.empty(estimate.shape, np.int32)
    for y in range(estimate.shape[0]):
        for x in range(estimate.shape[1]):
            for c in range(3):
                out[y, x, c] = np.int32(rounded(FOUR * estimate[y, x, c], QUARTERS_LIMIT))
    return out


@inline
def inside(place, window, side):  # type: ignore[no-untyped-def]
    """How many of a window's rows (or columns) around `place` lie inside the image."""
    half = window // 2
    return min(place + half, side - 1) - max(place - half, 0) + 1


@inline
def _wave(amplitude, phase):  # type: ignore[no-untyped-def]
    return rounded(amplitude * (FOUR * abs((phase - np.floor(phase)) - HALF) - ONE), LARGEST_INTEGER)


@inline
def _bfloat16(q, table):  # type: ignore[no-untyped-def]
    return table[np.int32(q) + 127]


@kernel
def fused_features(estimate, inverse, fade, visible, hats, bits, out):  # type: ignore[no-untyped-def]
    """`eager_features` of estimates [N, H, W, 3], into patches [N, H'/2, W'/2, 4 PER_PIXEL] of bfloat16 bits.

    bits: of -127..127. `out` comes zeroed: zero is what lies outside the image.
    """
    images, height, width, _ = estimate.shape
    for n in range(images):
        units = quarters(estimate[n])
        near, wide = box_sums(units, WINDOWS[0]), box_sums(units, WINDOWS[1])
        for i in range(height):
            near_rows, wide_rows = inside(i, WINDOWS[0], height), inside(i, WINDOWS[1], height)
            for j in range(width):
                near_count = np.float32(near_rows * inside(j, WINDOWS[0], width))
                wide_count = np.float32(wide_rows * inside(j, WINDOWS[1], width))
                first = ((i & 1) * 2 + (j & 1)) * (3 * PER_VALUE + 1)
                target = out[n, i >> 1, j >> 1]
                for c in range(3):
                    place, e = first + c * PER_VALUE, estimate[n, i, j, c]
                    coarse = rounded(e, LARGEST_INTEGER)
                    target[place] = _bfloat16(coarse, bits)
                    target[place + 1] = _bfloat16(rounded(FINE * (e - coarse), LARGEST_INTEGER), bits)
                    place += 2
                    for period in range(len(PERIODS)):
                        phase = e / _PERIODS[period]
                        target[place] = _bfloat16(_wave(visible[period], phase), bits)
                        target[place + 1] = _bfloat16(_wave(visible[period], phase + QUARTER), bits)
                        place += 2
                    for d in range(len(hats)):
                        target[place + d] = _bfloat16(hats[d], bits)
                    place += len(hats)
                    wide_mean = np.float32(wide[i, j, c]) / (FOUR * wide_count)
                    near_mean = np.float32(near[i, j, c]) / (FOUR * near_count)
                    target[place] = _bfloat16(rounded((FOUR * (e - wide_mean)) * fade, LARGEST_INTEGER), bits)
                    offset = THIRTY_TWO * ((near_mean - e) * inverse)
                    coarse = rounded(offset, LARGEST_INTEGER)
                    target[place + 1] = _bfloat16(coarse, bits)
                    target[place + 2] = _bfloat16(rounded(FINE * (offset - coarse), LARGEST_INTEGER), bits)
                    offset = THIRTY_TWO * ((wide_mean - e) * inverse)
                    coarse = rounded(offset, LARGEST_INTEGER)
                    target[place + 3] = _bfloat16(coarse, bits)
                    target[place + 4] = _bfloat16(rounded(FINE * (offset - coarse), LARGEST_INTEGER), bits)
                target[first + 3 * PER_VALUE] = bits[254]
