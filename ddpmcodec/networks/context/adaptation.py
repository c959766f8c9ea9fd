"""Online adaptation: what an image teaches while it is coded.

The context model predicts from what is around a position, and does not know whether it is right in this image. Both
sides correct its distributions by stochastic gradient descent on the code length of what was coded before: scales by
the sum of a bias for each of three contexts (the predicted scale; how large the normalised residuals of the position's
other channels were; and those of its neighbours), means by weights on the normalised residuals of the other channels
and of the neighbours. A normalised residual is (estimate - mean) / scale.

Gradients are IEEE float64 in a written order (`ans.logistic.slopes`); everything kept is an integer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans.logistic import EIGHT_SCALES, SCALE_COUNT, distance_in_scales, slopes
from ddpmcodec.coding_schedule import STEPS
from ddpmcodec.networks.context.shape import BAND_KINDS, band_kind
from ddpmcodec.networks.context.window import CHANNELS, kernel

KINDS = len(STEPS) * BAND_KINDS  # (step, 1st, 2nd, or coarser band): each adapts on its own
CLASSES = 6  # of the size of normalised residuals
THRESHOLDS = (32, 64, 109, 166, 256)  # 64 |u| that they begin at
SCALE_CLASSES = 8
CHANNEL_CONTEXT = SCALE_CLASSES  # the first of those by the position's other channels: none, one, two of them
NEIGHBOUR_CONTEXT = CHANNEL_CONTEXT + 1 + CLASSES * CLASSES  # and of those by neighbours: none is coded, or a class
CONTEXTS = NEIGHBOUR_CONTEXT + 1 + CLASSES
# Neighbours whose residuals move means (down, right); the first four are those whose size is a context.
NEIGHBOURS = (
    (0, -1), (-1, 0), (-1, 1), (-1, -1), (0, -2), (-2, 0), (-1, 2), (-1, -2), (-2, 1), (-2, -1), (-2, 2), (-2, -2),
)  # fmt: skip
NEAREST = 4
WEIGHTS = CHANNELS - 1 + len(NEIGHBOURS)

FIRST_COUNT, LAST_COUNT = 100, 400  # coefficients that a bias counts as the mean of: at first, and at most
SCORE_LIMIT = 6.0
BIAS_LIMIT = 24 << 16
NARROW = 16  # scale index, 1/16: nothing is left to win by a narrower distribution
WEIGHT_BITS = 24  # of fraction
WEIGHT_LIMIT = 2 << WEIGHT_BITS
CHANNEL_SHIFT, NEIGHBOUR_SHIFT = 7, 8  # learning rates of weights: 1/512 and 1/1024
LARGEST_RESIDUAL = 256  # 64 |u| that a weight learns from
NOT_CODED = -32768
SLOPE_UNIT = 65536.0


class Learner(NamedTuple):
    """What N images have taught so far."""

    biases: NDArray[np.int64]  # of scales [N, KINDS, 3, CONTEXTS], in 2^-16 of an index
    counts: NDArray[np.int64]
    weights: NDArray[np.int64]  # of the channels before and the neighbours [N, KINDS, 3, WEIGHTS]
    near: NDArray[np.int64]  # residuals of a coefficient's neighbours, 0 where they are not coded [len(NEIGHBOURS)]


def start(initial: NDArray[np.integer], images: int) -> Learner:
    """Before the first step. initial: [KINDS, 3, CONTEXTS + WEIGHTS], what the model's training images taught."""
    first = np.repeat(initial[None].astype(np.int64), images, 0)
    biases = np.ascontiguousarray(first[..., :CONTEXTS])
    weights = np.ascontiguousarray(first[..., CONTEXTS:])
    return Learner(biases, np.full_like(biases, FIRST_COUNT), weights, np.zeros(len(NEIGHBOURS), np.int64))


def no_initial() -> NDArray[np.int32]:
    return np.zeros((KINDS, CHANNELS, CONTEXTS + WEIGHTS), np.int32)


def learned(learner: Learner) -> NDArray[np.int64]:
    """What each image taught, [N, KINDS, 3, CONTEXTS + WEIGHTS], as `start` takes it."""
    return np.concatenate([learner.biases, learner.weights], -1)


def kind_of(step: int, band: int) -> int:
    return step * BAND_KINDS + band_kind(band)


@kernel
def _class(size):  # type: ignore[no-untyped-def]
    found = 0
    for threshold in THRESHOLDS:
        if size >= threshold:
            found += 1
    return found


@kernel
def _size(residual):  # type: ignore[no-untyped-def]
    return abs(np.int64(residual)) if residual != NOT_CODED else np.int64(0)


@kernel
def contexts(near, residuals, scale, y, x, channel):  # type: ignore[no-untyped-def]
    """Columns of the three biases of a coefficient. residuals: int16 [h, w, 3] in 1/64; fills `near`."""
    width = residuals.shape[1]
    total, coded = np.int64(0), np.int64(0)
    for j, (down, right) in enumerate(NEIGHBOURS):
        v, u = y + down, x + right
        near[j] = 0
        if v >= 0 and 0 <= u < width and residuals[v, u, channel] != NOT_CODED:
            near[j] = residuals[v, u, channel]
            if j < NEAREST:
                total, coded = total + abs(near[j]), coded + 1
    by_neighbours = NEIGHBOUR_CONTEXT
    if coded:
        by_neighbours += 1 + _class(13 * total // (10 * coded))
    by_channels = CHANNEL_CONTEXT
    if channel == 1:
        by_channels += 1 + _class(_size(residuals[y, x, 0]))
    elif channel == 2:
        by_channels += 1 + CLASSES * _class(_size(residuals[y, x, 0])) + _class(_size(residuals[y, x, 1]))
    by_scale = min(max((np.int64(scale) - 24) // 12, 0), SCALE_CLASSES - 1)
    return by_scale, by_channels, by_neighbours


@kernel
def corrected(biases, weights, near, where, mean, scale, here, channel):  # type: ignore[no-untyped-def]
    """(mean in 1/64, scale index) that a coefficient is coded under.

    biases [CONTEXTS], weights [WEIGHTS] of its kind and channel; here: residuals of the position's channels [3].
    """
    moved = np.int64(0)
    for other in range(channel):
        if here[other] != NOT_CODED:
            moved += weights[other] * here[other]
    for j in range(len(near)):
        moved += weights[CHANNELS - 1 + j] * near[j]
    moved = ((moved >> 16) * EIGHT_SCALES[scale]) >> (WEIGHT_BITS - 16 + 9)
    limit = EIGHT_SCALES[scale] >> 2
    mean = min(max(mean + min(max(moved, -limit), limit), np.int64(-32767)), np.int64(32767))
    bias = np.int64(0)
    for context in where:
        bias += biases[context]
    return mean, min(max(np.int64(scale) + ((bias + (1 << 15)) >> 16), 0), SCALE_COUNT - 1)


@kernel
def _adapt_weight(weights, j, pull, residual, shift):  # type: ignore[no-untyped-def]
    product = pull * min(max(np.int64(residual), -LARGEST_RESIDUAL), LARGEST_RESIDUAL)
    weights[j] = min(max(weights[j] + (product >> shift), -WEIGHT_LIMIT), WEIGHT_LIMIT)


@kernel
def adapt(biases, counts, weights, near, where, known, new, mean, scale, here, channel):  # type: ignore[no-untyped-def]
    """A coefficient of `known` = (lo, hi) turned out to lie in `new`, coded under (mean, scale): its `slopes`."""
    by_mean, by_scale = slopes(known[0], known[1], new[0], new[1], mean, scale)
    score = np.int64(np.floor(min(-by_scale, SCORE_LIMIT) * SLOPE_UNIT))
    if score > 0 or scale > NARROW:
        for context in where:
            bias = biases[context] + 12 * score // counts[context]
            biases[context] = min(max(bias, -BIAS_LIMIT), BIAS_LIMIT)
            counts[context] = min(counts[context] + 1, LAST_COUNT)
    pull = np.int64(np.floor(min(max(-by_mean, -1.0), 1.0) * SLOPE_UNIT))
    for other in range(channel):
        if here[other] != NOT_CODED:
            _adapt_weight(weights, other, pull, here[other], CHANNEL_SHIFT)
    for j in range(len(near)):
        _adapt_weight(weights, CHANNELS - 1 + j, pull, near[j], NEIGHBOUR_SHIFT)
    return by_mean, by_scale


@kernel
def normalised(residual, scale):  # type: ignore[no-untyped-def]
    """64 residual / scale, within int16; residual in 1/64."""
    size = min(distance_in_scales(abs(residual), scale), np.int64(32767))
    return np.int16(size if residual >= 0 else -size)
