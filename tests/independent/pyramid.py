"""Bands, cells and bounds of noise levels, without ddpmcodec: written from docs/format.md alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.int64]
SHARES = (36, 6, 9)
FAR = 2048


class Range(NamedTuple):
    lo: int
    hi: int

    def both(self, other: Range) -> Range:
        return Range(max(self.lo, other.lo), min(self.hi, other.hi))

    @property
    def is_exact(self) -> bool:
        return self.lo == self.hi


class Band(NamedTuple):
    number: int
    turned: bool
    height: int
    width: int


def bands_of(height: int, width: int) -> list[Band]:
    """Finest first."""
    bands, sides, axis = list[Band](), [height, width], 1
    while max(sides) > 1:
        if sides[axis] > 1:
            half = sides[axis] // 2
            bands.append(Band(len(bands) + 1, axis == 0, sides[1 - axis], half))
            sides[axis] -= half
        axis = 1 - axis
    return bands


def turned(plane: Plane) -> Plane:
    return plane.transpose(1, 0, 2)


def synthesised(coarse: Plane, differences: Plane) -> Plane:
    """The finer image. coarse, and the result: as the band is stored."""
    pairs = differences.shape[1]
    fine = np.zeros((coarse.shape[0], coarse.shape[1] + pairs, 3), np.int64)
    first = coarse[:, :pairs] + (differences + 1 >> 1)
    fine[:, 0 : 2 * pairs : 2], fine[:, 1 : 2 * pairs : 2] = first, first - differences
    fine[:, 2 * pairs :] = coarse[:, pairs:]
    return fine


def to_grb(ycocg: Plane) -> Plane:
    y, co, cg = np.moveaxis(ycocg, -1, 0)
    middle = y - (cg >> 1)
    blue = middle - (co >> 1)
    return np.stack([middle + cg, blue + co, blue], -1)


def to_ycocg(green: int, red: int, blue: int) -> tuple[int, int, int]:
    co = red - blue
    middle = blue + (co >> 1)
    cg = green - middle
    return middle + (cg >> 1), co, cg


def cell_width(band: int, channel: int, level: int) -> int:
    return max(math.isqrt((12 << 34) // (SHARES[channel] << band)) * level, 1 << 16)


def cell_of(value: int, known: Range, width: int) -> Range:
    index = (abs(value) << 16) // width
    near, far = -(-index * width >> 16), -(-(index + 1) * width >> 16) - 1
    if index == 0:
        return known.both(Range(-far, far))
    return known.both(Range(near, far) if value > 0 else Range(-far, -near))


def estimate_of(lo: Plane, hi: Plane) -> Plane:
    inward = (hi - lo) * 3 >> 3
    return np.where(lo > 0, lo + inward, np.where(hi < 0, hi - inward, 0))


Bounds = list[Range]
NO_BOUNDS = [Range(-FAR, FAR)] * 3


class Cells(NamedTuple):
    """What is known of the coefficients of a band."""

    lo: Plane
    hi: Plane

    def at(self, y: int, x: int, c: int) -> Range:
        return Range(int(self.lo[y, x, c]), int(self.hi[y, x, c]))


def bounds_of(
    along_rows: Cells | None, along_columns: Cells | None, y: int, x: int, exact: Callable[[int, int], tuple[int, ...]]
) -> Bounds:
    """Bounds of Y, Co and Cg of a pixel, by those before it in its block of 2x2."""
    (v, below), (u, right) = divmod(y, 2), divmod(x, 2)
    if along_rows is None or not (right or below) or u >= along_rows.lo.shape[1]:
        return NO_BOUNDS
    left = exact(y, x - 1) if right else (0, 0, 0)
    above = [exact(y - 1, 2 * u + j) for j in (0, 1)] if below else []
    bounds = list[Range]()
    for c in range(3):
        d = along_rows.at(y, u, c)
        beside = Range(left[c] - d.hi, left[c] - d.lo)
        if not below or along_columns is None:
            bounds.append(beside)
            continue
        top, e = above[0][c] + above[1][c] >> 1, along_columns.at(u, v, c)
        s = Range(top - e.hi, top - e.lo)
        if right:
            bounds.append(beside.both(Range(2 * s.lo - left[c], 2 * s.hi + 1 - left[c])))
        else:
            bounds.append(Range(s.lo + (d.lo + 1 >> 1), s.hi + (d.hi + 1 >> 1)))
    return bounds


def remaining(bounds: Bounds, c: int, green: int, red: int, known: Range) -> Range:
    """The values that a channel may have, once those before it are known."""
    luma, co, cg = bounds
    if c == 0:
        found = Range(luma.lo + (cg.lo + 1 >> 1), luma.hi + (cg.hi + 1 >> 1))
    else:
        both = Range(2 * (green - luma.hi) - 1, 2 * (green - luma.lo)).both(cg)
        middle = Range(green - both.hi, green - both.lo)
        if c == 1:
            found = Range(middle.lo + (co.lo + 1 >> 1), middle.hi + (co.hi + 1 >> 1))
        else:
            by_red = Range(2 * (red - middle.hi) - 1, 2 * (red - middle.lo)).both(co)
            found = Range(red - by_red.hi, red - by_red.lo)
    left = known.both(found)
    return left if left.lo <= left.hi else known
