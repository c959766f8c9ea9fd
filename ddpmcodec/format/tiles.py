"""How large images are cut into tiles, coded independently of each other: in bounded memory, and one at a time."""

from __future__ import annotations

from collections.abc import Callable

from ddpmcodec._native import MAX_CHUNKS, MOST_JPEG_LEVELS, SEGMENTS_OF_JPEG
from ddpmcodec.errors import ImageError
from ddpmcodec.format.header import Index

SINGLE_STREAM_PIXELS = 1 << 16  # images up to this size are one stream
TILE_PIXELS = 1 << 19  # larger ones are cut into tiles of at most this size, which bounds memory
REPEATS_TILE_PIXELS = 1 << 21  # tiles of graphics, which learn what repeats in each tile anew
ALIGNED, LEAST_ALIGNED = 16, 256  # sides of large tiles are multiples, so that small images have whole pixels of them
LEAST_SIDE, MOST_SIDE, SIDE_STEP = 64, 1024, 16  # pixels, of square tiles that a caller asks for


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


Step = Callable[[int], int]  # from the size of a part of a side to what it is a multiple of


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
