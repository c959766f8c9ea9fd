"""Networks in numpy: what the kernels must compute, bit for bit."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

F = np.float32
ROUNDER = F(1.5 * 2**23)
Params = dict[str, Any]


def network(
    width: int = 64, depth: int = 3, inputs: int = 96, outputs: int = 30, conditions: int = 3, shown: int = 0,
    neighbours: int = 3,
) -> Params:  # fmt: skip
    r = np.random.default_rng(width + depth)

    def layer(name: str, rows: int, columns: int, factor: float) -> Params:
        weight = r.integers(-127, 128, (rows, columns), np.int8)
        return {f"{name}.weight": weight, f"{name}.factor": (factor * r.uniform(0.5, 1.5, rows)).astype(F)}

    params = layer("stem", width, inputs, 0.002) | layer("head", outputs, width, 0.3)
    params |= layer("skip", outputs, inputs, 0.05)
    for k in range(depth):
        params |= layer(f"block{k}", width, width + neighbours * shown, 0.0005)
    params["stem.bias"] = r.normal(60, 60, (conditions, width)).astype(F)
    return params | {"head.bias": r.normal(0, 300, (conditions, outputs)).astype(F)}


@cache
def expected_of(
    width: int, depth: int, count: int, inputs: int, shown: int
) -> tuple[Params, Any, tuple[Any, Any, Any]]:  # fmt: skip
    """A network, rows, and what numpy computes of them; once for all kernels."""
    params, rows = network(width, depth, inputs, shown=shown), rows_of(count, inputs)
    return params, rows, reference(params, rows, 2)


def rows_of(count: int, inputs: int = 96) -> Any:
    return np.random.default_rng(count).integers(0, 256, (count, inputs), np.uint8)


def rounded(x: Any) -> Any:
    return ((x + ROUNDER) - ROUNDER).astype(np.int32)


def activated(trunk: Any) -> Any:
    return rounded(np.minimum(np.maximum(trunk, F(0)), F(255))).astype(np.uint8)


def times(x: Any, w: Any) -> Any:
    return x.astype(np.int64) @ w.astype(np.int64).T


def depth_of(params: Params) -> int:
    return sum(name.startswith("block") and name.endswith(".weight") for name in params)


def reference(params: Params, rows: Any, condition: int) -> tuple[Any, list[Any], Any]:
    """Outputs, and what the blocks and the head see, of rows that are alone: nobody shows them anything."""
    gain = params["stem.gain"][condition] if "stem.gain" in params else F(1)
    trunk = times(rows.astype(np.int64) - 128, params["stem.weight"]).astype(F) * (params["stem.factor"] * gain)
    trunk = trunk + params["stem.bias"][condition]
    blocks = []
    for k in range(depth_of(params)):
        shift = params[f"block{k}.bias"][condition] if f"block{k}.bias" in params else F(0)
        own, seen = activated(trunk + shift), params[f"block{k}.weight"].shape[1]
        blocks.append(np.pad(own, ((0, 0), (0, seen - own.shape[1]))))
        trunk = trunk + times(blocks[k], params[f"block{k}.weight"]).astype(F) * params[f"block{k}.factor"]
    head = activated(trunk)
    real = times(head, params["head.weight"]).astype(F) * params["head.factor"] + params["head.bias"][condition]
    real = real + times(rows.astype(np.int64) - 128, params["skip.weight"]).astype(F) * params["skip.factor"]
    return rounded(np.minimum(np.maximum(real, F(-32767)), F(32767))), blocks, head
