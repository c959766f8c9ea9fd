"""Windows of many positions at once, on any device: what `networks.context.window` gathers, one position at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ddpmcodec.networks.context import window
from ddpmcodec.networks.context.window import CHANNELS, COARSE_PLACES, CODED_PLACES, INPUTS, REACH, SIDE, WINDOW, ZERO

CENTRE = REACH * SIDE + REACH  # of a window


def gather_many(coarse: Tensor, coded: Tensor, known: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Contexts of positions at [K, 3] (image, y, x), of planes int16 [N, h, w, 3]: rows uint8 [K, INPUTS], around int16
    [K, 3, PLACES]."""
    inside, before = _windows(coarse, at, edge=True), _windows(coded, at)
    differences = inside - inside[:, CENTRE, None]
    first = torch.arange(SIDE * SIDE, device=at.device)[:, None] < CENTRE
    rows = torch.full((len(at), INPUTS), ZERO, dtype=torch.uint8, device=at.device)
    rows[:, :WINDOW] = _inputs(differences).flatten(1)
    own, own_chroma = CHANNELS * CENTRE, CHANNELS * CENTRE + 1
    rows[:, own] = inside[:, CENTRE, 0].clamp(0, 255).byte()
    rows[:, own_chroma : own + CHANNELS] = ((inside[:, CENTRE, 1:].clamp(-255, 255) >> 1) + ZERO).byte()
    rows[:, WINDOW : 2 * WINDOW] = _inputs(torch.where(first, before, _windows(known, at))).flatten(1)
    around = torch.cat([differences[:, _numbers(COARSE_PLACES)], before[:, _numbers(CODED_PLACES)]], 1)
    return rows, around.transpose(1, 2).contiguous()


def gather_by_kernel(coarse: Tensor, coded: Tensor, known: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """The same by the coder's kernel, on the CPU, in a quarter of the time."""
    own, before, later = (window.padded(planes.numpy(), planes is coarse) for planes in (coarse, coded, known))
    rows, around = window.gather_many(own, before, later, at.numpy())
    return torch.from_numpy(rows), torch.from_numpy(around)


def _windows(planes: Tensor, at: Tensor, *, edge: bool = False) -> Tensor:
    """int16 [K, 49, 3] around positions; outside, the edge goes on, or zeros."""
    steps = torch.arange(-REACH, REACH + 1, device=at.device)
    height, width = planes.shape[1:3]
    y, x = at[:, 1, None] + steps, at[:, 2, None] + steps
    rows, columns = y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None]
    found = planes[at[:, 0, None, None], rows, columns]
    if not edge:
        inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None]
        found = found * inside[..., None]
    return found.flatten(1, 2)


def _inputs(differences: Tensor) -> Tensor:
    """Small differences as they are, larger ones in quarters, at most 127; plus 128."""
    size = differences.abs()
    small = (size.clamp(max=64) + ((size - 64).clamp(min=0) >> 2)).clamp(max=127)
    return (torch.where(differences >= 0, small, -small) + ZERO).byte()


def _numbers(places: Sequence[tuple[int, int]]) -> list[int]:
    """Of places (down, right) in a window."""
    return [CENTRE + SIDE * down + right for down, right in places]
