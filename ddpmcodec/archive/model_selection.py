"""The choice of the embedded model for thumbnails that are coded together, by a quick trial of both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import models
from ddpmcodec._native import trial_bytes
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.models import PHOTO, THUMBNAIL_PIXELS, registry
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import thread_count

CLEARLY_LESS = 1 - 1 / 64  # of the bytes
MUCH_SMALLER = 1 / 5  # of the operations a pixel: photographs begin to be smaller by the other (docs/experiments)
TRIED_IMAGES = 8


def selected_model(images: Sequence[NDArray[np.uint8]], coding: Coding) -> ContextModel:
    """Return the model that is to code all of these images, uint8 [H, W, C] of at most THUMBNAIL_PIXELS, by some of
    them."""
    usual = registry.default(THUMBNAIL_PIXELS)
    if not images or PHOTO not in models.names():
        return usual
    photo = registry.find_context(PHOTO)
    usual_macs, photo_macs = (model.macs_per_pixel(coding.effort, coding.levels) for model in (usual, photo))
    if photo_macs < MUCH_SMALLER * usual_macs:
        return usual
    tried = [np.ascontiguousarray(image) for image in images[:: max(1, len(images) // TRIED_IMAGES)][:TRIED_IMAGES]]
    by_usual, by_photo = (sum(trial_bytes(tried, model, thread_count())) for model in (usual, photo))
    return photo if by_photo < CLEARLY_LESS * by_usual else usual
