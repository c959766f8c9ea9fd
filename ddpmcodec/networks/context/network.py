"""A network of the context model in integers: rows of inputs to outputs, the same on every machine.

Products are of eight-bit integers (`product`), whose sums are exact in any order. The trunk is float32, and all that is
done to it is elementwise: times, plus, round, clamp, one rounding each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.networks.context.product import pack, product, signed_offset
from ddpmcodec.networks.context.shape import LARGEST_ACTIVATION, OUTPUT_LIMIT, OUTPUTS, Shape
from ddpmcodec.networks.context.window import INPUTS, ZERO, kernel

BLOCK_ROWS = 64  # rows that go through all layers together: they stay in the cache
PADDED_OUTPUTS = -(-OUTPUTS // 16) * 16

_ROUNDER = np.float32(1.5 * 2**23)  # adding and subtracting it rounds |x| < 2^22 to the nearest integer, ties to even
_NOTHING, _LARGEST, _LIMIT = np.float32(0), np.float32(LARGEST_ACTIVATION), np.float32(OUTPUT_LIMIT)


class Network(NamedTuple):
    """Weights as `product.pack` leaves them; S situations."""

    enter: NDArray[np.int8]
    enter_offset: NDArray[np.int32]  # [width], what inputs that carry 128 add to the sums
    enter_factor: NDArray[np.float32]
    enter_bias: NDArray[np.float32]  # [S, width]
    blocks: NDArray[np.int8]  # [depth, ...]
    block_factor: NDArray[np.float32]  # [depth, width]
    leave: NDArray[np.int8]
    leave_factor: NDArray[np.float32]  # [PADDED_OUTPUTS]
    leave_bias: NDArray[np.float32]  # [S, PADDED_OUTPUTS]

    @property
    def shape(self) -> Shape:
        return Shape(len(self.enter_offset), len(self.blocks))


class Workspace(NamedTuple):
    """What a network writes for BLOCK_ROWS rows."""

    sums: NDArray[np.int32]  # [BLOCK_ROWS, width]
    trunk: NDArray[np.float32]
    activation: NDArray[np.uint8]
    last: NDArray[np.int32]  # [BLOCK_ROWS, PADDED_OUTPUTS]


def network_of(params: Mapping[str, NDArray[Any]], shape: Shape) -> Network:
    """From a model file's tensors, '<layer>.weight', '.factor' and '.bias'. Widths are multiples of 16."""

    def wide(array: NDArray[Any]) -> NDArray[np.float32]:
        padded = np.zeros((*array.shape[:-1], PADDED_OUTPUTS), np.float32)
        padded[..., :OUTPUTS] = array
        return padded

    blocks = [f"block{k}" for k in range(shape.depth)]
    return Network(
        pack(params["enter.weight"]),
        signed_offset(params["enter.weight"]),
        np.ascontiguousarray(params["enter.factor"], np.float32),
        np.ascontiguousarray(params["enter.bias"], np.float32),
        np.stack([pack(params[f"{name}.weight"]) for name in blocks]),
        np.stack([params[f"{name}.factor"] for name in blocks]).astype(np.float32),
        pack(params["leave.weight"]),
        wide(params["leave.factor"]),
        wide(params["leave.bias"]),
    )


def workspace(shape: Shape) -> Workspace:
    rows, width = BLOCK_ROWS, shape.width
    return Workspace(
        np.empty((rows, width), np.int32),
        np.empty((rows, width), np.float32),
        np.empty((rows, width), np.uint8),
        np.empty((rows, PADDED_OUTPUTS), np.int32),
    )


@kernel
def _activate(trunk, activation, rows):  # type: ignore[no-untyped-def]
    """ReLU, quantised: uint8."""
    for m in range(rows):
        source, target = trunk[m], activation[m]
        for c in range(len(source)):
            target[c] = np.uint8(np.int32((min(max(source[c], _NOTHING), _LARGEST) + _ROUNDER) - _ROUNDER))


@kernel
def _keep(activation, kept):  # type: ignore[no-untyped-def]
    for m in range(min(len(activation), len(kept))):
        for c in range(kept.shape[1]):
            kept[m, c] = activation[m, c]


@kernel
def _block_rows(network, situation, inputs, outputs, space, rows, kept):  # type: ignore[no-untyped-def]
    product(inputs, network.enter, space.sums, rows)
    bias = network.enter_bias[situation]
    for m in range(rows):
        trunk, sums = space.trunk[m], space.sums[m]
        for c in range(len(trunk)):
            trunk[c] = np.float32(sums[c] - network.enter_offset[c]) * network.enter_factor[c] + bias[c]
    for k in range(len(network.blocks)):
        _activate(space.trunk, space.activation, rows)
        if k == len(network.blocks) - 1:
            _keep(space.activation[:rows], kept[0])
        product(space.activation, network.blocks[k], space.sums, rows)
        factor = network.block_factor[k]
        for m in range(rows):
            trunk, sums = space.trunk[m], space.sums[m]
            for c in range(len(trunk)):
                trunk[c] = trunk[c] + np.float32(sums[c]) * factor[c]
    _activate(space.trunk, space.activation, rows)
    _keep(space.activation[:rows], kept[1])
    product(space.activation, network.leave, space.last, rows)
    bias = network.leave_bias[situation]
    for m in range(rows):
        sums, target = space.last[m], outputs[m]
        for c in range(len(target)):
            real = np.float32(sums[c]) * network.leave_factor[c] + bias[c]
            target[c] = np.int32((min(max(real, -_LIMIT), _LIMIT) + _ROUNDER) - _ROUNDER)


@kernel
def run(network, situation, inputs, outputs, space, rows, kept):  # type: ignore[no-untyped-def]
    """outputs int32 [M, OUTPUTS] of the first `rows` of inputs uint8 [M, INPUTS], in one situation.

    kept: uint8 [2, M, width], for the activations that the last block and the last layer see; or [2, 0, width].
    """
    for first in range(0, rows, BLOCK_ROWS):
        last = min(first + BLOCK_ROWS, rows)
        count, seen = last - first, kept[:, first:last]
        _block_rows(network, situation, inputs[first:last], outputs[first:last], space, count, seen)


def outputs_of(network: Network, situation: int, inputs: NDArray[np.uint8]) -> NDArray[np.int32]:
    """What `run` finds, int32 [M, OUTPUTS]."""
    outputs = np.empty((len(inputs), OUTPUTS), np.int32)
    kept = np.empty((2, 0, network.shape.width), np.uint8)
    run(network, situation, inputs, outputs, workspace(network.shape), len(inputs), kept)
    return outputs


assert ZERO == 128
assert INPUTS % 4 == 0
