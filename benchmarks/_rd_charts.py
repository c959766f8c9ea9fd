"""Charts of ddpmcodec bench rd: quality over rate, and the two over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from ._figures import OURS, Axes, Figure, NullLocator, save_figure
from ._literature import NOT_MEASURED
from ._published_curves import CODE
from ._results import Document, of_images

OUR_COLOURS = (OURS, "#3fa0c8", "#123a66", "#7fb0e0")  # of efforts
OTHER_COLOURS = ("#c8642d", "#4c9a5b", "#8e6bb0", "#b5478a", "#4a4a4a")
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
        " Ours: real files cut in the middle and (dots) at the end of each step; a dotted line: the whole file.",
        "rd-ssim": f"{_similarity(found)[1]} over bits per pixel of the same files.",
        "rd-time": "The bound along the reverse process: distortion and rate of a receiver of the latents so far.",
    }
    return captions if _similarity(found)[0] else {key: text for key, text in captions.items() if key != "rd-ssim"}


def draw(found: Document, folder: Path) -> list[Path]:
    """rd, rd-ssim (for images of 11 pixels a side and more) and rd-time, each as PNG and SVG."""
    key, name = _similarity(found)
    lines, ends = [*_lines(found)], [*_lossless(found)]
    paths = save_figure(folder, "rd", (7.6, 4.6), lambda figure: _quality(figure, lines, ends, "PSNR, dB"))
    if key:
        similar, label = [*_measured(found, lambda point: _decibel(point[key]))], f"{name}: -10 log10(1 - {name})"
        paths += save_figure(folder, "rd-ssim", (7.6, 4.2), lambda figure: _quality(figure, similar, ends, label))
    return paths + save_figure(folder, "rd-time", (7.6, 3.0), lambda figure: _time(figure, found["results"]["ideal"]))


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
    ideal = found["results"]["ideal"]
    whose = "" if ideal["model"] is None else f" of {Path(ideal['model']).stem}"
    points = [{"bpp": bpp, "psnr": quality} for bpp, quality in zip(ideal["bpp"], ideal["psnr"], strict=True)]
    style = {"color": OURS, "linestyle": (0, (4, 2)), "linewidth": 1.2}
    yield _line(f"ideal code{whose} (bound)", points, lambda point: point["psnr"], style)
    markers = cycle(PUBLISHED_MARKERS)
    for each in found["results"]["literature"]:
        bpp, quality = each["points"]["bpp"], each["points"]["psnr"]
        dashes = "-" if each["what"] == CODE else ":"
        style = {"color": PUBLISHED_COLOUR, "linestyle": dashes, "linewidth": 1, "marker": next(markers)}
        label = f"{each['system']}{'' if dashes == '-' else ' (bound)'}*"
        yield Line(label, bpp, quality, {**style, "markersize": 4, "zorder": 1})


def _measured(found: Document, quality: Any) -> Iterator[Line]:
    ours, others = cycle(OUR_COLOURS), cycle(OTHER_COLOURS)
    for row in found["results"]["curves"]:
        if "skipped" in row:
            continue
        if row["calls"]:
            style = {"color": next(ours), "linewidth": 1.8, "marker": "o", "markersize": 4, "zorder": 3}
            yield _line(row["codec"], row["points"], quality, style)
        else:
            yield _line(row["codec"], row["points"], quality, {"color": next(others), "linewidth": 1.1, "zorder": 2})


def _line(label: str, points: Points, quality: Any, style: Mapping[str, Any]) -> Line:
    """Points with an infinite quality are left out; markers stand at whole steps, which are every second point."""
    known = [(point["bpp"], quality(point)) for point in points]
    kept = [(number, bpp, value) for number, (bpp, value) in enumerate(known) if value is not None and bpp is not None]
    if "marker" in style:
        style = {**style, "markevery": [place for place, (number, _, _) in enumerate(kept) if number % 2]}
    return Line(label, [bpp for _, bpp, _ in kept], [value for _, _, value in kept], style)


def _lossless(found: Document) -> Iterator[tuple[float, str]]:
    """Bits per pixel of our whole files, and their colours."""
    ours = (row for row in found["results"]["curves"] if row.get("calls"))
    for row, colour in zip(ours, cycle(OUR_COLOURS), strict=False):
        yield row["points"][-1]["bpp"], colour


def _quality(figure: Figure, lines: Sequence[Line], ends: Sequence[tuple[float, str]], label: str) -> None:
    axes = figure.add_subplot()
    for line in lines:
        axes.plot(line.bpp, line.quality, label=line.label, **line.style)
    for bpp, colour in ends:
        axes.axvline(bpp, color=colour, linewidth=1, linestyle=":", zorder=0)
    axes.text(
        min(bpp for bpp, _ in ends), 0.02, "lossless ", ha="right", transform=axes.get_xaxis_transform(), color=OURS
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


def _time(figure: Figure, ideal: Mapping[str, Any]) -> None:
    """Figure 5 of the paper: what a receiver has after each step of the reverse process."""
    steps = range(1, ideal["levels"] + 1)
    panels = (("distortion: RMSE, grey levels", ideal["rmse"]), ("rate, bits/dim", ideal["rate"]))
    for number, (label, values) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, 2, number)
        axes.plot(steps, values, color=OURS, linewidth=1.8)
        axes.set_ylim(0)
        axes.set_xlim(0, ideal["levels"])
        axes.set_title(label, loc="left", fontsize=9)
        axes.set_xlabel(f"steps of the reverse process, of {ideal['levels']}", loc="right")
        axes.grid(color="#eceff2", linewidth=0.8)
