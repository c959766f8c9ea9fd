"""Codecs to time, each as a pair of functions from images to files and back.

Thumbnails come in batches of 256, photographs one by one, as a user opens them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from ddpmcodec import codec
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.parallel import run_all

from ._baselines import Baseline, decoding_threads
from ._data import Pixels
from ._ours import name_of, products
from ._tasks import groups

A = TypeVar("A")
B = TypeVar("B")

BATCH_PIXELS = 1 << 18  # 256 of 32x32
SHARE_IMAGES = 64  # of a batch, for a thread of a baseline

Encode = Callable[[Sequence[Pixels]], list[bytes]]
Decode = Callable[[Sequence[bytes]], list[Pixels]]


class Coder(NamedTuple):
    """effort, products: of ours; multiply-accumulates a pixel. encode: a batch to files, one each. decode: back."""

    name: str
    effort: int | None
    products: Callable[[Sequence[Pixels]], float] | None
    encode: Encode
    decode: Decode


def batches_of(images: Sequence[Pixels]) -> list[slice]:
    """Which images are coded together."""
    sizes = [image[..., 0].size for image in images]
    return [slice(first, last) for first, last in groups(sizes, len(images), BATCH_PIXELS)]


def of_effort(model: ContextModel, effort: int) -> Coder:
    """Without verification, which is one more decoding."""

    def encode(images: Sequence[Pixels]) -> list[bytes]:
        return codec.encode_many(images, effort=effort, model=model, verify=False)

    def decode(files: Sequence[bytes]) -> list[Pixels]:
        return [np.asarray(image) for image in codec.decode_many(files, model=model)]

    return Coder(name_of(effort), effort, lambda images: products(effort, images, model.shape), encode, decode)


def of_baseline(baseline: Baseline) -> Coder:
    """Images of a batch are shared out over the threads; a single image has all of them, where its format can."""

    def encode(images: Sequence[Pixels]) -> list[bytes]:
        alone = baseline.with_threads(_inner_threads(images))
        return _shared_out(lambda part: [alone.encode(image) for image in part], images)

    def decode(files: Sequence[bytes]) -> list[Pixels]:
        with decoding_threads(_inner_threads(files)):
            return _shared_out(lambda part: [baseline.decode(data) for data in part], files)

    return Coder(baseline.name, None, None, encode, decode)


def _inner_threads(batch: Sequence[object]) -> int:
    return torch.get_num_threads() if len(batch) == 1 else 1


def _shared_out(work: Callable[[Sequence[A]], list[B]], items: Sequence[A]) -> list[B]:
    parts = [items[first : first + SHARE_IMAGES] for first in range(0, len(items), SHARE_IMAGES)]
    return list(chain.from_iterable(run_all(work, parts)))
