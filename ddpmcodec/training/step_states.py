"""States of the coding schedule as functions of the image, on the device that images lie on: what `transform` computes,
for PyTorch's tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ddpmcodec.channels.gamut import WHITE
from ddpmcodec.coding_schedule import CodingStep
from ddpmcodec.networks.context.window import CHANNELS
from ddpmcodec.transform import cells, pyramid
from ddpmcodec.transform.cells import LARGEST_CHROMA
from ddpmcodec.transform.pyramid import Band


class StepState(NamedTuple):
    """A band before and after a step: its coarse image (an estimate), and ranges, all int16 [N, h, w, 3]."""

    step: CodingStep
    band: Band
    coarse: Tensor
    lo: Tensor
    hi: Tensor
    new_lo: Tensor
    new_hi: Tensor


def step_states(pixels: Tensor, schedule: Sequence[CodingStep]) -> Iterator[StepState]:
    """Every (step, band) of a schedule for images uint8 [N, H, W, 3], in coding order."""
    geometry = pyramid.bands(*pixels.shape[1:3])
    root, differences = _analyse(_to_ycocg(pixels), geometry)
    levels: list[int | None] = [None] * len(geometry)  # that bands are known to
    for step in schedule:
        coarse = root
        for band in reversed(geometry):
            place = band.number - 1
            stored = _turned(coarse, band)
            if band.number >= step.finest:
                old, levels[place] = levels[place], step.level
                ranges = (_ranges(differences[place], band.number, level) for level in (old, step.level))
                yield StepState(step, band, stored, *(bound for pair in ranges for bound in pair))
            known = estimates(*_ranges(differences[place], band.number, levels[place]))
            coarse = _synthesise_band(stored, known, band)


def estimates(lo: Tensor, hi: Tensor) -> Tensor:
    """As `cells.estimates` has them."""
    inward = ((hi - lo) * cells.ESTIMATE_NUM) >> cells.ESTIMATE_SHIFT
    return torch.where(lo > 0, lo + inward, torch.where(hi < 0, hi - inward, 0))


@cache
def _cells(number: int, level: int | None, device: torch.device) -> Tensor:
    """(lo, hi) of every value -510..510 in every channel, int16 [2, 1021 * 3]; of a band that is known to a level, or
    of which nothing is known."""
    values = np.repeat(np.arange(-LARGEST_CHROMA, LARGEST_CHROMA + 1)[:, None], CHANNELS, 1)
    lo, hi = cells.unknown(values.shape)
    if level is not None:
        found = cells.cells_of(values, cells.cell_widths(number, level, CHANNELS))
        lo, hi = np.maximum(found[0], lo), np.minimum(found[1], hi)
    return torch.from_numpy(np.stack([lo, hi]).reshape(2, -1)).to(device)


def _ranges(differences: Tensor, number: int, level: int | None) -> tuple[Tensor, Tensor]:
    table = _cells(number, level, differences.device)
    channel = torch.arange(CHANNELS, device=differences.device)
    at = (differences.int() + LARGEST_CHROMA) * CHANNELS + channel
    lo, hi = (column[at] for column in table)
    return lo, hi


def _to_ycocg(pixels: Tensor) -> Tensor:
    """As `color.to_ycocg` does."""
    red, green, blue = pixels.short().unbind(-1)
    orange = red - blue
    middle = blue + (orange >> 1)
    other = green - middle
    return torch.stack([middle + (other >> 1), orange, other], -1)


def _turned(planes: Tensor, band: Band) -> Tensor:
    """[N, H, W, C] as `band` stores it, or back again."""
    return planes.transpose(1, 2) if band.transposed else planes


def _analyse(planes: Tensor, geometry: Sequence[Band]) -> tuple[Tensor, list[Tensor]]:
    """The root and the differences of every band, as `pyramid.analyse` has them."""
    differences = []
    for band in geometry:
        fine = _turned(planes, band)
        a, b = fine[:, :, 0 : 2 * band.width : 2], fine[:, :, 1::2]
        differences.append(a - b)
        coarse = torch.cat([(a + b) >> 1, fine[:, :, 2 * band.width :]], 2)
        planes = _turned(coarse, band)
    return planes, differences


def _synthesise_band(coarse: Tensor, difference: Tensor, band: Band) -> Tensor:
    """The finer image, upright, as `pyramid.synthesise_band` makes it."""
    first = coarse[:, :, : band.width] + ((difference + 1) >> 1)
    pairs = torch.stack([first, first - difference], 3).flatten(2, 3)
    return _turned(torch.cat([pairs, coarse[:, :, band.width :]], 2), band)


def narrowed(known: Tensor, coarse: Tensor, values: Tensor, slack: int) -> Tensor:
    """(lo, hi) of differences int16 [2, K, 3] inside of those that are known, as `gamut.narrowed` finds them.

    coarse: the coarse image there, values: what the differences are, [K, 3].
    """
    known, coarse, values = known.int(), coarse.int(), values.int()
    first = coarse + ((values + 1) >> 1)
    pixels = torch.stack([first, first - values])
    least, most = _limits(pixels, slack)
    lo = torch.maximum(2 * (least[0] - coarse) - 1, 2 * (coarse - most[1]))
    hi = torch.minimum(2 * (most[0] - coarse), 2 * (coarse - least[1]) + 1)
    return torch.stack([torch.maximum(known[0], lo), torch.minimum(known[1], hi)]).short()


def _limits(pixels: Tensor, slack: int) -> tuple[Tensor, Tensor]:
    """Of every channel of pixels [2, K, 3], given those before it."""
    luma, orange, _ = pixels.unbind(-1)
    chroma = (4 * torch.minimum(luma, WHITE - luma) + 4 * (slack + 1)).clamp(max=WHITE)
    blue = luma - (orange >> 1)
    red = blue + orange
    low, high = torch.minimum(red, blue) + slack, torch.maximum(red, blue) - WHITE - slack
    most = torch.minimum(2 * low + 1, 2 * (WHITE + slack - luma)).clamp(max=WHITE)
    least = torch.maximum(2 * high, -2 * (luma + slack) - 1).clamp(min=-WHITE)
    zero = torch.zeros_like(luma)
    return torch.stack([zero, -chroma, least], -1), torch.stack([zero + WHITE, chroma, most], -1)


def unfinished(state: StepState) -> Tensor:
    """Positions [K, 3] (image, y, x) that are not exact in all channels yet: the only ones that are predicted."""
    return (state.lo < state.hi).any(-1).nonzero()
