"""What the benchmarks share: arguments, the head of a results file, Markdown tables and timing."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ddpmcodec.files import check_output
from ddpmcodec.networks import Model, load_model

Row = Mapping[str, Any]  # one line of a table, by column

PACKAGES = ("ddpmcodec", "torch", "numpy", "numba", "pillow", "pillow-jxl-plugin", "constriction")


def add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="JSON", help="also write the figures to this file")


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="PATH", help="exported model (default: the embedded one)")


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; raises OutputError before the work starts when --out cannot be written after it."""
    args = parser.parse_args(argv)
    if args.out is not None:
        check_output(args.out, None, force=True)
    return args


def load(source: str | None, efforts: Iterable[int]) -> Model:
    """The model, which must have these efforts: a benchmark of hours should not end for want of the last one."""
    model = load_model(source)
    if missing := sorted(set(efforts) - set(model.presets)):
        raise SystemExit(f"model {model.name!r} has no effort {missing[0]}: it has {sorted(model.presets)}")
    return model


def document(
    name: str,
    description: str,
    argv: Sequence[str] | None,
    results: Any,
    *,
    model: Model | None = None,
    dataset: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A results file: what was measured where, with what, and how to do it again."""
    arguments = sys.argv[1:] if argv is None else argv
    return {
        "name": name,
        "description": description,
        "command": shlex.join(["python", "-m", f"ddpmcodec.benchmarks.{name}", *arguments]),
        "machine": machine(),
        "versions": versions(),
        "model": model and {"name": model.name, "id": model.id.hex()},
        "dataset": dataset,
        "results": results,
    }


def machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
    }


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def versions() -> dict[str, str | None]:
    """Of Python and the packages that matter; None for those that are not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def dataset(name: str, images: Sequence[NDArray[np.uint8]], **facts: Any) -> dict[str, Any]:
    """Which images these are, by name and by the sha256 of all their pixels."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(image.tobytes())
    return {"name": name, **facts, "images": len(images), "sha256": digest.hexdigest()}


def table(rows: Sequence[Row]) -> str:
    """A Markdown table with the columns of the first row; what a row lacks is shown as a dash."""
    cells = ([_cell(row.get(column)) for column in rows[0]] for row in rows)
    lines = [list(rows[0]), ["---"] * len(rows[0]), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if value < 1000 else f"{value:.0f}"
    return str(value)


def report(found: Mapping[str, Any], out: Path | None, *tables: str) -> None:
    """Print the tables, and write the results where they were asked for."""
    print("\n\n".join(tables), flush=True)
    if out is not None:
        out.write_text(json.dumps(found, allow_nan=False, indent=2) + "\n")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """Best of the repeats after one run to warm up."""
    work()
    return min(timed(work)[1] for _ in range(repeats))


@contextmanager
def replaced(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    """Let `owner.name` be a function that measures, for a while."""
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)
