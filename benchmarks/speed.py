"""ddpmcodec bench speed: throughput, time by step, previews, memory, start-up, installed size, and how they grow.

Throughput is that of pixels in memory to files in memory and back, on one thread and on all, beside baselines in the
same run: thumbnails in batches of 256, photographs one by one. Codecs take turns, so that a machine whose
speed drifts is slow for all of them. Encoding is without its verification, which is one more
decoding. Growth with the size of an image is measured on synthetic photographs. The kernels are those that the machine
of the result names: the fastest for the processor, or what DDPMCODEC_KERNELS says.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ddpmcodec.codec.efforts import Coding
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import thread_count

from ._charts import captions, speed_charts, write_charts
from ._codecs import BASELINES, REFERENCE, cost, find_model, name_of, sort_out
from ._data import Dataset, Pixels, pixel_count
from ._results import Document, Measure, Row, Table, document, machine, of_images, plus_minus
from ._timing import (
    OPERATIONS,
    PEAKS,
    PREVIEW_SHARE,
    Coder,
    fits,
    growth,
    installed,
    of_baseline,
    of_coding,
    peak_key,
    preview,
    start_up,
    steps,
    throughput,
    thumbnails,
)
from ._work import Unit, Work, identity

__all__ = ["TITLE", "Plan", "figures", "measures", "run", "tables"]

TITLE = "Speed, memory and start-up"
KIND = "speed"
STEPS_PIXELS = 1 << 19  # of the images whose steps are timed
OF_THUMBNAILS = (Coding(1, 0), Coding(1, 2))
SECONDS = tuple(f"{operation}_seconds" for operation in OPERATIONS)
PROCESS_BYTES = 200_000_000  # of a process that codes nothing large
START_UP_WEIGHT, INSTALLED_WEIGHT = 1e6, 1.0  # shares of the progress bar, in pixels that a fast codec codes meanwhile


class Plan(NamedTuple):
    """What to measure. repeats: of every timing."""

    settings: Sequence[Coding]
    megapixels: Sequence[float]
    repeats: int


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
    """Measure, write bench-speed.json and its figures into the folder `out`, and return the result.

    source: of the model. baselines: also other codecs. Raises ChecksumError where an image does not come back.
    """
    model = find_model(source, dataset.images)
    available, skipped = sort_out(BASELINES if baselines else ())
    data = dataset.describe()
    work = Work(out, KIND, identity(data, model, machine=machine(), repeats=plan.repeats))
    with TemporaryDirectory() as folder:
        coders = [*(of_coding(model, coding) for coding in plan.settings), *map(of_baseline, available)]
        timings = _Timings(model, source, plan, images=dataset.images, coders=coders, folder=Path(folder))
        parts = timings.parts()
        unit_values = work.results([unit for units in parts.values() for unit in units], quiet=quiet)
    results: dict[str, Any] = {part: [unit_values[unit.key] for unit in units] for part, units in parts.items()}
    results |= {part: results[part][0] for part in ("start_up", "installed")}
    results |= {part: turns_together(results[part]) for part in ("throughput", "thumbnails")}
    results["throughput"] += skipped
    result = document(KIND, command, results | {"fits": fits(results["megapixels"])}, model=model, dataset=data)
    write_charts(speed_charts(result), out)
    work.finish(result)
    return result


class _Timings(NamedTuple):
    """All that is timed. source: of the model. folder: for files of other processes."""

    model: ContextModel
    source: str | None
    plan: Plan
    images: Sequence[Pixels]
    coders: Sequence[Coder]
    folder: Path

    def parts(self) -> dict[str, list[Unit]]:
        """The units of work by the part of the result that they make."""
        start = Unit("start-up", START_UP_WEIGHT, partial(start_up, self._options(), self.plan.repeats, self.folder))
        threads, settings = sorted({1, thread_count()}), self.plan.settings
        turns = [(count, turn) for count in threads for turn in range(self.plan.repeats)]  # all codecs in each
        return {
            "throughput": [self._throughput(coder, count, turn) for count, turn in turns for coder in self.coders],
            "thumbnails": [self._thumbnails(coding, count, turn) for count, turn in turns for coding in OF_THUMBNAILS],
            "steps": [self._steps(coding) for coding in settings],
            "previews": [self._preview(coding, count) for count in threads for coding in settings],
            "megapixels": [self._growth(coding, size) for coding in settings for size in self.plan.megapixels],
            "start_up": [start],
            "installed": [Unit("installed", INSTALLED_WEIGHT, installed)],
        }

    def _options(self) -> list[str]:
        """Options of the commands that are timed."""
        return [f"--model={self.source}"] if self.source else []

    def _throughput(self, coder: Coder, threads: int, turn: int) -> Unit:
        return self._timed(f"{coder.name}, threads: {threads}, turn {turn}", coder, self.images, threads)

    def _thumbnails(self, coding: Coding, threads: int, turn: int) -> Unit:
        """A batch of thumbnails, by the model for images of their size."""
        batch = thumbnails(self.images)
        coder = of_coding(find_model(self.source, batch), coding)
        return self._timed(f"thumbnails, {coder.name}, threads: {threads}, turn {turn}", coder, batch, threads)

    def _timed(self, key: str, coder: Coder, images: Sequence[Pixels], threads: int) -> Unit:
        weight = 2 * coder.cost * pixel_count(images) / threads
        return Unit(key, weight, partial(throughput, coder, images, threads, repeats=1))

    def _steps(self, coding: Coding) -> Unit:
        few = _few(self.images)
        weight = 2 * cost(self.model, coding) * pixel_count(few)
        return Unit(f"steps, {name_of(coding)}", weight, partial(steps, self.model, coding, few))

    def _preview(self, coding: Coding, threads: int) -> Unit:
        largest = max(self.images, key=lambda image: image.size)
        work = partial(preview, self.model, coding, largest, threads, self.plan.repeats)
        weight = (self.plan.repeats + 2) * cost(self.model, coding) * pixel_count([largest]) / threads
        return Unit(f"preview, {name_of(coding)}, threads: {threads}", weight, work)

    def _growth(self, coding: Coding, megapixels: float) -> Unit:
        model, options = self.model if self.source else None, self._options()
        work = partial(growth, model, options, coding, megapixels, repeats=self.plan.repeats, folder=self.folder)
        weight = 2 * (self.plan.repeats + 2) * 1e6 * megapixels * cost(self.model, coding)
        return Unit(f"{megapixels} megapixels, {name_of(coding)}", weight, work)


def turns_together(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each codec and number of threads, with the seconds of all its turns."""
    together: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        whole = together.setdefault((row["codec"], row["threads"]), {**row, **{key: [] for key in SECONDS}})
        for key in SECONDS:
            whole[key] += row[key]
    return list(together.values())


def _few(images: Sequence[Pixels]) -> list[Pixels]:
    """The first images, one at least, of so many pixels together."""
    first_images: list[Pixels] = []
    for image in images:
        if first_images and pixel_count([*first_images, image]) > STEPS_PIXELS:
            break
        first_images.append(image)
    return first_images


# --- what a result says


def tables(document: Document) -> list[Table]:
    results, medians = document["results"], f"medians; kernels: {document['machine']['kernel']}"
    few = f"A batch of thumbnails of 32x32; {medians}"
    every = [
        Table("throughput", f"Throughput, {of_images(document)}; {medians}", [*_throughputs(results["throughput"])]),
        Table("thumbnails", few, [*map(_throughput, results["thumbnails"])]),
        Table("steps", "Bits and time of the schedule's steps, on one thread", [*_steps(results["steps"])]),
        Table("previews", f"{_of_previews()}; {medians}", [*map(_preview, results["previews"])]),
        Table("megapixels", _of_megapixels(), [*map(_megapixels, results["megapixels"])]),
        Table("start_up", "A fresh process each, medians", [*map(_start_up, results["start_up"])]),
        Table("installed", "What a decoder takes on a disk, without byte code", [*_installed(results)]),
        Table(
            "fits", "How seconds grow with megapixels: exponents of fitted power laws", [*map(_fit, results["fits"])]
        ),
    ]
    return [table for table in every if table.rows]


def _throughputs(rows: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    reference = {
        row["threads"]: statistics.median(row["encode_seconds"])
        for row in rows
        if row["codec"] == REFERENCE and "threads" in row
    }
    for row in rows:
        if "skipped" in row:
            yield {"": row["codec"], "threads": row["skipped"]}
        else:
            yield _throughput(row, reference.get(row["threads"]))


def _throughput(row: Mapping[str, Any], reference: float | None = None) -> Row:
    """reference: seconds of JPEG XL to encode the same images."""
    times = {name: statistics.median(row[f"{name}_seconds"]) for name in OPERATIONS}
    line: dict[str, Any] = {"": row["codec"], "threads": row["threads"]}
    line |= {f"{name} MB/s": row["raw_bytes"] / 1e6 / seconds for name, seconds in times.items()}
    line |= {f"{name} images/s": row["images"] / seconds for name, seconds in times.items()}
    if reference is not None:
        line |= {f"{name} / encode of {REFERENCE}": seconds / reference for name, seconds in times.items()}
    return line


def _steps(rows: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for row in rows:
        for step in row["steps"]:
            yield {
                "": row["codec"],
                "cell width": step["level"] or "exact",
                "bits a pixel": step["bits_per_pixel"],
                "encode ms an image": 1000 * step["encode_seconds"] / row["images"],
                "decode ms an image": 1000 * step["decode_seconds"] / row["images"],
            }


def _of_previews() -> str:
    return f"A preview from the first {100 * PREVIEW_SHARE:g}% of a file, and the whole file"


def _preview(row: Mapping[str, Any]) -> Row:
    if "skipped" in row:
        return {"": row["codec"], "threads": row["threads"], "bytes": row["skipped"]}
    shown, whole = (statistics.median(row[f"{name}_seconds"]) for name in ("preview", "decode"))
    return {
        "": row["codec"],
        "threads": row["threads"],
        "bytes": row["preview_bytes"],
        "preview s": shown,
        "whole file s": whole,
        "ratio": shown / whole,
    }


def _of_megapixels() -> str:
    beyond = f"over {PROCESS_BYTES / 1e9:g} GB"
    return f"Synthetic photographs; peak memory of a process of its own, and how many bytes a pixel that is {beyond}"


def _megapixels(row: Mapping[str, Any]) -> Row:
    line: dict[str, Any] = {"": row["codec"], "megapixels": row["megapixels"], "threads": row["threads"]}
    line |= {f"{name} s": statistics.median(row[f"{name}_seconds"]) for name in OPERATIONS}
    peaks = {name: row[peak_key(name)] for name in PEAKS}
    line |= {f"{name}, peak MB": peak / 1e6 for name, peak in peaks.items()}
    return line | {
        f"{name}, bytes a pixel": (peak - PROCESS_BYTES) / 1e6 / row["megapixels"] if peak > PROCESS_BYTES else None
        for name, peak in peaks.items()
    }


def _start_up(row: Mapping[str, Any]) -> Row:
    seconds, used = (statistics.median(row[key]) for key in ("seconds", "processor_seconds"))
    return {"": row["command"], "seconds": seconds, "processor seconds": used}


def _installed(results: Mapping[str, Any]) -> Iterator[Row]:
    for row in results["installed"]:
        yield {"": row["package"], "MB": row["bytes"] / 1e6}
    yield {"": "together", "MB": sum(row["bytes"] for row in results["installed"]) / 1e6}


def _fit(row: Mapping[str, Any]) -> Row:
    return {"": row["of"], "exponent": plus_minus(row["exponent"], 2), "points": row["points"]}


def figures(document: Document) -> Mapping[str, str]:
    return captions(speed_charts(document))


def measures(document: Document) -> Iterator[Measure]:
    results = document["results"]
    for row in results["throughput"]:
        yield from _of_throughput(row["codec"], row)
    for row in results["thumbnails"]:
        yield from _of_throughput(f"thumbnails, {row['codec']}", row)
    for row in results["previews"]:
        if "skipped" not in row:
            name = f"{row['codec']}, threads: {row['threads']}, seconds of a preview"
            yield _of_repeats(name, row["preview_seconds"])
    for row in results["start_up"]:
        yield _of_repeats(f"seconds: {row['command']}", row["seconds"])
        yield _of_repeats(f"processor seconds: {row['command']}", row["processor_seconds"])


def _of_throughput(codec: str, row: Mapping[str, Any]) -> Iterator[Measure]:
    for operation in OPERATIONS if "skipped" not in row else ():
        name = f"{codec}, threads: {row['threads']}, seconds to {operation} an image"
        yield _of_repeats(name, [seconds / row["images"] for seconds in row[f"{operation}_seconds"]])


def _of_repeats(name: str, values: Sequence[float]) -> Measure:
    return Measure(name, {str(number): value for number, value in enumerate(values)}, timing=True)
