"""Charts of ddpmcodec bench speed, and the exponents of growth that they show."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._figures import OURS, Axes, Figure, LogLocator, NullLocator, save_figure
from ._results import Document, of_images
from ._stages import STAGES

OPERATIONS = ("encode", "decode")
PREFIX = "ddpmcodec "  # of the names of our coders
MARKERS = "os"  # of the least and the most effort; of files and archives
COLOURS = {"encode": OURS, "decode": "#c8642d"}
STAGE_COLOURS = dict(zip(STAGES, ("#1f5fa8", "#7fb0e0", "#c8642d", "#8a8a8a"), strict=True))


class Series(NamedTuple):
    """Seconds y of an operation of something at sizes x."""

    of: str
    size: str  # what x counts
    operation: str
    x: Sequence[float]
    y: Sequence[float]

    def fit(self) -> dict[str, Any] | None:
        """y ~ x^exponent, by least squares of the logarithms; None for fewer than two sizes."""
        if len(set(self.x)) < 2:
            return None
        return {
            "of": f"{self.of}, {self.operation}",
            "with": self.size,
            "exponent": exponent(self.x, self.y),
            "points": len(self.x),
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
    found = (series.fit() for series in (*by_megapixels(results), *by_calls(results)))
    return [fit for fit in found if fit]


def by_megapixels(results: dict[str, Any]) -> Iterator[Series]:
    for codec, rows in _by_codec(results).items():
        for operation in OPERATIONS:
            seconds = [statistics.median(row[f"{operation}_seconds"]) for row in rows]
            of = f"a photograph, {codec.removeprefix(PREFIX)}"
            yield Series(of, "megapixels", operation, [row["megapixels"] for row in rows], seconds)


def _by_codec(results: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    rows = results["megapixels"]
    return {codec: [row for row in rows if row["codec"] == codec] for codec in dict.fromkeys(r["codec"] for r in rows)}


def by_calls(results: dict[str, Any]) -> Iterator[Series]:
    """Of an image on all threads: one file each, and archives."""
    ours = [row for row in results["throughput"] if row.get("calls")]
    threads = max(row["threads"] for row in ours)
    for of, word in (("one file an image", "effort"), ("archives", "archive")):
        rows = sorted(
            (r for r in ours if r["threads"] == threads and word in r["codec"]), key=lambda r: int(r["calls"])
        )
        for operation in OPERATIONS if rows else ():
            seconds = [statistics.median(row[f"{operation}_seconds"]) / row["images"] for row in rows]
            yield Series(of, "network calls", operation, [row["calls"] for row in rows], seconds)


def figures(found: Document) -> dict[str, str]:
    return {
        "speed-throughput": f"Raw pixels coded in a second, {of_images(found)}.",
        "speed-stages": "Where the time goes on one thread, files included.",
        "speed-growth": "Growth with the size of a photograph and with network calls; k: exponents of fitted lines.",
    }


def draw(found: Document, folder: Path) -> list[Path]:
    """The charts speed-throughput, speed-stages and speed-growth, as PNG and SVG."""
    results = found["results"]
    rows = [row for row in results["throughput"] if "skipped" not in row]
    names = list(dict.fromkeys(row["codec"] for row in rows))
    return [
        *save_figure(folder, "speed-throughput", (7.2, 0.9 + 0.28 * len(names)), lambda f: _throughput(f, rows, names)),
        *save_figure(folder, "speed-stages", (7.2, 0.9 + 0.4 * len(results["stages"])), lambda f: _stages(f, results)),
        *save_figure(folder, "speed-growth", (9.6, 3.2), lambda f: _growth(f, results)),
    ]


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


def _stages(figure: Figure, results: dict[str, Any]) -> None:
    axes = figure.add_subplot()
    bars = [(f"{row['codec']}, {name}", row[name]) for row in results["stages"] for name in OPERATIONS]
    for place, (_, seconds) in enumerate(bars):
        left, total = 0.0, sum(seconds.values())
        for stage in STAGES:
            share = 100 * seconds[stage] / total
            axes.barh(place, share, left=left, color=STAGE_COLOURS[stage], height=0.7, label=stage)
            if share >= 6:
                axes.text(left + share / 2, place, f"{share:.0f}", ha="center", va="center", color="white")
            left += share
    axes.set_yticks(range(len(bars)), [label for label, _ in bars])
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("percent of the time")
    _legend(figure, axes)


def _growth(figure: Figure, results: dict[str, Any]) -> None:
    pixels, calls, memory = figure.subplots(1, 3)
    for place, series in enumerate(by_megapixels(results)):
        _line(pixels, series, MARKERS[place // len(OPERATIONS)])
    for series in by_calls(results):
        _line(calls, series, MARKERS[series.of == "archives"])
    for marker, (codec, rows) in zip(MARKERS, _by_codec(results).items(), strict=False):
        sizes = [row["megapixels"] for row in rows]
        for operation in OPERATIONS:
            peaks = [row[f"{operation}_peak_bytes"] / 1e6 for row in rows]
            label = f"{codec.removeprefix(PREFIX)}, {operation}"
            memory.plot(sizes, peaks, f"{marker}-", color=COLOURS[operation], markersize=4, label=label)
    pixels.set(xlabel="megapixels", ylabel="seconds", xscale="log", yscale="log")
    calls.set(xlabel="network calls", ylabel="seconds an image", xscale="log", yscale="log")
    memory.set(xlabel="megapixels", ylabel="peak memory, MB", xscale="log", ylim=(0, None))
    for axes in (pixels, calls, memory):
        axes.grid(color="#eeeeee")
        axes.legend(frameon=False, fontsize=7, loc="best")
        for axis in (axes.xaxis, axes.yaxis) if axes is not memory else (axes.xaxis,):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter("{x:g}")


def _line(axes: Axes, series: Series, marker: str) -> None:
    label, fit = f"{series.of}, {series.operation}", series.fit()
    name = label if fit is None else f"{label}: k = {fit['exponent']['mean']:.2f}"
    colour = COLOURS[series.operation]
    axes.plot(series.x, series.y, marker, color=colour, markersize=4, label=name)
    if fit is not None:
        x, y = np.array(series.x), np.array(series.y)
        slope = fit["exponent"]["mean"]
        middle = np.exp(np.log(y).mean() - slope * np.log(x).mean())
        axes.plot(x, middle * x**slope, color=colour, linewidth=1)
