"""ddpmcodec bench bpd: whole files without loss in bits/dim, beside the ideal code length and baselines.

One file an image at each effort and by each baseline, and archives of up to 512 images. The ideal code length is what
the model's distributions give the symbols, -log2 p(x); what files take beyond it is overhead: header, checks, index,
the last words of rANS.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.networks.context.model import ContextModel

from . import _lossless
from ._baselines import BASELINES, REFERENCE, Baseline, sort_out
from ._data import CIFAR10_NAME, Dataset, Pixels
from ._figures import BASELINE_COLOUR, LITERATURE_COLOUR, OUR_COLOUR, Figure, Patch, save_figure
from ._kinds import Measure
from ._literature import LOSSLESS, NOT_MEASURED, WHOLE
from ._ours import cost, find_model, is_ours, name_of, products
from ._results import Document, dimensions, document, estimate, of_images, versions
from ._tables import Row, Table, plus_minus
from ._tasks import BASELINE_COST, Found, Task
from ._work import Work

TITLE = "Lossless: bits per dimension of whole files"
KIND = "bpd"
ARCHIVE_IMAGES = 512  # of one archive: what shares a stack


BITS_BACK_COST = 10.0  # time a pixel of a noise level, as of `_ours.cost`
MOST_NAMED = 64  # images with lines of their own


class Plan(NamedTuple):
    """efforts: of one file an image; archives: of archives. bits_back: noise levels of archives by bits back."""

    efforts: Sequence[int]
    archives: Sequence[int] = ()
    bits_back: Sequence[int] = ()


class Contender(NamedTuple):
    """A line of the result. products: multiply-accumulates a pixel, of ours. The last of its tasks measures the files,
    one before it their ideal code length."""

    codec: str
    products: float | None
    images_a_file: int
    tasks: Sequence[Task]


def run(
    dataset: Dataset,
    out: Path,
    source: str | None,
    plan: Plan,
    *,
    command: str,
    baselines: bool = True,
    quiet: bool = False,
) -> Document | None:
    """Measure, write bench-bpd.json and its figure into the folder `out`, and return the result.

    source: of the model. baselines: also other codecs. None on all of torchrun's ranks but the first. Raises
    ChecksumError where an image does not come back.
    """
    model = find_model(source, dataset.images)
    available, skipped = sort_out(BASELINES if baselines else ())
    data = dataset.describe()
    work = Work(out, KIND, {"dataset": data["sha256"], "model": model.id.hex(), "versions": versions()})
    contenders = [*_ours(model, plan, dataset.images), *map(_baseline, available)]
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


def _ours(model: ContextModel, plan: Plan, images: Sequence[Pixels]) -> Iterator[Contender]:
    single = {effort: _effort(model, effort, images) for effort in plan.efforts}
    yield from single.values()
    for effort in plan.archives:
        yield _archive(model, effort, images, single.get(effort))
    yield from map(_bits_back, plan.bits_back)


def _effort(model: ContextModel, effort: int, images: Sequence[Pixels]) -> Contender:
    name = name_of(effort)
    task = Task(name, 2 * cost(effort, images), lambda group, _: _lossless.files(group, model, effort))
    return Contender(name, products(effort, images, model.shape), 1, [task])


def _archive(model: ContextModel, effort: int, images: Sequence[Pixels], single: Contender | None) -> Contender:
    """single: files of the same effort, where they are measured, whose ideal code length is that of the archive."""
    name = f"ddpmcodec archive effort {effort}"
    task = _whole(name, 2 * cost(effort, images), lambda group, _: _lossless.archive(group, model, effort))
    known = single.tasks if single else []
    return Contender(name, products(effort, images, model.shape), ARCHIVE_IMAGES, [*known, task])


def _bits_back(levels: int) -> Contender:
    name = f"ddpmcodec bits back T={levels}"
    task = _whole(name, BITS_BACK_COST * levels, lambda group, _: _lossless.bits_back_archive(group, levels))
    bound_cost = BITS_BACK_COST * levels / 2
    bound = Task(f"{name}, bound", bound_cost, lambda group, first: _lossless.variational_bound(group, levels, first))
    return Contender(name, None, ARCHIVE_IMAGES, [bound, task])


def _whole(name: str, task_cost: float, measure: Callable[[Sequence[Pixels], int], Found]) -> Task:
    """Of as many images at a time as share an archive."""
    return Task(name, task_cost, measure, ARCHIVE_IMAGES, sys.maxsize)


def _baseline(baseline: Baseline) -> Contender:
    alone = baseline.with_threads(1)
    task = Task(baseline.name, BASELINE_COST, lambda images, _: _lossless.baseline_files(images, alone))
    return Contender(baseline.name, None, 1, [task])


def _row(contender: Contender, images: Sequence[Pixels], found: Mapping[str, Found]) -> dict[str, Any]:
    values = {name: column for task in contender.tasks for name, column in task.collect(found).items()}
    dims, sizes = np.array([image.size for image in images]), np.array(values["bytes"])
    row: dict[str, Any] = {
        "codec": contender.codec,
        "products": contender.products,
        "images_a_file": contender.images_a_file,
        "bits_per_dim": _rate(sizes, dims, contender.images_a_file),
    }
    if "ideal_bits" in values:
        ideal, webp = np.array(values["ideal_bits"]), np.array(values.get("webp", [False] * len(images)))
        row |= {"ideal": float(np.mean(ideal / dims)), "webp": int(webp.sum())}
        if contender.images_a_file == 1 and not webp.all():
            row["overhead_bytes"] = float((sizes - ideal / 8)[~webp].mean())
    return row | {"bytes": values["bytes"]}


def _rate(sizes: NDArray[np.int64], dims: NDArray[np.int64], images_a_file: int) -> dict[str, float | None]:
    """Bits/dim: the mean over images; of archives all their bytes over all dimensions, without an error."""
    if images_a_file == 1:
        return estimate(8 * sizes / dims)
    return {"mean": 8 * int(sizes.sum()) / int(dims.sum()), "standard_error": None}


def _literature(dataset: Dataset) -> list[dict[str, Any]]:
    test_set = dataset.name == CIFAR10_NAME and dataset.split == "test"
    return [each.to_json() for each in LOSSLESS] if test_set else []


# --- what a result says


def tables(found: Document) -> list[Table]:
    codecs, literature = found["results"]["codecs"], found["results"]["literature"]
    archives = [row["images_a_file"] for row in codecs if row.get("images_a_file", 1) > 1]
    together = f", archives of up to {archives[0]} images" if archives else ""
    caption = f"Whole files, {of_images(found)}{together}; every file was decoded and compared"
    reference = next(
        (row["bits_per_dim"]["mean"] for row in codecs if row["codec"] == REFERENCE and "bytes" in row), None
    )
    every = [
        Table("sizes", caption, [_line(row, reference) for row in codecs]),
        Table("images", f"Bytes of each file, {of_images(found)}", [*_images(found)]),
        Table("literature", f"CIFAR-10 test set: {NOT_MEASURED}", [*map(_published, literature)]),
    ]
    return [table for table in every if table.rows]


def _line(row: dict[str, Any], reference: float | None) -> Row:
    if "skipped" in row:
        return {"": row["codec"], "bits/dim": row["skipped"]}
    ratio = f"{row['bits_per_dim']['mean'] / reference:.3f}" if reference else None
    ideal, overhead, products = row.get("ideal"), row.get("overhead_bytes"), row["products"]
    line = {
        "": row["codec"],
        "bits/dim": plus_minus(row["bits_per_dim"]),
        f"ratio to {REFERENCE}": ratio,
        "ideal code length": None if ideal is None else f"{ideal:.3f}",
        "overhead, bytes a file": None if overhead is None else f"{overhead:.1f}",
        "multiply-accumulates a pixel": None if products is None else round(products),
    }
    return line | ({"stored as WebP": row["webp"]} if row.get("webp") else {})


def _images(found: Document) -> Iterator[Row]:
    """A line an image, where images have names and are few."""
    names = found["dataset"]["names"]
    singles = [row for row in found["results"]["codecs"] if row.get("images_a_file") == 1]
    for number, name in enumerate(names if names and len(names) <= MOST_NAMED else ()):
        yield {"": name, **{row["codec"]: row["bytes"][number] for row in singles}}


def _published(each: dict[str, Any]) -> dict[str, Any]:
    return {
        "": each["system"],
        "bits/dim": f"{each['bits_per_dim']:.2f}",
        "what": each["what"],
        "source": each["source"],
    }


def figures(found: Document) -> dict[str, str]:
    return {KIND: f"Bits per dimension, {of_images(found)}. A line across a bar is the ideal code length."}


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
    ideal: float | None
    colour: str


def draw(found: Document, folder: Path) -> list[Path]:
    """The chart bpd.png, bpd.svg: codecs from the smallest files to the largest."""
    bars = sorted(_bars(found), key=lambda bar: bar.rate)

    def chart(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, bar in enumerate(bars):
            axes.barh(place, bar.rate, color=bar.colour, height=0.72)
            digits = 2 if bar.colour == LITERATURE_COLOUR else 3
            axes.text(bar.rate + 0.04, place, f"{bar.rate:.{digits}f}", va="center")
            if bar.ideal is not None:
                axes.plot([bar.ideal] * 2, [place - 0.36, place + 0.36], color="white", linewidth=1.5)
        axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.set_xlabel(f"bits/dim, {of_images(found)}", loc="right")
        _legend(figure, {bar.colour for bar in bars})

    return save_figure(folder, KIND, (7.2, 1 + 0.24 * len(bars)), chart)


def _bars(found: Document) -> Iterator[_Bar]:
    for row in found["results"]["codecs"]:
        if "skipped" not in row:
            colour = OUR_COLOUR if is_ours(row["codec"]) else BASELINE_COLOUR
            yield _Bar(row["codec"], row["bits_per_dim"]["mean"], row.get("ideal"), colour)
    for each in found["results"]["literature"]:
        note = "" if each["what"] == WHOLE else f" ({each['what']})"
        yield _Bar(each["system"] + note, each["bits_per_dim"], None, LITERATURE_COLOUR)


def _legend(figure: Figure, colours: Collection[str]) -> None:
    labels = {
        OUR_COLOUR: "ddpmcodec; white: ideal code length",
        BASELINE_COLOUR: "baselines",
        LITERATURE_COLOUR: NOT_MEASURED,
    }
    handles = [Patch(color=colour, label=label) for colour, label in labels.items() if colour in colours]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), frameon=False)
