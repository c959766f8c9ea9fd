"""How a large image is cut into tiles, coded independently of each other, and the rANS streams of a tile as bytes.

A stream begins with the state that its encoder ended with, in the least number of bytes that hold it, 4 to 8, little
endian. 32-bit words follow, in the order in which a decoder takes them. The state that a decoder ends with is
LEAST_STATE plus a check of 24 bits.

A chunk of a tile has parts, one after another, as the schedule says. It holds the numbers of words of all lanes in all
parts as varints, but for the very last, which is what is left; in the first chunk the states of all lanes, a byte with
its size in front of each; then the words. Those of every lane stand all over their part, evenly, so that a chunk which
is cut holds about as much of each: word i of n has the place floor((2 i + 1) 2^31 / n), and words stand in the order of
places, lane after lane where they are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from written_headers import Index

from ddpmcodec._native import (
    LANES,
    MAX_CHUNKS,
    MAX_TILE_PIXELS,
    MOST_JPEG_LEVELS,
    SEGMENTS_OF_JPEG,
    WORD_BYTES,
)
from ddpmcodec.errors import ImageError
from ddpmcodec.format.streams import pack_state, state_size
from ddpmcodec.format.varint import pack_varint

SINGLE_STREAM_PIXELS = 1 << 16  # images up to this size are one stream
TILE_PIXELS = 1 << 19  # larger ones are cut into tiles of at most this size, which bounds memory
REPEATS_TILE_PIXELS = MAX_TILE_PIXELS  # tiles of graphics, which learn what repeats in each tile anew
ALIGNED, LEAST_ALIGNED = 16, 256  # sides of large tiles are multiples, so that small images have whole pixels of them

Step = Callable[[int], int]  # from the size of a part of a side to what it is a multiple of


# --- lanes


def pack_chunk(parts: Sequence[Sequence[bytes]], states: Sequence[int] = ()) -> bytes:
    """A chunk of parts, each the words of all lanes. states: those of the lanes, in the first chunk of a tile."""
    if any(len(words) != LANES for words in parts) or len(states) not in (0, LANES):
        raise ValueError(f"every part of a chunk has {LANES} lanes, and a chunk as many states, or none")
    counts = [[len(lane_words) // WORD_BYTES for lane_words in words] for words in parts]
    head = [pack_varint(count) for count in chain.from_iterable(counts)][:-1]
    head += [bytes([state_size(state)]) + pack_state(state) for state in states]
    return b"".join([*head, *map(_mixed, parts, counts)])


def _mixed(words: Sequence[bytes], counts: Sequence[int]) -> bytes:
    """The words of a part."""
    packed = np.empty(sum(counts), "<u4")
    order = _lanes_of(counts)
    for lane, lane_words in enumerate(words):
        packed[order == lane] = np.frombuffer(lane_words, "<u4")
    return packed.tobytes()


def _lanes_of(counts: Sequence[int]) -> NDArray[np.intp]:
    """The lane of each word of a part."""
    places = [((2 * np.arange(count, dtype=np.uint64) + 1) << 31) // max(count, 1) for count in counts]
    lanes = np.repeat(np.arange(LANES), counts)
    return lanes[np.argsort(np.concatenate(places), kind="stable")]


# --- grids


def plan_index(
    width: int, height: int, segments: int, side: int | None = None, *, repeats: bool = False
) -> Index | None:
    """The grid for an image of this size (None: one stream): tiles of at most TILE_PIXELS with even sides, chosen so
    that the lines between tiles, where the model loses sight of its neighbours, are as short as possible. side: square
    tiles of so many pixels instead, for an image that is larger in one direction. repeats: tiles are larger,
    because repeats are sought in a tile.

    Raises ImageError where there would be more chunks than the format holds."""
    if side is not None and max(width, height) > side:
        chunks = -(-width // side) * -(-height // side) * segments
        if chunks > MAX_CHUNKS:
            raise ImageError(f"{chunks} chunks of tiles, where {MAX_CHUNKS} are possible: take larger tiles")
        return Index(min(side, width), min(side, height))
    most = REPEATS_TILE_PIXELS if repeats else TILE_PIXELS
    return None if width * height <= SINGLE_STREAM_PIXELS else _best_grid(width, height, (_step, _step), most)


def plan_jpeg_index(width: int, height: int, mcu: tuple[int, int], side: int | None = None) -> Index:
    """The grid for the coefficients of a JPEG, of whole MCUs. mcu: width and height of one, in pixels. side: of square
    tiles, rounded up to whole MCUs.

    Raises ImageError if there would be more chunks than the format holds."""
    if side is None:
        return _best_grid(width, height, (lambda _: mcu[0], lambda _: mcu[1]), TILE_PIXELS)
    tile_width, tile_height = (_rounded_up(side, step) for step in mcu)
    tiles = -(-width // tile_width) * -(-height // tile_height)
    if tiles * (SEGMENTS_OF_JPEG + MOST_JPEG_LEVELS) > MAX_CHUNKS:
        raise ImageError(f"{tiles} tiles have more than {MAX_CHUNKS} chunks: take larger tiles")
    return Index(min(tile_width, width), min(tile_height, height))


def _best_grid(width: int, height: int, steps: tuple[Step, Step], pixels: int) -> Index:
    most = min(-(-width // 2), 2 * -(-width * height // pixels))
    tiles = (_tile_of_columns(width, height, columns, steps, pixels) for columns in range(1, max(most, 1) + 1))
    best = min(filter(None, tiles), key=lambda tile: (_inner_edges(width, height, tile), tile))
    return Index(*best)


def _tile_of_columns(
    width: int, height: int, columns: int, steps: tuple[Step, Step], pixels: int
) -> tuple[int, int] | None:
    tile_width = _cut(width, columns, steps[0])
    tallest = pixels // tile_width
    if tallest >= height:
        return tile_width, height
    step = steps[1](tallest)
    if tallest < step:
        return None
    return tile_width, _cut(height, -(-height // (tallest // step * step)), steps[1])


def _cut(length: int, parts: int, step_of: Step) -> int:
    """The size of a part when `length` is cut in `parts`, rounded up."""
    return min(length, _rounded_up(-(-length // parts), step_of(-(-length // parts))))


def _rounded_up(length: int, step: int) -> int:
    return -(-length // step) * step


def _step(side: int) -> int:
    """Sides are even, those of large tiles multiples of ALIGNED."""
    return ALIGNED if side >= LEAST_ALIGNED else 2


def _inner_edges(width: int, height: int, tile: tuple[int, int]) -> int:
    columns, rows = -(-width // tile[0]), -(-height // tile[1])
    return (columns - 1) * height + (rows - 1) * width
