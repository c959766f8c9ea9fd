"""The order in which the coefficients of a JPEG file are coded, as tables by condition.

Ranks are those of the zigzag. Condition r, below 64, is the coefficient at rank r. The last conditions are the flags of
some segments, which declare whether anything at the first rank of the segment or later is nonzero.

First come cells, several steps wide if steps are small. Each finer level then says in which of the three parts of its
cell a coefficient is, from the highest rank to the lowest. It has no flags.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ddpmcodec._native import MOST_JPEG_LEVELS

SIDE, VALUES = 8, 64  # of a block
NEAR = 9  # blocks of 3x3, in raster order; the own one is in the middle
OWN = NEAR // 2
STARTS = (0, 1, 3, 6, 10, 15, 21, 28, 36)  # first ranks of segments
ENDS = (*STARTS[1:], VALUES)
FLAGGED = (2, 4, 6, 8)  # segments that begin with flags
CONDITIONS = VALUES + len(FLAGGED)  # of a component
WINDOW = 5  # side of the window of frequencies around the coded one
CELL_PARTS, WIDEST_CELL = 3, 27  # cells of a level in one of the next coarser level; dequantised units


def conditions_of(refines: bool) -> int:
    """Return how many conditions a component has at the coarsest level, or at finer ones."""
    return VALUES if refines else CONDITIONS


def _zigzag() -> list[tuple[int, int]]:
    """Rows and columns by rank: diagonals, every other one downwards."""
    places = [(row, column) for row in range(SIDE) for column in range(SIDE)]
    return sorted(places, key=lambda place: (sum(place), place[sum(place) % 2 == 0]))


ROWS, COLUMNS = np.array(_zigzag()).T  # [64] by rank
RANKS = np.argsort(ROWS * SIDE + COLUMNS)  # [64] by raster order
SEGMENTS = np.searchsorted(STARTS, np.arange(VALUES), side="right") - 1  # by rank
SEGMENT_OF = np.concatenate([SEGMENTS, FLAGGED])  # by condition, as all below
RANK_OF = np.concatenate([np.arange(VALUES), np.array(STARTS)[[*FLAGGED]]])
IS_FLAG = np.arange(CONDITIONS) >= VALUES
CAUSAL = np.arange(NEAR) < OWN  # the blocks before the own one
# In segment s, blocks without anything nonzero from this rank on are known to have ended; 0: none are.
ENDED_FROM = np.array([max((STARTS[f] for f in FLAGGED if f <= s), default=0) for s in range(len(STARTS))])


def _known() -> np.ndarray:
    """Which ranks of 3x3 blocks are known, bool [conditions, 9, 64]."""
    ranks = np.arange(VALUES)
    known = np.repeat((ranks < RANK_OF[:, None])[:, None], NEAR, 1)
    known |= (ranks == RANK_OF[:, None])[:, None] & CAUSAL[:, None] & ~IS_FLAG[:, None, None]
    return known


def _window() -> tuple[np.ndarray, np.ndarray]:
    """Ranks of the window, int [conditions, 25], and which of them exist."""
    reach = np.arange(WINDOW) - WINDOW // 2
    rows, columns = (np.add.outer(places[RANK_OF], reach) for places in (ROWS, COLUMNS))
    row, column = np.repeat(rows, WINDOW, 1), np.tile(columns, WINDOW)
    exists = (row >= 0) & (row < SIDE) & (column >= 0) & (column < SIDE)
    return np.where(exists, RANKS[(row * SIDE + column) % VALUES], 0), exists


def _known_exactly() -> NDArray[np.bool_]:
    """Which ranks of 3x3 blocks are known at a finer level as at its end, bool [64, 9, 64]."""
    ranks = np.arange(VALUES)
    known = np.repeat((ranks > ranks[:, None])[:, None], NEAR, 1)
    known |= (ranks == ranks[:, None])[:, None] & CAUSAL[:, None]
    return known


def coarsest_levels(steps: NDArray[np.generic], levels: int = MOST_JPEG_LEVELS) -> NDArray[np.int64]:
    """Return the level of the widest cells that steps have, of so many levels besides the exact one.

    >>> coarsest_levels(np.array([1, 2, 9, 10, 40]))
    array([3, 2, 1, 0, 0])
    """
    widths = np.multiply.outer(CELL_PARTS ** np.arange(1, levels + 1), steps.astype(np.int64))
    found: NDArray[np.int64] = np.sum(widths <= WIDEST_CELL, 0)
    return found


KNOWN, KNOWN_EXACTLY = _known(), _known_exactly()
WINDOW_RANKS, WINDOW_EXISTS = _window()
# Of components that are coded before, [conditions, 64].
KNOWN_OF_OTHERS = np.arange(VALUES) < np.array(ENDS)[SEGMENT_OF][:, None]
