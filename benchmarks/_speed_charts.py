"""Charts of ddpmcodec bench speed, and the exponents of growth that they show."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._figures import OUR_COLOUR, Axes, Figure, LogLocator, NullLocator, save_figure
from ._results import Document, of_images

OPERATIONS = ("encode", "decode")
PREFIX = "ddpmcodec "  # of the names of our coders
MARKERS = "os^"  # of efforts
COLOURS = {"encode": OUR_COLOUR, "decode": "#c8642d"}


class Series(NamedTuple):
    """Seconds of an operation of something at sizes in megapixels."""

    of: str
    operation: str
    megapixels: Sequence[float]
    seconds: Sequence[float]

    def fit(self) -> dict[str, Any] | None:
        """seconds ~ megapixels^exponent, by least squares of the logarithms; None for fewer than two sizes."""
        if len(set(self.megapixels)) < 2:
            return None
        return {
            "of": f"{self.of}, {self.operation}",
            "exponent": exponent(self.megapixels, self.seconds),
            "points": len(self.megapixels),
        }


def exponent(x: Sequence[float], y: Sequence[float]) -> dict[str, float | None]:
    """{mean, standard_error} of the slope of log y over log x; no error for two points."""
    across, up = np.log(x), np.log(y)
    across = across - across.mean()
    slope = float(across @ up / (across @ across))
    rest = up - up.mean() - slope * across
    freedom = len(across) - 2
    error = float(np.sqrt(rest @ rest / freedom / (across @ across))) if freedom else None
    return {"mean": slope, "standard_error": error}


def fits(results: dict[str, Any]) -> list[dict[str, Any]]:
    return [fit for series in by_megapixels(results) if (fit := series.fit())]


def by_megapixels(results: dict[str, Any]) -> Iterator[Series]:
    for codec, rows in _by_codec(results).items():
        for operation in OPERATIONS:
            seconds = [statistics.median(row[f"{operation}_seconds"]) for row in rows]
            of = f"a photograph, {codec.removeprefix(PREFIX)}"
            yield Series(of, operation, [row["megapixels"] for row in rows], seconds)


def _by_codec(results: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    rows = results["megapixels"]
    return {codec: [row for row in rows if row["codec"] == codec] for codec in dict.fromkeys(r["codec"] for r in rows)}


def figures(found: Document) -> dict[str, str]:
    captions = {"speed-throughput": f"Raw pixels coded in a second, {of_images(found)}."}
    if found["results"]["megapixels"]:
        captions["speed-growth"] = "Growth with the size of a photograph; k: exponents of fitted lines."
    return captions


def draw(found: Document, folder: Path) -> list[Path]:
    """The charts speed-throughput and, where it was measured, speed-growth, as PNG and SVG."""
    results = found["results"]
    rows = [row for row in results["throughput"] if "skipped" not in row]
    names = list(dict.fromkeys(row["codec"] for row in rows))
    size = (7.2, 0.9 + 0.28 * len(names))
    paths = save_figure(folder, "speed-throughput", size, lambda figure: _throughput(figure, rows, names))
    if results["megapixels"]:
        paths += save_figure(folder, "speed-growth", (7.2, 3.2), lambda figure: _growth(figure, results))
    return paths


def _throughput(figure: Figure, rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    axes = figure.add_subplot()
    threads = sorted({row["threads"] for row in rows})
    for row in rows:
        for operation, shift in zip(OPERATIONS, (-0.13, 0.13), strict=True):
            rate = row["raw_bytes"] / 1e6 / statistics.median(row[f"{operation}_seconds"])
            full = row["threads"] == threads[-1]
            label = f"{operation}, {row['threads']} thread{'s' * (row['threads'] > 1)}"
            face = COLOURS[operation] if full else "none"
            place = names.index(row["codec"]) + shift
            axes.plot(rate, place, "o", color=COLOURS[operation], markerfacecolor=face, markersize=5, label=label)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)
    axes.set_xlabel("MB/s of raw pixels")
    _legend(figure, axes)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper left", ncols=len(unique), frameon=False)


def _growth(figure: Figure, results: dict[str, Any]) -> None:
    times, memory = figure.subplots(1, 2)
    for place, series in enumerate(by_megapixels(results)):
        _line(times, series, MARKERS[place // len(OPERATIONS) % len(MARKERS)])
    for marker, (codec, rows) in zip(MARKERS, _by_codec(results).items(), strict=False):
        sizes = [row["megapixels"] for row in rows]
        for operation in OPERATIONS:
            peaks = [row[f"{operation}_peak_bytes"] / 1e6 for row in rows]
            label = f"{codec.removeprefix(PREFIX)}, {operation}"
            memory.plot(sizes, peaks, f"{marker}-", color=COLOURS[operation], markersize=4, label=label)
    times.set(xlabel="megapixels", ylabel="seconds", xscale="log", yscale="log")
    memory.set(xlabel="megapixels", ylabel="peak memory, MB", xscale="log", ylim=(0, None))
    for axes in (times, memory):
        axes.grid(color="#eeeeee")
        axes.legend(frameon=False, fontsize=7, loc="best")
        for axis in (axes.xaxis, axes.yaxis) if axes is times else (axes.xaxis,):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter("{x:g}")


def _line(axes: Axes, series: Series, marker: str) -> None:
    label, fit = f"{series.of}, {series.operation}", series.fit()
    name = label if fit is None else f"{label}: k = {fit['exponent']['mean']:.2f}"
    colour = COLOURS[series.operation]
    axes.plot(series.megapixels, series.seconds, marker, color=colour, markersize=4, label=name)
    if fit is not None:
        x, y = np.array(series.megapixels), np.array(series.seconds)
        slope = fit["exponent"]["mean"]
        middle = np.exp(np.log(y).mean() - slope * np.log(x).mean())
        axes.plot(x, middle * x**slope, color=colour, linewidth=1)
