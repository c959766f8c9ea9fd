"""The choice of the embedded model for thumbnails, by a quick trial of both if both may win.

The model for thumbnails was trained on one kind of pictures. Small versions of photographs take 1 to 3% fewer bytes by
the model for photographs, unless its networks are much smaller, as they are at effort 2 with noise levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import models
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.graphics import QUICK, words_of
from ddpmcodec.codec.passes import batches, encode_tiles
from ddpmcodec.models import PHOTO, THUMBNAIL_PIXELS, registry
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import run_all

Pixels = NDArray[np.uint8]

CLEARLY_LESS = 1 - 1 / 64  # of the bytes
MUCH_SMALLER = 1 / 5  # of the operations a pixel: where photographs begin to be smaller by the other (docs/experiments)
TRIED_IMAGES = 8  # of those that have one model together


class _TrialSizes(NamedTuple):
    """What an image, or several together, take by the usual model for thumbnails, and by the model for photographs;
    0 and 0 where the latter cannot win."""

    usual: int
    photo: int


def selected_models(images: Sequence[Pixels], coding: Coding) -> list[ContextModel]:
    """For each image, uint8 [H, W, C] of at most THUMBNAIL_PIXELS, the model that is to code it."""
    return [_chosen(tried) for tried in _tried(images, coding)]


def selected_model(images: Sequence[Pixels], coding: Coding) -> ContextModel:
    """The model that is to code all of these images, by some of them."""
    tried = _tried(images[:: max(1, len(images) // TRIED_IMAGES)][:TRIED_IMAGES], coding)
    return _chosen(_TrialSizes(sum(each.usual for each in tried), sum(each.photo for each in tried)))


def _chosen(tried: _TrialSizes) -> ContextModel:
    is_photo = tried.photo < CLEARLY_LESS * tried.usual
    return registry.find_context(PHOTO) if is_photo else registry.default(THUMBNAIL_PIXELS)


def _tried(images: Sequence[Pixels], coding: Coding) -> list[_TrialSizes]:
    """What each image takes."""
    if not images or PHOTO not in models.names():
        return [_TrialSizes(0, 0)] * len(images)
    usual, photo = registry.default(THUMBNAIL_PIXELS), registry.find_context(PHOTO)
    if photo.macs_per_pixel(coding.effort, coding.levels) < MUCH_SMALLER * usual.macs_per_pixel(
        coding.effort, coding.levels
    ):
        return [_TrialSizes(0, 0)] * len(images)
    return list(map(_TrialSizes, _words(images, usual), _words(images, photo)))


def _words(images: Sequence[Pixels], model: ContextModel) -> list[int]:
    """The bytes of each image's words. Images of one size are coded together."""
    sizes = [0] * len(images)

    def count(batch: list[int]) -> None:
        tiles = encode_tiles(np.stack([images[i] for i in batch]), model, QUICK, lanes=False)
        for i, tile in zip(batch, tiles, strict=True):
            sizes[i] = words_of(tile)

    run_all(count, batches([(image[..., 0].size, image.shape) for image in images]))
    return sizes
