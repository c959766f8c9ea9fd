"""Which small images are smaller as lossless WebP than in a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ddpmcodec.archive.blocks import ContextCoder
from ddpmcodec.codec import graphics
from ddpmcodec.codec.batching import batches
from ddpmcodec.codec.tiles import Tile, encode_tiles
from ddpmcodec.format.sections import pack_alpha
from ddpmcodec.format.streams import CHECK_BITS
from ddpmcodec.images import Planes
from ddpmcodec.parallel import run_all

CANDIDATE = 0.33  # of its bytes as they are: an image that no WebP makes so small is left to the model at once
HEAD_BYTES = 16  # of a file with WebP inside, and what it takes in the heads of a block


def find_graphics(pictures: Sequence[Planes], coder: ContextCoder) -> list[bool]:
    """Of each picture whether WebP is smaller. What can only be a photograph takes little time, the rest is coded."""
    found = run_all(_may_be_graphics, pictures)
    candidates = [planes for planes, candidate in zip(pictures, found, strict=True) if candidate]
    smaller = iter(_are_smaller(candidates, coder))
    return [candidate and next(smaller) for candidate in found]


def _may_be_graphics(planes: Planes) -> bool:
    samples = planes.colour.size + (0 if planes.alpha is None else planes.alpha.size)
    return not graphics.is_clearly_larger(planes, int(CANDIDATE * samples))


def _are_smaller(pictures: Sequence[Planes], coder: ContextCoder) -> list[bool]:
    found = [False] * len(pictures)

    def compare(batch: list[int]) -> None:
        pixels = np.stack([pictures[i].colour for i in batch])
        for i, tile in zip(batch, encode_tiles(pixels, coder.model, coder.coding, lanes=False), strict=True):
            found[i] = _is_smaller(pictures[i], _share(tile))

    shapes = [planes.colour.shape for planes in pictures]
    run_all(compare, batches([(shape[0] * shape[1], shape) for shape in shapes]))
    return found


def _share(tile: Tile) -> int:
    """About how many bytes an image adds to the stream of a run."""
    (state,) = tile.states
    return graphics.words_of(tile) + (state.bit_length() - CHECK_BITS) // 8


def _is_smaller(planes: Planes, coded: int) -> bool:
    """Whether WebP takes less than the colours in a run, and alpha beside it."""
    size = coded + (0 if planes.alpha is None else len(pack_alpha(planes.alpha)))
    return not graphics.is_clearly_larger(planes, size) and len(graphics.pack(planes)) + HEAD_BYTES < size
