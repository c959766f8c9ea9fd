"""Networks of the context model without ddpmcodec: model files, their integers, and how they go on learning.

It is written from docs/format.md alone, to test that page. Sums of products are exact in float64, in any order; all
else is float32, rounded after each operation.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Sums = NDArray[np.float64]
Bytes = NDArray[np.uint8]
TYPES = {"I8": np.int8, "U8": np.uint8, "I16": np.int16, "F32": np.float32}
LARGEST_OUTPUT = 32767
BETA_1, BETA_2, EPSILON = np.float32(0.5), np.float32(0.998), np.float32(1e-20)
LARGEST_GRADIENT = np.float32(127)


class Model(NamedTuple):
    """A model file: its entries of networks, and its tensors."""

    networks: dict[str, dict[str, Any]]
    tensors: dict[str, NDArray[Any]]

    def network(self, key: str) -> Network:
        key = self.networks[key].get("same_as", key)
        own = {name.removeprefix(f"{key}."): t for name, t in self.tensors.items() if name.startswith(f"{key}.")}
        return Network(own, self.networks[key]["components"])


def read_model(path: Path) -> Model:
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata, tensors = json.loads(header.pop("__metadata__")["ddpmcodec"]), {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        values = np.frombuffer(data[start + first : start + last], TYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return Model(metadata["networks"], tensors)


def activation_of(trunk: Floats) -> Bytes:
    return np.rint(np.clip(trunk, 0, 255)).astype(np.uint8)


def single(value: Sums) -> Floats:
    return value.astype(np.float32)


class Seen(NamedTuple):
    """Activations that the blocks and the head of some positions saw."""

    blocks: list[Bytes]
    head: Bytes


class Network:
    def __init__(self, tensors: dict[str, NDArray[Any]], components: int) -> None:
        self.components = components
        self.tensors = {name: tensor.copy() for name, tensor in tensors.items()}
        self.outputs, self.width = tensors["head.weight"].shape
        self.depth = sum(name.startswith("block") and name.endswith("weight") for name in tensors)
        self.shown = (tensors["block0.weight"].shape[1] - self.width) // 3 if self.depth else 0

    def product(self, layer: str, inputs: NDArray[Any]) -> Floats:
        weights = self.tensors[f"{layer}.weight"].astype(np.float64)
        return single(inputs.astype(np.float64) @ weights.T) * self.tensors[f"{layer}.factor"]

    def run(self, rows: Bytes, condition: int, beside: Bytes) -> tuple[NDArray[np.int64], Seen]:
        """Outputs of positions. rows: (positions, inputs). beside: of three others, (positions, 3, blocks, shown)."""
        inputs = rows.astype(np.int16) - 128
        trunk = self.product("stem", inputs) + self.tensors["stem.bias"][condition]
        seen = list[Bytes]()
        for k in range(self.depth):
            seen.append(np.hstack([activation_of(trunk), beside[:, :, k].reshape(len(rows), -1)]))
            trunk = trunk + self.product(f"block{k}", seen[-1])
        head = activation_of(trunk)
        deep = self.product("head", head) + self.tensors["head.bias"][condition]
        real = deep + self.product("skip", inputs)
        return np.rint(np.clip(real, -LARGEST_OUTPUT, LARGEST_OUTPUT)).astype(np.int64), Seen(seen, head)


# --- learning


class Rates(NamedTuple):
    """How far weights of the head, the last block, the blocks before it and biases move."""

    head: np.float32
    block: np.float32
    inner: np.float32
    bias: np.float32


RATES = {"direct": (0.07, 0.3, 0.15, 0.05), "last": (0.07, 0.3, 0.1, 0.05), "band": (0.025, 0.15, 0.0, 0.025)}


def rates_of(role: str, network: Network) -> Rates:
    head, block, inner, bias = map(np.float32, RATES[role])
    share = np.float32(8) / np.sqrt(np.float32(network.width))
    of_blocks = share * np.float32(0.6) if network.shown else share
    if role == "last" and network.depth <= 2:
        of_blocks = of_blocks * np.float32(0.6)
    return Rates(head * share, block * of_blocks, inner * of_blocks, bias * share)


def in_eight_bits(gradients: Floats, axis: int) -> tuple[Sums, Floats]:
    """Integers from -127 to 127, and the units that they count."""
    largest = np.abs(gradients).max(axis, keepdims=True)
    is_some = largest > EPSILON
    safe = np.where(is_some, largest, np.float32(1))
    unit = np.where(is_some, safe / LARGEST_GRADIENT, np.float32(0))
    share = np.where(is_some, LARGEST_GRADIENT / safe, np.float32(0))
    return np.rint(np.clip(gradients * share, -127, 127)).astype(np.float64), unit


class Moments:
    """Adam's means of gradients and of their squares."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.first, self.second = np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def step(self, gradients: Floats, step_size: np.float32) -> Floats:
        self.first = BETA_1 * self.first + (np.float32(1) - BETA_1) * gradients
        self.second = BETA_2 * self.second + (np.float32(1) - BETA_2) * (gradients * gradients)
        return step_size * (self.first / (np.sqrt(self.second) + EPSILON))


class Powers:
    """The powers of both betas, by the number of steps."""

    def __init__(self) -> None:
        self.first, self.second = np.float32(1), np.float32(1)

    def count(self) -> None:
        self.first, self.second = self.first * BETA_1, self.second * BETA_2

    def step_size(self, rate: np.float32) -> np.float32:
        one = np.float32(1)
        return rate * (np.sqrt(one - self.second) / (one - self.first))


class Learner:
    """Changes the head and the last `blocks` blocks of a network."""

    def __init__(self, network: Network, blocks: int, role: str) -> None:
        self.network, self.rates = network, rates_of(role, network)
        self.layers = [f"block{k}" for k in range(network.depth - blocks, network.depth)] + ["head"]
        self.weights = {layer: network.tensors[f"{layer}.weight"].astype(np.float32) for layer in self.layers}
        self.moments = {layer: Moments(weights.shape) for layer, weights in self.weights.items()}
        conditions = len(network.tensors["head.bias"])
        self.bias_moments = [Moments((network.outputs,)) for _ in range(conditions)]
        self.powers, self.bias_powers = Powers(), [Powers() for _ in range(conditions)]

    def step(self, gradients: Floats, seen: Seen, condition: int) -> None:
        """gradients: of the code length by the head's sums, (positions, outputs)."""
        network, width = self.network, self.network.width
        by_layer, seen_by = {"head": gradients}, dict(zip(self.layers, [*seen.blocks, seen.head], strict=True))
        trunk = np.zeros((len(gradients), width), np.float32)
        for above, layer in zip(reversed(self.layers), reversed(self.layers[:-1]), strict=False):
            steps, unit = in_eight_bits(by_layer[above], 1)
            sums = steps @ network.tensors[f"{above}.weight"][:, :width].astype(np.float64)
            inside = (seen_by[above][:, :width] > 0) & (seen_by[above][:, :width] < 255)
            trunk = trunk + np.where(inside, single(sums) * unit, np.float32(0))
            by_layer[layer] = trunk * network.tensors[f"{layer}.factor"]
        self.powers.count()
        self.bias_powers[condition].count()
        for layer in self.layers:
            self.move(layer, by_layer[layer], seen_by[layer])
        self.move_bias(gradients, condition)

    def add_skip(self) -> None:
        """The skip layer learns, too, but by `move_by`."""
        self.weights["skip"] = self.network.tensors["skip.weight"].astype(np.float32)
        self.moments["skip"] = Moments(self.weights["skip"].shape)

    def move(self, layer: str, gradients: Floats, seen: Bytes) -> None:
        last = self.layers[-2] if len(self.layers) > 1 else ""
        rate = {"head": self.rates.head, last: self.rates.block}.get(layer, self.rates.inner)
        self.move_by(layer, gradients, seen, rate)

    def move_by(self, layer: str, gradients: Floats, seen: NDArray[Any], rate: np.float32) -> None:
        steps, unit = in_eight_bits(gradients, 0)
        by_weight = single(steps.T @ seen.astype(np.float64)) * unit.T
        moved = self.moments[layer].step(by_weight, self.powers.step_size(rate))
        self.weights[layer] = np.clip(self.weights[layer] - moved, np.float32(-127), np.float32(127))
        self.network.tensors[f"{layer}.weight"] = np.rint(self.weights[layer]).astype(np.int8)

    def move_bias(self, gradients: Floats, condition: int) -> None:
        total = np.zeros(self.network.outputs, np.float32)
        for position in gradients:
            total = total + position
        factor = self.network.tensors["head.factor"]
        by_bias = np.where(factor != 0, total / np.where(factor != 0, factor, np.float32(1)), np.float32(0))
        moved = self.bias_moments[condition].step(by_bias, self.bias_powers[condition].step_size(self.rates.bias))
        biases = self.network.tensors["head.bias"]
        biases[condition] = np.clip(biases[condition] - moved, -LARGEST_OUTPUT, LARGEST_OUTPUT)


def learning_blocks(role: str, kind: int, network: Network, images: int) -> int | None:
    """How many of the last blocks learn, with the head; None: nothing does. kind: of a band, from 0 for the finest."""
    if role == "band":
        return 1 if kind > 0 and network.width >= 96 else None
    if not network.depth:
        return None
    if role == "direct" and network.components == 1:
        return 0
    return network.depth if images == 1 and (role == "direct" or network.depth > 2) else 1


def least_learned(role: str, images: int, height: int, width: int) -> int:
    """Positions of a step, at least."""
    largest = max(min(height, math.ceil(width / 4)), min(width, math.ceil(height / 4)))
    return max(192, largest + 1) if role == "direct" and images == 1 else 192
