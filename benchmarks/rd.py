"""ddpmcodec bench rd: rate versus distortion of real files cut short, beside the bound and other codecs.

Every file is cut in the middle and at the end of each step, and to budgets of bits per pixel; rates are those of whole
files, header and all. A point of a curve is an operating point (a step, a quality, a noise level): means over images of
bits per pixel and of PSNR there. Codecs spend their bits on different images, and such curves flatter some: the PSNR at
a rate and the BD-rates are taken image by image, and averaged then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddpmcodec.files import write_file
from ddpmcodec.networks import Model
from ddpmcodec.networks.denoiser import Denoiser
from ddpmcodec.networks.denoisers import accelerated, find_denoiser
from ddpmcodec.networks.gaussian import ExactDenoiser

from ._data import CIFAR10_NAME, Dataset
from ._distortion import psnr
from ._kinds import Measure
from ._literature import NOT_MEASURED
from ._lossless import load_model_with, name_of
from ._lossy_peers import SWEEPS, Sweep
from ._peers import sort_out
from ._published_curves import CURVES
from ._rates import average, bd_rates, curve
from ._rd_charts import draw, figures
from ._rd_points import Point, ideal, of_sweep, previews
from ._results import Document, document, of_images, versions
from ._tables import Row, Table, plus_minus
from ._tasks import PEER_CALLS, Found, Task
from ._work import Work

__all__ = ["TITLE", "Plan", "draw", "figures", "measures", "run", "tables"]

TITLE = "Rate versus distortion"
KIND = "rd"
UNIT_IMAGES = 8
COMPRESSAI = "compressai"  # folder of the curves in the format of CompressAI's results


class Plan(NamedTuple):
    """What to measure. budgets: bits per pixel. levels: of the bound. ideal: whose bound; None: the model's own."""

    efforts: Sequence[int]
    budgets: Sequence[float]
    levels: int
    ideal: str | None = None


class Contender(NamedTuple):
    """A codec with a curve. calls: of the network for an image; None: another codec. points: a key of the values."""

    codec: str
    calls: int | None
    task: Task
    points: str


def run(
    dataset: Dataset,
    out: Path,
    source: str | None,
    plan: Plan,
    *,
    command: str,
    peers: bool = True,
    quiet: bool = False,
) -> Document | None:
    """Measure, write bench-rd.json, its figures and compressai/*.json into the folder `out`, and return the result.

    source: of the model. None on all of torchrun's ranks but the first. Raises ModelError for an effort that the model
    does not have, ChecksumError where an image does not come back.
    """
    model = load_model_with(source, plan.efforts, dataset.images)
    sweeps, skipped = _sort_out(SWEEPS if peers else ())
    data = dataset.describe()
    contenders = [*(_effort(model, effort, plan.budgets) for effort in plan.efforts), *map(_sweep, sweeps)]
    bound = _bound(model, plan)
    identity = {"dataset": data["sha256"], "model": model.id.hex(), "budgets": plan.budgets, "ideal": plan.ideal}
    work = Work(out, KIND, identity | {"versions": versions()})
    tasks = [*(each.task for each in contenders), bound]
    units = [unit for task in tasks for unit in task.units(dataset.images)]
    found = work.results(units, quiet=quiet, side_by_side=True)
    result = None
    if found is not None:
        pixels = [image[..., 0].size for image in dataset.images]
        results = _results(contenders, bound.collect(found), found, pixels, plan)
        results["curves"] += skipped
        results["literature"] = _literature(dataset)
        result = document(KIND, command, results, model=model, dataset=data)
        draw(result, out)
        export(result, out / COMPRESSAI)
    work.finish(result)
    return result


def _sort_out(sweeps: Sequence[Sweep]) -> tuple[list[Sweep], list[dict[str, str]]]:
    measured, skipped = sort_out(sweep.peers[0] for sweep in sweeps)
    names = {peer.name for peer in measured}
    return [sweep for sweep in sweeps if sweep.name in names], skipped


def _effort(model: Model, effort: int, budgets: Sequence[float]) -> Contender:
    name, calls = name_of(effort), len(model.presets[effort])
    cost = calls * (1 + 2 * calls + len(budgets))
    task = Task(name, cost, lambda images, _: previews(images, model, effort, budgets), UNIT_IMAGES)
    return Contender(name, calls, task, "steps")


def _sweep(sweep: Sweep) -> Contender:
    task = Task(sweep.name, PEER_CALLS * len(sweep.peers), lambda images, _: of_sweep(images, sweep), UNIT_IMAGES)
    return Contender(sweep.name, None, task, "qualities")


def _bound(model: Model, plan: Plan) -> Task:
    denoiser: Denoiser = accelerated(find_denoiser(plan.ideal)) if plan.ideal else ExactDenoiser(model)
    name, T = f"bound at {plan.levels} levels", plan.levels
    return Task(name, T, lambda images, first: ideal(images, denoiser, T, first), UNIT_IMAGES)


def _results(
    contenders: Sequence[Contender], bound: Found, found: Mapping[str, Found], pixels: Sequence[int], plan: Plan
) -> dict[str, Any]:
    values = [each.task.collect(found) for each in contenders]
    images = [value[each.points] for each, value in zip(contenders, values, strict=True)]
    singles = [[curve(points, n) for points, n in zip(each, pixels, strict=True)] for each in images]
    ours, others = (
        [pair for pair in zip(contenders, singles, strict=True) if (pair[0].calls is None) == other]
        for other in (False, True)
    )
    return {
        "curves": [
            {"codec": each.codec, "calls": each.calls, "points": average(points, pixels)}
            for each, points in zip(contenders, images, strict=True)
        ],
        "at_budgets": {
            "bpp": list(plan.budgets),
            "ours": [
                {"codec": each.codec, "psnr": _psnrs(value["budgets"])}
                for each, value in zip(contenders, values, strict=True)
                if each.calls
            ],
            "others": [
                {"codec": each.codec, "psnr": [_mean([single.at(bpp) for single in curves]) for bpp in plan.budgets]}
                for each, curves in others
            ],
        },
        "bd_rates": [
            {"codec": mine.codec, "against": other.codec, **bd_rates(a, b)} for mine, a in ours for other, b in others
        ],
        "ideal": _ideal(bound, plan),
    }


def _psnrs(images: Sequence[Sequence[Point | None]]) -> list[list[float | None]]:
    """Of every budget, for each image; None where it is exact, or its header does not fit."""
    return [
        [psnr(point[1]) if point and point[1] is not None else None for point in points]
        for points in zip(*images, strict=True)
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _ideal(bound: Found, plan: Plan) -> dict[str, Any]:
    """Means over images for receivers of c_T, ..., c_1, in this order; `rate` in bits/dim."""
    rate, errors = (np.array(bound[name]) for name in ("rate", "squared_error"))
    rates = rate.mean(0).tolist()
    return {
        "model": plan.ideal,
        "levels": plan.levels,
        "rate": rates,
        "bpp": [3 * each for each in rates],
        "rmse": np.sqrt(errors.mean(0)).tolist(),
        "psnr": [_mean([psnr(error) for error in column]) for column in errors.T.tolist()],
    }


def _literature(dataset: Dataset) -> list[dict[str, Any]]:
    test_set = dataset.name == CIFAR10_NAME and dataset.split == "test"
    return [each.to_json() for each in CURVES] if test_set else []


def export(found: Document, folder: Path) -> None:
    """Write every curve in the format of CompressAI's results, for its plot tools: lossy points only."""
    folder.mkdir(exist_ok=True)
    for row in found["results"]["curves"]:
        if "skipped" not in row:
            name = row["codec"].lower().replace(" ", "-")
            write_file(folder / f"{name}.json", (json.dumps(_of_compressai(row, found), indent=2) + "\n").encode())


def _of_compressai(row: Mapping[str, Any], found: Document) -> dict[str, Any]:
    points = [point for point in row["points"] if point["psnr"] is not None]
    keys = {"bpp": "bpp", "psnr": "psnr-rgb", "ssim": "ssim-rgb", "ms_ssim": "ms-ssim-rgb"}
    known = {key: name for key, name in keys.items() if all(point[key] is not None for point in points)}
    return {
        "name": row["codec"],
        "description": f"{of_images(found)}; bytes of whole files; means over images; {found['command']}",
        "results": {name: [point[key] for point in points] for key, name in known.items()},
    }


# --- what a result says


def tables(found: Document) -> list[Table]:
    results = found["results"]
    others = "others' files interpolated between their qualities, image by image"
    rates, bd = [*_rates(results)], [*map(_bd_rate, results["bd_rates"])]
    all_of_them = [
        Table("rates", f"PSNR in dB at so many bits per pixel, {of_images(found)}; {others}", rates),
        Table("bdrates", "BD-rate: bytes of ours beside another's at the same PSNR, percent, image by image", bd),
        *(_steps(row) for row in results["curves"] if row.get("calls")),
        Table("literature", f"CIFAR-10 test set: {NOT_MEASURED}", [*map(_published, results["literature"])]),
    ]
    return [table for table in all_of_them if table.rows]


def _rates(results: Mapping[str, Any]) -> Iterator[Row]:
    budgets = results["at_budgets"]
    for row in [*budgets["ours"], *budgets["others"]]:
        means = [_mean(values) if isinstance(values, list) else values for values in row["psnr"]]
        cells = [None if mean is None else f"{mean:.2f}" for mean in means]
        yield {"": row["codec"], **{f"{bpp:g} bpp": cell for bpp, cell in zip(budgets["bpp"], cells, strict=True)}}
    for row in results["curves"]:
        if "skipped" in row:
            yield {"": f"{row['codec']} ({row['skipped']})"}


def _bd_rate(row: Mapping[str, Any]) -> Row:
    line = {"": row["codec"], "against": row["against"]}
    if row["percent"] is None:
        return {**line, "percent": "no PSNR in common", "images": 0}
    shared = f"{row['from_psnr']:.1f} to {row['to_psnr']:.1f}"
    signed = ("+" if row["percent"]["mean"] > 0 else "") + (plus_minus(row["percent"], 1) or "")
    return {**line, "percent": signed, "dB in common": shared, "images": row["images"]}


def _steps(row: Mapping[str, Any]) -> Table:
    """Whole steps: every second point."""
    name = row["codec"].rsplit(" ", 1)[1]
    lines = [_step(number, point) for number, point in enumerate(row["points"][1::2], start=1)]
    return Table(f"steps{name}", f"{row['codec']}: files cut after each of {row['calls']} steps", lines)


def _step(number: int, point: Mapping[str, float | None]) -> Row:
    """Without what the images are too small for."""
    columns = {"bpp": ("bpp", 3), "rmse": ("RMSE", 2), "psnr": ("PSNR dB", 2), "ssim": ("SSIM", 4)}
    columns["ms_ssim"] = ("MS-SSIM", 4)
    cells = {
        name: f"{value:.{digits}f}" for key, (name, digits) in columns.items() if (value := point[key]) is not None
    }
    return {"steps": number, **({"PSNR dB": "lossless"} if point["rmse"] == 0 else {}), **cells}


def _published(each: Mapping[str, Any]) -> Row:
    pairs = zip(each["points"]["bpp"], each["points"]["psnr"], strict=True)
    points = ", ".join(f"{bpp:g} @ {quality:g}" for bpp, quality in pairs)
    return {"": each["system"], "bpp @ dB": points, "what": each["what"], "source": each["source"]}


def measures(found: Document) -> Iterator[Measure]:
    """PSNR of every image's files cut to the budgets."""
    ids, budgets = found["dataset"]["ids"], found["results"]["at_budgets"]
    for row in budgets["ours"]:
        for bpp, values in zip(budgets["bpp"], row["psnr"], strict=True):
            known = {each: value for each, value in zip(ids, values, strict=True) if value is not None}
            if known:
                yield Measure(f"{row['codec']}, dB at {bpp:g} bpp", known, higher_is_better=True)
