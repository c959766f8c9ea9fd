"""Online adaptation of weights: the last layer of a network goes on learning from the image that is coded.

After every `LEAST` positions or more both sides take one step of gradient descent on their code length: momentum, and
each output's gradient over its root mean square (Adam's, Kingma & Ba 2015, with one second moment for all weights of an
output). Weights move in fractions of their integers; the network runs with the nearest.

Exact: IEEE float32 operations in a written order, side by side only where they do not depend on each other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans.logistic import EIGHT_SCALES
from ddpmcodec.networks.context.network import PADDED_OUTPUTS, Network
from ddpmcodec.networks.context.shape import (
    COUPLING,
    COUPLING_UNIT,
    LARGEST_WEIGHT,
    OFFSET,
    OFFSET_UNIT,
    OUTPUTS,
    SCALE,
    WEIGHT_UNIT,
    WEIGHTS,
)
from ddpmcodec.networks.context.window import CHANNELS, PLACES, kernel

LEAST = 96  # positions of a step, which ends with a wave; at the end of a band fewer
RATE = np.float32(0.08)  # steps of a weight that it moves by at a time, where all gradients agree
MOMENTUM, SQUARES = np.float32(0.9), np.float32(0.99)  # how much of the past averages keep
SCORE_LIMIT = 8.0  # of slopes by the scale: a value far out must not drown the rest
TINY = np.float32(1e-20)
SCALE_INDICES = 11.541560327111707  # per unit of the logarithm: 8 / log 2
UNIT_SCALE = 512  # EIGHT_SCALES of a scale of 1

LANES = 16  # that sums of squares are added up in; divides every width
_ONE, _LARGEST = np.float32(1), np.float32(LARGEST_WEIGHT)
_ROUNDER = np.float32(1.5 * 2**23)


class LastLayer(NamedTuple):
    """What learning keeps of one network; empty arrays where it does not learn."""

    weights: NDArray[np.float32]  # [OUTPUTS, width], with their fractions
    momentum: NDArray[np.float32]
    squares: NDArray[np.float32]  # [OUTPUTS]
    powers: NDArray[np.float32]  # MOMENTUM and SQUARES to the number of steps
    gradient: NDArray[np.float32]  # of this step
    filled: NDArray[np.int64]  # positions of this step so far [1]
    steps: NDArray[np.float32]  # of these positions: slopes by the sums of each output [M, OUTPUTS]
    inputs: NDArray[np.float32]  # and what the last layer saw [M, width]
    by_mean: NDArray[np.float64]  # of this position, by channel [3]: slopes by the mean, nats a unit
    by_scale: NDArray[np.float64]  # and by the logarithm of the scale
    residual: NDArray[np.float64]  # as later channels see it
    moves: NDArray[np.float64]  # 1 where it falls as the mean rises, 0 where it stays


def start(network: Network, positions: int) -> tuple[Network, LastLayer]:
    """A network that learns, with a last layer of its own, and what learning keeps; positions: of a wave, at most.

    With 0 positions the network itself, which does not learn.
    """
    if not positions:
        none, nothing = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)
        return network, LastLayer(
            none, none, nothing, np.ones(2, np.float32), none, np.zeros(1, np.int64), none, none,
            *np.zeros((4, CHANNELS)),
        )  # fmt: skip
    own = network._replace(leave=network.leave.copy())
    blocks, quads, outputs, quad = own.leave.shape
    plain = own.leave.transpose(0, 2, 1, 3).reshape(blocks * outputs, quads * quad)[:OUTPUTS].astype(np.float32)
    return own, LastLayer(
        plain, np.zeros_like(plain), np.zeros(OUTPUTS, np.float32), np.ones(2, np.float32), np.zeros_like(plain),
        np.zeros(1, np.int64), np.zeros((positions + LEAST, OUTPUTS), np.float32),
        np.zeros((positions + LEAST, plain.shape[1]), np.float32),
        *np.zeros((4, CHANNELS)),
    )  # fmt: skip


@kernel
def begin(last):  # type: ignore[no-untyped-def]
    """Before the channels of a position."""
    last.by_mean[:], last.by_scale[:], last.residual[:], last.moves[:] = 0.0, 0.0, 0.0, 0.0


@kernel
def coded(last, channel, new, slope, scale, residual):  # type: ignore[no-untyped-def]
    """A channel of the position was coded, to the range `new`, with slopes of its code length as `adaptation.adapt`
    returns them: at the distribution that it was coded under, whose corrections count as constant.

    scale: index, of that distribution. residual: in 1/64, as the channels after it see it.
    """
    by_mean, by_scale = slope
    last.by_mean[channel] = by_mean * UNIT_SCALE / EIGHT_SCALES[scale]
    last.by_scale[channel] = min(max(by_scale, -SCORE_LIMIT), SCORE_LIMIT)
    last.residual[channel] = residual / 64
    last.moves[channel] = 1.0 if residual != 0 or new[0] == new[1] else 0.0


@kernel
def finish(last, network, output, around, activation):  # type: ignore[no-untyped-def]
    """All channels of a position are coded: backpropagation to the last layer's sums."""
    place = last.filled[0]
    last.filled[0] += 1
    by_mean, moves, residual = last.by_mean, last.moves, last.residual
    green = by_mean[2]
    orange = by_mean[1] - moves[1] * green * output[COUPLING + 2] / COUPLING_UNIT
    luma = by_mean[0] - moves[0] * (orange * output[COUPLING] + green * output[COUPLING + 1]) / COUPLING_UNIT
    total = (luma, orange, green)
    steps = last.steps[place]
    for c in range(CHANNELS):
        scale = EIGHT_SCALES[min(max(output[SCALE + c], 0), 127)]
        steps[OFFSET + c] = total[c] * scale / (UNIT_SCALE * OFFSET_UNIT)
        shift = total[c] * scale * output[OFFSET + c] / (UNIT_SCALE * OFFSET_UNIT)  # offsets are in scales
        steps[SCALE + c] = (last.by_scale[c] + shift) / SCALE_INDICES
    steps[COUPLING] = orange * residual[0] / COUPLING_UNIT
    steps[COUPLING + 1] = green * residual[0] / COUPLING_UNIT
    steps[COUPLING + 2] = green * residual[1] / COUPLING_UNIT
    for j in range(PLACES):
        steps[WEIGHTS + j] = luma * around[0, j] / WEIGHT_UNIT
        steps[WEIGHTS + PLACES + j] = (orange * around[1, j] + green * around[2, j]) / WEIGHT_UNIT
    inputs = last.inputs[place]
    for o in range(OUTPUTS):
        steps[o] *= network.leave_factor[o]
    for i in range(len(inputs)):
        inputs[i] = np.float32(activation[i])


@kernel
def _add_gradient(last, count):  # type: ignore[no-untyped-def]
    """gradient += steps^T inputs of so many positions, in trees of eight."""
    whole = count - count % 8
    for o in range(OUTPUTS):
        row = last.gradient[o]
        for k in range(0, whole, 8):
            s, x = last.steps[k : k + 8, o], last.inputs[k : k + 8]
            s0, s1, s2, s3, s4, s5, s6, s7 = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
            x0, x1, x2, x3, x4, x5, x6, x7 = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
            for i in range(len(row)):
                row[i] += ((s0 * x0[i] + s1 * x1[i]) + (s2 * x2[i] + s3 * x3[i])) + (
                    (s4 * x4[i] + s5 * x5[i]) + (s6 * x6[i] + s7 * x7[i])
                )
        for k in range(whole, count):
            s0, x0 = last.steps[k, o], last.inputs[k]
            for i in range(len(row)):
                row[i] += s0 * x0[i]


@kernel
def update(last, network):  # type: ignore[no-untyped-def]
    """One step of the optimiser."""
    _add_gradient(last, last.filled[0])
    last.filled[0] = 0
    powers = last.powers
    powers[0] *= MOMENTUM
    powers[1] *= SQUARES
    outputs, width = last.weights.shape
    share = _ONE / np.float32(width)
    lanes, nearest = np.empty(LANES, np.float32), np.empty(width, np.int8)
    for o in range(outputs):
        gradient, momentum, weights = last.gradient[o], last.momentum[o], last.weights[o]
        lanes[:] = np.float32(0)
        for first in range(0, width, LANES):
            for i in range(LANES):
                lanes[i] += gradient[first + i] * gradient[first + i]
        total = np.float32(0)
        for i in range(LANES):
            total += lanes[i]
        last.squares[o] = SQUARES * last.squares[o] + (_ONE - SQUARES) * (total * share)
        size = np.sqrt(last.squares[o] / (_ONE - powers[1]) + TINY)
        rate = RATE / ((_ONE - powers[0]) * size)
        for i in range(width):
            moment = MOMENTUM * momentum[i] + (_ONE - MOMENTUM) * gradient[i]
            moved = min(max(weights[i] - rate * moment, -_LARGEST), _LARGEST)
            momentum[i], weights[i], gradient[i] = moment, moved, np.float32(0)
            nearest[i] = np.int8((moved + _ROUNDER) - _ROUNDER)
        packed, quads = network.leave[o // 16].view(np.int32), nearest.view(np.int32)
        for q in range(len(quads)):
            packed[q, o % 16, 0] = quads[q]


assert PADDED_OUTPUTS >= OUTPUTS
