"""Online adaptation of weights: the last two layers of a network go on learning from the image that is coded.

After every `LEAST` positions or more both sides take one step of gradient descent on their code length
(`learning_layer`), by backpropagation through the last layer and the last block. Exact, as that is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans.logistic import EIGHT_SCALES
from ddpmcodec.networks.context.learning_layer import (
    LARGEST_SLOPE,
    ROUNDER,
    TINY,
    LearningLayer,
    learning_layer,
    move,
)
from ddpmcodec.networks.context.network import PADDED_OUTPUTS, Network
from ddpmcodec.networks.context.product import QUAD, VECTOR, aligned, product
from ddpmcodec.networks.context.shape import (
    CROSS_CHANNEL,
    CROSS_CHANNEL_UNIT,
    LARGEST_ACTIVATION,
    OFFSET,
    OFFSET_UNIT,
    OUTPUTS,
    SCALE,
    WEIGHT_UNIT,
    WEIGHTS,
)
from ddpmcodec.networks.context.window import CHANNELS, PLACES, kernel

LEAST = 96  # positions of a step, which ends with a wave; at the end of a band fewer
# Steps of a weight that it moves by at a time, where all gradients agree: of the last layer, and of the last block.
LAST_RATE, BLOCK_RATE = np.float32(0.05), np.float32(0.15)
SCALE_SLOPE_LIMIT = 8.0  # of slopes by the scale: a value far out must not drown the rest
SCALE_INDICES = 11.541560327111707  # per unit of the logarithm: 8 / log 2
UNIT_SCALE = 512  # EIGHT_SCALES of a scale of 1


class LastLayers(NamedTuple):
    """What learning keeps of one network; empty arrays where it does not learn."""

    leave: LearningLayer
    block: LearningLayer
    back: NDArray[np.int8]  # the last layer's weights as `product` takes them, outputs for inputs
    back_offset: NDArray[np.int32]  # [width], what slopes that carry 128 add to the sums
    back_rows: NDArray[np.uint8]  # slopes of the last layer in eight bits [M, outputs]
    back_units: NDArray[np.float32]  # what 1 is of them [M]
    back_sums: NDArray[np.int32]  # [M, width]
    filled: NDArray[np.int64]  # positions of this step so far [1]
    by_mean: NDArray[np.float64]  # of this position, by channel [3]: slopes by the mean, nats a unit
    by_scale: NDArray[np.float64]  # and by the logarithm of the scale
    residual: NDArray[np.float64]  # as later channels see it
    moves: NDArray[np.float64]  # 1 where it falls as the mean rises, 0 where it stays


def start(network: Network, positions: int) -> tuple[Network, LastLayers]:
    """A network that learns, with last layers of its own, and what learning keeps; positions: of a wave, at most.

    With 0 positions the network itself, which does not learn.
    """
    own = network._replace(leave=network.leave.copy(), blocks=network.blocks.copy()) if positions else network
    most, width = (positions + LEAST, network.shape.width) if positions else (0, 0)
    return own, LastLayers(
        leave=learning_layer(own.leave, OUTPUTS, most),
        block=learning_layer(own.blocks[-1], width, most),
        back=aligned(width * PADDED_OUTPUTS).reshape(width // VECTOR, PADDED_OUTPUTS // QUAD, VECTOR, QUAD),
        back_offset=np.zeros(width, np.int32),
        back_rows=np.full((most, PADDED_OUTPUTS), 128, np.uint8),
        back_units=np.zeros(most, np.float32),
        back_sums=np.zeros((most, width), np.int32),
        filled=np.zeros(1, np.int64),
        by_mean=np.zeros(CHANNELS),
        by_scale=np.zeros(CHANNELS),
        residual=np.zeros(CHANNELS),
        moves=np.zeros(CHANNELS),
    )


@kernel
def learns(last):  # type: ignore[no-untyped-def]
    return len(last.leave.weights) > 0


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
def finish(last, network, output, around, kept):  # type: ignore[no-untyped-def]
    """All channels of a position are coded: backpropagation to the last layer's sums. `update` goes on from there.

    kept: uint8 [2, width], what the last block and the last layer saw.
    """
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
    steps = last.leave.steps[place]
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
    _keep(last.leave.inputs[place], kept[1])
    _keep(last.block.inputs[place], kept[0])


@kernel
def _keep(inputs, seen):  # type: ignore[no-untyped-def]
    for i in range(len(inputs)):
        inputs[i] = seen[i]


@kernel
def _back(last, network, count):  # type: ignore[no-untyped-def]
    """Slopes by the block's sums, of so many positions: of those by the last layer's sums, in eight bits, in units of
    each position's largest. Nothing passes where activations are at a bound."""
    rows, units, factor = last.back_rows, last.back_units, network.block_factor[-1]
    for k in range(count):
        steps, row, largest = last.leave.steps[k], rows[k], np.float32(0)
        for o in range(len(steps)):
            largest = max(largest, abs(steps[o]))
        units[k] = largest / LARGEST_SLOPE if largest > TINY else np.float32(0)
        share = LARGEST_SLOPE / largest if largest > TINY else np.float32(0)
        for o in range(len(steps)):
            row[o] = np.uint8(128 + np.int32((steps[o] * share + ROUNDER) - ROUNDER))
    product(rows, last.back, last.back_sums, count)
    for k in range(count):
        sums, seen, slopes, unit = last.back_sums[k], last.leave.inputs[k], last.block.steps[k], units[k]
        for i in range(len(slopes)):
            slope = np.float32(sums[i] - last.back_offset[i]) * unit * factor[i]
            slopes[i] = slope if seen[i] > 0 and seen[i] < LARGEST_ACTIVATION else np.float32(0)


@kernel
def _turn(last, leave):  # type: ignore[no-untyped-def]
    """The last layer's weights for the way back."""
    back, offset = last.back, last.back_offset
    offset[:] = 0
    for i in range(len(offset)):
        target, total = back[i // VECTOR], np.int32(0)
        for o in range(PADDED_OUTPUTS):
            weight = leave[o // VECTOR, i // QUAD, o % VECTOR, i % QUAD]
            target[o // QUAD, i % VECTOR, o % QUAD] = weight
            total += np.int32(weight)
        offset[i] = 128 * total


@kernel
def update(last, network):  # type: ignore[no-untyped-def]
    """One step of the optimiser, of all positions since the last one."""
    count = last.filled[0]
    last.filled[0] = 0
    _turn(last, network.leave)
    _back(last, network, count)
    move(last.block, count, network.blocks[-1], BLOCK_RATE)
    move(last.leave, count, network.leave, LAST_RATE)


assert PADDED_OUTPUTS >= OUTPUTS
