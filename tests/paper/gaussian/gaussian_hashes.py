"""Prints, as one line of JSON, hashes of what processes in many environments compute; run by test_gaussian_exactness.

Arguments: files of Gaussian models. Input: a list of pairs, variables of the environment and a number of threads. Per
model: the integers of every path (convolutions in bfloat16 and in float32) on batches of several sizes, and a stack of
images by bits back, decoded again.

PyTorch reads the variables when it first computes: it is imported once, and each environment has a fork of its own.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ddpmcodec.paper import bits_back
from ddpmcodec.paper.ans import Stack
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.gaussian_model import GaussianModel, GaussianPredictor

BATCHES = (1, 3, 17)
LEVELS = (700, 20_000, 400_000)  # of noise, in 1/1024 grey level


def pictures() -> NDArray[np.uint8]:
    """Two images, smooth with an edge, [2, 10, 6, 3]."""
    n, y, x = np.mgrid[:2, :10, :6]
    return np.stack([5 * x + y + 30 * n, 240 - 4 * y, np.where(x > y, 60, 190)], -1).astype(np.uint8)


def latents(count: int) -> NDArray[np.int64]:
    """c_t [count, 10, 6, 3] in units of 1/128 grey level."""
    raw = np.random.Philox(key=count).random_raw(count * 10 * 6 * 3).reshape(count, 10, 6, 3)
    return (raw >> np.uint64(48)).astype(np.int64) - 32768


def predictions(model: GaussianModel) -> Iterator[tuple[str, str]]:
    """One name for each batch size: where paths differ, its value is not one hash but several.

    Every size has a level of its own. What a size changes, how convolutions are cut up, does not depend on the level,
    and an old processor takes a minute to compute all pairs.
    """
    paths = [GaussianPredictor(model.architecture, model.params, low_precision=low) for low in (False, True)]
    for count, level in zip(BATCHES, LEVELS, strict=True):
        hashes = {path.predict(latents(count), 1 / 128, level).sha256() for path in (*paths, model)}
        yield f"batch of {count}, level {level}", " ".join(sorted(hashes))


def stacks(model: GaussianModel) -> Iterator[tuple[str, str]]:
    stack, pixels, levels = Stack.empty(), pictures(), bits_back.hierarchy(LEVELS)
    stack.push(np.random.Philox(key=3).random_raw(4000).astype(np.uint16), 1, 16)
    bits_back.encode(stack, pixels, model, levels)
    words = stack.to_words()
    same = np.array_equal(bits_back.decode(Stack.from_words(words), pixels.shape, model, levels), pixels)
    yield "bits back", hashlib.sha256(words.tobytes()).hexdigest() if same else "does not decode"


def hashes(paths: list[str], environment: tuple[dict[str, str], int]) -> dict[str, str]:
    """With PyTorch's own instruction set, as `instructions`."""
    variables, threads = environment
    os.environ |= variables
    torch.set_num_threads(threads)
    found = {"instructions": torch.backends.cpu.get_cpu_capability()}
    for path in paths:
        model = find_denoiser(path)
        found |= {f"{Path(path).stem}: {name}": value for name, value in (*predictions(model), *stacks(model))}
    return found


if __name__ == "__main__":
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with context.Pool(2, maxtasksperchild=1) as pool:
        print(json.dumps(pool.map(partial(hashes, sys.argv[1:]), json.load(sys.stdin), chunksize=1)))
