"""What an image teaches while it is coded: how surprising its dimensions are, and how they move together.

Local networks predict from what is around a pixel; they do not know whether they are right in this image. Photographs
differ in noise, sharpness and processing, and a pixel's surprise tells much about the next one's. So both sides correct
the laws that dimensions are coded under, from all that the same step told before, by stochastic gradient descent on its
code length: scales by the sum of a correction for each of three contexts (the predicted scale; how surprising the other
channels of the pixel were; how surprising its neighbours were), means by gains on the residuals of the other channels
and of the neighbours.

With u = (x - mean) / scale, the code length of a logistic changes by 1 - u tanh(u/2) with the logarithm of its scale,
and by -tanh(u/2) with its mean in scales. All in integers, as `ans.logistic`, whose table holds the tanh.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import compiled
from ddpmcodec.ans.logistic import EIGHT_SCALES, SCALES, distance_in_scales, slope
from ddpmcodec.networks.local import CONTEXTS, GAINS

CLASSES = 6  # of surprise
SURPRISES = (32, 64, 109, 166, 256)  # 64 |u| that they begin at
SCALE_CLASSES = 8
PIXEL_CONTEXT = SCALE_CLASSES  # the first of those by the other channels of the pixel: none, one, two of them
NEIGHBOUR_CONTEXT = PIXEL_CONTEXT + 1 + CLASSES * CLASSES  # and of those by neighbours: none is told, or a class
# Neighbours whose residuals move means; the first four are those whose surprise is a context.
NEIGHBOURS = (
    (0, -1), (-1, 0), (-1, 1), (-1, -1), (0, -2), (-2, 0), (-1, 2), (-1, -2), (-2, 1), (-2, -1), (-2, 2), (-2, -2),
)  # fmt: skip
NEAREST = 4
assert (NEIGHBOUR_CONTEXT + 1 + CLASSES, 2 + len(NEIGHBOURS)) == (CONTEXTS, GAINS)

FIRST_COUNT, LAST_COUNT = 100, 400  # dimensions that a correction counts as the mean of: at first, and at most
SCORE_LIMIT = 6 << 16
CORRECTION_LIMIT = 24 << 16
NARROW = 16  # scale index, 1/16 grey level: nothing is left to gain from a narrower law
GAIN_BITS = 24  # of fraction
GAIN_LIMIT = 2 << GAIN_BITS
CHANNEL_SHIFT, NEIGHBOUR_SHIFT = 7, 8  # learning rates of gains: 1/512 and 1/1024
LARGEST = 256  # 64 |u| that a gain learns from
NOT_TOLD = -32768

kernel = compiled.kernel()


class Adaptation(NamedTuple):
    """What a step has taught so far."""

    corrections: NDArray[np.int64]  # of scales [3, CONTEXTS], in 2^-16 of an index
    counts: NDArray[np.int64]  # [3, CONTEXTS]
    gains: NDArray[np.int64]  # of red, green and the neighbours for each channel [3, GAINS]
    residuals: NDArray[np.int16]  # 64 u of what this step told, under predicted laws [H, W, 3]; NOT_TOLD elsewhere
    near: NDArray[np.int64]  # those of a dimension's neighbours, 0 where they are not told


def start(law: NDArray[np.int64], height: int, width: int) -> Adaptation:
    """Before a step of an image. law: [3, CONTEXTS + GAINS], what the model's training images taught."""
    return Adaptation(
        law[:, :CONTEXTS].copy(),
        np.full((3, CONTEXTS), FIRST_COUNT, np.int64),
        law[:, CONTEXTS:].copy(),
        np.full((height, width, 3), NOT_TOLD, np.int16),
        np.zeros(len(NEIGHBOURS), np.int64),
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
def _surprise(residuals, y, x, channel):  # type: ignore[no-untyped-def]
    residual = np.int64(residuals[y, x, channel])
    return abs(residual) if residual != NOT_TOLD else 0


@kernel
def _shown(mean):  # type: ignore[no-untyped-def]
    """The mean among grey levels, that laws are truncated to."""
    return min(max(mean, 0), 64 * 255)


@kernel
def contexts(adaptation, scale, y, x, channel, distance):  # type: ignore[no-untyped-def]
    """Columns of the three corrections of a dimension; looks at its neighbours, on a lattice of this distance."""
    residuals, near = adaptation.residuals, adaptation.near
    width = residuals.shape[1]
    total, told = np.int64(0), np.int64(0)
    for j, (down, right) in enumerate(NEIGHBOURS):
        v, u = y + distance * down, x + distance * right
        near[j] = 0
        if v >= 0 and 0 <= u < width and residuals[v, u, channel] != NOT_TOLD:
            near[j] = residuals[v, u, channel]
            if j < NEAREST:
                total, told = total + abs(near[j]), told + 1
    by_neighbours = NEIGHBOUR_CONTEXT
    if told:
        by_neighbours += 1 + _class(13 * total // (10 * told))
    by_pixel = PIXEL_CONTEXT
    if channel == 1:
        by_pixel += 1 + _class(_surprise(residuals, y, x, 0))
    elif channel == 2:
        red, green = _surprise(residuals, y, x, 0), _surprise(residuals, y, x, 1)
        by_pixel += 1 + CLASSES * _class(red) + _class(green)
    by_scale = min(max((np.int64(scale) - 24) // 12, 0), SCALE_CLASSES - 1)
    return by_scale, by_pixel, by_neighbours


@kernel
def corrected(adaptation, where, mean, scale, channel, red, green):  # type: ignore[no-untyped-def]
    """(mean, scale index) that a dimension is coded under, after `contexts` looked.

    red, green: residuals of the channels before it, in 1/64 grey level.
    """
    gains = adaptation.gains[channel]
    moved = (gains[0] * red + gains[1] * green) >> GAIN_BITS
    around = np.int64(0)
    for j in range(len(adaptation.near)):
        around += gains[2 + j] * adaptation.near[j]
    moved += ((around >> 16) * EIGHT_SCALES[scale]) >> (GAIN_BITS - 16 + 9)
    limit = EIGHT_SCALES[scale] >> 2
    mean = min(max(mean + min(max(moved, -limit), limit), np.int64(-32767)), np.int64(32767))
    correction = np.int64(0)
    for context in where:
        correction += adaptation.corrections[channel, context]
    return mean, min(max(np.int64(scale) + ((correction + (1 << 15)) >> 16), 0), SCALES - 1)


@kernel
def _learn_gain(gains, j, steep, residual, shift):  # type: ignore[no-untyped-def]
    product = steep * min(max(residual, -LARGEST), LARGEST)
    gains[j] = min(max(gains[j] + (product >> shift), -GAIN_LIMIT), GAIN_LIMIT)


@kernel
def learn(adaptation, where, pixel, law, predicted, y, x, channel):  # type: ignore[no-untyped-def]
    """A dimension turned out to be `pixel`. law, predicted: (mean, scale index), corrected and not."""
    mean, scale = law
    away = 64 * pixel - _shown(mean)
    u = distance_in_scales(abs(away), scale)
    steep = slope(u)
    score = min(((u * steep) >> 6) - (1 << 16), SCORE_LIMIT)
    if score > 0 or scale > NARROW:
        for context in where:
            count = adaptation.counts[channel, context]
            correction = adaptation.corrections[channel, context] + 12 * score // count
            adaptation.corrections[channel, context] = min(max(correction, -CORRECTION_LIMIT), CORRECTION_LIMIT)
            adaptation.counts[channel, context] = min(count + 1, LAST_COUNT)
    pull = steep if away >= 0 else -steep
    gains, residuals = adaptation.gains[channel], adaptation.residuals
    for other in range(channel):
        if residuals[y, x, other] != NOT_TOLD:
            _learn_gain(gains, other, pull, np.int64(residuals[y, x, other]), CHANNEL_SHIFT)
    for j in range(len(adaptation.near)):
        _learn_gain(gains, 2 + j, pull, adaptation.near[j], NEIGHBOUR_SHIFT)
    unmoved, first = predicted
    far = 64 * pixel - _shown(unmoved)
    size = distance_in_scales(abs(far), first)
    residuals[y, x, channel] = size if far >= 0 else -size
