"""Our codec as the benchmarks call it: which model, what an effort is called, how long a code is at least."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ddpmcodec.codec.efforts import products_per_pixel
from ddpmcodec.codec.tiles import SegmentCost
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.model_file import default_model, load_model
from ddpmcodec.networks.context.shape import SHAPE, Shape

from ._data import Pixels

OURS = "ddpmcodec"
PRODUCTS_PER_COST = 1e5  # multiply-accumulates a pixel that take about as long as a fast codec


def name_of(effort: int) -> str:
    """What our files at an effort are called in results."""
    return f"{OURS} effort {effort}"


def is_ours(codec: str) -> bool:
    return codec.startswith(OURS)


def find_model(source: str | None, images: Sequence[Pixels]) -> ContextModel:
    """The named model, or the embedded one for most of the images. Raises ModelError."""
    if source is not None:
        return load_model(source)
    return default_model(int(np.median([image[..., 0].size for image in images])))


def products(effort: int, images: Sequence[Pixels], shape: Shape) -> float:
    """Multiply-accumulates a pixel of a model of this shape, the mean over images."""
    return float(np.mean([products_per_pixel(effort, len(image), image.shape[1], shape) for image in images]))


def cost(effort: int, images: Sequence[Pixels]) -> float:
    """Time a pixel, in that of a fast codec: for progress bars."""
    return products(effort, images, SHAPE) / PRODUCTS_PER_COST


class CodeLength:
    """A `codec.Report` that adds up the ideal code length, in bits. Threads may call it at the same time."""

    def __init__(self) -> None:
        self.costs: list[SegmentCost] = []

    def __call__(self, cost: SegmentCost) -> None:
        self.costs.append(cost)

    @property
    def bits(self) -> float:
        return sum(cost.bits for cost in self.costs)
