"""Nested dead-zone cells: what a noise level says of a coefficient.

At noise level s (standard deviation in grey levels of RGB) a coefficient is known to a cell that is s sqrt(12) wide in
an orthonormal transform of RGB: D = s sqrt(12) / (gain sqrt(weight)) wide in its own units, with the gain of its band
(`pyramid`) and the weight of its channel (`color.RGB_WEIGHTS`). Cell k holds the x of one sign with
k D <= |x| < (k + 1) D; the dead zone k = 0 has both signs and is twice as wide. Halving D cuts every cell in two or
three, so that the cells of a smaller level lie inside those of a larger one: levels are powers of two times each other.

Level 0 (`EXACT`) stands for exact values. Larger levels are named by their orthonormal cell width
w = s sqrt(12): 64, 32, ...
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXACT = 0  # the level at which values are exact
LARGEST_LUMA, LARGEST_CHROMA = 255, 510  # differences of the pyramid
_TWELFTHS = (36, 6, 9)  # twelve times color.RGB_WEIGHTS
FRACTION = 16  # bits
ESTIMATE_NUM, ESTIMATE_SHIFT = 3, 3  # the value that stands for a cell: 3/8 of its width above its smaller bound


def cell_width(band: int, channel: int, level: int) -> int:
    """D in 2^-16 of a unit, an integer that doubles with the level. band: number, 1 the finest.

    D_1^2 = 2^32 2^(2 - band) 12 / twelfths.
    """
    return isqrt((12 << (32 + 2)) // (_TWELFTHS[channel] << band)) * level


def cell_widths(band: int, level: int, channels: int) -> NDArray[np.int64]:
    """D of every channel, int64 [channels] in 2^-16; 1 << 16 where values are exact."""
    widths = [cell_width(band, channel, level) for channel in range(channels)]
    return np.array([max(width, 1 << FRACTION) for width in widths], np.int64)


def cells_of(values: NDArray[Any], widths: NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Ranges (lo, hi), int16 [..., C], of the cells that coefficients [..., C] lie in.

    >>> lo, hi = cells_of(np.array([[5], [-1]]), np.array([2 << 16]))
    >>> lo.ravel().tolist(), hi.ravel().tolist()
    ([4, -1], [5, 1])
    """
    size = np.abs(values.astype(np.int64))
    index = (size << FRACTION) // widths
    near = -(-index * widths >> FRACTION)
    far = -(-(index + 1) * widths >> FRACTION) - 1
    negative, dead = values < 0, index == 0
    lo = np.where(dead | negative, -far, near)
    hi = np.where(dead | ~negative, far, -near)
    return lo.astype(np.int16), hi.astype(np.int16)


def unknown(shape: tuple[int, ...]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Ranges of coefficients [..., C] that nothing is known of."""
    hi = np.full(shape, LARGEST_LUMA, np.int16)
    hi[..., 1:] = LARGEST_CHROMA
    return -hi, hi


def estimates(lo: NDArray[np.int16], hi: NDArray[np.int16]) -> NDArray[np.int16]:
    """The value, int16, that stands for a range where others are predicted from it: 0 in a dead zone."""
    inward = ((hi - lo) * ESTIMATE_NUM) >> ESTIMATE_SHIFT
    return np.where(lo > 0, lo + inward, np.where(hi < 0, hi - inward, 0)).astype(np.int16)
