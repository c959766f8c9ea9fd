"""ddpmcodec bench speed: throughput, where the time goes, memory, start-up, and how they grow.

Throughput is that of pixels in memory to files in memory and back, on one thread and on all, beside other codecs in the
same run. Encoding is without its verification, which is one more decoding. Stages are those of one thread that reads
and writes files. Growth with the size of an image is measured on synthetic photographs, at the
least and the most of the efforts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch

from ddpmcodec.errors import DdpmError
from ddpmcodec.networks import Model

from ._coders import Coder, of_archive, of_effort, of_peer
from ._data import Dataset, Pixels
from ._kinds import Measure
from ._lossless import load_model_with
from ._peers import PEERS, sort_out
from ._results import Document, document, machine, of_images, versions
from ._speed_charts import OPERATIONS, draw, figures, fits
from ._speed_parts import growth, stages, start_up, throughput
from ._stages import STAGES
from ._tables import Row, Table, plus_minus
from ._work import Unit, Work, rank_and_size

__all__ = ["TITLE", "Plan", "draw", "figures", "measures", "run", "tables"]

TITLE = "Speed, memory and start-up"
KIND = "speed"
STAGE_IMAGES = 64
PEER_CALLS = 2  # network calls that take about as long as another codec

Maker = Callable[[Model], Coder]


class Plan(NamedTuple):
    """What to measure. steps: noise levels of archives. repeats: of every timing."""

    efforts: Sequence[int]
    steps: Sequence[int]
    megapixels: Sequence[float]
    repeats: int


def run(
    dataset: Dataset,
    out: Path,
    source: str | None,
    plan: Plan,
    *,
    command: str,
    peers: bool = True,
    quiet: bool = False,
) -> Document:
    """Measure, write bench-speed.json and its figures into the folder `out`, and return the result.

    source: of the model. peers: also other codecs. Raises ModelError for an effort that the model does not have,
    ChecksumError where an image does not come back, DdpmError under torchrun: what is measured is one process on all
    cores.
    """
    if rank_and_size()[1] > 1:
        raise DdpmError("speed is that of one process: start it without torchrun")
    model = load_model_with(source, plan.efforts, dataset.images)
    others, skipped = sort_out(PEERS if peers else ())
    data = dataset.describe()
    identity = {"dataset": data["sha256"], "model": model.id.hex(), "machine": machine(), "repeats": plan.repeats}
    work = Work(out, KIND, identity | {"versions": versions()})
    with TemporaryDirectory() as folder:
        parts = _parts(model, source, plan, dataset.images, [of_peer(peer) for peer in others], Path(folder))
        found = work.results([unit for units in parts.values() for unit in units], quiet=quiet) or {}
    results: dict[str, Any] = {part: [found[unit.key] for unit in units] for part, units in parts.items()}
    results["start_up"] = results["start_up"][0]
    results["throughput"] += skipped
    result = document(KIND, command, results | {"fits": fits(results)}, model=model, dataset=data)
    draw(result, out)
    work.finish(result)
    return result


def _parts(
    model: Model, source: str | None, plan: Plan, images: Sequence[Pixels], peers: Sequence[Coder], folder: Path
) -> dict[str, list[Unit]]:
    """The units of work by the part of the result that they make."""
    options = [f"--model={source}"] if source else []
    makers: list[Maker] = [*(partial(of_effort, effort=effort) for effort in plan.efforts)]
    makers += [partial(of_archive, steps=T) for T in plan.steps]
    ours = [make(model) for make in makers]
    few, repeats = images[:STAGE_IMAGES], plan.repeats
    ends = sorted({min(plan.efforts), max(plan.efforts)})
    return {
        "throughput": [
            Unit(
                f"{coder.name}, threads: {threads}",
                repeats * _cost(coder.calls, images),
                partial(throughput, coder, images, threads, repeats),
            )
            for threads in sorted({1, torch.get_num_threads()})
            for coder in [*ours, *peers]
        ],
        "stages": [
            Unit(f"{coder.name}, stages", _cost(coder.calls, few), partial(stages, make, model, few, folder))
            for make, coder in zip(makers, ours, strict=True)
        ],
        "megapixels": [
            Unit(
                f"{size} megapixels, effort {effort}",
                (repeats + 1) * len(model.presets[effort]) * 1e6 * size,
                partial(growth, model if source else None, options, effort, size, repeats, folder),
            )
            for effort in ends
            for size in plan.megapixels
        ],
        "start_up": [Unit("start-up", 1, partial(start_up, options, repeats, folder))],
    }


def _cost(calls: int | None, images: Sequence[Pixels]) -> float:
    """Network calls on a pixel, for the progress bar."""
    return (calls or PEER_CALLS) * sum(image[..., 0].size for image in images)


# --- what a result says


def tables(found: Document) -> list[Table]:
    results = found["results"]
    return [
        Table("throughput", f"Throughput, {of_images(found)}; medians", [*map(_throughput, results["throughput"])]),
        Table("stages", "Where the time goes, on one thread, percent", [*_stages(results["stages"])]),
        Table("megapixels", _of_photographs(results), [*map(_megapixels, results["megapixels"])]),
        Table("start_up", "A fresh process each, medians", [*map(_start_up, results["start_up"])]),
        Table("fits", "How seconds grow: exponents of fitted power laws", [*map(_fit, results["fits"])]),
    ]


def _throughput(row: dict[str, Any]) -> Row:
    if "skipped" in row:
        return {"": row["codec"], "network calls": None, "threads": row["skipped"]}
    encode, decode = (statistics.median(row[f"{name}_seconds"]) for name in OPERATIONS)
    return {
        "": row["codec"],
        "network calls": row["calls"],
        "threads": row["threads"],
        "encode MB/s": row["raw_bytes"] / 1e6 / encode,
        "decode MB/s": row["raw_bytes"] / 1e6 / decode,
        "encode images/s": row["images"] / encode,
        "decode images/s": row["images"] / decode,
    }


def _stages(rows: Sequence[dict[str, Any]]) -> Iterator[Row]:
    for row in rows:
        for operation in OPERATIONS:
            total = sum(row[operation].values())
            shares = {stage: f"{100 * row[operation][stage] / total:.1f}" for stage in STAGES}
            yield {"": row["codec"], "operation": operation, **shares, "ms an image": 1000 * total / row["images"]}


def _of_photographs(results: dict[str, Any]) -> str:
    return f"Synthetic photographs, {results['megapixels'][0]['threads']} threads; memory of a process of its own"


def _megapixels(row: dict[str, Any]) -> Row:
    return {
        "": row["codec"],
        "megapixels": row["megapixels"],
        **{f"{name} s": statistics.median(row[f"{name}_seconds"]) for name in OPERATIONS},
        **{f"{name} peak MB": row[f"{name}_peak_bytes"] / 1e6 for name in OPERATIONS},
    }


def _start_up(row: dict[str, Any]) -> Row:
    return {"": row["command"], "seconds": statistics.median(row["seconds"])}


def _fit(row: dict[str, Any]) -> Row:
    return {"": row["of"], "with": row["with"], "exponent": plus_minus(row["exponent"], 2), "points": row["points"]}


def measures(found: Document) -> Iterator[Measure]:
    for row in found["results"]["throughput"]:
        for operation in OPERATIONS if "skipped" not in row else ():
            name = f"{row['codec']}, threads: {row['threads']}, seconds to {operation} an image"
            yield _of_repeats(name, [seconds / row["images"] for seconds in row[f"{operation}_seconds"]])
    for row in found["results"]["start_up"]:
        yield _of_repeats(f"seconds: {row['command']}", row["seconds"])


def _of_repeats(name: str, values: Sequence[float]) -> Measure:
    return Measure(name, {str(number): value for number, value in enumerate(values)}, timing=True)
