"""What a prefix shows: the conditional means of all coefficients, brought back to pixels.

Nothing here is exact, and nothing of it is used for coding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native

PLANES = 3
GREY = 128  # where nothing is known


def canvas(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Grey pixels, uint8 [H, W, C], which are shown where nothing is known of a tile."""
    return np.full((height, width, channels), GREY, np.uint8)


def shown(coding_pass: _native.Pass, threads: int = 1) -> NDArray[np.uint8]:
    """What a decoder knows of a tile, uint8 [H, W, C]: exact pixels, elsewhere means."""
    exact: NDArray[np.uint8]
    exact, known = (values[0] for values in coding_pass.pixels())
    if known.all():
        return exact
    colours = to_colours(_native.means(coding_pass, threads), exact.shape[-1])
    return np.where(known[..., None].astype(bool), exact, colours)


def to_colours(planes: NDArray[np.float32], channels: int) -> NDArray[np.uint8]:
    """Pixels uint8 [H, W, C] from planes Y, Co, Cg."""
    if channels == 3:
        return _native.to_rgb(planes)
    return np.clip(np.rint(planes[..., :1]), 0, 255).astype(np.uint8)
