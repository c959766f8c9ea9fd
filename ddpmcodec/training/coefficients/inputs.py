"""What positions of JPEG files see: integers of eight bits, and the known coefficients that predictors add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ddpmcodec.training.coefficients import order
from ddpmcodec.training.coefficients.order import CONDITIONS, NEAR, OWN, RANK_OF, SEGMENT_OF, VALUES, WINDOW
from ddpmcodec.training.coefficients.planes import GRIDS, Group

OWN_ENTRIES, OTHER_ENTRIES = NEAR * VALUES, 2 * VALUES  # known coefficients: of 3x3 blocks; of luma and Cb
LIMIT = 127
FLAG, LOGARITHM, ASINH = 16.0, 24.0, 24.0  # what 1 is as an integer
STEP_RANKS = (0, 1, 5, 14, 27, 40)  # whose steps all positions see
STEP_ORIGIN = 2.5  # logarithm of a usual step
GRID_INPUTS = len({*GRIDS.values()})
LUMA_INPUTS = 2 * NEAR + 1 + len(STEP_RANKS) + GRID_INPUTS + WINDOW**2
CHROMA_INPUTS = LUMA_INPUTS + 2 * (WINDOW**2 + NEAR)


class Seen(NamedTuple):
    """What G groups of n positions see, each group of one condition, and what is coded there.

    Attributes:
        rows: inputs but those of predictors, integers as float [G, n, inputs].
        entries: known dequantised coefficients, float [G, n, 576], or [G, n, 704] in chroma; 0 where unknown.
        step: of quantisation of the coefficient to be coded, [G].
        condition: int64 [G]; those of Cr follow those of Cb.
        is_flag: bool [G].
        value: the coefficient in steps, or the flag, [G, n].
    """

    rows: Tensor
    entries: Tensor
    step: Tensor
    condition: Tensor
    is_flag: Tensor
    value: Tensor

    def to(self, device: torch.device) -> Seen:
        return Seen(*(each.to(device) for each in self))


def integers(x: Tensor) -> Tensor:
    """Return the nearest inputs."""
    return x.round().clamp(-LIMIT, LIMIT)


def seen(groups: Sequence[Group]) -> Seen:
    """Return what groups of the same number of positions see, all of luma or all of chroma."""
    condition = np.array([group.condition for group in groups])
    rank, is_flag = RANK_OF[condition], order.IS_FLAG[condition]
    steps = np.stack([group.coded.steps for group in groups])
    step = torch.from_numpy(np.take_along_axis(steps, rank[:, None], 1))[:, :, None]  # [G, 1, 1]
    near = np.stack([group.blocks[:, None] + group.coded.offsets for group in groups])  # [G, n, 9]
    own = _gathered([group.coded.blocks[numbers] for group, numbers in zip(groups, near, strict=True)])
    known = torch.from_numpy(order.KNOWN[condition])
    entries = own * known[:, None]
    window, exists = torch.from_numpy(order.WINDOW_RANKS[condition]), torch.from_numpy(order.WINDOW_EXISTS[condition])
    inside, goes_on = _state(groups, near, condition)
    parts = [inside, _steps(step, steps, groups), goes_on, _window(entries[:, :, OWN], window, exists, step)]
    entries = entries.flatten(2)
    if groups[0].component:
        others, inputs = _others(groups, near, condition, window, exists, step)
        entries, parts = torch.cat([entries, others], 2), [*parts, *inputs]
    return Seen(
        rows=torch.cat(parts, 2), entries=entries, step=step[:, 0, 0], is_flag=torch.from_numpy(is_flag),
        condition=torch.from_numpy(condition + CONDITIONS * np.array([max(0, g.component - 1) for g in groups])),
        value=_values(groups, own[:, :, OWN], rank, is_flag, step),
    )  # fmt: skip


def _gathered(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).float()


def _values(groups: Sequence[Group], own: Tensor, rank: np.ndarray, is_flag: np.ndarray, step: Tensor) -> Tensor:
    """What is coded, [G, n]."""
    coefficients = own[torch.arange(len(groups)), :, torch.from_numpy(rank)] / step[:, :, 0]
    ends = np.stack([group.coded.ends[group.blocks] for group in groups])
    flags = torch.from_numpy(ends > rank[:, None]).float()
    return torch.where(torch.from_numpy(is_flag)[:, None], flags, coefficients.round())


def _state(groups: Sequence[Group], near: np.ndarray, condition: np.ndarray) -> list[Tensor]:
    """Which of 3x3 blocks are inside, and which of those a flag has not declared to have ended; the own one is 0."""
    inside = np.stack([group.coded.inside[numbers] for group, numbers in zip(groups, near, strict=True)])
    ends = np.stack([group.coded.ends[numbers] for group, numbers in zip(groups, near, strict=True)])
    is_later = order.IS_FLAG[condition][:, None] & ~order.CAUSAL  # their flag of this segment is not known yet
    ended_from = order.ENDED_FROM[SEGMENT_OF[condition][:, None] - is_later][:, None]
    goes_on = inside & ((ended_from == 0) | (ends > ended_from))
    goes_on[:, :, OWN] = False
    return [torch.from_numpy(found).float() * FLAG for found in (inside, goes_on)]


def _steps(step: Tensor, steps: np.ndarray, groups: Sequence[Group]) -> Tensor:
    """Steps of quantisation, that of the coefficient to be coded first, and the sampling of the file."""
    count = len(groups[0].blocks)
    usual = torch.from_numpy(steps[:, STEP_RANKS])
    logarithms = integers((torch.cat([step[:, 0], usual], 1).log() - STEP_ORIGIN) * LOGARITHM)
    grids = F.one_hot(torch.tensor([group.file.grid for group in groups]), GRID_INPUTS) * FLAG
    return torch.cat([logarithms, grids], 1)[:, None].expand(-1, count, -1)


def _window(values: Tensor, ranks: Tensor, exists: Tensor, step: Tensor) -> Tensor:
    """The frequencies around the coded one, in a block of each position, [G, n, 64]."""
    found = values.gather(2, ranks[:, None].expand(-1, values.shape[1], -1)) * exists[:, None]
    return integers(torch.asinh(found / step) * ASINH)


def _others(
    groups: Sequence[Group], near: np.ndarray, condition: np.ndarray, window: Tensor, exists: Tensor, step: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Known coefficients of luma and Cb at the same place, [G, n, 128], and inputs from them: their windows, and the
    coded frequency in their 3x3 blocks."""
    known = torch.from_numpy(order.KNOWN_OF_OTHERS[condition])
    segment, rank = SEGMENT_OF[condition], RANK_OF[condition]
    blocks = {
        "luma": [group.file.luma_on_grid[s] for group, s in zip(groups, segment, strict=True)],
        "Cb": [group.file.components[1].blocks for group in groups],
    }
    is_known = {
        "luma": known | torch.tensor([group.file.covered != (1, 1) for group in groups])[:, None],
        "Cb": known & torch.tensor([group.component == 2 for group in groups])[:, None],
    }
    entries, inputs = [], []
    for name, sources in blocks.items():
        own = _gathered([source[group.blocks] for source, group in zip(sources, groups, strict=True)])
        around = _gathered([source[n, r] for source, n, r in zip(sources, near, rank, strict=True)])
        entries.append(own * is_known[name][:, None])
        at_rank = is_known[name][torch.arange(len(groups)), torch.from_numpy(rank)]
        same = integers(torch.asinh(around * at_rank[:, None, None] / step) * ASINH)
        inputs += [_window(entries[-1], window, exists, step), same]
    return torch.cat(entries, 2), inputs
