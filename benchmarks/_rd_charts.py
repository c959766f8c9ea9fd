"""Charts of ddpmcodec bench rd: quality over rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from ._figures import OUR_COLOUR, Axes, Figure, NullLocator, save_figure
from ._literature import NOT_MEASURED
from ._ours import is_ours
from ._published_curves import CODE
from ._results import Document, of_images

OUR_COLOURS = (OUR_COLOUR, "#3fa0c8", "#123a66", "#7fb0e0")  # of efforts
BASELINE_COLOURS = ("#c8642d", "#4c9a5b", "#8e6bb0", "#b5478a", "#4a4a4a")
PUBLISHED_COLOUR = "#a3a3a3"
PUBLISHED_MARKERS = "sD^vP"
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)  # ticks, bits per pixel

Points = Sequence[Mapping[str, float | None]]


class Line(NamedTuple):
    """A curve of a chart: rates, qualities, and how it is drawn."""

    label: str
    bpp: Sequence[float]
    quality: Sequence[float]
    style: Mapping[str, Any]


def figures(found: Document) -> dict[str, str]:
    """Captions by name, of the charts that `draw` makes."""
    subject = of_images(found)
    captions = {
        "rd": f"PSNR over bits per pixel of whole files, means over images at each operating point, {subject}."
        " Ours: real prefixes of one file each; dots: the ends of steps; a dotted line: the whole file.",
        "rd-ssim": f"{_similarity(found)[1]} over bits per pixel of the same files.",
    }
    return captions if _similarity(found)[0] else {key: text for key, text in captions.items() if key != "rd-ssim"}


def draw(found: Document, folder: Path) -> list[Path]:
    """rd, and rd-ssim for images of 11 pixels a side and more, each as PNG and SVG."""
    key, name = _similarity(found)
    lines, ends = [*_lines(found)], [*_lossless(found)]
    paths = save_figure(folder, "rd", (7.6, 4.6), lambda figure: _quality(figure, lines, ends, "PSNR, dB"))
    if key:
        similar, label = [*_measured(found, lambda point: _decibel(point[key]))], f"{name}: -10 log10(1 - {name})"
        paths += save_figure(folder, "rd-ssim", (7.6, 4.2), lambda figure: _quality(figure, similar, ends, label))
    return paths


def _similarity(found: Document) -> tuple[str | None, str]:
    """Key and name of the measure that all images are large enough for: MS-SSIM, SSIM or none."""
    points = [point for row in found["results"]["curves"] for point in row.get("points", ())]
    for key, name in (("ms_ssim", "MS-SSIM"), ("ssim", "SSIM")):
        if all(point[key] is not None for point in points):
            return key, name
    return None, ""


def _decibel(similarity: float | None) -> float | None:
    """-10 log10(1 - similarity); None for equal images."""
    return None if similarity is None or similarity > 1 - 1e-6 else -10 * math.log10(1 - similarity)


def _lines(found: Document) -> Iterator[Line]:
    """All curves of the chart of PSNR."""
    yield from _measured(found, lambda point: point["psnr"])
    markers = cycle(PUBLISHED_MARKERS)
    for each in found["results"]["literature"]:
        bpp, quality = each["points"]["bpp"], each["points"]["psnr"]
        dashes = "-" if each["what"] == CODE else ":"
        style = {"color": PUBLISHED_COLOUR, "linestyle": dashes, "linewidth": 1, "marker": next(markers)}
        label = f"{each['system']}{'' if dashes == '-' else ' (bound)'}*"
        yield Line(label, bpp, quality, {**style, "markersize": 4, "zorder": 1})


def _measured(found: Document, quality: Any) -> Iterator[Line]:
    ours, baselines = cycle(OUR_COLOURS), cycle(BASELINE_COLOURS)
    for row in found["results"]["curves"]:
        if "skipped" in row:
            continue
        if is_ours(row["codec"]):
            style = {"color": next(ours), "linewidth": 1.8, "marker": "o", "markersize": 4, "zorder": 3}
            yield _line(row["codec"], row["points"], quality, style)
        else:
            yield _line(row["codec"], row["points"], quality, {"color": next(baselines), "linewidth": 1.1, "zorder": 2})


def _line(label: str, points: Points, quality: Any, style: Mapping[str, Any]) -> Line:
    """Points with an infinite quality are left out; markers stand at the ends of steps."""
    known = [(point.get("ends_step"), point["bpp"], quality(point)) for point in points]
    kept = [(ends, bpp, value) for ends, bpp, value in known if value is not None and bpp is not None]
    if "marker" in style:
        style = {**style, "markevery": [place for place, (ends, _, _) in enumerate(kept) if ends]}
    return Line(label, [bpp for _, bpp, _ in kept], [value for _, _, value in kept], style)


def _lossless(found: Document) -> Iterator[tuple[float, str]]:
    """Bits per pixel of our whole files, and their colours."""
    ours = (row for row in found["results"]["curves"] if is_ours(row["codec"]))
    for row, colour in zip(ours, cycle(OUR_COLOURS), strict=False):
        yield row["points"][-1]["bpp"], colour


def _quality(figure: Figure, lines: Sequence[Line], ends: Sequence[tuple[float, str]], label: str) -> None:
    axes = figure.add_subplot()
    for line in lines:
        axes.plot(line.bpp, line.quality, label=line.label, **line.style)
    for bpp, colour in ends:
        axes.axvline(bpp, color=colour, linewidth=1, linestyle=":", zorder=0)
    axes.text(
        min(bpp for bpp, _ in ends),
        0.02,
        "lossless ",
        ha="right",
        transform=axes.get_xaxis_transform(),
        color=OUR_COLOUR,
    )
    axes.set_xscale("log")
    _rate_ticks(axes)
    axes.set_xlabel("bits per pixel of whole files", loc="right")
    axes.set_ylabel(label)
    axes.grid(color="#eceff2", linewidth=0.8)
    axes.set_axisbelow(True)
    if any(line.label.endswith("*") for line in lines):
        axes.plot([], [], " ", label=f"* {NOT_MEASURED}")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)


def _rate_ticks(axes: Axes) -> None:
    low, high = axes.get_xlim()
    ticks = [rate for rate in RATES if low <= rate <= high]
    axes.set_xticks(ticks, [f"{rate:g}" for rate in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
