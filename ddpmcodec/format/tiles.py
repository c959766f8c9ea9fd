"""How large images are cut into tiles, coded independently of each other: in bounded memory, and one at a time."""

from __future__ import annotations

from ddpmcodec.format.header import Index

SINGLE_STREAM_PIXELS = 1 << 16  # images up to this size are one stream
TILE_PIXELS = 1 << 19  # larger ones are cut into tiles of at most this size, which bounds memory


def plan_index(width: int, height: int, segments: int) -> Index | None:
    """The grid for an image of this size (None: one stream): tiles of at most TILE_PIXELS with even sides, chosen so
    that the lines between tiles, where the model loses sight of its neighbours, are as short as possible."""
    if width * height <= SINGLE_STREAM_PIXELS:
        return None
    most = min(-(-width // 2), 2 * -(-width * height // TILE_PIXELS))
    tiles = (_tile_of_columns(width, height, columns) for columns in range(1, most + 1))
    best = min(filter(None, tiles), key=lambda tile: (_inner_edges(width, height, tile), tile))
    return Index(*best, segments)


def _tile_of_columns(width: int, height: int, columns: int) -> tuple[int, int] | None:
    tile_width = _even_cut(width, columns)
    tallest = TILE_PIXELS // tile_width
    if tallest >= height:
        return tile_width, height
    if tallest < 2:
        return None
    return tile_width, _even_cut(height, -(-height // (tallest // 2 * 2)))


def _even_cut(length: int, parts: int) -> int:
    """The size of a part when `length` is cut in `parts`, rounded up to an even number."""
    return min(length, -(-length // parts) + 1 & ~1)


def _inner_edges(width: int, height: int, tile: tuple[int, int]) -> int:
    columns, rows = -(-width // tile[0]), -(-height // tile[1])
    return (columns - 1) * height + (rows - 1) * width
