"""Charts of results as PNG and as SVG, the same bytes for the same result. A codec has one colour in all of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpmcodec.errors import DdpmError

from . import _bound
from ._codecs import OURS, is_ours
from ._literature import CODE, NOT_MEASURED, WHOLE
from ._results import Document, estimate, of_images
from ._timing import OPERATIONS, growth_name

try:
    import matplotlib
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import LogLocator, NullLocator
except ImportError as error:
    raise DdpmError("charts need matplotlib: pip install 'ddpmcodec[bench]'") from error

COLOURS = {  # by a part of a codec's name: the first that is in it
    "bits back": "#2a9d97",
    "e1 levels 0": "#b9a7ee",
    "e1 levels 5": "#6f7fd0",
    "e1 levels 1": "#c9a2d8",
    "e1 levels 2": "#8fa3e6",
    "e2 levels 0": "#0b3c73",
    "e2 levels 5": "#4f86d9",
    "e2 levels 1": "#123f9e",
    "e2 levels 2": "#1f5fa8",
    "e3 levels 0": "#1b7f9e",
    "e3 levels 5": "#86cbe3",
    "e3 levels 1": "#0f93b5",
    "e3 levels 2": "#3fa0c8",
    "JPEG 2000": "#8e6bb0",
    "JPEG XL": "#4a4a4a",
    "JPEG": "#c8642d",
    "WebP": "#4c9a5b",
    "AVIF slow, for PSNR": "#6d1f52",
    "AVIF slow": "#dd93c0",
    "AVIF": "#b5478a",
    "PNG": "#c09a2e",
}
OTHER_COLOUR, LITERATURE_BAR, LITERATURE_LINE, INK, GRID = "#8a8a8a", "#d9d9d9", "#a3a3a3", "#1d2733", "#e9edf0"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "figure.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "svg.hashsalt": "ddpmcodec",
    "svg.fonttype": "none",
    "figure.dpi": 160,
}
ERROR_BAR: dict[str, Any] = {"elinewidth": 0.9, "capsize": 2}


class Chart(NamedTuple):
    """A figure of a result. title: with the data set and how many images. size: in inches. draw: fills it."""

    name: str
    title: str
    caption: str
    size: tuple[float, float]
    draw: Callable[[Figure], None]


def captions(charts: Sequence[Chart]) -> dict[str, str]:
    """Captions by the charts' names."""
    return {chart.name: chart.caption for chart in charts}


def write_charts(charts: Sequence[Chart], folder: Path) -> None:
    """Write NAME.png and NAME.svg of each."""
    for chart in charts:
        with matplotlib.rc_context(STYLE):
            figure = drawn(chart)
            figure.savefig(folder / f"{chart.name}.png", metadata={"Software": None})
            figure.savefig(folder / f"{chart.name}.svg", metadata={"Date": None})


def drawn(chart: Chart) -> Figure:
    figure = Figure(chart.size, layout="constrained")
    figure.suptitle(chart.title, x=0.01, ha="left")
    chart.draw(figure)
    return figure


def colour_of(codec: str) -> str:
    return next((colour for part, colour in COLOURS.items() if part in codec), OTHER_COLOUR)


# --- bits/dim


class _Bar(NamedTuple):
    label: str
    rate: float  # bits/dim
    colour: str
    digits: int
    error: float | None = None
    ideal: float | None = None


def bpd_charts(document: Document) -> list[Chart]:
    """Codecs from the smallest files to the largest."""
    bars, images = sorted(_bars(document), key=lambda bar: bar.rate), of_images(document)
    caption = f"Bits per dimension, {images}, with standard errors. A white line is the ideal code length."
    size = 7.2, 1.3 + 0.24 * len(bars)
    return [Chart("bpd", f"Lossless size, {images}", caption, size, partial(_draw_bars, bars))]


def _bars(document: Document) -> Iterator[_Bar]:
    for row in document["results"]["codecs"]:
        if "skipped" not in row:
            name, rate = row["codec"], row["bits_per_dim"]
            yield _Bar(name, rate["mean"], colour_of(name), 3, error=rate["standard_error"], ideal=row.get("ideal"))
    for published in document["results"]["literature"]:
        note = "" if published["what"] == WHOLE else f" ({published['what']})"
        yield _Bar(published["system"] + note, published["bits_per_dim"], LITERATURE_BAR, 2)


def _draw_bars(bars: Sequence[_Bar], figure: Figure) -> None:
    axes = figure.add_subplot(xlabel="bits/dim", ylim=(len(bars) - 0.4, -0.6))
    seen_on_bars = {"ecolor": INK, "path_effects": [withStroke(linewidth=2.4, foreground="white")]}
    for row, bar in enumerate(bars):
        axes.barh(row, bar.rate, xerr=bar.error, color=bar.colour, height=0.72, error_kw=ERROR_BAR | seen_on_bars)
        text, end = f"{bar.rate:.{bar.digits}f}", bar.rate + (bar.error or 0)
        axes.annotate(text, (end, row), (6, 0), textcoords="offset points", va="center")
        if bar.ideal is not None:
            axes.plot([bar.ideal] * 2, [row - 0.36, row + 0.36], color="white", linewidth=1.5)
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    ideal = Patch(facecolor=COLOURS["e2 levels 2"], edgecolor="white", hatch="|", label="white line: ideal code length")
    published = Patch(color=LITERATURE_BAR, label=NOT_MEASURED)
    handles = [ideal, published] if any(bar.colour == LITERATURE_BAR for bar in bars) else [ideal]
    figure.legend(handles=handles, loc="outside lower right", ncols=2, frameon=False)


# --- rate versus distortion

PUBLISHED_MARKERS = "sD^P"
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)  # ticks, bits per pixel
DODGE = 1.03  # between the error bars of two codecs at one rate

Quality = Callable[[Mapping[str, Any]], float | None]


class _Line(NamedTuple):
    """A curve. errors: at some rates, the standard errors of its qualities."""

    label: str
    bpp: Sequence[float]
    quality: Sequence[float]
    style: Mapping[str, Any]
    errors: Sequence[tuple[float, float]] = ()


def rd_charts(document: Document) -> list[Chart]:
    """rd, and rd-ssim for images of 11 pixels a side and more."""
    images, ends, size = of_images(document), [*_lossless(document)], (7.6, 4.8)
    lines = [*_measured(document, "psnr", lambda point: point["psnr"]), *_bounds(document), *_published(document)]
    caption = (
        f"PSNR over bits per pixel of whole files, means over images at each operating point, {images}. Ours: real"
        " prefixes of one file each; dots: the ends of steps; dotted lines: whole files. Error bars: standard errors."
        " A bound is what an ideal code of a model would take: no file is as small."
    )
    charts = [Chart("rd", f"PSNR, {images}", caption, size, partial(_draw_curves, lines, ends, "PSNR, dB"))]
    if similarity := _similarity(document):
        key, name = similarity
        lines = [*_measured(document, key, lambda point: _decibel(point[key]))]
        draw = partial(_draw_curves, lines, ends, f"-10 log10(1 - {name}), dB")
        caption = f"{name} over bits per pixel of the same files, {images}."
        charts.append(Chart("rd-ssim", f"{name}, {images}", caption, size, draw))
    lines = [*_measured(document, "ssimulacra2", lambda point: _below_best(point["ssimulacra2"]))]
    if lines:
        draw = partial(_draw_curves, lines, ends, "SSIMULACRA 2")
        caption = f"SSIMULACRA 2 over bits per pixel of the same files, {images}."
        charts.append(Chart("rd-ssimulacra2", f"SSIMULACRA 2, {images}", caption, size, draw))
    return charts


def _similarity(document: Document) -> tuple[str, str] | None:
    """Key and name of the measure that all images are large enough for."""
    points = [point for row in document["results"]["curves"] for point in row.get("points", ())]
    names = {"ms_ssim": "MS-SSIM", "ssim": "SSIM"}
    known = ((key, name) for key, name in names.items() if all(point[key] is not None for point in points))
    return next(known, None)


def _below_best(score: float | None) -> float | None:
    """None for equal images."""
    return None if score is None or score >= 100 else score


def _decibel(similarity: float | None) -> float | None:
    """-10 log10(1 - similarity); None for equal images."""
    return None if similarity is None or similarity > 1 - 1e-6 else -10 * math.log10(1 - similarity)


def _measured(document: Document, key: str, quality: Quality) -> Iterator[_Line]:
    for row in document["results"]["curves"]:
        if "skipped" in row:
            continue
        style: dict[str, Any] = {"color": colour_of(row["codec"]), "linewidth": 1.1, "zorder": 2}
        known = [(point, value) for point in row["points"] if (value := quality(point)) is not None]
        if not known:  # an image of one colour is exact at every quality
            continue
        if is_ours(row["codec"]):
            ends = [number for number, (point, _) in enumerate(known) if point["ends_step"]]
            style |= {"linewidth": 1.8, "marker": "o", "markersize": 4, "zorder": 3, "markevery": ends}
        errors = [*_errors(document["results"]["at_rates"], row["codec"], key)]
        yield _Line(row["codec"], [point["bpp"] for point, _ in known], [value for _, value in known], style, errors)


def _errors(at_rates: Mapping[str, Any], codec: str, key: str) -> Iterator[tuple[float, float]]:
    """(rate, standard error in dB) where all images have a value."""
    row = next(row for row in at_rates["codecs"] if row["codec"] == codec)
    for bpp, value in zip(at_rates["bpp"], row[key], strict=True):
        if key == "psnr":
            value = None if None in value else estimate(value)
        if value is not None and value["standard_error"] is not None:
            slope = 1.0 if key in ("psnr", "ssimulacra2") else 10 / math.log(10) / max(1 - value["mean"], 1e-6)
            yield bpp, slope * value["standard_error"]


def _bounds(document: Document) -> Iterator[_Line]:
    for row in document["results"]["bounds"]:
        style = {"color": colour_of("bits back"), "linestyle": "--", "linewidth": 1.4, "zorder": 2}
        yield _Line(f"{row['codec']} (bound)", *_bound.points(row), style, [*_bound.errors_of(row)])


def _published(document: Document) -> Iterator[_Line]:
    for each, marker in zip(document["results"]["literature"], cycle(PUBLISHED_MARKERS), strict=False):
        is_code = each["what"] == CODE
        style = {"color": LITERATURE_LINE, "linestyle": "-" if is_code else ":", "linewidth": 1, "marker": marker}
        label = f"{each['system']}{'' if is_code else ' (bound)'}*"
        yield _Line(label, each["points"]["bpp"], each["points"]["psnr"], {**style, "markersize": 4, "zorder": 1})


def _lossless(document: Document) -> Iterator[tuple[float, str]]:
    """Bits per pixel of our whole files, and their colours."""
    for row in document["results"]["curves"]:
        if is_ours(row["codec"]):
            yield row["points"][-1]["bpp"], colour_of(row["codec"])


def _draw_curves(lines: Sequence[_Line], ends: Sequence[tuple[float, str]], label: str, figure: Figure) -> None:
    axes = figure.add_subplot(xscale="log", xlabel="bits per pixel of whole files", ylabel=label)
    for number, line in enumerate(lines):
        axes.plot(line.bpp, line.quality, label=line.label, **line.style)
        _draw_errors(axes, line, DODGE ** (number - len(lines) / 2))
    for bpp, colour in ends:
        axes.axvline(bpp, color=colour, linewidth=1, linestyle=":", zorder=0)
    rates, colours = zip(*ends, strict=True)
    axes.text(min(rates), 0.02, "lossless ", ha="right", transform=axes.get_xaxis_transform(), color=colours[0])
    low, high = axes.get_xlim()
    ticks = [rate for rate in RATES if low <= rate <= high]
    axes.set_xticks(ticks, [f"{rate:g}" for rate in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid()
    if any(line.label.endswith("*") for line in lines):
        axes.plot([], [], " ", label=f"* {NOT_MEASURED}")
    figure.legend(loc="outside right center", frameon=False, fontsize=8)


def _draw_errors(axes: Axes, line: _Line, dodge: float) -> None:
    """Draws error bars on the curve, beside those of other codecs at the same rate."""
    bpp, quality = zip(*sorted(zip(line.bpp, line.quality, strict=True)), strict=True)
    for rate, error in line.errors:
        if bpp[0] <= dodge * rate <= bpp[-1]:
            middle = np.interp(math.log(dodge * rate), np.log(bpp), quality)
            axes.errorbar(dodge * rate, middle, error, fmt="none", ecolor=line.style["color"], alpha=0.6, **ERROR_BAR)


# --- speed


def speed_charts(document: Document) -> list[Chart]:
    """speed-throughput, and speed-growth where images of two sizes were measured."""
    results, images = document["results"], of_images(document)
    rows = [row for row in results["throughput"] if "skipped" not in row]
    names = [*dict.fromkeys(row["codec"] for row in rows)]
    repeats = f"medians of {len(rows[0]['encode_seconds'])}; error bars: the quickest and the slowest"
    caption, size = f"Raw pixels coded in a second, {images}; {repeats}.", (7.6, 1.3 + 0.24 * len(names))
    draw = partial(_draw_throughput, rows, names)
    charts = [Chart("speed-throughput", f"Throughput, {images}", caption, size, draw)]
    sizes = sorted({row["megapixels"] for row in results["megapixels"]})
    if len(sizes) > 1:
        title = f"Growth, {len(sizes)} synthetic photographs of {sizes[0]:.3g} to {sizes[-1]:.3g} megapixels"
        caption = f"{title}; {repeats}; k: exponents of fitted power laws."
        charts.append(Chart("speed-growth", title, caption, (7.6, 3.4), partial(_draw_growth, results)))
    return charts


def _middle_and_ends(values: Sequence[float]) -> tuple[float, list[list[float]]]:
    """The median, and how far the least and the largest are from it, as matplotlib takes errors."""
    middle = statistics.median(values)
    return middle, [[middle - min(values)], [max(values) - middle]]


def _draw_throughput(rows: Sequence[Mapping[str, Any]], names: Sequence[str], figure: Figure) -> None:
    most = max(row["threads"] for row in rows)
    for axes, operation in zip(figure.subplots(1, 2, sharey=True), OPERATIONS, strict=True):
        for row in rows:
            rates = [row["raw_bytes"] / 1e6 / seconds for seconds in row[f"{operation}_seconds"]]
            middle, ends = _middle_and_ends(rates)
            colour = colour_of(row["codec"])
            face = colour if row["threads"] == most else "white"
            style = {"color": colour, "markerfacecolor": face, "markersize": 5}
            axes.errorbar(middle, names.index(row["codec"]), xerr=ends, fmt="o", **style, **ERROR_BAR)
        axes.set(xscale="log", xlabel=f"{operation}, MB/s of raw pixels", ylim=(len(names) - 0.5, -0.5))
        axes.set_yticks(range(len(names)), names)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(axis="x")
    handles: list[Artist] = [_threads(count, count == most) for count in sorted({row["threads"] for row in rows})]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(handles), frameon=False)


def _threads(count: int, full: bool) -> Line2D:
    """An entry of the legend."""
    label = f"{count} thread{'s' * (count > 1)}"
    return Line2D([], [], color=OTHER_COLOUR, marker="o", ls="", mfc=OTHER_COLOUR if full else "white", label=label)


def _draw_growth(results: Mapping[str, Any], figure: Figure) -> None:
    times, memory = figure.subplots(1, 2)
    # + 0.0: never -0.00
    exponents = {fit["of"]: f": k = {round(fit['exponent']['mean'], 2) + 0.0:.2f}" for fit in results["fits"]}
    for codec in dict.fromkeys(row["codec"] for row in results["megapixels"]):
        rows = [row for row in results["megapixels"] if row["codec"] == codec]
        sizes = [row["megapixels"] for row in rows]
        for operation, dashes in zip(OPERATIONS, ("-", "--"), strict=True):
            name = growth_name(codec, operation)
            style = {"color": colour_of(codec), "linestyle": dashes, "marker": "o", "markersize": 4, "linewidth": 1.2}
            seconds, ends = zip(*(_middle_and_ends(row[f"{operation}_seconds"]) for row in rows), strict=True)
            label = f"{codec.removeprefix(OURS).strip()}, {operation}{exponents.get(name, '')}"
            times.errorbar(sizes, seconds, yerr=np.concatenate(ends, 1), label=label, capsize=2, **style)
            memory.plot(sizes, [row[f"{operation}_peak_bytes"] / 1e6 for row in rows], **style)
    times.set(xlabel="megapixels", ylabel="seconds", xscale="log", yscale="log")
    memory.set(xlabel="megapixels", ylabel="peak memory, MB", xscale="log", ylim=(0, None))
    for axis in (times.xaxis, times.yaxis, memory.xaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")
    for axes in (times, memory):
        axes.grid()
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
