"""A JPEG file in training: its dequantised coefficients, and groups of positions to learn from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.training.coefficients.order import (
    CONDITIONS,
    ENDED_FROM,
    ENDS,
    IS_FLAG,
    RANKS,
    SEGMENT_OF,
    SIDE,
    VALUES,
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


class Component:
    """A component as its blocks are coded.

    Attributes:
        steps: of quantisation, float32 [64] by rank.
        blocks: dequantised coefficients by rank, with a border of zeros, int16 [blocks, 64].
        stride: blocks of a row, borders included; blocks are numbered with them.
        ends: by block one more than the last nonzero rank; 0 outside.
        inside: by block, whether it is one of the component's.
        counts: how many positions each condition has, [conditions].
    """

    def __init__(self, values: Values, steps: NDArray[np.uint16]) -> None:
        """values: quantised, [rows, columns, 64] by rank."""
        self.steps, self.stride = steps.astype(np.float32), values.shape[1] + 2
        self.blocks = bordered(values.astype(np.int32) * steps)
        nonzero = values != 0
        ends = np.where(nonzero.any(2), VALUES - nonzero[:, :, ::-1].argmax(2), 0)
        self.ends = np.pad(ends, 1).astype(np.int8).reshape(-1)
        self.inside = np.pad(np.ones_like(ends), 1).astype(bool).reshape(-1)
        own = np.flatnonzero(self.inside)
        self.longest_first = own[np.argsort(-self.ends[own], kind="stable")]
        self.counts = self._counts()
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
        self.luma_on_grid = self._luma_on_grid() if len(components) > 1 else []
        self._shares = [self._share_of([0]), self._share_of([1, 2])]

    @property
    def grid(self) -> int:
        return GRIDS[self.covered]

    def _luma_on_grid(self) -> list[Values]:
        """By segment, luma as far as it is coded at the end of that segment, on the grid of chroma."""
        luma = self.components[0]
        if self.covered == (1, 1):
            return [luma.blocks] * len(ENDS)
        whole = luma.blocks.reshape(-1, luma.stride, VALUES)[1:-1, 1:-1].astype(np.float32)
        known = (np.where(np.arange(VALUES) < end, whole, 0) for end in ENDS)
        return [bordered(on_grid(values, *self.covered)) for values in known]

    def _share_of(self, components: list[int]) -> NDArray[np.float64]:
        """Cumulative shares of the positions of conditions, of components one after the other."""
        counts = [self.components[number].counts for number in components if number < len(self.components)]
        total = np.cumsum(np.concatenate([np.zeros(0, np.int64), *counts]))
        shares: NDArray[np.float64] = total / max([1, *total[-1:]])
        return shares

    def draw(self, chroma: bool, count: int, rng: np.random.Generator) -> Group:
        """Return random positions, with replacement, of a condition that is drawn by how many it has."""
        found = int(np.searchsorted(self._shares[chroma], rng.random(), side="right"))
        component, condition = divmod(found, CONDITIONS)
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
