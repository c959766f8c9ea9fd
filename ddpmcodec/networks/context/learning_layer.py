"""A layer of a network that goes on learning from the image that is coded: its step of gradient descent.

Momentum, and each output's gradient over its root mean square (Adam's, Kingma & Ba 2015, with one second moment for all
weights of an output). Weights move in fractions of their integers; the network runs with the nearest.

Exact: IEEE float32 operations in a written order, side by side only where they do not depend on each other. Gradients
add up in integers: slopes are rounded to eight bits, in units of each output's largest of the step, and activations are
integers already, so that `product` has all the work.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.networks.context.product import aligned, product
from ddpmcodec.networks.context.shape import LARGEST_WEIGHT
from ddpmcodec.networks.context.window import kernel

MOMENTUM, SQUARES = np.float32(0.9), np.float32(0.99)  # how much of the past averages keep
TINY = np.float32(1e-20)
LANES = 16  # that sums of squares are added up in; divides every width
_ONE, _LARGEST = np.float32(1), np.float32(LARGEST_WEIGHT)
LARGEST_SLOPE = np.float32(127)  # in eight bits
_LESS_128 = np.int32(-0x7F7F7F80)  # flips the top bit of each byte: less 128, read as signed
ROUNDER = np.float32(1.5 * 2**23)  # adding and subtracting it rounds, as in `network`


class LearningLayer(NamedTuple):
    """What learning keeps of one layer; empty arrays where it does not learn."""

    weights: NDArray[np.float32]  # [outputs, width], with their fractions
    momentum: NDArray[np.float32]
    squares: NDArray[np.float32]  # [outputs]
    powers: NDArray[np.float32]  # MOMENTUM and SQUARES to the number of steps
    steps: NDArray[np.float32]  # of the positions of this step: slopes by the sums of each output [M, outputs]
    inputs: NDArray[np.uint8]  # and what the layer saw [M, width]
    rows: NDArray[np.uint8]  # the slopes in eight bits [(outputs + 1) M]
    units: NDArray[np.float32]  # what 1 is of them [outputs]
    shares: NDArray[np.float32]  # and its inverse
    totals: NDArray[np.int32]  # 128 times the sum of them [outputs]
    columns: NDArray[np.int32]  # the inputs, four bytes a number [M width / 4]
    sums: NDArray[np.int32]  # slopes times inputs, over all positions [outputs + 1, width]
    gradient: NDArray[np.float32]  # of one output's weights [width]
    lanes: NDArray[np.float32]
    nearest: NDArray[np.int8]  # integers to one output's weights [width]


def learning_layer(packed: NDArray[np.int8], outputs: int, positions: int) -> LearningLayer:
    """Of weights as `product.pack` leaves them. positions: of a step, at most; 0: it does not learn."""
    blocks, quads, vector, quad = packed.shape
    weights = packed.transpose(0, 2, 1, 3).reshape(blocks * vector, quads * quad)[: outputs if positions else 0]
    outputs, width = weights.shape
    most = -(-positions // 4) * 4
    return LearningLayer(
        weights=weights.astype(np.float32),
        momentum=np.zeros((outputs, width), np.float32),
        squares=np.zeros(outputs, np.float32),
        powers=np.ones(2, np.float32),
        steps=np.zeros((most, outputs), np.float32),
        inputs=np.zeros((most, width), np.uint8),
        rows=np.zeros((outputs + 1) * most, np.uint8),
        units=np.zeros(outputs, np.float32),
        shares=np.zeros(outputs, np.float32),
        totals=np.zeros(outputs, np.int32),
        columns=aligned(most * width).view(np.int32),
        sums=np.zeros((outputs + 1, width), np.int32),
        gradient=np.zeros(width, np.float32),
        lanes=np.zeros(LANES, np.float32),
        nearest=np.zeros(width, np.int8),
    )


@kernel
def _quantise(layer, count, rows):  # type: ignore[no-untyped-def]
    """Slopes of so many positions to rows, as 128 plus an integer of -127 to 127 units of each output's own."""
    outputs = len(layer.units)
    rows[:] = np.uint8(128)  # the last row: what `_add_up` takes off all others
    units, totals, shares = layer.units, layer.totals, layer.shares
    units[:], totals[:] = np.float32(0), 0
    for k in range(count):
        steps = layer.steps[k]
        for o in range(outputs):
            units[o] = max(units[o], abs(steps[o]))
    for o in range(outputs):
        largest = units[o]
        units[o] = largest / LARGEST_SLOPE if largest > TINY else np.float32(0)
        shares[o] = LARGEST_SLOPE / largest if largest > TINY else np.float32(0)
    for k in range(count):
        steps = layer.steps[k]
        for o in range(outputs):
            step = np.int32((steps[o] * shares[o] + ROUNDER) - ROUNDER)
            rows[o, k] = np.uint8(128 + step)
            totals[o] += 128 * step


@kernel
def _pack_inputs(layer, count, packed):  # type: ignore[no-untyped-def]
    """What the layer saw at so many positions, less 128, as `product` takes its second factor: four bytes a
    number."""
    blocks, quads, _ = packed.shape
    layer.inputs[count : 4 * quads] = np.uint8(128)
    for q in range(quads):
        a, b, c, d = layer.inputs[4 * q], layer.inputs[4 * q + 1], layer.inputs[4 * q + 2], layer.inputs[4 * q + 3]
        for block in range(blocks):
            target, first = packed[block, q], 16 * block
            for i in range(16):
                low = np.int32(a[first + i]) | np.int32(b[first + i]) << np.int32(8)
                high = np.int32(c[first + i]) << np.int32(16) | np.int32(d[first + i]) << np.int32(24)
                target[i] = (low | high) ^ _LESS_128


@kernel
def _add_up(layer, count):  # type: ignore[no-untyped-def]
    """`layer.sums`: slopes times inputs, over so many positions, in units of each output; exact, as all are integers.

    With s + 128 and x - 128 for s and x: sum of s x = sum of (s + 128)(x - 128) - 128 sum of (x - 128) + 128 sum of s.
    """
    sums, quads = layer.sums, -(-count // 4)
    outputs, blocks = len(sums), sums.shape[1] // 16
    rows = layer.rows[: outputs * 4 * quads].reshape(outputs, 4 * quads)
    packed = layer.columns[: quads * blocks * 16].reshape(blocks, quads, 16)
    _quantise(layer, count, rows)
    _pack_inputs(layer, count, packed)
    product(rows, packed.view(np.int8).reshape(blocks, quads, 16, 4), sums, outputs)
    for o in range(len(layer.units)):
        row, excess, total = sums[o], sums[outputs - 1], layer.totals[o]
        for i in range(len(row)):
            row[i] += total - excess[i]


@kernel
def move(layer, count, packed, rate):  # type: ignore[no-untyped-def]
    """One step of the optimiser, of so many positions. packed: the network's own weights. rate: how far a weight moves,
    in steps between integers, where all gradients agree."""
    _add_up(layer, count)
    powers = layer.powers
    powers[0] *= MOMENTUM
    powers[1] *= SQUARES
    outputs, width = layer.weights.shape
    share = _ONE / np.float32(width)
    lanes, gradient, nearest = layer.lanes, layer.gradient, layer.nearest
    for o in range(outputs):
        sums, unit, momentum, weights = layer.sums[o], layer.units[o], layer.momentum[o], layer.weights[o]
        for i in range(width):
            gradient[i] = np.float32(sums[i]) * unit
        lanes[:] = np.float32(0)
        for first in range(0, width, LANES):
            for i in range(LANES):
                lanes[i] += gradient[first + i] * gradient[first + i]
        total = np.float32(0)
        for i in range(LANES):
            total += lanes[i]
        layer.squares[o] = SQUARES * layer.squares[o] + (_ONE - SQUARES) * (total * share)
        size = np.sqrt(layer.squares[o] / (_ONE - powers[1]) + TINY)
        pace = rate / ((_ONE - powers[0]) * size)
        for i in range(width):  # a loop each, which are vectors then
            momentum[i] = MOMENTUM * momentum[i] + (_ONE - MOMENTUM) * gradient[i]
        for i in range(width):
            weights[i] = min(max(weights[i] - pace * momentum[i], -_LARGEST), _LARGEST)
        for i in range(width):
            nearest[i] = np.int8((weights[i] + ROUNDER) - ROUNDER)
        target, quads = packed[o // 16].view(np.int32), nearest.view(np.int32)
        for q in range(len(quads)):
            target[q, o % 16, 0] = quads[q]
