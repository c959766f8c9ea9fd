"""Coefficients of JPEG files, drawn or from a picture, and small models that code them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.models import jpeg

F = np.float32
CONDITIONS, OUTPUTS, LINEAR, MAGNITUDES, WEIGHTS = 68, 10, 5, 16, 64
SHAPES = {"luma": (80, CONDITIONS), "chroma": (144, 2 * CONDITIONS)}  # inputs, conditions
ZIGZAG = sorted(range(64), key=lambda k: (k // 8 + k % 8, k // 8 if (k // 8 + k % 8) % 2 else k % 8))
PREDICTORS = [key for key in jpeg.NETWORKS if key.startswith("predictors.")]
Component = tuple[list[int], NDArray[np.int16]]  # steps by rank, [rows, columns, rank]


def integers(r: np.random.Generator, size: int, *shape: int) -> NDArray[np.int16]:
    return r.integers(-size, size + 1, shape).astype(np.int16)


def network(key: str, width: int = 32, depth: int = 2, seed: int = 1) -> dict[str, Any]:
    """The tensors of a network with random weights."""
    r, refines = np.random.default_rng(seed), ".refine." in key
    inputs, conditions = SHAPES[key.split(".")[-1]]
    outputs = OUTPUTS
    if refines:
        conditions, outputs = conditions // CONDITIONS * 64, 3  # no flags

    def layer(name: str, rows: int, columns: int, factor: float) -> dict[str, Any]:
        weight = r.integers(-127, 128, (rows, columns), np.int8)
        return {f"{name}.weight": weight, f"{name}.factor": np.full(rows, factor, F)}

    tensors = layer("stem", width, inputs, 0.01) | layer("head", outputs, width, 0.003)
    tensors |= layer("skip", outputs, inputs, 0.003)
    tensors |= {"stem.gain": integers(r, 2000, conditions, width) + 4096}
    tensors["stem.bias"] = integers(r, 1000, conditions, width)
    for k in range(depth):
        tensors |= layer(f"block{k}", width, width, 0.002) | {f"block{k}.bias": integers(r, 500, conditions, width)}
    tensors["head.bias"] = np.tile(F([-9, 0, 3, 0, 9, -9, 0, 45, 52, 60][:outputs]), (conditions, 1))
    return tensors


def predictors(key: str, seed: int = 1) -> dict[str, Any]:
    """The tensors of predictors with random weights."""
    r, conditions, tensors = np.random.default_rng(seed), 64 if ".refine." in key else CONDITIONS, dict[str, Any]()
    for name, sums in (("linear", LINEAR), ("magnitude", MAGNITUDES)):
        shape = (conditions, sums, WEIGHTS)
        tensors[f"{name}.gap"] = r.integers(0, 8, shape).astype(np.uint8)
        tensors[f"{name}.factor"] = np.full(shape[:2], 1e-3 if name == "linear" else 2e-3, F)
    tensors["linear.weight"] = integers(r, 500, conditions, LINEAR, WEIGHTS)
    tensors["magnitude.weight"] = r.integers(90, 256, (conditions, MAGNITUDES, WEIGHTS)).astype(np.uint8)
    return tensors


@cache
def tensors() -> dict[str, Any]:
    """Those of a small model."""
    return {
        f"{key}.{name}": tensor
        for seed, key in enumerate(jpeg.NETWORKS)
        for name, tensor in (predictors if key in PREDICTORS else network)(key, seed=seed).items()
    }


@cache
def model_bytes() -> bytes:
    return jpeg.pack(tensors(), "small")


def drawn(sizes: Sequence[tuple[int, int]], largest: int = 90, seed: int = 1) -> list[Component]:
    """Components of random coefficients, most of them zero; some blocks end early. sizes: rows, columns."""
    r = np.random.default_rng(seed)
    components = []
    for rows, columns in sizes:
        values = (r.integers(-largest, largest + 1, (rows, columns, 64)) / (1 + np.arange(64))).astype(np.int16)
        values[np.arange(64) >= r.integers(0, 80, (rows, columns, 1))] = 0
        components.append((r.integers(1, 60, 64).tolist(), values))
    return components


def dct() -> NDArray[np.float64]:
    x = np.arange(8)
    basis = np.cos(np.pi * (2 * x + 1) * x[:, None] / 16) / 2
    basis[0] /= np.sqrt(2)
    return basis


def of_plane(plane: NDArray[Any], step: int) -> Component:
    """The coefficients of an image of whole blocks, all with one step."""
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    blocks = (plane.astype(float) - 128).reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    values = (dct() @ blocks @ dct().T / step).round().reshape(rows, columns, 64)
    return [step] * 64, np.ascontiguousarray(values[..., ZIGZAG].astype(np.int16))


def geometry(components: Sequence[Component]) -> list[tuple[list[int], int, int]]:
    return [(steps, *values.shape[:2]) for steps, values in components]
