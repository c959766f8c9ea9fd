"""The S-transform pyramid: an integer Haar transform, halving columns, rows, columns, ... until one pixel is left.

A pair (a, b) becomes l = (a + b) >> 1 and h = a - b (Heer & Reinfelder 1990; Said & Pearlman 1996). A last odd column
or row passes into the coarse image as it is. Band n holds the differences of the n-th halving, n = 1 the finest; an
orthonormal transform would have them times 2^((n - 2) / 2).

A band is stored as if it halved columns: of a halving of rows, the coarse image and the differences are transposed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.int16]  # [N, height, width, channels]


class Band(NamedTuple):
    """Geometry of a halving. number: 1 the finest."""

    number: int
    transposed: bool  # rows are halved
    height: int  # of the differences, as stored
    width: int
    coarse_width: int  # of the coarse image, as stored: width, or one more

    @property
    def positions(self) -> int:
        return self.height * self.width


def bands(height: int, width: int) -> list[Band]:
    """The bands of an image, finest first; none for a single pixel.

    >>> [(b.height, b.width, b.transposed) for b in bands(2, 4)]
    [(2, 2, False), (2, 1, True), (1, 1, False)]
    """
    found: list[Band] = []
    by_rows = False
    while height > 1 or width > 1:
        if (height if by_rows else width) > 1:
            length, other = (height, width) if by_rows else (width, height)
            found.append(Band(len(found) + 1, by_rows, other, length // 2, length - length // 2))
            height, width = (found[-1].coarse_width, width) if by_rows else (height, found[-1].coarse_width)
        by_rows = not by_rows
    return found


def turned(planes: NDArray[Any], band: Band) -> NDArray[Any]:
    """[N, H, W, C] as `band` stores it, or back again."""
    return np.ascontiguousarray(planes.transpose(0, 2, 1, 3)) if band.transposed else planes


def analyse(planes: Planes) -> tuple[Planes, list[Planes]]:
    """The root, int16 [N, 1, 1, C], and the differences of every band, finest first, as stored."""
    differences = []
    for band in bands(*planes.shape[1:3]):
        fine = turned(planes, band)
        a, b = fine[:, :, 0 : 2 * band.width : 2], fine[:, :, 1::2]
        differences.append(a - b)
        coarse = fine[:, :, ::2].copy()
        coarse[:, :, : band.width] = (a + b) >> 1
        planes = turned(coarse, band)
    return planes, differences


def synthesise_band(coarse: Planes, difference: Planes, band: Band) -> Planes:
    """The finer image of a coarse image and its differences, both as stored; the result is upright."""
    images, height, coarse_width, channels = coarse.shape
    fine = np.empty((images, height, coarse_width + band.width, channels), np.int16)
    first = coarse[:, :, : band.width] + ((difference + 1) >> 1)
    fine[:, :, 0 : 2 * band.width : 2] = first
    fine[:, :, 1::2] = first - difference
    fine[:, :, 2 * band.width :] = coarse[:, :, band.width :]
    return turned(fine, band)


def synthesise(root: Planes, differences: list[Planes], height: int, width: int) -> Planes:
    """The inverse of `analyse`: int16 [N, height, width, C]."""
    planes = root
    for band, difference in reversed(list(zip(bands(height, width), differences, strict=True))):
        planes = synthesise_band(turned(planes, band), difference, band)
    return planes
