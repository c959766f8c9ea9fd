"""ddpmcodec bench strips: what the first bytes of a file show, as pictures, beside AVIF, WebP and JPEG of as many.

Ours are prefixes of one file; those are encoded anew for every budget, at the highest quality that fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ddpmcodec import codec
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.comparison import psnr
from ddpmcodec.errors import ImageError, OutputError
from ddpmcodec.formats.files import write_file
from ddpmcodec.formats.image_files import load_image, save_image
from ddpmcodec.models.context import ContextModel

from ._codecs import BASELINE_COST, WEBP, Baseline, avif, cost, find_model, jpeg, name_of, sort_out, webp
from ._curves import squared_error
from ._data import Dataset, Pixels
from ._results import Document, Measure, Row, Table, document
from ._work import Unit, Work, identity

__all__ = ["TITLE", "Plan", "figures", "load_pictures", "measures", "run", "tables"]

TITLE = "Previews from the first bytes"
KIND = "strips"
BUDGETS = 10
FIRST_SHARE = 1 / 64  # of a file: the smallest budget unless they are given
QUALITIES = range(1, 101)
BESIDE = {  # files from the smallest to the largest
    "AVIF": avif(QUALITIES).baselines,
    "WebP": [*webp(QUALITIES).baselines, WEBP],
    "JPEG": jpeg(QUALITIES).baselines,
}

TILE = 300  # pixels; larger images are reduced to this width, smaller ones enlarged by a whole factor
COLUMNS = 5
TEXT, LINE, GAP = 19, 28, 14
INK, FAINT, PAPER, NOTHING = "#1d2733", "#5c6a79", "white", "#eef1f4"


class Plan(NamedTuple):
    """sizes: budgets in bytes; none: ten, from 1/64 of the file to all of it."""

    coding: Coding
    sizes: Sequence[int] = ()


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


def load_pictures(paths: Sequence[Path]) -> Dataset:
    """The images as R, G and B. Raises ImageError for what is none, and where two have one name."""
    names = [path.stem for path in paths]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ImageError(f"{twice[0]}: two images have this name, and their pictures would be one: rename one of them")
    images = [np.asarray(load_image(path.read_bytes(), str(path), any_format=True).convert("RGB")) for path in paths]
    return Dataset(", ".join(names), images, len(images), names=names)


def run(
    dataset: Dataset,
    out: Path,
    source: str | None,
    plan: Plan,
    *,
    command: str,
    baselines: bool = True,
    quiet: bool = False,
) -> Document:
    """Measure, write bench-strips.json and a picture strip-NAME.png of every image of `load_pictures` into `out`.

    source: of the model. baselines: also AVIF, WebP and JPEG. Raises OutputError for a budget that does not hold
    a file's header.
    """
    model = find_model(source, dataset.images)
    measured, _ = sort_out([qualities[0] for qualities in BESIDE.values()] if baselines else ())
    beside = {baseline.name: BESIDE[baseline.name] for baseline in measured}
    data = dataset.describe()
    work = Work(out, KIND, identity(data, model, plan=plan, beside=list(beside)))
    weight = BUDGETS * cost(model, plan.coding) + BASELINE_COST * sum(map(len, beside.values()))
    units = [
        Unit(name, weight * image[..., 0].size, partial(_strip, name, image, model, plan, beside=beside, out=out))
        for name, image in zip(dataset.names or (), dataset.images, strict=True)
    ]
    unit_values = work.results(units, quiet=quiet, side_by_side=True)
    results = {**plan.coding.options, "images": list(unit_values.values())}
    result = document(KIND, command, results, model=model, dataset=data)
    work.finish(result)
    return result


def _strip(
    name: str, image: Pixels, model: ContextModel, plan: Plan, *, beside: Mapping[str, Sequence[Baseline]], out: Path
) -> dict[str, Any]:
    """Draw strip-NAME.png, and say what is on it."""
    data = codec.encode(image, **plan.coding.options, model=model, verify=False)
    sizes = sorted(min(size, len(data)) for size in plan.sizes) or budgets(
        len(data), int(codec.info(data)["header_bytes"])
    )
    strips = [ours(data, image, model, sizes), *(theirs(qualities, image, sizes) for qualities in beside.values())]
    shown = picture(strips, sizes)
    write_file(out / f"strip-{name}.png", save_image(shown, "PNG"))
    pixels = image[..., 0].size
    return {
        "name": name,
        "width": image.shape[1],
        "height": image.shape[0],
        "budgets": sizes,
        "strips": [
            {"codec": strip.codec, "cells": [cell and _plain(cell, pixels) for cell in strip.cells]} for strip in strips
        ],
    }


def _plain(cell: Cell, pixels: int) -> dict[str, Any]:
    return {"bytes": cell.bytes, "bpp": 8 * cell.bytes / pixels, "psnr": cell.psnr, "steps": cell.steps}


def budgets(size: int, least: int) -> list[int]:
    """Ten, each the same multiple of the one before, the last one the whole file. least: of all of them."""
    return [round(budget) for budget in np.geomspace(max(FIRST_SHARE * size, least), size, BUDGETS).tolist()]


def ours(data: bytes, image: Pixels, model: ContextModel, sizes: Sequence[int]) -> Strip:
    """Prefixes of our file. Raises OutputError for a size below its header."""
    least = int(codec.info(data)["header_bytes"])
    if sizes[0] < least:
        raise OutputError(f"{sizes[0]} bytes are too few: the header alone takes {least}, give larger --bytes")
    decoded = [codec.decode_details(data, max_bytes=size, model=model) for size in sizes]
    cells = [
        _cell(size, np.asarray(preview.image), image, preview.steps_done)
        for size, preview in zip(sizes, decoded, strict=True)
    ]
    return Strip("ddpmcodec", cells, least)


def theirs(qualities: Sequence[Baseline], image: Pixels, sizes: Sequence[int]) -> Strip:
    """For every budget the file of the best quality that fits; qualities: one codec from its lowest to its best."""
    files = [(quality, quality.encode(image)) for quality in qualities]
    cells = [_best(files, image, size) for size in sizes]
    return Strip(qualities[0].name, cells, min(len(data) for _, data in files))


def _best(files: Sequence[tuple[Baseline, bytes]], image: Pixels, size: int) -> Cell | None:
    """Of the last file that fits."""
    for quality, data in reversed(files):
        if len(data) <= size:
            return _cell(len(data), quality.decode(data), image)
    return None


def _cell(size: int, shown: Pixels, image: Pixels, steps: int | None = None) -> Cell:
    return Cell(size, psnr(squared_error(shown, image)), shown, steps)


# --- the picture: codecs below one another, budgets side by side, rate and quality under each


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
                canvas.paste(_tile(cell, tile), (x, y))
                draw.text((x, y + tile.height + 3), _label(cell, strip.least, width * height), FAINT, font)
    return canvas


class _Size(NamedTuple):
    """In pixels, as Pillow takes it."""

    width: int
    height: int


class _Layout(NamedTuple):
    """left: of the names. rows: of tiles in a block, below a line of budgets."""

    tile: _Size
    left: int
    rows: int

    def corner(self, block: int, row: int, column: int) -> tuple[int, int]:
        """Upper left of a tile."""
        x = self.left + GAP + column * (self.tile.width + GAP)
        y = block * self._block() + GAP + LINE + row * self._row()
        return x, y

    def size(self, columns: int, blocks: int) -> tuple[int, int]:
        return self.left + GAP + columns * (self.tile.width + GAP), blocks * self._block() + GAP

    def _row(self) -> int:
        return self.tile.height + LINE + GAP // 2

    def _block(self) -> int:
        return LINE + self.rows * self._row() + GAP


def _tile_size(width: int, height: int) -> _Size:
    if width >= TILE:
        return _Size(TILE, max(1, round(height * TILE / width)))
    factor = TILE // width
    return _Size(factor * width, factor * height)


def _tile(cell: Cell | None, size: _Size) -> Image.Image:
    if cell is None:
        return Image.new("RGB", size, NOTHING)
    shown = Image.fromarray(np.ascontiguousarray(cell.pixels))
    method = Image.Resampling.LANCZOS if size.width < shown.width else Image.Resampling.NEAREST
    return shown.resize(size, method)


def _label(cell: Cell | None, least: int, pixels: int) -> str:
    if cell is None:
        return f"its least: {least:,} bytes"
    return ", ".join(_figures(cell, pixels))


def _figures(cell: Cell, pixels: int) -> Iterator[str]:
    yield f"{8 * cell.bytes / pixels:.2f} bpp"
    yield "lossless" if cell.psnr is None else f"{cell.psnr:.1f} dB"


# --- what a result says


def tables(document: Document) -> list[Table]:
    lines = [line for image in document["results"]["images"] for line in _lines(image)]
    return [Table("strips", "PSNR in dB with so many bytes; ours are prefixes of one file", lines)]


def _lines(image: Mapping[str, Any]) -> Iterator[Row]:
    for number, size in enumerate(image["budgets"]):
        cells = {strip["codec"]: strip["cells"][number] for strip in image["strips"]}
        bpp = 8 * size / (image["width"] * image["height"])
        yield {
            "": image["name"],
            "bytes": size,
            "bpp": f"{bpp:.2f}",
            **{c: _decibel(cell) for c, cell in cells.items()},
        }


def _decibel(cell: Mapping[str, Any] | None) -> str | None:
    if cell is None:
        return None
    return "lossless" if cell["psnr"] is None else f"{cell['psnr']:.2f}"


def figures(document: Document) -> dict[str, str]:
    words = f"previews from the first bytes of one file, {_name(document)},"
    beside = " and the best files of JPEG, WebP and AVIF with as many bytes"
    return {
        f"strip-{image['name']}": f"{image['name']}: {words}{beside if len(image['strips']) > 1 else ''}."
        for image in document["results"]["images"]
    }


def measures(document: Document) -> Iterator[Measure]:
    """Bytes of our whole files, where the last budget is all of it."""
    ids, images = document["dataset"]["ids"], document["results"]["images"]
    whole = {key: image["strips"][0]["cells"][-1] for key, image in zip(ids, images, strict=True)}
    sizes = {key: cell["bytes"] for key, cell in whole.items() if cell["psnr"] is None}
    if sizes:
        yield Measure(f"{_name(document)}, bytes of a file", sizes)


def _name(document: Document) -> str:
    return name_of(Coding(document["results"]["effort"], document["results"]["levels"]))
