"""Which images are graphics, such as text, screenshots and icons, that repeat themselves: their pixels are sought
among repeats, and they have no noise levels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import Tile, encode_tiles
from ddpmcodec.models.context import ContextModel

# Share of pixels that equal the one to the left: of photographs up to 0.41, of screenshots and plots 0.87 or more.
UNLIKELY_REPEATS, CERTAIN_REPEATS = 0.2, 0.5
# Share of pixels that another neighbour or a slope predicts: of photographs up to 0.38, of their parts up to 0.88.
UNLIKELY_SLOPES, MANY_SLOPES, CERTAIN_SLOPES = 0.3, 0.5, 0.9
BAND_PIXELS = 1 << 20  # of the rows that are compared at a time
LEAST_PIXELS = 100  # of an image that can repeat itself
TRIAL_SIDE = 96  # pixels of the middle of an image that are coded both ways
CLEARLY_FEWER = 0.95  # share of bytes: of photographs 0.998 or more, which would lose previews for nothing
WITHOUT_LEVELS = 0.8  # share of the bytes with a level: of photographs 0.89 or more, of smooth drawings 0.7 or less
QUICK = Coding(effort=1, levels=0)  # for trials


class Shares(NamedTuple):
    """Shares of the pixels of an image.

    Attributes:
        left: pixels that equal the one to the left.
        slopes: pixels that equal the one above, or the one above and left or right of it, or that of both neighbours
            and their corner follows by a linear slope: the largest of these four.
    """

    left: float
    slopes: float


def shares_of(colour: NDArray[np.uint8]) -> Shares:
    """Return what neighbours predict of an image uint8 [H, W, C]."""
    height, width, _ = colour.shape
    rows = max(1, BAND_PIXELS // width)
    counts = np.zeros(5, np.int64)
    for top in range(0, height, rows):
        band = _packed(colour[top : top + rows + 1])
        here, west, north, corner = band[1:, 1:], band[1:, :-1], band[:-1, 1:], band[:-1, :-1]
        same_as_left = band[:rows, 1:] == band[:rows, :-1]
        slopes = here == north, here == corner, west == north, here + corner == west + north
        counts += [np.count_nonzero(is_predicted) for is_predicted in (same_as_left, *slopes)]
    left, slope = int(counts[0]), int(counts[1:].max())
    return Shares(left / max(1, height * (width - 1)), slope / max(1, (height - 1) * (width - 1)))


def _packed(colour: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return a number for each pixel, whose bytes are the channels. A slope of all channels is one of these numbers."""
    numbers = colour[..., 0].astype(np.uint32)
    for channel in range(1, colour.shape[2]):
        numbers <<= 8
        numbers |= colour[..., channel]
    return numbers


def has_repeats(colour: NDArray[np.uint8], model: ContextModel) -> bool:
    """Return whether an image, uint8 [H, W, C], is to be coded by repeats: of graphics, neighbours predict many pixels
    exactly. A trial decides for what might be either."""
    if colour[..., 0].size < LEAST_PIXELS:
        return False
    left, slopes = shares_of(colour)
    if left >= CERTAIN_REPEATS or slopes >= CERTAIN_SLOPES:
        return True
    if left <= UNLIKELY_REPEATS and slopes < UNLIKELY_SLOPES:
        return False
    without, by_repeats = (_tried(colour, model, QUICK._replace(repeats=repeats)) for repeats in (False, True))
    return by_repeats < CLEARLY_FEWER * without


def are_levels_costly(colour: NDArray[np.uint8], model: ContextModel) -> bool:
    """Return whether noise levels cost an image, uint8 [H, W, C], more than any photograph, by a trial of images that
    have many slopes."""
    if colour[..., 0].size < LEAST_PIXELS or shares_of(colour).slopes < MANY_SLOPES:
        return False
    return _tried(colour, model, QUICK) < WITHOUT_LEVELS * _tried(colour, model, QUICK._replace(levels=1))


def _tried(colour: NDArray[np.uint8], model: ContextModel, coding: Coding) -> int:
    """Return how many bytes the middle of an image takes."""
    top, left = (max(0, side - TRIAL_SIDE) // 2 for side in colour.shape[:2])
    middle = colour[None, top : top + TRIAL_SIDE, left : left + TRIAL_SIDE]
    return words_of(encode_tiles(middle, model, coding, lanes=False)[0])


def words_of(tile: Tile) -> int:
    """Return how many bytes the words of a tile's streams take."""
    return sum(len(part) for words in tile.words for part in words)
