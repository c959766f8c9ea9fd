"""Images that share network calls, and what encoder and decoder have in common: whose steps they take, who is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.container import PROGRESSIVE
from ddpmcodec.errors import ModelError
from ddpmcodec.networks.model import IntegerPrediction, Model
from ddpmcodec.schedule import Step

ModelSource = Model | str | Path | None
Progress = Callable[[float], object]  # told how many pixels' worth of work was done since the last call
BatchKey = tuple[int, Hashable]  # pixels of an image, and all that images of a batch have in common

BATCH_PIXELS = 1 << 18  # of images that share network calls: 256 images of 32 x 32


def batches(keys: Sequence[BatchKey]) -> Iterator[list[int]]:
    """Indices of equal keys, in batches of about BATCH_PIXELS."""
    alike: defaultdict[BatchKey, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        alike[key].append(i)
    for (pixels, _), members in alike.items():
        count = max(1, BATCH_PIXELS // pixels)
        yield from (members[start : start + count] for start in range(0, len(members), count))


def steps_of(network: Model, effort: int) -> Sequence[Step]:
    if effort not in network.presets:
        efforts = ", ".join(map(str, sorted(network.presets)))
        wanted = "progressive list" if effort == PROGRESSIVE else f"effort {effort}"
        raise ModelError(f"model {network.name!r} has no {wanted}: it has {efforts}")
    return network.presets[effort]


def watched(network: Model, calls: int, progress: Progress | None) -> Model:
    """The same model; every one of `calls` network calls an image takes reports that share of its pixels."""
    if progress is None:
        return network

    def predict(lo: NDArray[np.uint8], hi: NDArray[np.uint8]) -> IntegerPrediction:
        found = network.predict(lo, hi)
        progress(lo.shape[0] * lo.shape[1] * lo.shape[2] / calls)
        return found

    return replace(network, predict=predict)
