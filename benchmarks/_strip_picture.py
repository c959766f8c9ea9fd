"""A picture of previews: codecs below one another, budgets of bytes side by side, rate and quality under each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ._data import Pixels

TILE = 300  # pixels; larger images are reduced to this width, smaller ones enlarged by a whole factor
COLUMNS = 5
TEXT, LINE, GAP = 19, 28, 14
INK, FAINT, PAPER, NOTHING = "#1d2733", "#5c6a79", "white", "#eef1f4"


class Cell(NamedTuple):
    """What a file of so many bytes shows. psnr: dB; None: no error. steps: of ours, that every pixel was through."""

    bytes: int
    psnr: float | None
    pixels: Pixels
    steps: int | None = None


class Strip(NamedTuple):
    """One codec. cells: of every budget; None where it has no file so small. least: bytes of its smallest file."""

    codec: str
    cells: Sequence[Cell | None]
    least: int


def picture(strips: Sequence[Strip], budgets: Sequence[int]) -> Image.Image:
    """Blocks of up to COLUMNS budgets, one below the other; with the codecs' names where there are several."""
    sample = next(cell for strip in strips for cell in strip.cells if cell)
    height, width, _ = sample.pixels.shape
    tile = _tile_size(width, height)
    layout = _Layout(tile, 7 * TEXT if len(strips) > 1 else 0, len(strips))
    blocks = range(0, len(budgets), COLUMNS)
    canvas = Image.new("RGB", layout.size(min(len(budgets), COLUMNS), len(blocks)), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(TEXT)
    for block, first in enumerate(blocks):
        shown = slice(first, first + COLUMNS)
        for column, size in enumerate(budgets[shown]):
            x, y = layout.corner(block, 0, column)
            draw.text((x, y - LINE), f"{size:,} bytes", INK, font)
        for row, strip in enumerate(strips):
            x, y = layout.corner(block, row, 0)
            if len(strips) > 1:
                draw.text((GAP, y), strip.codec.replace(" ", "\n", 1), INK, font)
            for column, cell in enumerate(strip.cells[shown]):
                x, y = layout.corner(block, row, column)
                _paste(canvas, (x, y), tile, cell)
                draw.text((x, y + tile[1] + 3), _label(cell, strip.least, width * height), FAINT, font)
    return canvas


class _Layout(NamedTuple):
    """tile: width and height. left: of the names. rows: of tiles in a block, below a line of budgets."""

    tile: tuple[int, int]
    left: int
    rows: int

    def corner(self, block: int, row: int, column: int) -> tuple[int, int]:
        """Upper left of a tile."""
        x = self.left + GAP + column * (self.tile[0] + GAP)
        y = block * self._block() + GAP + LINE + row * self._row()
        return x, y

    def size(self, columns: int, blocks: int) -> tuple[int, int]:
        return self.left + GAP + columns * (self.tile[0] + GAP), blocks * self._block() + GAP

    def _row(self) -> int:
        return self.tile[1] + LINE + GAP // 2

    def _block(self) -> int:
        return LINE + self.rows * self._row() + GAP


def _tile_size(width: int, height: int) -> tuple[int, int]:
    if width >= TILE:
        return TILE, max(1, round(height * TILE / width))
    factor = TILE // width
    return factor * width, factor * height


def _paste(canvas: Image.Image, corner: tuple[int, int], tile: tuple[int, int], cell: Cell | None) -> None:
    if cell is None:
        canvas.paste(NOTHING, (*corner, corner[0] + tile[0], corner[1] + tile[1]))
        return
    method = Image.Resampling.LANCZOS if tile[0] < cell.pixels.shape[1] else Image.Resampling.NEAREST
    canvas.paste(Image.fromarray(np.ascontiguousarray(cell.pixels)).resize(tile, method), corner)


def _label(cell: Cell | None, least: int, pixels: int) -> str:
    if cell is None:
        return f"its least: {least:,} bytes"
    return ", ".join(_figures(cell, pixels))


def _figures(cell: Cell, pixels: int) -> Iterator[str]:
    yield f"{8 * cell.bytes / pixels:.2f} bpp"
    yield "lossless" if cell.psnr is None else f"{cell.psnr:.1f} dB"
