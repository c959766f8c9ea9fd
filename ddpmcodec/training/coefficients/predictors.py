"""What the predictors of a new network begin as: means over blocks and frequencies, and least squares.

A predictor adds up known coefficients with weights. Sums of magnitudes tell how large a coefficient may be, linear sums
predict it. From random weights they learn poorly (docs/experiments/jpeg.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ddpmcodec.training.coefficients import order
from ddpmcodec.training.coefficients.order import NEAR, OWN, RANK_OF, VALUES
from ddpmcodec.training.coefficients.positions import Seen

LUMA, CB = NEAR, NEAR + 1  # the blocks after those of 3x3
ABOVE, LEFT, RIGHT, BELOW = 1, 3, 5, 7
AROUND, CORNERS = tuple(n for n in range(NEAR) if n != OWN), (0, 2, 6, 8)
ROW, COLUMN = -1.0, -2.0  # in place of a distance: the frequencies of the same row or column
FAR = 9.0  # a distance beyond all frequencies that matter
# By sum of magnitudes: the blocks that it is a mean of, and up to which distance in frequency.
PATTERNS: tuple[tuple[tuple[int, ...], float], ...] = (
    ((OWN,), 2.3), ((ABOVE, LEFT), 1.1), (AROUND, 1.5), (tuple(range(NEAR)), 3.2), ((LUMA,), 1.5), ((CB,), 1.1),
    ((ABOVE, LEFT), 0.0), ((RIGHT, BELOW), 1.5), ((LEFT,), 1.5), ((ABOVE,), 1.5), ((RIGHT,), 1.5), ((BELOW,), 1.5),
    ((OWN,), ROW), ((OWN,), COLUMN), (CORNERS, 2.3), ((OWN,), FAR),
)  # fmt: skip
MAGNITUDES, LINEAR = len(PATTERNS), 5  # sums
WIDEST = 3  # of the patterns
LEAST_WEIGHT = 1e-4  # of a magnitude, so that it has a logarithm that can grow
RIDGE, LEAST_SIZE = 0.02, 0.02
FIRST_OF_CELL, FIRST_OF_NEIGHBOUR = -0.4, 0.1  # weights of the first sum of a finer level
LAST_PREDICTED = (36, 24)  # ranks of luma, and of chroma, from which least squares were worse than nothing


def patterns(entries: int, refines: bool = False) -> Tensor:
    """Return logarithms of the weights of magnitudes in a component, [conditions, sums, entries]. refines: of a finer
    level, where something is known of all coefficients."""
    found = np.zeros((order.conditions_of(refines), MAGNITUDES, entries // VALUES, VALUES))
    for condition in range(len(found)):
        known = np.concatenate([order.KNOWN[condition] | refines, np.ones((2, VALUES), bool)])[: entries // VALUES]
        near = _within(int(RANK_OF[condition]))
        for number, (blocks, distance) in enumerate(PATTERNS):
            chosen = [block for block in blocks if block < len(known)]
            weights = np.zeros_like(known)
            weights[chosen] = near[distance] & known[chosen]
            if not weights.any():
                weights[chosen] = known[chosen]
            found[condition, number] = weights / max(1, weights.sum())
    return torch.from_numpy(np.log(found + LEAST_WEIGHT)).float().flatten(2)


def _within(rank: int) -> dict[float, np.ndarray]:
    """By distance of `PATTERNS`, which ranks are within it of a rank, bool [64]."""
    down, across = order.ROWS - order.ROWS[rank], order.COLUMNS - order.COLUMNS[rank]
    found = {distance: np.hypot(down, across) <= distance for _, distance in PATTERNS if distance >= 0}
    return {**found, ROW: down == 0, COLUMN: across == 0}


class Statistics(NamedTuple):
    """What is measured of a component's coefficients before training.

    Attributes:
        scale: size of the coded coefficient as a multiple of that of each entry, [conditions, entries]; 0 for entries
            that are never known or never nonzero.
        weights: of the linear prediction by least squares, for dequantised coefficients, [conditions, entries].
    """

    scale: Tensor
    weights: Tensor


def measure(draw: Callable[[int], Seen], entries: int, last: int) -> Statistics:
    """Measure the positions that `draw(condition)` gives. last: rank from which nothing is predicted."""
    scale, weights = torch.zeros(VALUES, entries), torch.zeros(VALUES, entries)
    means = patterns(entries)[:, WIDEST].exp()
    for rank in range(VALUES):
        gram = _gram(draw(rank), means[rank])
        sizes = gram.diagonal().sqrt()
        scale[rank] = torch.where(sizes[:-1] > 0, sizes[-1] / sizes[:-1].clamp(min=LEAST_SIZE), 0.0)
        if rank < last:
            weights[rank] = _solved(gram)
    return Statistics(scale[RANK_OF], weights[RANK_OF])  # flags have those of the first coefficient


def measure_cells(draw: Callable[[int], Seen], entries: int) -> Statistics:
    """Measure positions of a finer level. Least squares were worse than nothing there: the first sum begins as how the
    same frequency of the blocks around differs from the cell."""
    scale, weights = torch.zeros(VALUES, entries), torch.zeros(VALUES, entries)
    means = patterns(entries, refines=True)[:, WIDEST].exp()
    for rank in range(VALUES):
        sizes, own = _gram(draw(rank), means[rank]).diagonal()[:-1].sqrt(), OWN * VALUES + rank
        scale[rank] = torch.where(sizes > 0, sizes[own].clamp(min=LEAST_SIZE) / sizes.clamp(min=LEAST_SIZE), 0.0)
        scale[rank, own], weights[rank, own] = 1.0, FIRST_OF_CELL
        around = [block * VALUES + rank for block in (ABOVE, LEFT, RIGHT, BELOW)]
        weights[rank, around] = FIRST_OF_NEIGHBOUR * scale[rank, around]
    return Statistics(scale, weights)


def _gram(seen: Seen, means: Tensor) -> Tensor:
    """Mean products of entries and, last, of what is coded, [entries + 1, entries + 1]. A position counts by how small
    the coefficients around it are."""
    step, magnitudes = seen.step[:, None], seen.entries.abs()
    size = step / 2 + magnitudes @ means + magnitudes.mean(2) / 50
    columns = torch.cat([seen.entries, (seen.value * step)[:, :, None]], 2) / size[:, :, None]
    flat = columns.flatten(0, 1)
    return flat.mT @ flat / len(flat)


def _solved(gram: Tensor) -> Tensor:
    """The ridge regression of the last column by the others."""
    sizes = gram.diagonal()[:-1]
    is_known, scale = sizes > 0, sizes.clamp(min=1e-9).sqrt()
    normal = gram[:-1, :-1] / scale[:, None] / scale
    normal += torch.diag(torch.where(is_known, RIDGE, 1.0))
    solved: Tensor = torch.linalg.solve(normal, gram[:-1, -1] / scale) / scale
    return solved * is_known
