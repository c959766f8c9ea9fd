"""The whole coder's known answer: a small picture under small networks, which every process codes to the same bytes.

Encoder and decoder share kernels and tables. Where one of those is wrong, as by a compiler's fault, both are wrong in
the same way: what was encoded decodes again here, and nowhere else. So verification asks for the known answer once in a
process.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec.errors import ModelError

ANSWER = "92f53d11c635a47c107377e6d3e26dc111d63c88d8f4b8c629f788a1c60c8451"
WIDTH, DEPTH, COMPONENTS = 32, 2, 3
BLOCK_INPUTS = WIDTH + 3 * 16  # 16 activations are shown to three other positions
SIZE = (26, 22)  # of the picture
FACTORS = {"stem": 1 / 256, "head": 1 / 32, "skip": 1 / 256}  # of blocks: 1/128


def _drawn(key: int, shape: tuple[int, ...], count: int) -> NDArray[np.int64]:
    """Integers 0 to count - 1 from numpy's Philox 4x64, whose raw numbers are the same in all versions."""
    raw = np.random.Philox(key=key).random_raw(int(np.prod(shape))) % np.uint64(count)
    return raw.astype(np.int64).reshape(shape)


def tensors(role: str, components: int = COMPONENTS) -> dict[str, NDArray[Any]]:
    """Random tensors of a network of a role ("direct", "last", "band"). Floats are short binary fractions."""
    inputs, outputs, conditions = _native.contract(role, components)
    blocks = {f"block{k}": (WIDTH, BLOCK_INPUTS) for k in range(DEPTH)}
    layers = {"stem": (WIDTH, inputs), **blocks, "head": (outputs, WIDTH), "skip": (outputs, inputs)}
    layer_tensors: dict[str, NDArray[Any]] = {}
    for key, (name, shape) in enumerate(layers.items()):
        layer_tensors[f"{name}.weight"] = (_drawn(3 * key, shape, 64) - 32).astype(np.int8)
        unit = FACTORS.get(name, 1 / 128)
        layer_tensors[f"{name}.factor"] = (unit * (2 + _drawn(3 * key + 1, shape[:1], 5)) / 4).astype(np.float32)
        if name in ("stem", "head"):
            bias = _drawn(3 * key + 2, (conditions, shape[0]), 64)
            layer_tensors[f"{name}.bias"] = (bias + (20 if name == "head" else -32)).astype(np.float32)
    return layer_tensors


def network(role: str, components: int = COMPONENTS) -> _native.ContextNetwork:
    return _native.ContextNetwork.make(tensors(role, components), role, components)


def picture() -> NDArray[np.uint8]:
    """A small picture, uint8 [1, H, W, 3]."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    smooth = np.stack([9 * x + y, 240 - 7 * y, np.where(x > y, 60, 190)], -1)
    return ((smooth + _drawn(1, (*SIZE, 3), 12)) % 256).astype(np.uint8)[None]


def answer() -> str:
    """sha256 of the picture's streams, with no and with five noise levels, where weights and colours learn, and by a
    single logistic, as at effort 0."""
    pixels, digest = picture(), hashlib.sha256()
    after_levels = [network(role) for role in ("last", "band", "band", "band")]
    for levels, networks in ((0, [network("direct")]), (5, after_levels), (0, [network("direct", 1)])):
        coder = _native.Pass(networks, levels, pixels.shape, streams=2, learns=True, threads=1)
        coder.encode(pixels)
        coder.advance(1 << 30, coder.segments)
        for stream in range(2):
            state, words = coder.stream(stream, 1)
            digest.update(state.to_bytes(8, "little") + b"".join(words))
    return digest.hexdigest()


@cache
def require() -> None:
    """Raises ModelError unless this process codes as every other does."""
    if answer() != ANSWER:
        raise ModelError(
            "this process does not compute what every other does, and what it encodes would decode nowhere else: the"
            " compiled core or the processor is at fault; install ddpmcodec again"
        )
