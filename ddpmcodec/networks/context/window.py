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
_COARSE = np.array(COARSE_PLACES, np.int64)
_CODED = np.array(CODED_PLACES, np.int64)


def padded(planes: NDArray[np.int16], edge: bool) -> NDArray[np.int16]:
    """[N, height, width, 3] with its margin, int16 [N, height + 6, 3 (width + 6)]; edge: repeat it, instead of zeros."""
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
def _coarse_window(coarse, y, x, row):  # type: ignore[no-untyped-def]
    first = CHANNELS * x
    middle = coarse[y + REACH, first + CHANNELS * REACH :]
    m0, m1, m2 = middle[0], middle[1], middle[2]
    for i in range(SIDE):
        source, target = coarse[y + i, first : first + ROW], row[i * ROW : i * ROW + ROW]
        for j in range(SIDE):
            target[3 * j] = _input(np.int16(source[3 * j] - m0))
            target[3 * j + 1] = _input(np.int16(source[3 * j + 1] - m1))
            target[3 * j + 2] = _input(np.int16(source[3 * j + 2] - m2))
    centre = REACH * ROW + REACH * CHANNELS
    row[centre] = np.uint8(min(max(m0, np.int16(0)), np.int16(255)))
    row[centre + 1] = np.uint8((min(max(m1, np.int16(-255)), np.int16(255)) >> np.int16(1)) + np.int16(ZERO))
    row[centre + 2] = np.uint8((min(max(m2, np.int16(-255)), np.int16(255)) >> np.int16(1)) + np.int16(ZERO))


@kernel
def _band_row(source, first, last, row):  # type: ignore[no-untyped-def]
    for k in range(first, last):
        row[k] = _input(source[k])


@kernel
def gather(coarse, coded, known, y, x, row, around):  # type: ignore[no-untyped-def]
    """The context of position (y, x).

    coarse: the coarse image; coded: estimates of the band, of which those before (y, x) in coding order are read;
    known: the same, of which the others are. Fills row uint8 [INPUTS], and around int16 [3, PLACES]: values at
    `COARSE_PLACES` less the centre, and at `CODED_PLACES`.
    """
    _coarse_window(coarse, y, x, row)
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
    for c in range(CHANNELS):
        middle_value = coarse[y + REACH, first + own + c]
        for j in range(len(_COARSE)):
            place = first + own + CHANNELS * _COARSE[j, 1] + c
            around[c, j] = coarse[y + REACH + _COARSE[j, 0], place] - middle_value
        for j in range(len(_CODED)):
            place = first + own + CHANNELS * _CODED[j, 1] + c
            around[c, len(_COARSE) + j] = coded[y + REACH + _CODED[j, 0], place]


@kernel
def _gather_many(coarse, coded, known, images, ys, xs, rows, around):  # type: ignore[no-untyped-def]
    for k in range(len(ys)):
        n = images[k]
        gather(coarse[n], coded[n], known[n], ys[k], xs[k], rows[k], around[k])


def gather_many(
    coarse: NDArray[np.int16], coded: NDArray[np.int16], known: NDArray[np.int16], at: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Contexts of positions at [K, 3] (image, y, x), of arrays [N, ...] with their margins: rows uint8 [K, INPUTS],
    around int16 [K, 3, PLACES]."""
    rows = np.empty((len(at), INPUTS), np.uint8)
    around: NDArray[Any] = np.empty((len(at), CHANNELS, PLACES), np.int16)
    _gather_many(coarse, coded, known, at[:, 0], at[:, 1], at[:, 2], rows, around)
    return rows, around
