"""Draw figures of docs/how-it-works.md and benchmarks.md: python docs/make_figures.py. It needs the extra `bench`."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import ddpmcodec
from ddpmcodec.comparison import psnr
from ddpmcodec.paper.ans import encode_values

DOCS = Path(__file__).parent
PHOTO = DOCS / "photo.png"  # a crop of image 7 of the Kodak set
CROP = (slice(68, 196), slice(120, 248))  # of the photograph, at its full size: noise is lost in reduced pictures
CELLS = (64, 32, 16, 8, 4)  # widths after the steps of --levels 5
SHARES = (0.02, 0.05, 0.10, 0.40)  # of a file
SHARES_OF_JPEG = (0.04, 0.08, 0.16, 0.32)  # of a JPEG file
PARTS = (36, 6, 9)  # of the squared norm of Y, Co and Cg in RGB
ERRORS_SHOWN = 5  # times as large as they are
INK, FAINT, BLUE, PALE = "#1d2733", "#5c6a79", "#123f9e", "#b9c9ea"
TEXT, LINE, GAP, LEFT = 13, 18, 8, 82

Pixels = NDArray[np.uint8]
Plane = NDArray[np.int64]


class Panel(NamedTuple):
    """A picture of a figure, and the lines of text below it."""

    pixels: Pixels
    text: str = ""


# --- an image at a noise level: the sections "Bands" and "Cells" of docs/format.md


def to_ycocg(image: Pixels) -> Plane:
    red, green, blue = np.moveaxis(image.astype(np.int64), -1, 0)
    co = red - blue
    middle = blue + (co >> 1)
    cg = green - middle
    return np.stack([middle + (cg >> 1), co, cg], -1)


def to_rgb(planes: Plane) -> Pixels:
    y, co, cg = np.moveaxis(planes, -1, 0)
    middle = y - (cg >> 1)
    blue = middle - (co >> 1)
    return np.stack([blue + co, middle + cg, blue], -1).clip(0, 255).astype(np.uint8)


def middle_of_cell(values: Plane, band: int, level: int) -> Plane:
    """The estimate of coefficients [H, W, 3], of which the decoder knows the cell."""
    widths = [max(math.isqrt((12 << 34) // (part << band)) * level, 1 << 16) for part in PARTS]
    index = (np.abs(values) << 16) // widths
    near, far = -(-index * widths >> 16), -(-(index + 1) * widths >> 16) - 1
    return np.where(index == 0, 0, np.sign(values) * (near + ((far - near) * 3 >> 3)))


def at_level(planes: Plane, level: int, band: int = 1) -> Plane:
    """What cells of this level leave of an image [H, W, 3] in Y, Co and Cg. An odd number of columns stays exact."""
    if planes.shape[1] % 2:
        return planes
    first, second = planes[:, 0::2], planes[:, 1::2]
    coarse = at_level((first + second >> 1).transpose(1, 0, 2), level, band + 1).transpose(1, 0, 2)
    difference = middle_of_cell(first - second, band, level)
    first = coarse + (difference + 1 >> 1)
    return np.stack([first, first - difference], 2).reshape(planes.shape)


# --- figures


def grid(rows: list[tuple[str, list[Panel]]]) -> Image.Image:
    """Rows of panels of one size, each with a name at its left."""
    height, width, _ = rows[0][1][0].pixels.shape
    heights = [height + GAP + LINE * max(panel.text.count("\n") + 1 for panel in panels) for _, panels in rows]
    columns = max(len(panels) for _, panels in rows)
    canvas = Image.new("RGB", (LEFT + columns * (width + GAP), GAP + sum(heights)), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(TEXT)
    for number, (name, panels) in enumerate(rows):
        y = GAP + sum(heights[:number])
        draw.text((GAP, y), name, INK, font)
        for column, panel in enumerate(panels):
            x = LEFT + column * (width + GAP)
            canvas.paste(Image.fromarray(panel.pixels), (x, y))
            draw.text((x, y + height + 2), panel.text, FAINT, font)
    return canvas


def halved(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).reduce(2))


def quality(shown: Pixels, image: Pixels) -> str:
    error = float(np.mean((shown.astype(float) - image) ** 2))
    value = psnr(error)
    return "exact" if value is None else f"{value:.1f} dB"


def steps(image: Pixels) -> Image.Image:
    """The image after each step of five noise levels: as it was coded, and as a preview shows it."""
    data = ddpmcodec.encode(image, levels=5)
    known, shown = [], []
    for number, level in enumerate([*CELLS, 0], 1):
        coded = to_rgb(at_level(to_ycocg(image), level)) if level else image
        preview = ddpmcodec.decode(data, step=number, as_array=True) if level else image
        rate = 8 * len(ddpmcodec.truncate(data, step=number)) / (image.size / 3)
        known.append(Panel(coded[CROP], f"cells of {level}" if level else "exact"))
        shown.append(Panel(preview[CROP], f"{rate:.2f} bits a pixel\n{quality(preview, image)}"))
    return grid([("middles\nof cells", known), ("what the\ndecoder\nexpects", shown)])


def prefixes(image: Pixels) -> Image.Image:
    """Prefixes of a file with one noise level, and how far each is from the image."""
    data = ddpmcodec.encode(image)
    shown, errors = [], []
    for share in SHARES:
        size = round(share * len(data))
        preview = ddpmcodec.decode(data, max_bytes=size, as_array=True)
        error = ERRORS_SHOWN * np.abs(preview.astype(int) - image).max(-1, keepdims=True)
        shown.append(Panel(halved(preview), f"{size:,} of {len(data):,} bytes\n{quality(preview, image)}"))
        errors.append(Panel(halved(np.repeat(255 - error.clip(0, 255).astype(np.uint8), 3, -1))))
    return grid([("preview", shown), ("errors,\nwhite: exact", errors)])


def prefixes_of_jpeg(image: Pixels) -> Image.Image:
    """Prefixes of a JPEG file of quality 90 as it is coded here, and in progressive scans."""
    files = {}
    for is_progressive in (False, True):
        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=90, optimize=True, progressive=is_progressive)
        files[is_progressive] = file.getvalue()
    data, pixels = ddpmcodec.encode(BytesIO(files[False])), np.asarray(Image.open(BytesIO(files[False])))
    ours, scans = [], []
    for share in SHARES_OF_JPEG:
        size = round(share * len(files[False]))
        preview = ddpmcodec.decode(data, max_bytes=size, as_array=True)
        scan = np.asarray(Image.open(BytesIO(files[True][:size] + b"\xff\xd9")))
        ours.append(Panel(halved(preview), f"{size:,} of {len(data):,} bytes\n{quality(preview, pixels)}"))
        scans.append(Panel(halved(scan), f"{size:,} of {len(files[True]):,} bytes\n{quality(scan, pixels)}"))
    return grid([(".ddpm", ours), ("JPEG\nin scans", scans)])


def interval() -> Figure:
    """The values under a logistic with the mean 117.5 and a scale of 4, and the place of 120 among all slots."""
    values = np.arange(256)
    starts, frequencies = (part / (1 << 24) for part in encode_values(0, 255, values, values, 64 * 117 + 32, 64))
    figure = Figure((7.6, 2.9), layout="constrained", dpi=110)
    bars, slots = figure.subplots(2, 1, height_ratios=[3, 1])
    colours = [BLUE if value == 120 else PALE for value in values]
    bars.bar(values, frequencies, color=colours)
    bars.set(xlim=(95.5, 140.5), xlabel="value of the pixel", ylabel="probability")
    slots.barh(0, frequencies, left=starts, color=colours, edgecolor="white", linewidth=0.8)
    for value in range(112, 126, 2):
        colour = "white" if value == 120 else INK
        slots.text(starts[value] + frequencies[value] / 2, 0, str(value), ha="center", va="center", color=colour)
    slots.set(xlim=(0, 1), yticks=[], xlabel="share of all slots")
    return figure


def main() -> None:
    image = np.asarray(Image.open(PHOTO))
    steps(image).save(DOCS / "how-steps.jpg", quality=72, optimize=True)
    prefixes(image).save(DOCS / "how-prefixes.jpg", quality=72, optimize=True)
    prefixes_of_jpeg(image).save(DOCS / "jpeg-prefixes.jpg", quality=80, optimize=True)
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        interval().savefig(DOCS / "how-interval.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
