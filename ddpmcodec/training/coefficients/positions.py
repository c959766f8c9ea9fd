"""A JPEG file in training, and what positions of it see: integers of eight bits, and the known coefficients that
predictors add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.training.coefficients import order
from ddpmcodec.training.coefficients.order import (
    CELL_PARTS,
    ENDED_FROM,
    ENDS,
    IS_FLAG,
    NEAR,
    OWN,
    RANK_OF,
    RANKS,
    SEGMENT_OF,
    SIDE,
    VALUES,
    WINDOW,
    coarsest_levels,
    conditions_of,
)

Values = NDArray[np.int16]
OFFSETS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]  # of 3x3 blocks
GROUP = 64  # positions of one condition of one file that a step sees together
LARGEST = 32767  # dequantised coefficients beyond it are clipped
# By how many blocks of luma, across and down, a block of chroma covers: 4:4:4, 4:2:2 and 4:4:0, 4:2:0.
GRIDS = {(1, 1): 0, (2, 1): 1, (1, 2): 1, (2, 2): 2}
OF_LUMA_ALONE = (2, 2)


def _transform() -> NDArray[np.float64]:
    """The discrete cosine transform of eight samples, orthonormal."""
    k = np.arange(SIDE)
    rows = np.cos(np.pi * (2 * k + 1) * k[:, None] / (2 * SIDE)) / 2
    rows[0] /= 2**0.5
    return rows


def _halving() -> NDArray[np.float64]:
    """From the coefficients of two blocks in a row [16] to those of the block of means of pairs of samples [8]."""
    dct = _transform()
    samples = np.kron(np.eye(2), dct.T)
    return dct @ np.repeat(np.eye(SIDE), 2, 1) / 2 @ samples


HALVING = _halving().astype(np.float32)


def bordered(values: NDArray[np.int32]) -> Values:
    """Return dequantised blocks [rows, columns, 64] with a border of zeros: [blocks, 64] in raster order."""
    rows, columns, _ = values.shape
    padded = np.zeros((rows + 2, columns + 2, VALUES), np.int16)
    padded[1:-1, 1:-1] = np.clip(values, -LARGEST, LARGEST)
    return padded.reshape(-1, VALUES)


def nearest_cells(values: Values, widths: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return which cells of odd widths, in steps, the quantised values are in."""
    found: NDArray[np.int32] = np.sign(values) * ((np.abs(values.astype(np.int32)) + widths // 2) // widths)
    return found.astype(np.int32)


class Component:
    """A component as its blocks are coded at a level.

    Attributes:
        steps: widths of the level's cells, float32 [64] by rank: steps of quantisation, or a multiple.
        blocks: middles of cells by rank, dequantised, with a border of zeros, int16 [blocks, 64].
        coarser: of a finer level, those of the cells that are known before; None: it is the coarsest level.
        stride: blocks of a row, borders included; blocks are numbered with them.
        ends: by block one more than the rank of the last cell that is not zero; 0 outside.
        inside: by block, whether it is one of the component's.
        counts: how many positions each condition has, [conditions].
    """

    def __init__(self, values: Values, steps: NDArray[np.uint16], levels: int = 0, refined: int | None = None) -> None:
        """values: quantised, [rows, columns, 64] by rank. levels: how many the file has besides the exact one.
        refined: the finer level that is coded; None: the coarsest one."""
        coarsest = coarsest_levels(steps, levels)
        widths = CELL_PARTS ** (coarsest if refined is None else np.minimum(coarsest, refined))
        cells, wide = nearest_cells(values, widths), steps * widths
        self.steps, self.stride = wide.astype(np.float32), values.shape[1] + 2
        self.blocks, self.coarser = bordered(cells * wide), None
        if refined is not None:
            widths = CELL_PARTS ** np.minimum(coarsest, refined + 1)
            self.coarser = bordered(nearest_cells(values, widths) * steps * widths)
        nonzero = cells != 0
        ends = np.where(nonzero.any(2), VALUES - nonzero[:, :, ::-1].argmax(2), 0)
        self.ends = np.pad(ends, 1).astype(np.int8).reshape(-1)
        self.inside = np.pad(np.ones_like(ends), 1).astype(bool).reshape(-1)
        own = np.flatnonzero(self.inside)
        self.longest_first = own[np.argsort(-self.ends[own], kind="stable")]
        self.counts = self._counts() if refined is None else len(own) * (coarsest > refined)
        self.offsets = np.array([row * self.stride + column for row, column in OFFSETS])

    def _counts(self) -> NDArray[np.int64]:
        ends = np.sort(self.ends[self.longest_first])
        going_on = len(ends) - np.searchsorted(ends, ENDED_FROM, side="right")  # by segment
        going_on[ENDED_FROM == 0] = len(ends)
        counts: NDArray[np.int64] = going_on[SEGMENT_OF - IS_FLAG]
        return counts

    def positions(self, condition: int) -> NDArray[np.int64]:
        """Return the blocks in which a condition is coded, those with the most coefficients first."""
        return self.longest_first[: self.counts[condition]]


class Group(NamedTuple):
    """Positions of one condition and one component of a file, by the numbers of their blocks."""

    file: JpegFile
    component: int
    condition: int
    blocks: NDArray[np.int64]

    @property
    def coded(self) -> Component:
        return self.file.components[self.component]


class JpegFile:
    """The components of a file: luma alone, or luma, Cb, Cr. covered: how many blocks of luma, across and down, a block
    of chroma covers, one of `GRIDS`."""

    def __init__(self, components: list[Component], covered: tuple[int, int]) -> None:
        self.components, self.covered = components, covered
        self.refines = components[0].coarser is not None
        self.luma_on_grid = self._luma_on_grid() if len(components) > 1 else []
        self._shares = [self._share_of([0]), self._share_of([1, 2])]

    @property
    def grid(self) -> int:
        return GRIDS[self.covered]

    def _luma_on_grid(self) -> list[Values]:
        """By segment, luma as far as it is coded at the end of that segment, on the grid of chroma. A finer level is
        one segment."""
        luma, ends = self.components[0], (VALUES,) if self.refines else ENDS
        if self.covered == (1, 1):
            return [luma.blocks] * len(ends)
        whole = luma.blocks.reshape(-1, luma.stride, VALUES)[1:-1, 1:-1].astype(np.float32)
        known = (np.where(np.arange(VALUES) < end, whole, 0) for end in ends)
        return [bordered(on_grid(values, *self.covered)) for values in known]

    def _share_of(self, components: list[int]) -> NDArray[np.float64]:
        """Cumulative shares of the positions of conditions, of components one after the other."""
        counts = [self.components[number].counts for number in components if number < len(self.components)]
        total = np.cumsum(np.concatenate([np.zeros(0, np.int64), *counts]))
        shares: NDArray[np.float64] = total / max([1, *total[-1:]])
        return shares

    def has(self, chroma: bool) -> bool:
        """Return whether there is a position in luma, or in chroma."""
        return bool(self._shares[chroma][-1:].any())

    def draw(self, chroma: bool, count: int, rng: np.random.Generator) -> Group:
        """Return random positions, with replacement, of a condition that is drawn by how many it has."""
        found = int(np.searchsorted(self._shares[chroma], rng.random(), side="right"))
        component, condition = divmod(found, conditions_of(self.refines))
        group = self.group(component + chroma, condition)
        return group._replace(blocks=group.blocks[rng.integers(len(group.blocks), size=count)])

    def group(self, component: int, condition: int) -> Group:
        """Return all positions of a condition."""
        return Group(self, component, condition, self.components[component].positions(condition))


def on_grid(luma: NDArray[np.float32], across: int, down: int) -> NDArray[np.int32]:
    """Return luma [rows, columns, 64], by rank, as means of `across` by `down` samples make it, rounded."""
    rows, columns, _ = luma.shape
    shape = (rows // down, down, columns // across, across, SIDE, SIDE)
    blocks = luma[..., RANKS].reshape(shape).transpose(0, 2, 1, 4, 3, 5)
    blocks = blocks.reshape(rows // down, columns // across, down * SIDE, across * SIDE)
    blocks = blocks @ HALVING.T if across == 2 else blocks
    blocks = HALVING @ blocks if down == 2 else blocks
    ranked = np.empty((*blocks.shape[:2], VALUES), np.int32)
    ranked[..., RANKS] = np.rint(blocks).reshape(*blocks.shape[:2], VALUES)
    return ranked


OWN_ENTRIES, OTHER_ENTRIES = NEAR * VALUES, 2 * VALUES  # known coefficients: of 3x3 blocks; of luma and Cb
LIMIT = 127
FLAG, LOGARITHM, ASINH = 16.0, 24.0, 24.0  # what 1 is as an integer
STEP_RANKS = (0, 1, 5, 14, 27, 40)  # whose steps all positions see
STEP_ORIGIN = 2.5  # logarithm of a usual step
GRID_INPUTS = len({*GRIDS.values()})
SIGNED_FROM = 2 * NEAR + 1 + len(STEP_RANKS) + GRID_INPUTS  # inputs that have the sign of coefficients
LUMA_INPUTS = SIGNED_FROM + WINDOW**2
CHROMA_INPUTS = LUMA_INPUTS + 2 * (WINDOW**2 + NEAR)


class Seen(NamedTuple):
    """What G groups of n positions see, each group of one condition, and what is coded there.

    Attributes:
        rows: inputs but those of predictors, integers as float [G, n, inputs].
        entries: known dequantised coefficients, float [G, n, 576], or [G, n, 704] in chroma; 0 where unknown, and at
            finer levels the middle of the cell.
        step: width of the cells of the coefficient to be coded, [G].
        condition: int64 [G]; those of Cr follow those of Cb.
        is_flag: bool [G].
        cell: of finer levels, what is known of the coefficient, in steps [G, n]; else 0.
        value: the coefficient in steps, or by how many it differs from its cell, or the flag, [G, n].
    """

    rows: Tensor
    entries: Tensor
    step: Tensor
    condition: Tensor
    is_flag: Tensor
    cell: Tensor
    value: Tensor

    def to(self, device: torch.device) -> Seen:
        return Seen(*(each.to(device) for each in self))


def integers(x: Tensor) -> Tensor:
    """Return the nearest inputs."""
    return x.round().clamp(-LIMIT, LIMIT)


def seen(groups: Sequence[Group]) -> Seen:
    """Return what groups of the same number of positions see, all of luma or all of chroma, and all of the coarsest
    level or all of finer ones."""
    refines, condition = groups[0].file.refines, np.array([group.condition for group in groups])
    rank, is_flag = RANK_OF[condition], order.IS_FLAG[condition]
    steps = np.stack([group.coded.steps for group in groups])
    step = torch.from_numpy(np.take_along_axis(steps, rank[:, None], 1))[:, :, None]  # [G, 1, 1]
    near = np.stack([group.blocks[:, None] + group.coded.offsets for group in groups])  # [G, n, 9]
    own = _gathered([group.coded.blocks[numbers] for group, numbers in zip(groups, near, strict=True)])
    known = torch.from_numpy((order.KNOWN_EXACTLY if refines else order.KNOWN)[condition])[:, None]
    coarser = _coarser(groups, near) if refines else torch.zeros(())
    entries = torch.where(known, own, coarser)
    window, exists = torch.from_numpy(order.WINDOW_RANKS[condition]), torch.from_numpy(order.WINDOW_EXISTS[condition])
    inside, goes_on = _state(groups, near, condition)
    parts = [inside, _steps(step, steps, groups), goes_on, _window(entries[:, :, OWN], window, exists, step)]
    cell = _in_steps(entries[:, :, OWN], rank, step) if refines else torch.zeros(near.shape[:2])
    entries, number = entries.flatten(2), np.array([group.component for group in groups])
    if groups[0].component:
        others, inputs = _others(groups, near, condition, window, exists, step)
        entries, parts = torch.cat([entries, others], 2), [*parts, *inputs]
    return Seen(
        rows=torch.cat(parts, 2), entries=entries, step=step[:, 0, 0], is_flag=torch.from_numpy(is_flag),
        condition=torch.from_numpy(condition + conditions_of(refines) * (number == 2)), cell=cell,
        value=_values(groups, own[:, :, OWN], rank, is_flag, step) - cell,
    )  # fmt: skip


def _coarser(groups: Sequence[Group], near: np.ndarray) -> Tensor:
    """Cells of the coarser level in 3x3 blocks, dequantised, [G, n, 9, 64]."""
    blocks = [group.coded.coarser for group in groups]
    return _gathered([each[numbers] for each, numbers in zip(blocks, near, strict=True) if each is not None])


def _in_steps(own: Tensor, rank: np.ndarray, step: Tensor) -> Tensor:
    """The coefficient of each position, [G, n]."""
    found: Tensor = own[torch.arange(len(own)), :, torch.from_numpy(rank)] / step[:, :, 0]
    return found.round()


def _gathered(arrays: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).float()


def _values(groups: Sequence[Group], own: Tensor, rank: np.ndarray, is_flag: np.ndarray, step: Tensor) -> Tensor:
    """What is coded, [G, n]."""
    ends = np.stack([group.coded.ends[group.blocks] for group in groups])
    flags = torch.from_numpy(ends > rank[:, None]).float()
    return torch.where(torch.from_numpy(is_flag)[:, None], flags, _in_steps(own, rank, step))


def _segments(groups: Sequence[Group], condition: np.ndarray) -> np.ndarray:
    """Segments of conditions. A finer level is one, in which no block is known to have ended."""
    return np.zeros_like(condition) if groups[0].file.refines else SEGMENT_OF[condition]


def _state(groups: Sequence[Group], near: np.ndarray, condition: np.ndarray) -> list[Tensor]:
    """Which of 3x3 blocks are inside, and which of those a flag has not declared to have ended; the own one is 0."""
    inside = np.stack([group.coded.inside[numbers] for group, numbers in zip(groups, near, strict=True)])
    ends = np.stack([group.coded.ends[numbers] for group, numbers in zip(groups, near, strict=True)])
    is_later = order.IS_FLAG[condition][:, None] & ~order.CAUSAL  # their flag of this segment is not known yet
    ended_from = order.ENDED_FROM[_segments(groups, condition)[:, None] - is_later][:, None]
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
    known = torch.from_numpy(order.KNOWN_OF_OTHERS[condition]) | groups[0].file.refines
    segment, rank = _segments(groups, condition), RANK_OF[condition]
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
