"""What an image teaches while it is coded: how surprising its dimensions are, and how they move together.

Local networks predict from what is around a pixel; they do not know whether they are right in this image. Photographs
differ in noise, sharpness and processing, and a pixel's surprise tells much about the next one's. So both sides correct
the laws that dimensions are coded under, from all that the same step told before, by stochastic gradient descent on its
code length: scales by the sum of a correction for each of three contexts (the predicted scale; how surprising the other
channels of the pixel were; how surprising its neighbours were), means by a gain on the residuals of other channels.

With u = (x - mean) / scale, the code length of a logistic changes by 1 - u tanh(u/2) with the logarithm of its scale,
and by -tanh(u/2) with its mean in scales. All in integers, as `ans.logistic`, whose table holds the tanh.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans.logistic import EIGHT_SCALES, SCALES, distance_in_scales, slope
from ddpmcodec.networks.local import CONTEXTS, GAINS

CLASSES = 6  # of surprise
SCALE_CLASSES = 8
PIXEL_CONTEXT = SCALE_CLASSES  # the first of those by the other channels of the pixel: none, one, two of them
NEIGHBOUR_CONTEXT = PIXEL_CONTEXT + 1 + CLASSES * CLASSES  # and of those by neighbours: none is told, or a class
assert CONTEXTS == NEIGHBOUR_CONTEXT + 1 + CLASSES
FIRST_COUNT, LAST_COUNT = 50, 200  # dimensions that a correction counts as the mean of: at first, and at most
SURPRISES = (32, 64, 109, 166, 256)  # 64 |u| that classes of surprise begin at
SCORE_LIMIT = 6 << 16
GAIN_ONE, GAIN_LIMIT = 24, 2 << 24  # bits of fraction
NOT_TOLD = -1

kernel = numba.njit(cache=True, nogil=True)


class Adaptation(NamedTuple):
    """What a step has taught so far."""

    corrections: NDArray[np.int64]  # of scales [3, CONTEXTS], in 2^-16 of an index
    counts: NDArray[np.int64]  # [3, CONTEXTS]
    gains: NDArray[np.int64]  # of red, green for each channel [3, 2], 24 bits of fraction
    surprise: NDArray[np.int16]  # 64 |u| of what this step told [H, W, 3]; NOT_TOLD elsewhere


def start(law: NDArray[np.int64], height: int, width: int) -> Adaptation:
    """Before a step of an image. law: [3, CONTEXTS + GAINS], what the model's training images taught."""
    return Adaptation(
        law[:, :CONTEXTS].copy(),
        np.full((3, CONTEXTS), FIRST_COUNT, np.int64),
        law[:, CONTEXTS:].copy(),
        np.full((height, width, 3), NOT_TOLD, np.int16),
    )


def none() -> Adaptation:
    """Of a step that adapts to nothing."""
    return start(np.zeros((3, CONTEXTS + GAINS), np.int64), 0, 0)


def law_of(adaptation: Adaptation) -> NDArray[np.int64]:
    """What was learned, as `start` takes it."""
    return np.concatenate([adaptation.corrections, adaptation.gains], 1)


@kernel
def _class(surprise):  # type: ignore[no-untyped-def]
    found = 0
    for threshold in SURPRISES:
        if surprise >= threshold:
            found += 1
    return found


@kernel
def contexts(adaptation, scale, y, x, channel, distance):  # type: ignore[no-untyped-def]
    """Columns of the three corrections of a dimension. distance: of the lattice that its neighbours are on."""
    surprise = adaptation.surprise
    height, width, _ = surprise.shape
    by_scale = min(max((np.int64(scale) - 24) // 12, 0), SCALE_CLASSES - 1)
    by_pixel = PIXEL_CONTEXT
    if channel == 1:
        by_pixel += 1 + _class(surprise[y, x, 0])
    elif channel == 2:
        by_pixel += 1 + CLASSES * _class(surprise[y, x, 0]) + _class(surprise[y, x, 1])
    total, told = np.int64(0), np.int64(0)
    for v, u in ((y, x - distance), (y - distance, x), (y - distance, x + distance), (y - distance, x - distance)):
        if 0 <= v < height and 0 <= u < width and surprise[v, u, channel] != NOT_TOLD:
            total, told = total + surprise[v, u, channel], told + 1
    by_neighbours = NEIGHBOUR_CONTEXT
    if told:
        by_neighbours += 1 + _class(13 * total // (10 * told))
    return by_scale, by_pixel, by_neighbours


@kernel
def corrected(adaptation, where, mean, scale, channel, red, green):  # type: ignore[no-untyped-def]
    """(mean, scale index) that a dimension is coded under. red, green: residuals of the channels before it."""
    moved = (adaptation.gains[channel, 0] * red + adaptation.gains[channel, 1] * green) >> GAIN_ONE
    limit = EIGHT_SCALES[scale] >> 2
    mean = min(max(mean + min(max(moved, -limit), limit), np.int64(-32767)), np.int64(32767))
    correction = np.int64(0)
    for context in where:
        correction += adaptation.corrections[channel, context]
    return mean, min(max(np.int64(scale) + ((correction + (1 << 15)) >> 16), 0), SCALES - 1)


@kernel
def learn(adaptation, where, pixel, law, predicted, y, x, channel, red, green):  # type: ignore[no-untyped-def]
    """A dimension turned out to be `pixel`. law, predicted: (mean, scale index), corrected and not."""
    mean, scale = law
    away = 64 * pixel - mean
    u = distance_in_scales(abs(away), scale)
    steep = slope(u)
    score = min(((u * steep) >> 6) - (1 << 16), SCORE_LIMIT)
    for context in where:
        count = adaptation.counts[channel, context]
        adaptation.corrections[channel, context] += 12 * score // count
        adaptation.counts[channel, context] = min(count + 1, LAST_COUNT)
    steep = steep if away >= 0 else -steep
    for other, residual in enumerate((red, green)):
        if other < channel:
            q = min(max(np.int64(adaptation.surprise[y, x, other]), 0), 256)
            product = steep * q if residual >= 0 else -(steep * q)
            gain = adaptation.gains[channel, other] + (product >> 7)
            adaptation.gains[channel, other] = min(max(gain, -GAIN_LIMIT), GAIN_LIMIT)
    unmoved, first = predicted
    adaptation.surprise[y, x, channel] = min(distance_in_scales(abs(64 * pixel - unmoved), first), 32767)
