"""ddpmcodec bench bpd: whole files without loss in bits/dim, beside the ideal code length and baselines.

One file an image at each effort and number of noise levels and by each baseline, and archives of up to 512 images. The
ideal code length is what the model's distributions give the symbols, -log2 p(x); what files take beyond it is overhead:
header, checks, index, the last words of rANS.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import codec
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.errors import ChecksumError
from ddpmcodec.models.context import ContextModel

from ._bound import DenoiserChoice, bound_of, described
from ._charts import bpd_charts, captions, write_charts
from ._codecs import (
    BASELINE_COST,
    BASELINES,
    OURS,
    REFERENCE,
    Baseline,
    CodeLength,
    cost,
    find_model,
    name_of,
    sort_out,
)
from ._data import Dataset, Pixels, alike
from ._literature import JPEG_XL, WHOLE, caption, literature
from ._results import Document, Measure, Row, Table, dimensions, document, estimate, of_images, plus_minus
from ._work import Columns, Task, Work, identity

__all__ = ["TITLE", "Plan", "figures", "measures", "run", "tables"]

TITLE = "Lossless: bits per dimension of whole files"
KIND = "bpd"
ARCHIVE_IMAGES = 512  # of one archive: what shares a stack
BITS_BACK_COST = 10.0  # time a pixel of a noise level, as of `_codecs.cost`
MOST_NAMED = 64  # images with lines of their own


class Plan(NamedTuple):
    """settings: of one file an image; archives: of archives. bits_back: noise levels of archives by bits back.
    denoiser: of these; None: the embedded one."""

    settings: Sequence[Coding]
    archives: Sequence[Coding] = ()
    bits_back: Sequence[int] = ()
    denoiser: str | None = None


class Contender(NamedTuple):
    """A line of the result. products: multiply-accumulates a pixel, of ours. The last of its tasks measures the files,
    one before it their ideal code length. bits_back: whether they are archives by bits back."""

    codec: str
    products: float | None
    images_a_file: int
    tasks: Sequence[Task]
    bits_back: bool = False


def run(
    dataset: Dataset,
    out: Path,
    source: str | None,
    plan: Plan,
    *,
    command: str,
    baselines: bool = True,
    quiet: bool = False,
    ray: str | None = None,
) -> Document:
    """Measure, write bench-bpd.json and its chart into the folder `out`, and return the result.

    source: of the model, which all images are then coded with. baselines: also other codecs. ray: the address of a
    cluster. Raises ChecksumError where an image does not come back.
    """
    model = find_model(source, dataset.images)
    available, skipped = sort_out(BASELINES if baselines else ())
    data = dataset.describe()
    denoiser = described(plan.denoiser) if plan.bits_back else None
    work = Work(out, KIND, identity(data, model, denoiser=denoiser))
    contenders = [*_ours(model, plan), *map(_baseline, available)]
    tasks = {task.name: task for each in contenders for task in each.tasks}
    units = [unit for task in tasks.values() for unit in task.units(dataset.images)]
    unit_values = work.results(units, quiet=quiet, side_by_side=True, ray=ray)
    rows = [_row(each, dataset.images, unit_values) for each in contenders]
    results = {"codecs": [*rows, *skipped], "literature": literature(dataset)}
    result = document(KIND, command, results, model=model, dataset=data, denoiser=denoiser)
    write_charts(bpd_charts(result), out)
    work.finish(result)
    return result


def _ours(model: ContextModel, plan: Plan) -> Iterator[Contender]:
    for coding in plan.settings:
        yield _files(model, coding)
    for coding in plan.archives:
        yield _archive(model, coding)
    yield from (_bits_back(DenoiserChoice(plan.denoiser, levels)) for levels in plan.bits_back)


def _files(model: ContextModel, coding: Coding) -> Contender:
    name = name_of(coding)
    task = Task(name, 2 * cost(model, coding), lambda group, _: measure_files(group, model, coding))
    return Contender(name, model.macs_per_pixel(coding.effort, coding.levels), 1, [task])


def _archive(model: ContextModel, coding: Coding) -> Contender:
    name, options = name_of(coding, "archive"), {**coding.options, "model": model}
    task = _whole(name, 2 * cost(model, coding), lambda group, _: measure_archive(group, **options))
    return Contender(name, model.macs_per_pixel(coding.effort, coding.levels), ARCHIVE_IMAGES, [task])


def _bits_back(asked: DenoiserChoice) -> Contender:
    name, task_cost = f"{OURS} bits back T={asked.levels}", BITS_BACK_COST * asked.levels
    options = {"bits_back": asked.levels, "model": asked.source}
    task = _whole(name, task_cost, lambda group, _: measure_archive(group, **options))
    bound = Task(f"{name}, bound", task_cost / 2, lambda group, first: variational_bound(group, asked, first))
    return Contender(name, None, ARCHIVE_IMAGES, [bound, task], bits_back=True)


def _whole(name: str, task_cost: float, measure: Callable[[Sequence[Pixels], int], Columns]) -> Task:
    """A task that takes as many images at a time as share an archive."""
    return Task(name, task_cost, measure, ARCHIVE_IMAGES, sys.maxsize)


def _baseline(baseline: Baseline) -> Contender:
    task = Task(baseline.name, BASELINE_COST, lambda images, _: measure_baseline(images, baseline))
    return Contender(baseline.name, None, 1, [task])


def _row(contender: Contender, images: Sequence[Pixels], unit_values: Mapping[str, Columns]) -> dict[str, Any]:
    values = {name: column for task in contender.tasks for name, column in task.collect(unit_values).items()}
    by_bits_back = sum(values.get("by_bits_back", []))
    if contender.bits_back and not by_bits_back:
        return {"codec": contender.codec, "skipped": "too few images: all of them serve as initial bits"}
    dims, sizes = np.array([image.size for image in images]), np.array(values["bytes"])
    row: dict[str, Any] = {
        "codec": contender.codec,
        "products": contender.products,
        "images_a_file": contender.images_a_file,
        "bits_per_dim": _rate(sizes, dims, contender.images_a_file),
    }
    if "ideal_bits" in values:
        ideal = np.array(values["ideal_bits"])
        row["ideal"] = float(np.mean(ideal / dims))
        if contender.images_a_file == 1:
            row["overhead_bytes"] = float((sizes - ideal / 8).mean())
    if by_bits_back:
        row["by_bits_back"] = by_bits_back
    return row | {"bytes": values["bytes"]}


def _rate(sizes: NDArray[np.int64], dims: NDArray[np.int64], images_a_file: int) -> dict[str, float | None]:
    """Bits/dim: the mean over images; of archives all their bytes over all dimensions, without an error."""
    if images_a_file == 1:
        return estimate(8 * sizes / dims)
    return {"mean": 8 * int(sizes.sum()) / int(dims.sum()), "standard_error": None}


# --- measurements of a group of images: every file is decoded and compared


def measure_files(images: Sequence[Pixels], model: ContextModel, coding: Coding) -> Columns:
    """A file for each image: {bytes, ideal_bits}.

    ideal_bits: the ideal code length, the mean over consecutive images of one size, which are coded together.
    """
    columns: Columns = {"bytes": [], "ideal_bits": []}
    for group in alike(images):
        length = CodeLength()
        datas = codec.encode_many(group, **coding.options, model=model, verify=False, report=length)
        _compare(group, map(np.asarray, codec.decode_many(datas, model=model)), name_of(coding))
        columns["bytes"] += map(len, datas)
        columns["ideal_bits"] += [length.bits / len(datas)] * len(datas)
    return columns


def measure_baseline(images: Sequence[Pixels], baseline: Baseline) -> Columns:
    """A file for each image: {bytes}."""
    datas = [baseline.encode(image) for image in images]
    _compare(images, map(baseline.decode, datas), baseline.name)
    return {"bytes": [len(data) for data in datas]}


def measure_archive(images: Sequence[Pixels], **options: Any) -> Columns:
    """One archive of all images: {bytes, by_bits_back}. options: of `archive.create`. by_bits_back: how many images."""
    from ddpmcodec import archive

    named = {str(number): image for number, image in enumerate(images)}
    data = archive.create(named.items(), verify=False, **options)
    extracted = dict(archive.extract(data, model=options.get("model")))
    _compare(images, (np.asarray(extracted[name]) for name in named), "an archive")
    return {"bytes": [len(data)], "by_bits_back": [archive.describe(data)["images_by_bits_back"]]}


def variational_bound(images: Sequence[Pixels], asked: DenoiserChoice, seed: int) -> Columns:
    """What a denoiser needs for each image at its noise levels: {ideal_bits}."""
    bits: list[float] = []
    for group in alike(images):
        bits += (bound_of(group, asked, seed).bits.sum(0) * group[0].size).tolist()
    return {"ideal_bits": bits}


def _compare(images: Sequence[Pixels], decoded: Iterable[NDArray[np.uint8]], what: str) -> None:
    """Raises ChecksumError unless all images came back."""
    for number, (image, back) in enumerate(zip(images, decoded, strict=True), start=1):
        if not np.array_equal(image, back):
            raise ChecksumError(f"{what}: image {number} of {len(images)} did not come back as it was: a defect")


# --- what a result says


def tables(document: Document) -> list[Table]:
    codecs = document["results"]["codecs"]
    archives = [row["images_a_file"] for row in codecs if row.get("images_a_file", 1) > 1]
    together = f", archives of up to {archives[0]} images" if archives else ""
    sizes = f"Whole files, {of_images(document)}{together}; every file was decoded and compared"
    reference = next(
        (row["bits_per_dim"]["mean"] for row in codecs if row["codec"] == REFERENCE and "bytes" in row), None
    )
    every = [
        Table("sizes", sizes, [_line(row, reference) for row in codecs]),
        Table("images", f"Bytes of each file, {of_images(document)}", [*_images(document)]),
        Table("literature", caption(document["dataset"]["name"]), [*_literature(document, reference)]),
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
    by_bits_back = row.get("by_bits_back")
    return line | ({"images by bits back": by_bits_back} if by_bits_back else {})


def _images(document: Document) -> Iterator[Row]:
    """A line an image, where images have names and are few."""
    names = document["dataset"]["names"]
    singles = [row for row in document["results"]["codecs"] if row.get("images_a_file") == 1]
    for number, name in enumerate(names if names and len(names) <= MOST_NAMED else ()):
        yield {"": name, **{row["codec"]: row["bytes"][number] for row in singles}}


def _literature(document: Document, reference: float | None) -> Iterator[Row]:
    """Published figures; where JPEG XL is among them, beside those that were measured, as ratios to the JPEG XL of the
    same source, too: its versions differ."""
    codecs, published = document["results"]["codecs"], document["results"]["literature"]
    theirs = next((each["bits_per_dim"] for each in published if each["system"] == JPEG_XL), None)
    for row in codecs if theirs else ():
        if row.get("images_a_file") == 1:
            rate = row["bits_per_dim"]["mean"]
            ratio = rate / reference if reference else None
            yield _published({"system": row["codec"], "what": WHOLE, "source": "measured"}, rate, ratio, digits=3)
    for each in published:
        yield _published(each, each["bits_per_dim"], each["bits_per_dim"] / theirs if theirs else None, digits=2)


def _published(each: Mapping[str, Any], rate: float, ratio: float | None, *, digits: int) -> dict[str, Any]:
    ratios = {} if ratio is None else {"ratio to JPEG XL": f"{ratio:.3f}"}
    return {
        "": each["system"],
        "bits/dim": f"{rate:.{digits}f}",
        **ratios,
        "what": each["what"],
        "source": each["source"],
    }


def figures(document: Document) -> Mapping[str, str]:
    return captions(bpd_charts(document))


def measures(document: Document) -> Iterator[Measure]:
    """Bits/dim of every file."""
    ids, dims = document["dataset"]["ids"], dimensions(document)
    for row in document["results"]["codecs"]:
        if "skipped" in row:
            continue
        values = {}
        for number, size in enumerate(row["bytes"]):
            images = slice(number * row["images_a_file"], (number + 1) * row["images_a_file"])
            values[" ".join(ids[images])] = 8 * size / sum(dims[images])
        yield Measure(f"{row['codec']}, bits/dim", values)
