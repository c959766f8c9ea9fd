"""What positions show each other: blocks see activations of those to the left, above, and above the right one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from known_networks import COMPONENTS, network, tensors

from ddpmcodec import _native
from ddpmcodec.errors import ModelError
from ddpmcodec.models.context import network_of

F = np.float32
ROUNDER = F(1.5 * 2**23)


def rounded(x: Any) -> Any:
    return ((x + ROUNDER) - ROUNDER).astype(np.int32)


def activated(trunk: Any) -> Any:
    return rounded(np.clip(trunk, F(0), F(255))).astype(np.int64)


def reference(params: dict[str, Any], rows: Any) -> Any:
    """Outputs [H, W, outputs] of inputs [H, W, inputs], with numpy: convolutions over whole images."""

    def product(x: Any, layer: str) -> Any:
        return (x @ params[f"{layer}.weight"].astype(np.int64).T).astype(F) * params[f"{layer}.factor"]

    seen = rows.astype(np.int64) - 128
    trunk = product(seen, "stem") + params["stem.bias"][0]
    for k in range(sum(name.startswith("block") for name in params) // 2):
        own = activated(trunk)
        shown = (params[f"block{k}.weight"].shape[1] - own.shape[-1]) // 3
        around = np.pad(own[..., :shown], ((1, 0), (1, 1), (0, 0)))
        near = [around[1:, :-2], around[:-1, 1:-1], around[:-1, 2:]]
        trunk = trunk + product(np.concatenate([own, *near], -1), f"block{k}")
    real = product(activated(trunk), "head") + params["head.bias"][0] + product(seen, "skip")
    return rounded(np.clip(real, F(-32767), F(32767)))


@pytest.mark.parametrize("role", ["direct", "last", "band"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (2, 2), (7, 30), (23, 17)])
def test_an_image_gives_what_convolutions_do(role: str, height: int, width: int) -> None:
    inputs, outputs, _ = _native.contract(role, COMPONENTS)
    rows = np.random.default_rng(height + width).integers(0, 256, (height, width, inputs), np.uint8)
    found = network(role).outputs(rows.reshape(-1, inputs), 0, width).reshape(height, width, outputs)
    assert np.array_equal(found, reference(tensors(role), rows))


def test_a_pixel_that_is_alone_sees_nothing_of_others() -> None:
    inputs, _, _ = _native.contract("direct", COMPONENTS)
    rows = np.random.default_rng(0).integers(0, 256, (4, inputs), np.uint8)
    alone = network("direct").outputs(rows, 0)
    for k, row in enumerate(rows):
        assert np.array_equal(network("direct").outputs(row[None], 0, 1)[0], alone[k])
    assert (network("direct").outputs(rows, 0, 4)[1:] != alone[1:]).any(1).all()


def test_rows_must_be_those_of_a_whole_image() -> None:
    rows = np.zeros((5, _native.contract("direct", COMPONENTS)[0]), np.uint8)
    with pytest.raises(ValueError, match="whole image"):
        network("direct").outputs(rows, 0, 2)


@pytest.mark.parametrize("inputs", [29, 31, 32 + 1, 32 + 3 * 8, 32 + 3 * 48])
def test_a_block_sees_whole_vectors_and_no_more_than_there_are(inputs: int) -> None:
    params = tensors("direct")
    params |= {f"block{k}.weight": np.zeros((32, inputs), np.int8) for k in range(2)}
    with pytest.raises(ModelError, match="direct"):
        network_of(params, "direct", COMPONENTS)
