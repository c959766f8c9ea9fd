"""Online adaptation of weights: the last layer of a network goes on learning from the image that is coded.

After every `LEAST` positions or more both sides take one step of gradient descent on their code length: momentum, and
each output's gradient over its root mean square (Adam's, Kingma & Ba 2015, with one second moment for all weights of an
output). Weights move in fractions of their integers; the network runs with the nearest.

Exact: IEEE float32 operations in a written order, side by side only where they do not depend on each other. Gradients
add up in integers: slopes are rounded to eight bits, in units of each output's largest of the step, and activations are
integers already, so that `product` has all the work.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans.logistic import EIGHT_SCALES
from ddpmcodec.networks.context.network import PADDED_OUTPUTS, Network
from ddpmcodec.networks.context.product import aligned, product
from ddpmcodec.networks.context.shape import (
    CROSS_CHANNEL,
    CROSS_CHANNEL_UNIT,
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
SCALE_SLOPE_LIMIT = 8.0  # of slopes by the scale: a value far out must not drown the rest
TINY = np.float32(1e-20)
SCALE_INDICES = 11.541560327111707  # per unit of the logarithm: 8 / log 2
UNIT_SCALE = 512  # EIGHT_SCALES of a scale of 1

LANES = 16  # that sums of squares are added up in; divides every width
_ONE, _LARGEST = np.float32(1), np.float32(LARGEST_WEIGHT)
_LARGEST_STEP = np.float32(127)
_LESS_128 = np.int32(-0x7F7F7F80)  # flips the top bit of each byte: less 128, read as signed
_ROUNDER = np.float32(1.5 * 2**23)


class LastLayer(NamedTuple):
    """What learning keeps of one network; empty arrays where it does not learn."""

    weights: NDArray[np.float32]  # [OUTPUTS, width], with their fractions
    momentum: NDArray[np.float32]
    squares: NDArray[np.float32]  # [OUTPUTS]
    powers: NDArray[np.float32]  # MOMENTUM and SQUARES to the number of steps
    filled: NDArray[np.int64]  # positions of this step so far [1]
    steps: NDArray[np.float32]  # of these positions: slopes by the sums of each output [M, OUTPUTS]
    inputs: NDArray[np.uint8]  # and what the last layer saw [M, width]
    rows: NDArray[np.uint8]  # the slopes in eight bits [(OUTPUTS + 1) M]
    units: NDArray[np.float32]  # what 1 is of them [OUTPUTS]
    shares: NDArray[np.float32]  # and its inverse
    totals: NDArray[np.int32]  # 128 times the sum of them [OUTPUTS]
    columns: NDArray[np.int32]  # the inputs, four bytes a number [M width / 4]
    sums: NDArray[np.int32]  # slopes times inputs, over all positions [OUTPUTS + 1, width]
    by_mean: NDArray[np.float64]  # of this position, by channel [3]: slopes by the mean, nats a unit
    by_scale: NDArray[np.float64]  # and by the logarithm of the scale
    residual: NDArray[np.float64]  # as later channels see it
    moves: NDArray[np.float64]  # 1 where it falls as the mean rises, 0 where it stays
    gradient: NDArray[np.float32]  # of one output's weights [width]
    lanes: NDArray[np.float32]
    nearest: NDArray[np.int8]  # integers to one output's weights [width]


def start(network: Network, positions: int) -> tuple[Network, LastLayer]:
    """A network that learns, with a last layer of its own, and what learning keeps; positions: of a wave, at most.

    With 0 positions the network itself, which does not learn.
    """
    if not positions:
        return network, _memory(np.zeros((0, 0), np.float32), 0)
    own = network._replace(leave=network.leave.copy())
    blocks, quads, outputs, quad = own.leave.shape
    plain = own.leave.transpose(0, 2, 1, 3).reshape(blocks * outputs, quads * quad)[:OUTPUTS].astype(np.float32)
    return own, _memory(plain, positions)


def _memory(weights: NDArray[np.float32], positions: int) -> LastLayer:
    outputs, width = weights.shape
    most = -(-(positions + LEAST) // 4) * 4 if positions else 0
    return LastLayer(
        weights=weights,
        momentum=np.zeros_like(weights),
        squares=np.zeros(outputs, np.float32),
        powers=np.ones(2, np.float32),
        filled=np.zeros(1, np.int64),
        steps=np.zeros((most, outputs), np.float32),
        inputs=np.zeros((most, width), np.uint8),
        rows=np.zeros((outputs + 1) * most, np.uint8),
        units=np.zeros(outputs, np.float32),
        shares=np.zeros(outputs, np.float32),
        totals=np.zeros(outputs, np.int32),
        columns=aligned(most * width).view(np.int32),
        sums=np.zeros((outputs + 1, width), np.int32),
        by_mean=np.zeros(CHANNELS),
        by_scale=np.zeros(CHANNELS),
        residual=np.zeros(CHANNELS),
        moves=np.zeros(CHANNELS),
        gradient=np.zeros(width, np.float32),
        lanes=np.zeros(LANES, np.float32),
        nearest=np.zeros(width, np.int8),
    )


@kernel
def begin(last):  # type: ignore[no-untyped-def]
    """Before the channels of a position."""
    last.by_mean[:], last.by_scale[:], last.residual[:], last.moves[:] = 0.0, 0.0, 0.0, 0.0


@kernel
def coded(last, channel, new, slope, scale, residual):  # type: ignore[no-untyped-def]
    """A channel of the position was coded, to the range `new`, with slopes of its code length as `adaptation.adapt`
    returns them: at the distribution that it was coded under, whose adaptation counts as constant.

    scale: index, of that distribution. residual: in 1/64, as the channels after it see it.
    """
    by_mean, by_scale = slope
    last.by_mean[channel] = by_mean * UNIT_SCALE / EIGHT_SCALES[scale]
    last.by_scale[channel] = min(max(by_scale, -SCALE_SLOPE_LIMIT), SCALE_SLOPE_LIMIT)
    last.residual[channel] = residual / 64
    last.moves[channel] = 1.0 if residual != 0 or new[0] == new[1] else 0.0


@kernel
def finish(last, network, output, around, activation):  # type: ignore[no-untyped-def]
    """All channels of a position are coded: backpropagation to the last layer's sums."""
    place = last.filled[0]
    last.filled[0] += 1
    by_mean, moves, residual = last.by_mean, last.moves, last.residual
    green = by_mean[2]
    orange = by_mean[1] - moves[1] * green * output[CROSS_CHANNEL + 2] / CROSS_CHANNEL_UNIT
    luma = (
        by_mean[0]
        - moves[0] * (orange * output[CROSS_CHANNEL] + green * output[CROSS_CHANNEL + 1]) / CROSS_CHANNEL_UNIT
    )
    total = (luma, orange, green)
    steps = last.steps[place]
    for c in range(CHANNELS):
        scale = EIGHT_SCALES[min(max(output[SCALE + c], 0), 127)]
        steps[OFFSET + c] = total[c] * scale / (UNIT_SCALE * OFFSET_UNIT)
        shift = total[c] * scale * output[OFFSET + c] / (UNIT_SCALE * OFFSET_UNIT)  # offsets are in scales
        steps[SCALE + c] = (last.by_scale[c] + shift) / SCALE_INDICES
    steps[CROSS_CHANNEL] = orange * residual[0] / CROSS_CHANNEL_UNIT
    steps[CROSS_CHANNEL + 1] = green * residual[0] / CROSS_CHANNEL_UNIT
    steps[CROSS_CHANNEL + 2] = green * residual[1] / CROSS_CHANNEL_UNIT
    by_luma, by_orange = np.float32(luma / WEIGHT_UNIT), np.float32(orange / WEIGHT_UNIT)
    by_green = np.float32(green / WEIGHT_UNIT)
    for j in range(PLACES):
        steps[WEIGHTS + j] = by_luma * np.float32(around[0, j])
        steps[WEIGHTS + PLACES + j] = by_orange * np.float32(around[1, j]) + by_green * np.float32(around[2, j])
    for o in range(OUTPUTS):
        steps[o] *= network.leave_factor[o]
    inputs = last.inputs[place]
    for i in range(len(inputs)):
        inputs[i] = activation[i]


@kernel
def _quantise(last, count, rows):  # type: ignore[no-untyped-def]
    """Slopes of so many positions to rows, as 128 plus an integer of -127 to 127 units of each output's own."""
    outputs = len(last.units)
    rows[:] = np.uint8(128)  # the last row: what `_add_up` takes off all others
    units, totals, shares = last.units, last.totals, last.shares
    units[:], totals[:] = np.float32(0), 0
    for k in range(count):
        steps = last.steps[k]
        for o in range(outputs):
            units[o] = max(units[o], abs(steps[o]))
    for o in range(outputs):
        largest = units[o]
        units[o] = largest / _LARGEST_STEP if largest > TINY else np.float32(0)
        shares[o] = _LARGEST_STEP / largest if largest > TINY else np.float32(0)
    for k in range(count):
        steps = last.steps[k]
        for o in range(outputs):
            step = np.int32((steps[o] * shares[o] + _ROUNDER) - _ROUNDER)
            rows[o, k] = np.uint8(128 + step)
            totals[o] += 128 * step


@kernel
def _pack_inputs(last, count, packed):  # type: ignore[no-untyped-def]
    """What the last layer saw at so many positions, less 128, as `product` takes its second factor: four bytes a
    number."""
    blocks, quads, _ = packed.shape
    last.inputs[count : 4 * quads] = np.uint8(128)
    for q in range(quads):
        a, b, c, d = last.inputs[4 * q], last.inputs[4 * q + 1], last.inputs[4 * q + 2], last.inputs[4 * q + 3]
        for block in range(blocks):
            target, first = packed[block, q], 16 * block
            for i in range(16):
                low = np.int32(a[first + i]) | np.int32(b[first + i]) << np.int32(8)
                high = np.int32(c[first + i]) << np.int32(16) | np.int32(d[first + i]) << np.int32(24)
                target[i] = (low | high) ^ _LESS_128


@kernel
def _add_up(last, count):  # type: ignore[no-untyped-def]
    """`last.sums`: slopes times inputs, over so many positions, in units of each output; exact, as all are integers.

    With s + 128 and x - 128 for s and x: sum of s x = sum of (s + 128)(x - 128) - 128 sum of (x - 128) + 128 sum of s.
    """
    sums, quads = last.sums, -(-count // 4)
    outputs, blocks = len(sums), sums.shape[1] // 16
    rows = last.rows[: outputs * 4 * quads].reshape(outputs, 4 * quads)
    packed = last.columns[: quads * blocks * 16].reshape(blocks, quads, 16)
    _quantise(last, count, rows)
    _pack_inputs(last, count, packed)
    product(rows, packed.view(np.int8).reshape(blocks, quads, 16, 4), sums, outputs)
    for o in range(len(last.units)):
        row, excess, total = sums[o], sums[outputs - 1], last.totals[o]
        for i in range(len(row)):
            row[i] += total - excess[i]


@kernel
def update(last, network):  # type: ignore[no-untyped-def]
    """One step of the optimiser."""
    _add_up(last, last.filled[0])
    last.filled[0] = 0
    powers = last.powers
    powers[0] *= MOMENTUM
    powers[1] *= SQUARES
    outputs, width = last.weights.shape
    share = _ONE / np.float32(width)
    lanes, gradient, nearest = last.lanes, last.gradient, last.nearest
    for o in range(outputs):
        sums, unit, momentum, weights = last.sums[o], last.units[o], last.momentum[o], last.weights[o]
        for i in range(width):
            gradient[i] = np.float32(sums[i]) * unit
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
        for i in range(width):  # a loop each, which are vectors then
            momentum[i] = MOMENTUM * momentum[i] + (_ONE - MOMENTUM) * gradient[i]
        for i in range(width):
            weights[i] = min(max(weights[i] - rate * momentum[i], -_LARGEST), _LARGEST)
        for i in range(width):
            nearest[i] = np.int8((weights[i] + _ROUNDER) - _ROUNDER)
        packed, quads = network.leave[o // 16].view(np.int32), nearest.view(np.int32)
        for q in range(len(quads)):
            packed[q, o % 16, 0] = quads[q]


assert PADDED_OUTPUTS >= OUTPUTS
