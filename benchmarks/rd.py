"""ddpmcodec bench rd: rate versus distortion of real prefixes of files, beside lossy baselines.

Every file is cut at the end of each segment, and in the middle of those of exact pixels; rates are those of whole
prefixes, header and all. A point of a curve is an operating point (a step of the schedule, a quality): means over
images of bits per pixel and of PSNR there. Codecs spend their bits on different images, and such curves flatter some:
the PSNR at a rate and the BD-rates are taken image by image, and averaged then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ddpmcodec.codec.efforts import Coding
from ddpmcodec.formats.files import write_file
from ddpmcodec.models.context import ContextModel

from . import _bound
from ._charts import captions, rd_charts, write_charts
from ._codecs import (
    BASELINE_COST,
    SWEEPS,
    Sweep,
    cost,
    find_model,
    is_ours,
    name_of,
    sort_out,
)
from ._curves import (
    METRICS,
    Curve,
    Point,
    average,
    bd_rates,
    curve,
    of_sweep,
    operating_points,
    previews,
)
from ._data import Dataset
from ._literature import NOT_MEASURED, literature_curves
from ._results import Document, Measure, Row, Table, document, estimate, of_images, plus_minus
from ._work import Columns, Task, Work, identity

__all__ = ["TITLE", "Plan", "figures", "measures", "run", "tables"]

TITLE = "Rate versus distortion of prefixes"
KIND = "rd"
UNIT_IMAGES = 8
PREVIEWS_COST = 6.0  # of measuring a file's prefixes, in times its coding
COMPRESSAI = "compressai"  # folder of the curves in the format of CompressAI's results


class Plan(NamedTuple):
    """What to measure. rates: bits per pixel, of tables. bounds: numbers of noise levels. denoiser: whose bounds; None:
    the embedded one."""

    settings: Sequence[Coding]
    rates: Sequence[float]
    bounds: Sequence[int] = ()
    denoiser: str | None = None

    @property
    def asked(self) -> list[_bound.DenoiserChoice]:
        return [_bound.DenoiserChoice(self.denoiser, levels) for levels in self.bounds]


class Contender(NamedTuple):
    """A codec with a curve. coding: of ours."""

    codec: str
    coding: Coding | None
    task: Task


class ContenderCurves(NamedTuple):
    """A contender's points, and its curves by metric, of every image. Those of what was not measured are empty."""

    contender: Contender
    points: Sequence[Sequence[Point]]
    curves: Mapping[str, Sequence[Curve]]


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
    """Measure, write bench-rd.json, its figures and compressai/*.json into the folder `out`, and return the result.

    source: of the model. ray: the address of a cluster. Raises ChecksumError where an image does not come back.
    """
    model = find_model(source, dataset.images)
    sweeps, skipped = _sort_out(SWEEPS if baselines else ())
    data = dataset.describe()
    contenders = [*(_ours(model, coding) for coding in plan.settings), *map(_sweep, sweeps)]
    denoiser = _bound.described(plan.denoiser) if plan.bounds else None
    work = Work(out, KIND, identity(data, model, denoiser=denoiser))
    tasks = [*(each.task for each in contenders), *map(_bound.task, plan.asked)]
    units = [unit for task in tasks for unit in task.units(dataset.images)]
    unit_values = work.results(units, quiet=quiet, side_by_side=True, ray=ray)
    results = _results(contenders, unit_values, dataset, plan, model)
    results["curves"] += skipped
    result = document(KIND, command, results, model=model, dataset=data, denoiser=denoiser)
    work.finish(result)
    write_charts(rd_charts(result), out)
    export(result, out / COMPRESSAI)
    return result


def _sort_out(sweeps: Sequence[Sweep]) -> tuple[list[Sweep], list[dict[str, str]]]:
    measured, skipped = sort_out(sweep.baselines[0] for sweep in sweeps)
    names = {baseline.name for baseline in measured}
    return [sweep for sweep in sweeps if sweep.name in names], skipped


def _ours(model: ContextModel, coding: Coding) -> Contender:
    name, task_cost = name_of(coding), PREVIEWS_COST * cost(model, coding)
    return Contender(name, coding, Task(name, task_cost, lambda group, _: previews(group, model, coding), UNIT_IMAGES))


def _sweep(sweep: Sweep) -> Contender:
    task_cost = BASELINE_COST * len(sweep.baselines)
    return Contender(
        sweep.name, None, Task(sweep.name, task_cost, lambda group, _: of_sweep(group, sweep), UNIT_IMAGES)
    )


def _results(
    contenders: Sequence[Contender],
    unit_values: Mapping[str, Columns],
    dataset: Dataset,
    plan: Plan,
    model: ContextModel,
) -> dict[str, Any]:
    values = [each.task.collect(unit_values) for each in contenders]
    pixels = [image[..., 0].size for image in dataset.images]
    measured = [_measured(each, value, pixels) for each, value in zip(contenders, values, strict=True)]
    ours = [m for m in measured if m.contender.coding]
    baselines = [m for m in measured if not m.contender.coding]
    return {
        "curves": [_curve(each, pixels, model) for each in measured],
        "at_rates": {"bpp": list(plan.rates), "codecs": [_at_rates(each, plan.rates, pixels) for each in measured]},
        "bd_rates": [
            {"codec": a.contender.codec, "against": b.contender.codec, **bd_rates(a.curves["psnr"], b.curves["psnr"])}
            | {"ssimulacra2": bd_rates(a.curves["ssimulacra2"], b.curves["ssimulacra2"], "score")}
            for a in ours
            for b in baselines
        ],
        "bounds": [_bound.result(asked, unit_values) for asked in plan.asked],
        "literature": literature_curves(dataset),
    }


def _measured(each: Contender, value: Columns, pixels: Sequence[int]) -> ContenderCurves:
    points = [[*map(Point._make, rows)] for rows in value["points"]]  # rows may come from JSON
    curves = {
        metric: [curve(image_points, n, metric) for image_points, n in zip(points, pixels, strict=True)]
        for metric in METRICS
    }
    return ContenderCurves(each, points, curves)


def _at_rates(measured: ContenderCurves, rates: Sequence[float], pixels: Sequence[int]) -> dict[str, Any]:
    """psnr: at every rate of every image. ssim, ms_ssim, ssimulacra2: an estimate at every rate, or None."""
    values = {metric: [_of_images(measured, metric, bpp, pixels) for bpp in rates] for metric in METRICS}
    estimates = {metric: [*map(_estimate, each)] for metric, each in values.items() if metric != "psnr"}
    return {"codec": measured.contender.codec, "psnr": values["psnr"], **estimates}


def _of_images(measured: ContenderCurves, metric: str, bpp: float, pixels: Sequence[int]) -> list[float | None]:
    """Quality at a rate; None below the smallest file, and where the rate holds a whole file of ours."""
    whole = [8 * points[-1].bytes / n for points, n in zip(measured.points, pixels, strict=True)]
    lossless = [measured.contender.coding is not None and bpp >= least for least in whole]
    curves = measured.curves[metric]
    return [None if exact else image_curve.at(bpp) for exact, image_curve in zip(lossless, curves, strict=True)]


def _estimate(values: Sequence[float | None]) -> dict[str, float | None] | None:
    """The estimate; None where a value is None."""
    return None if None in values else estimate(values)


def _curve(measured: ContenderCurves, pixels: Sequence[int], model: ContextModel) -> dict[str, Any]:
    row: dict[str, Any] = {"codec": measured.contender.codec, "points": average(measured.points, pixels)}
    coding = measured.contender.coding
    if coding is None:
        return row
    cuts = operating_points(coding)
    row["points"] = [point | cut._asdict() for point, cut in zip(row["points"], cuts, strict=True)]
    row["products"] = model.macs_per_pixel(coding.effort, coding.levels)
    return row


def export(document: Document, folder: Path) -> None:
    """Write every curve in the format of CompressAI's results, for its plot tools: lossy points only."""
    folder.mkdir(exist_ok=True)
    for row in document["results"]["curves"]:
        if "skipped" not in row:
            name = re.sub("[^a-z0-9]+", "-", row["codec"].lower())
            write_file(folder / f"{name}.json", (json.dumps(_of_compressai(row, document), indent=2) + "\n").encode())


def _of_compressai(row: Mapping[str, Any], document: Document) -> dict[str, Any]:
    points = [point for point in row["points"] if point["psnr"] is not None]
    keys = {"bpp": "bpp", "psnr": "psnr-rgb", "ssim": "ssim-rgb", "ms_ssim": "ms-ssim-rgb"}
    known = {key: name for key, name in keys.items() if all(point[key] is not None for point in points)}
    return {
        "name": row["codec"],
        "description": f"{of_images(document)}; bytes of whole files; means over images; {document['command']}",
        "results": {name: [point[key] for point in points] for key, name in known.items()},
    }


# --- what a result says


def tables(document: Document) -> list[Table]:
    results = document["results"]
    rates, bd = [*_rates(results)], [*map(_bd_rate, results["bd_rates"])]
    ours = [row for row in results["curves"] if is_ours(row["codec"])]
    at = "PSNR in dB at so many bits per pixel, interpolated between files, image by image"
    bd_caption = "BD-rate: bytes of our prefixes beside a baseline's files at the same PSNR, percent, image by image"
    all_of_them = [
        Table("rates", f"{at}, {of_images(document)}", rates),
        Table("bdrates", f"{bd_caption}, {of_images(document)}", bd),
        *(_steps(row) for row in ours),
        *(_bound.table(row, of_images(document), document["denoiser"]) for row in results["bounds"]),
        Table("literature", f"CIFAR-10 test set: {NOT_MEASURED}", [*map(_published, results["literature"])]),
    ]
    return [table for table in all_of_them if table.rows]


def _rates(results: Mapping[str, Any]) -> Iterator[Row]:
    at = results["at_rates"]
    for row in at["codecs"]:
        cells = [plus_minus(_estimate(values), 2) for values in row["psnr"]]
        yield {"": row["codec"], **{f"{bpp:g} bpp": cell for bpp, cell in zip(at["bpp"], cells, strict=True)}}
    for row in results["curves"]:
        if "skipped" in row:
            yield {"": f"{row['codec']} ({row['skipped']})"}


def _bd_rate(row: Mapping[str, Any]) -> Row:
    line = {"": row["codec"], "against": row["against"]}
    if row["percent"] is None:
        return {**line, "percent": "no PSNR in common", "images": 0}
    shared = f"{row['from_psnr']:.1f} to {row['to_psnr']:.1f}"
    line |= {"percent": _signed(row["percent"]), "dB in common": shared, "images": row["images"]}
    scores = row["ssimulacra2"]
    if scores["percent"] is None:
        return line
    shared = f"{scores['from_score']:.0f} to {scores['to_score']:.0f}"
    return line | {"percent at equal SSIMULACRA 2": _signed(scores["percent"]), "scores in common": shared}


def _signed(percent: Mapping[str, Any]) -> str:
    return ("+" if percent["mean"] > 0 else "") + (plus_minus(percent, 1) or "")


def _steps(row: Mapping[str, Any]) -> Table:
    name = "-".join(["steps", *row["codec"].split()[1:]])
    ends = [point for point in row["points"] if point["ends_step"]]
    return Table(name, f"{row['codec']}: files cut after each step of the schedule", [*map(_step, ends)])


def _step(point: Mapping[str, float | None]) -> Row:
    """A row without the measures that the images are too small for."""
    columns = {
        "bpp": ("bpp", 3),
        "psnr": ("PSNR dB", 2),
        "ssim": ("SSIM", 4),
        "ms_ssim": ("MS-SSIM", 4),
        "ssimulacra2": ("SSIMULACRA 2", 1),
    }
    cells = {
        name: f"{value:.{digits}f}" for key, (name, digits) in columns.items() if (value := point[key]) is not None
    }
    lossless = {"PSNR dB": "lossless"} if point["rmse"] == 0 else {}
    return {"step": point["step"], "cell width": point["level"] or "exact", **cells, **lossless}


def _published(each: Mapping[str, Any]) -> Row:
    pairs = zip(each["points"]["bpp"], each["points"]["psnr"], strict=True)
    points = ", ".join(f"{bpp:g} @ {quality:g}" for bpp, quality in pairs)
    return {"": each["system"], "bpp @ dB": points, "what": each["what"], "source": each["source"]}


def figures(document: Document) -> Mapping[str, str]:
    return captions(rd_charts(document))


def measures(document: Document) -> Iterator[Measure]:
    """PSNR of every image's prefixes at the rates of the tables."""
    at = document["results"]["at_rates"]
    ids = document["dataset"]["ids"]
    for row in at["codecs"]:
        for bpp, values in zip(at["bpp"], row["psnr"] if is_ours(row["codec"]) else (), strict=False):
            known = {each: value for each, value in zip(ids, values, strict=True) if value is not None}
            if known:
                yield Measure(f"{row['codec']}, dB at {bpp:g} bpp", known, higher_is_better=True)
