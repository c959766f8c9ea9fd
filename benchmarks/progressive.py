"""Previews from prefixes of one file: python -m ddpmcodec.benchmarks.progressive --image photo.png --out strip.png.

Writes the previews side by side as a picture, and their figures as JSON next to it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ddpmcodec import codec
from ddpmcodec.images import load_image
from ddpmcodec.networks import Model

from ._common import add_model, dataset, document, load, parse, report, table

DESCRIPTION = "previews decoded from the first bytes of one file; bpp counts all bytes of the prefix; psnr-rgb in dB"
BUDGETS = (500, 1000, 2000, 4000, 8000, 16000, 32000)
COLUMNS, MARGIN, TEXT_SIZE, TEXT_LINES = 4, 8, 18, 2
TEXT_HEIGHT = TEXT_LINES * TEXT_SIZE * 4 // 3


class Preview(NamedTuple):
    """What so many bytes of the file show."""

    bytes: int
    steps: int  # that every pixel has been through
    psnr: float | None  # None: the image is exact
    image: Image.Image


def psnr(image: Image.Image, original: Image.Image) -> float | None:
    """10 log10(255^2 / mean squared error) over R, G and B, in dB; None when there is no error."""
    a, b = (np.asarray(picture.convert("RGB"), np.float64) for picture in (image, original))
    error = float(np.square(a - b).mean())
    return float(10 * np.log10(255**2 / error)) if error else None


def preview(data: bytes, size: int, original: Image.Image, model: Model) -> Preview:
    decoded = codec.decode_details(data, max_bytes=size, model=model)
    return Preview(size, decoded.steps_done, psnr(decoded.image, original), decoded.image.convert("RGB"))


def previews(original: Image.Image, budgets: Sequence[int], effort: int, model: Model) -> list[Preview]:
    """Of every budget below the size of the file, and of all of it. Raises SystemExit for less than its header."""
    data = codec.encode(original, effort=effort, model=model)
    least = codec.info(data)["header_bytes"]
    if too_few := [size for size in budgets if size < least]:
        raise SystemExit(f"--budgets {too_few[0]}: the header of this file alone takes {least} bytes")
    return [preview(data, size, original, model) for size in (*sorted(b for b in budgets if b < len(data)), len(data))]


def results(shown: Sequence[Preview]) -> dict[str, list[Any]]:
    """One entry per preview, the whole file last; its PSNR is None, as JSON knows no infinity."""
    pixels = shown[-1].image.width * shown[-1].image.height
    return {
        "bytes": [p.bytes for p in shown],
        "bpp": [8 * p.bytes / pixels for p in shown],
        "psnr-rgb": [p.psnr for p in shown],
        "steps": [p.steps for p in shown],
    }


def label(shown: Preview) -> str:
    quality = "lossless" if shown.psnr is None else f"{shown.psnr:.1f} dB"
    return f"{shown.bytes:,} bytes\n{8 * shown.bytes / (shown.image.width * shown.image.height):.2f} bpp, {quality}"


def strip(shown: Sequence[Preview]) -> Image.Image:
    """The previews in reading order, each above its label."""
    columns, (width, height) = min(COLUMNS, len(shown)), shown[0].image.size
    across, down = max(width, 10 * TEXT_SIZE) + MARGIN, height + TEXT_HEIGHT + MARGIN
    picture = Image.new("RGB", (columns * across + MARGIN, -(-len(shown) // columns) * down + MARGIN), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(TEXT_SIZE)
    for number, each in enumerate(shown):
        x, y = MARGIN + number % columns * across, MARGIN + number // columns * down
        picture.paste(each.image, (x, y))
        draw.multiline_text((x, y + height + 2), label(each), "black", font)
    return picture


def setup_args() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Previews from prefixes of one real file, as a picture and as JSON.")
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--budgets", type=int, nargs="+", default=list(BUDGETS), help=f"bytes (default: {BUDGETS})")
    parser.add_argument("--effort", type=int, default=5, help="(default: %(default)s)")
    add_model(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="PNG", help="the picture; the JSON goes next to it")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(setup_args(), argv)
    model = load(args.model, [args.effort])
    original = load_image(args.image.read_bytes(), str(args.image))
    shown = previews(original, args.budgets, args.effort, model)
    strip(shown).save(args.out, "PNG", optimize=True)
    found = results(shown)
    rows = [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
    data = dataset(args.image.name, [np.asarray(original.convert("RGB"))])
    report(
        document("progressive", DESCRIPTION, argv, found, model=model, dataset=data),
        args.out.with_suffix(".json"),
        table(rows),
    )


if __name__ == "__main__":
    main()
