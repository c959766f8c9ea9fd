"""Which of the embedded models suits a thumbnail: how many bytes each takes of it, quickly, tells.

The model of thumbnails was trained on one kind of pictures. Photographs that were made smaller take 1 to 3% less by the
model of photographs, whatever the effort and the noise levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import models
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.graphics import words_of
from ddpmcodec.codec.passes import encode_tiles
from ddpmcodec.models import PHOTO, THUMBNAIL_PIXELS, registry
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import run_all

Pixels = NDArray[np.uint8]

TRIED = Coding(effort=1, levels=0)
CLEARLY_LESS = 1 - 1 / 64  # of the bytes: effort 1 flatters the model of photographs, noise levels do not


def suited(images: Sequence[Pixels]) -> ContextModel:
    """The embedded model that is to code images of [H, W, C], of THUMBNAIL_PIXELS at most each."""
    usual = registry.default(THUMBNAIL_PIXELS)
    if not images or PHOTO not in models.names():
        return usual
    other = registry.find(PHOTO)
    return other if _words(images, other) < CLEARLY_LESS * _words(images, usual) else usual


def _words(images: Sequence[Pixels], model: ContextModel) -> int:
    tiles = run_all(lambda image: encode_tiles(image[None], model, TRIED, lanes=False)[0], images)
    return sum(map(words_of, tiles))
