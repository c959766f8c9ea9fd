"""ddpmcodec bench bpd: whole files without loss in bits/dim, beside what the model itself needs and other codecs.

One file an image at each effort and by each other codec, and archives of up to 512 images. Beside the size of files
stands the model's bound: of one file an image its code length, what the coder's symbols cost in the coder's own
integers; of archives the same, or, by bits back, the variational bound of their images on the same noise levels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.networks import Model

from . import _lossless
from ._data import CIFAR10_NAME, Dataset, Pixels
from ._figures import LITERATURE, OTHERS, OURS, Figure, Patch, save_figure
from ._kinds import Measure
from ._literature import LOSSLESS, NOT_MEASURED, WHOLE
from ._peers import PEERS, Peer, sort_out
from ._results import Document, dimensions, document, estimate, of_images, versions
from ._tables import Table, plus_minus
from ._tasks import PEER_CALLS, Found, Task
from ._work import Work

TITLE = "Lossless: bits per dimension of whole files"
KIND = "bpd"
ARCHIVE_IMAGES = 512  # of one archive: what shares a stack


class Contender(NamedTuple):
    """A line of the result. calls: of the network for an image. Its last task measures the files."""

    codec: str
    calls: int | None
    images_a_file: int
    tasks: Sequence[Task]


def run(
    dataset: Dataset,
    out: Path,
    source: str | None,
    efforts: Sequence[int],
    together: Sequence[int],
    steps: Sequence[int],
    *,
    command: str,
    peers: bool = True,
    quiet: bool = False,
) -> Document | None:
    """Measure, write bench-bpd.json and its figure into the folder `out`, and return the result.

    source: of the model. efforts: of one file an image; together: of archives. steps: noise levels of archives. peers:
    also other codecs. None on all of torchrun's ranks but the first. Raises ModelError for an effort that the model
    does not have, ChecksumError where an image does not come back.
    """
    model = _lossless.load_model_with(source, {*efforts, *together}, dataset.images)
    others, skipped = sort_out(PEERS if peers else ())
    data = dataset.describe()
    work = Work(out, KIND, {"dataset": data["sha256"], "model": model.id.hex(), "versions": versions()})
    with _lossless.code_lengths() as costs:
        single = {effort: _effort(model, effort, costs) for effort in efforts}
        contenders = [
            *single.values(),
            *(_archive(model, effort, single.get(effort)) for effort in together),
            *(_bits_back(model, T) for T in steps),
            *map(_peer, others),
        ]
        tasks = {task.name: task for each in contenders for task in each.tasks}
        units = [unit for task in tasks.values() for unit in task.units(dataset.images)]
        found = work.results(units, quiet=quiet, side_by_side=True)
    result = None
    if found is not None:
        rows = [_row(each, dataset.images, found) for each in contenders]
        results = {"codecs": [*rows, *skipped], "literature": _literature(dataset)}
        result = document(KIND, command, results, model=model, dataset=data)
        draw(result, out)
    work.finish(result)
    return result


def _effort(model: Model, effort: int, costs: _lossless.Costs) -> Contender:
    name, calls = f"ddpmcodec effort {effort}", len(model.presets[effort])
    task = Task(name, 2 * calls, lambda images, _: _lossless.files(images, model, effort, costs))
    return Contender(name, calls, 1, [task])


def _archive(model: Model, effort: int, single: Contender | None) -> Contender:
    """single: files of the same effort, where they are measured, whose code length is that of the archive."""
    name, calls = f"ddpmcodec archive effort {effort}", len(model.presets[effort])
    there_and_back = _whole(name, 2 * calls, lambda images, _: _lossless.archive(images, model, effort=effort))
    needed = Task(f"{name}, bound", calls, lambda images, _: _lossless.code_lengths_of(images, model, effort))
    return Contender(name, calls, ARCHIVE_IMAGES, [*(single.tasks if single else [needed]), there_and_back])


def _bits_back(model: Model, steps: int) -> Contender:
    name = f"ddpmcodec archive T={steps}"
    there_and_back = _whole(name, 2 * steps, lambda images, _: _lossless.archive(images, model, steps=steps))
    bound = Task(f"{name}, bound", steps, lambda images, first: _lossless.bounds(images, model, steps, first))
    return Contender(name, steps, ARCHIVE_IMAGES, [bound, there_and_back])


def _whole(name: str, calls: int, measure: Callable[[Sequence[Pixels], int], Found]) -> Task:
    """Of as many images at a time as share an archive."""
    return Task(name, calls, measure, ARCHIVE_IMAGES, sys.maxsize)


def _peer(peer: Peer) -> Contender:
    task = Task(peer.name, PEER_CALLS, lambda images, _: _lossless.peer_files(images, peer))
    return Contender(peer.name, None, 1, [task])


def _row(contender: Contender, images: Sequence[Pixels], found: Mapping[str, Found]) -> dict[str, Any]:
    values = {name: column for task in contender.tasks for name, column in task.collect(found).items()}
    dims, sizes = np.array([image.size for image in images]), np.array(values["bytes"])
    row: dict[str, Any] = {
        "codec": contender.codec,
        "calls": contender.calls,
        "images_a_file": contender.images_a_file,
        "bits_per_dim": _rate(sizes, dims, contender.images_a_file),
    }
    if "code_length" in values:
        row["bound"] = estimate(np.array(values["code_length"]) / dims)
        if contender.images_a_file == 1:
            row["overhead_bytes"] = _spread(sizes - np.array(values["code_length"]) / 8)
    if "bound" in values:
        row["bound"] = estimate(values["bound"])
    if "images_on_stacks" in values:
        row["images_on_stacks"] = sum(values["images_on_stacks"])
    return row | {"bytes": values["bytes"]}


def _rate(sizes: NDArray[np.int64], dims: NDArray[np.int64], images_a_file: int) -> dict[str, float | None]:
    """Bits/dim: the mean over images; of archives all their bytes over all dimensions, without an error."""
    if images_a_file == 1:
        return estimate(8 * sizes / dims)
    return {"mean": 8 * int(sizes.sum()) / int(dims.sum()), "standard_error": None}


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    return {"min": float(values.min()), "mean": float(values.mean()), "max": float(values.max())}


def _literature(dataset: Dataset) -> list[dict[str, Any]]:
    test_set = dataset.name == CIFAR10_NAME and dataset.split == "test"
    return [each.to_json() for each in LOSSLESS] if test_set else []


# --- what a result says


def tables(found: Document) -> list[Table]:
    codecs, literature = found["results"]["codecs"], found["results"]["literature"]
    archives = [row["images_a_file"] for row in codecs if row.get("images_a_file", 1) > 1]
    together = f", archives of up to {archives[0]} images" if archives else ""
    caption = f"Whole files, {of_images(found)}{together}; every file was decoded and compared"
    measured = Table("sizes", caption, [*map(_line, codecs)])
    published = [_published(each) for each in literature]
    return [measured, Table("literature", f"CIFAR-10 test set: {NOT_MEASURED}", published)] if published else [measured]


def _line(row: dict[str, Any]) -> dict[str, Any]:
    overhead = row.get("overhead_bytes")
    return {
        "": row["codec"],
        "network calls": row.get("calls"),
        "bits/dim": row.get("skipped") or plus_minus(row["bits_per_dim"]),
        "the model's bound": plus_minus(row.get("bound")),
        "bytes a file beyond it": overhead and f"{overhead['mean']:.1f}",
    }


def _published(each: dict[str, Any]) -> dict[str, Any]:
    return {
        "": each["system"],
        "bits/dim": f"{each['bits_per_dim']:.2f}",
        "what": each["what"],
        "source": each["source"],
    }


def figures(found: Document) -> dict[str, str]:
    return {KIND: f"Bits per dimension, {of_images(found)}. A line across a bar is the model's bound."}


def measures(found: Document) -> Iterator[Measure]:
    """Bits/dim of every file."""
    ids, dims = found["dataset"]["ids"], dimensions(found)
    for row in found["results"]["codecs"]:
        if "skipped" in row:
            continue
        values = {}
        for number, size in enumerate(row["bytes"]):
            images = slice(number * row["images_a_file"], (number + 1) * row["images_a_file"])
            values[" ".join(ids[images])] = 8 * size / sum(dims[images])
        yield Measure(f"{row['codec']}, bits/dim", values)


# --- its chart


class _Bar(NamedTuple):
    label: str
    rate: float  # bits/dim
    bound: float | None
    colour: str


def draw(found: Document, folder: Path) -> list[Path]:
    """The chart bpd.png, bpd.svg: codecs from the smallest files to the largest."""
    bars = sorted(_bars(found), key=lambda bar: bar.rate)

    def chart(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, bar in enumerate(bars):
            axes.barh(place, bar.rate, color=bar.colour, height=0.72)
            axes.text(bar.rate + 0.04, place, f"{bar.rate:.{2 if bar.colour == LITERATURE else 3}f}", va="center")
            if bar.bound is not None:
                axes.plot([bar.bound] * 2, [place - 0.36, place + 0.36], color="white", linewidth=1.5)
        axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.set_xlabel(f"bits/dim, {of_images(found)}", loc="right")
        _legend(figure, {bar.colour for bar in bars})

    return save_figure(folder, KIND, (7.2, 1 + 0.24 * len(bars)), chart)


def _bars(found: Document) -> Iterator[_Bar]:
    for row in found["results"]["codecs"]:
        if "skipped" not in row:
            bound = row["bound"]["mean"] if "bound" in row else None
            yield _Bar(row["codec"], row["bits_per_dim"]["mean"], bound, OTHERS if bound is None else OURS)
    for each in found["results"]["literature"]:
        note = "" if each["what"] == WHOLE else f" ({each['what']})"
        yield _Bar(each["system"] + note, each["bits_per_dim"], None, LITERATURE)


def _legend(figure: Figure, colours: Collection[str]) -> None:
    labels = {OURS: "ddpmcodec; white: the model's bound", OTHERS: "other codecs", LITERATURE: NOT_MEASURED}
    handles = [Patch(color=colour, label=label) for colour, label in labels.items() if colour in colours]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), frameon=False)
