"""Prints, as one line of JSON, hashes of what this process computes; run by test_exactness in many environments.

Arguments: the number of threads, then exported models. Per model: the integers of every path (fused and eager, bfloat16
and float32 convolutions) on batches of several sizes, and whole files, also of a large image in groups, decoded again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ddpmcodec import codec, container
from ddpmcodec.networks.checkpoint import load
from ddpmcodec.networks.model import EagerPredictor, FusedPredictor, Model

BATCHES = (1, 3, 17)


def pictures() -> list[NDArray[np.uint8]]:
    """A smooth colour image, noise, a grey image, and the smooth one larger."""
    y, x = np.mgrid[:48, :40]
    smooth = np.stack([5 * x + y, 240 - 4 * y, np.where(x > y, 60, 190)], -1).astype(np.uint8)
    noise = np.random.Philox(key=7).random_raw(16 * 16 * 3).astype(np.uint8).reshape(16, 16, 3)
    return [smooth[:20, :24], noise, smooth[:9, :17, 0], smooth]


def ranges(count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Known ranges [count, 14, 10, 3], every image another one."""
    raw = np.random.Philox(key=count).random_raw(count * 14 * 10 * 3).reshape(count, 14, 10, 3)
    lo = raw & 255
    return lo.astype(np.uint8), np.minimum(lo + ((raw >> 8 & 255) >> (raw >> 16 & 7)), 255).astype(np.uint8)


LATENT_LEVELS = (700, 20_000, 400_000)  # of noise, in 1/1024 grey level


def latents(count: int) -> NDArray[np.int64]:
    """c_t [count, 14, 10, 3] in units of 1/128 grey level."""
    raw = np.random.Philox(key=count).random_raw(count * 14 * 10 * 3).reshape(count, 14, 10, 3)
    return (raw >> np.uint64(48)).astype(np.int64) - 32768


def outputs(model: Model) -> Iterator[tuple[str, str]]:
    """One name for each batch size: where paths differ, its value is not one hash but several."""
    kinds = (EagerPredictor, FusedPredictor)
    paths = [kind(model.architecture, model.params, low_precision=low) for kind in kinds for low in (False, True)]
    for count in BATCHES:
        hashes = {path(*ranges(count)).sha256() for path in (*paths, model.predict)}
        yield f"batch of {count}", " ".join(sorted(hashes))
        for level in LATENT_LEVELS:
            predictors = (*(path.gaussian for path in paths), model.predict_gaussian)
            hashes = {predict(latents(count), 1 / 128, level).sha256() for predict in predictors}
            yield f"latents, batch of {count}, level {level}", " ".join(sorted(hashes))


def files(model: Model) -> Iterator[tuple[str, str]]:
    images = pictures()
    encoded = codec.encode_many(images, effort=1, model=model, verify=False)
    with in_small_groups():
        encoded.append(codec.encode(images[-1], effort=1, model=model, verify=False))
    images += [images[-1]]
    for image, way in learning(images[-1]):
        images.append(image)
        encoded.append(codec.encode(image, model=model, verify=False, **way))
    for number, (image, data) in enumerate(zip(images, encoded, strict=True)):
        same = np.array_equal(np.asarray(codec.decode(data, model=model)), image)
        yield f"file {number}", hashlib.sha256(data).hexdigest() if same else "does not decode"


def learning(image: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], dict[str, Any]]]:
    """Files whose local networks learn, where the model has some, and how to encode them."""
    yield image, {"effort": 9}
    yield image[..., 1].copy(), {"effort": 9}
    yield image, {"progressive": True}


@contextmanager
def in_small_groups() -> Iterator[None]:
    before = container.SINGLE_STREAM_PIXELS, container.GROUP_PIXELS
    container.SINGLE_STREAM_PIXELS = container.GROUP_PIXELS = 512
    yield
    container.SINGLE_STREAM_PIXELS, container.GROUP_PIXELS = before


def main(threads: int, paths: list[str]) -> None:
    torch.set_num_threads(threads)
    found = {}
    for path in paths:
        model = load(path)
        found |= {f"{Path(path).stem}: {name}": value for name, value in (*outputs(model), *files(model))}
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
