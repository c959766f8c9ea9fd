"""ddpmcodec bench speed: throughput, time by step, previews, memory, start-up, and how they grow.

Throughput is that of pixels in memory to files in memory and back, on one thread and on all, beside baselines in the
same run: thumbnails in batches of 256, photographs one by one. Encoding is without its verification, which is one more
decoding. Growth with the size of an image is measured on synthetic photographs.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch

from ddpmcodec.errors import DdpmError
from ddpmcodec.networks.context.model import ContextModel

from ._charts import captions, speed_charts, write_charts
from ._codecs import BASELINE_COST, BASELINES, REFERENCE, cost, find_model, sort_out
from ._data import Dataset, Pixels
from ._results import Document, Measure, Row, Table, document, machine, of_images, plus_minus, versions
from ._timing import (
    OPERATIONS,
    PREVIEW_SHARE,
    Coder,
    fits,
    growth,
    of_baseline,
    of_effort,
    preview,
    start_up,
    steps,
    throughput,
)
from ._work import Unit, Work, rank_and_size

__all__ = ["TITLE", "Plan", "figures", "measures", "run", "tables"]

TITLE = "Speed, memory and start-up"
KIND = "speed"
STEPS_PIXELS = 1 << 19  # of the images whose steps are timed


class Plan(NamedTuple):
    """What to measure. repeats: of every timing."""

    efforts: Sequence[int]
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

    source: of the model. baselines: also other codecs. Raises ChecksumError where an image does not come back,
    DdpmError under torchrun: what is measured is one process on all cores.
    """
    if rank_and_size()[1] > 1:
        raise DdpmError("speed is that of one process: start it without torchrun")
    model = find_model(source, dataset.images)
    available, skipped = sort_out(BASELINES if baselines else ())
    data = dataset.describe()
    identity = {"dataset": data["sha256"], "model": model.id.hex(), "machine": machine(), "repeats": plan.repeats}
    work = Work(out, KIND, identity | {"versions": versions()})
    with TemporaryDirectory() as folder:
        coders = [*(of_effort(model, effort) for effort in plan.efforts), *map(of_baseline, available)]
        parts = _Timings(model, source, plan, dataset.images, coders, Path(folder)).parts()
        found = work.results([unit for units in parts.values() for unit in units], quiet=quiet) or {}
    results: dict[str, Any] = {part: [found[unit.key] for unit in units] for part, units in parts.items()}
    results["start_up"] = results["start_up"][0]
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
        start = Unit("start-up", 1e6, partial(start_up, self._options(), self.plan.repeats, self.folder))
        threads, efforts = sorted({1, torch.get_num_threads()}), self.plan.efforts
        return {
            "throughput": [self._throughput(coder, count) for count in threads for coder in self.coders],
            "steps": [self._steps(effort) for effort in efforts],
            "previews": [self._preview(effort, count) for count in threads for effort in efforts],
            "megapixels": [self._growth(effort, size) for effort in efforts for size in self.plan.megapixels],
            "start_up": [start],
        }

    def _options(self) -> list[str]:
        """Of the commands that are timed."""
        return [f"--model={self.source}"] if self.source else []

    def _weight(self, effort: int | None, images: Sequence[Pixels]) -> float:
        """Time of coding images once. effort: None for a baseline."""
        return sum(image[..., 0].size for image in images) * (cost(effort, self.images) if effort else BASELINE_COST)

    def _throughput(self, coder: Coder, threads: int) -> Unit:
        work = partial(throughput, coder, self.images, threads, self.plan.repeats)
        weight = 2 * self.plan.repeats * self._weight(coder.effort, self.images) / threads
        return Unit(f"{coder.name}, threads: {threads}", weight, work)

    def _steps(self, effort: int) -> Unit:
        few = _few(self.images)
        return Unit(f"steps, effort {effort}", 2 * self._weight(effort, few), partial(steps, self.model, effort, few))

    def _preview(self, effort: int, threads: int) -> Unit:
        largest = max(self.images, key=lambda image: image.size)
        work = partial(preview, self.model, effort, largest, threads, self.plan.repeats)
        weight = (self.plan.repeats + 2) * self._weight(effort, [largest]) / threads
        return Unit(f"preview, effort {effort}, threads: {threads}", weight, work)

    def _growth(self, effort: int, megapixels: float) -> Unit:
        model, options = self.model if self.source else None, self._options()
        work = partial(growth, model, options, effort, megapixels, self.plan.repeats, self.folder)
        weight = 2 * (self.plan.repeats + 1) * 1e6 * megapixels * cost(effort, self.images)
        return Unit(f"{megapixels} megapixels, effort {effort}", weight, work)


def _few(images: Sequence[Pixels]) -> list[Pixels]:
    """The first images, one at least, of so many pixels together."""
    found: list[Pixels] = []
    for image in images:
        if found and sum(each[..., 0].size for each in [*found, image]) > STEPS_PIXELS:
            break
        found.append(image)
    return found


# --- what a result says


def tables(found: Document) -> list[Table]:
    results = found["results"]
    every = [
        Table("throughput", f"Throughput, {of_images(found)}; medians", [*_throughputs(results["throughput"])]),
        Table("steps", "Bits and time of the schedule's steps, on one thread", [*_steps(results["steps"])]),
        Table("previews", _of_previews(), [*map(_preview, results["previews"])]),
        Table(
            "megapixels",
            "Synthetic photographs; memory of a process of its own",
            [*map(_megapixels, results["megapixels"])],
        ),
        Table("start_up", "A fresh process each, medians", [*map(_start_up, results["start_up"])]),
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


def _throughput(row: Mapping[str, Any], reference: float | None) -> Row:
    """reference: seconds of JPEG XL to encode the same images."""
    encode, decode = (statistics.median(row[f"{name}_seconds"]) for name in OPERATIONS)
    return {
        "": row["codec"],
        "threads": row["threads"],
        "encode MB/s": row["raw_bytes"] / 1e6 / encode,
        "decode MB/s": row["raw_bytes"] / 1e6 / decode,
        "encode images/s": row["images"] / encode,
        "decode images/s": row["images"] / decode,
        f"decode / encode of {REFERENCE}": None if reference is None else decode / reference,
    }


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
    return f"A preview from the first {100 * PREVIEW_SHARE:g}% of a file, and the whole file; medians"


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


def _megapixels(row: Mapping[str, Any]) -> Row:
    return {
        "": row["codec"],
        "megapixels": row["megapixels"],
        "threads": row["threads"],
        **{f"{name} s": statistics.median(row[f"{name}_seconds"]) for name in OPERATIONS},
        **{f"{name} peak MB": row[f"{name}_peak_bytes"] / 1e6 for name in OPERATIONS},
    }


def _start_up(row: Mapping[str, Any]) -> Row:
    return {"": row["command"], "seconds": statistics.median(row["seconds"])}


def _fit(row: Mapping[str, Any]) -> Row:
    return {"": row["of"], "exponent": plus_minus(row["exponent"], 2), "points": row["points"]}


def figures(found: Document) -> Mapping[str, str]:
    return captions(speed_charts(found))


def measures(found: Document) -> Iterator[Measure]:
    for row in found["results"]["throughput"]:
        for operation in OPERATIONS if "skipped" not in row else ():
            name = f"{row['codec']}, threads: {row['threads']}, seconds to {operation} an image"
            yield _of_repeats(name, [seconds / row["images"] for seconds in row[f"{operation}_seconds"]])
    for row in found["results"]["previews"]:
        if "skipped" not in row:
            yield _of_repeats(
                f"{row['codec']}, threads: {row['threads']}, seconds of a preview", row["preview_seconds"]
            )
    for row in found["results"]["start_up"]:
        yield _of_repeats(f"seconds: {row['command']}", row["seconds"])


def _of_repeats(name: str, values: Sequence[float]) -> Measure:
    return Measure(name, {str(number): value for number, value in enumerate(values)}, timing=True)
