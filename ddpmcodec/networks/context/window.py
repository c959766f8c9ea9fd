"""What the context model sees of a position: windows of the coarse image and of its band, as inputs of eight bits.

Arrays come with a margin of `REACH` on all sides, channels inside: int16 [height + 6, 3 (width + 6)]. The coarse image
repeats its edge there; outside a band there are zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import compiled

REACH = 3
SIDE = 2 * REACH + 1
CHANNELS = 3
ROW = SIDE * CHANNELS  # values of a row of a window
WINDOW = SIDE * ROW
INPUTS = 2 * WINDOW + 2  # and two zeros: a multiple of four
ZERO = 128  # the input that stands for 0
# Places whose values are averaged into the predicted mean: 5x5 of the coarse image without its centre, which they are
# differences to; and what the step has coded nearest in the band. (down, right)
COARSE_PLACES = tuple((y, x) for y in range(-2, 3) for x in range(-2, 3) if (y, x) != (0, 0))
CODED_PLACES = ((0, -1), (0, -2), (-1, -1), (-1, 0), (-1, 1), (-2, 0))
PLACES = len(COARSE_PLACES) + len(CODED_PLACES)

kernel = compiled.kernel(error_model="numpy")
inline = compiled.kernel(error_model="numpy", inline="always")
assert (len(COARSE_PLACES), len(CODED_PLACES)) == (24, 6)  # as `_around` has them


def padded(planes: NDArray[np.int16], edge: bool) -> NDArray[np.int16]:
    """[N, height, width, 3] with its margin: int16 [N, height + 6, 3 (width + 6)]. edge: repeat it, not zeros."""
    around = ((0, 0), (REACH, REACH), (REACH, REACH), (0, 0))
    wide = np.pad(planes, around, mode="edge") if edge else np.pad(planes, around)
    return np.ascontiguousarray(wide.reshape(*wide.shape[:2], -1))


@inline
def _input(difference):  # type: ignore[no-untyped-def]
    """Small differences as they are, larger ones in quarters, at most 127; plus 128."""
    size = abs(difference)
    small = min(size, np.int16(64)) + (max(size - np.int16(64), np.int16(0)) >> np.int16(2))
    bounded = min(small, np.int16(127))
    return np.uint8((bounded if difference >= 0 else -bounded) + np.int16(ZERO))


@kernel
def _coarse_window(coarse, y, x, row, middle):  # type: ignore[no-untyped-def]
    first = CHANNELS * x
    for k in range(ROW):
        middle[k] = coarse[y + REACH, first + CHANNELS * REACH + k % CHANNELS]
    for i in range(SIDE):
        source, target = coarse[y + i, first : first + ROW], row[i * ROW : i * ROW + ROW]
        for k in range(ROW):  # one loop over all channels: it is vectorised
            target[k] = _input(np.int16(source[k] - middle[k]))
    centre = REACH * ROW + REACH * CHANNELS
    row[centre] = np.uint8(min(max(middle[0], np.int16(0)), np.int16(255)))
    for c in range(1, CHANNELS):
        half = min(max(middle[c], np.int16(-255)), np.int16(255)) >> np.int16(1)
        row[centre + c] = np.uint8(half + np.int16(ZERO))


@kernel
def _band_row(source, first, last, row):  # type: ignore[no-untyped-def]
    for k in range(first, last):
        row[k] = _input(source[k])


@kernel
def gather(coarse, coded, known, y, x, row, around, middle):  # type: ignore[no-untyped-def]
    """The context of position (y, x).

    coarse: the coarse image; coded: estimates of the band, of which those before (y, x) in coding order are read;
    known: the same, of which the others are. Fills row uint8 [INPUTS], and around int16 [3, PLACES]: values at
    `COARSE_PLACES` less the centre, and at `CODED_PLACES`. middle: int16 [ROW], overwritten.
    """
    _coarse_window(coarse, y, x, row, middle)
    first = CHANNELS * x
    own = CHANNELS * REACH
    for i in range(REACH):
        _band_row(coded[y + i, first : first + ROW], 0, ROW, row[WINDOW + i * ROW : WINDOW + i * ROW + ROW])
    middle = row[WINDOW + REACH * ROW : WINDOW + REACH * ROW + ROW]
    _band_row(coded[y + REACH, first : first + ROW], 0, own, middle)
    _band_row(known[y + REACH, first : first + ROW], own, ROW, middle)
    for i in range(REACH + 1, SIDE):
        _band_row(known[y + i, first : first + ROW], 0, ROW, row[WINDOW + i * ROW : WINDOW + i * ROW + ROW])
    row[2 * WINDOW] = ZERO
    row[2 * WINDOW + 1] = ZERO
    _around(coarse, coded, y, first, around)


@kernel
def _around(coarse, coded, y, first, around):  # type: ignore[no-untyped-def]
    """`COARSE_PLACES` and `CODED_PLACES`; written out, as a loop over the lists takes three times as long."""
    for i in range(5):
        source = coarse[y + REACH - 2 + i, first + CHANNELS * (REACH - 2) :]
        for j in range(5):
            place = 5 * i + j
            if place != 12:
                for c in range(CHANNELS):
                    around[c, place - (place > 12)] = source[CHANNELS * j + c]
    row, above = coded[y + REACH], coded[y + REACH - 1]
    here = first + CHANNELS * REACH
    for c in range(CHANNELS):
        middle = coarse[y + REACH, here + c]
        for j in range(24):
            around[c, j] -= middle
        around[c, 24], around[c, 25] = row[here + c - CHANNELS], row[here + c - 2 * CHANNELS]
        for j in range(3):
            around[c, 26 + j] = above[here + c + CHANNELS * (j - 1)]
        around[c, 29] = coded[y + REACH - 2, here + c]


@kernel
def _gather_many(coarse, coded, known, images, ys, xs, rows, around, middle):  # type: ignore[no-untyped-def]
    for k in range(len(ys)):
        n = images[k]
        gather(coarse[n], coded[n], known[n], ys[k], xs[k], rows[k], around[k], middle)


def gather_many(
    coarse: NDArray[np.int16], coded: NDArray[np.int16], known: NDArray[np.int16], at: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Contexts of positions at [K, 3] (image, y, x), of arrays [N, ...] with their margins: rows uint8 [K, INPUTS],
    around int16 [K, 3, PLACES]."""
    rows = np.empty((len(at), INPUTS), np.uint8)
    around: NDArray[Any] = np.empty((len(at), CHANNELS, PLACES), np.int16)
    _gather_many(coarse, coded, known, at[:, 0], at[:, 1], at[:, 2], rows, around, np.empty(ROW, np.int16))
    return rows, around
