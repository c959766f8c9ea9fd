"""YCoCg-R: RGB as luma and two chroma differences, reversible by lifting (Malvar & Sullivan 2003, JVT-I014).

Y lies in 0..255, Co and Cg in -255..255. A squared error of Y, Co, Cg counts 3, 1/2 and 3/4 in RGB (`RGB_WEIGHTS`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RGB_WEIGHTS = (3.0, 0.5, 0.75)


def to_ycocg(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """uint8 [..., C] with C 3 (RGB) or 1 (grey, which stays as it is) to int16 [..., C].

    >>> to_ycocg(np.array([[255, 0, 0]], np.uint8))
    array([[  63,  255, -127]], dtype=int16)
    """
    wide = pixels.astype(np.int16)
    if pixels.shape[-1] == 1:
        return wide
    red, green, blue = (wide[..., c] for c in range(3))
    orange = red - blue
    middle = blue + (orange >> 1)
    other = green - middle
    return np.stack([middle + (other >> 1), orange, other], -1)


def from_ycocg(planes: NDArray[Any]) -> NDArray[np.int16]:
    """The inverse. int16, as planes that no pixels belong to may leave 0..255: clip previews, check decoded images."""
    wide = planes.astype(np.int16)
    if planes.shape[-1] == 1:
        return wide
    luma, orange, other = (wide[..., c] for c in range(3))
    middle = luma - (other >> 1)
    green = other + middle
    blue = middle - (orange >> 1)
    return np.stack([blue + orange, green, blue], -1)
