"""Result files: what was measured where, with what, and how to do it again. Their schema: benchmarks/README.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import features

from ddpmcodec.errors import DdpmError
from ddpmcodec.files import write_file
from ddpmcodec.networks.context.model import ContextModel

Document = dict[str, Any]

SCHEMA = 2
HEAD: dict[str, type | tuple[type, ...]] = {
    "schema": int,
    "kind": str,
    "command": str,
    "machine": dict,
    "versions": dict,
    "model": (dict, type(None)),
    "dataset": (dict, type(None)),
    "results": dict,
}
PACKAGES = (
    "ddpmcodec",
    "torch",
    "numpy",
    "numba",
    "pillow",
    "pillow-jxl-plugin",
    "constriction",
    "bjontegaard",
    "pytorch-msssim",
)
LIBRARIES = ("libjpeg_turbo", "jpg_2000", "webp", "avif", "zlib")  # that Pillow codes with


def document(
    kind: str,
    command: str,
    results: Mapping[str, Any],
    *,
    model: ContextModel | None,
    dataset: Mapping[str, Any] | None,
) -> Document:
    """A result file. command: the command line that made it. dataset: `Dataset.describe()`."""
    return {
        "schema": SCHEMA,
        "kind": kind,
        "command": command,
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
    """Of Python, the packages that matter and Pillow's libraries; None for those that are not there."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found | {name: features.version(name) for name in LIBRARIES}


def estimate(values: Any) -> dict[str, float | None]:
    """{mean, standard_error} of one value per image; the error is None for a single image."""
    array = np.asarray(values, np.float64)
    error = float(array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else None
    return {"mean": float(array.mean()), "standard_error": error}


def of_images(found: Document) -> str:
    """How many images of which data set."""
    data = found["dataset"]
    name = f"the {data['name']} {data['split']} set" if data["split"] else data["name"]
    if data["images"] == data["of"]:
        return f"all {data['of']:,} images of {name}"
    return f"{data['images']:,} of the {data['of']:,} images of {name}"


def dimensions(found: Document) -> list[int]:
    """Of every image."""
    data = found["dataset"]
    given: int | list[int] = data["dimensions"]
    return given if isinstance(given, list) else [given] * int(data["images"])


def path_of(folder: Path, kind: str) -> Path:
    return folder / f"bench-{kind}.json"


def write(folder: Path, found: Document) -> Path:
    """Write bench-<kind>.json, complete or not at all; NaN and infinity are ValueErrors. Returns its path."""
    path = path_of(folder, found["kind"])
    write_file(path, dumps(found).encode())
    return path


def dumps(found: Document) -> str:
    """JSON with a line per entry, but a list of plain values (a size for every image) on one line. Raises ValueError
    for NaN and infinity.
    """
    return _dumps(found, "") + "\n"


def _dumps(value: Any, indent: str) -> str:
    inner = indent + "  "
    if isinstance(value, Mapping) and value:
        lines = [f"{inner}{json.dumps(key)}: {_dumps(entry, inner)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(entry, Mapping | list) for entry in value):
        return "[\n" + ",\n".join(inner + _dumps(entry, inner) for entry in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)


def read(path: Path) -> Document:
    """A result file. Raises DdpmError for what is none, and for one of another schema."""
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise DdpmError(f"{path}: cannot be read ({error.strerror}): name a result of ddpmcodec bench") from error
    except ValueError as error:
        raise DdpmError(f"{path}: not a result of ddpmcodec bench ({error})") from error
    if problem := _problem(found):
        raise DdpmError(f"{path}: not a result of ddpmcodec bench ({problem}): measure again")
    return dict(found)


@contextmanager
def as_written(name: str) -> Iterator[None]:
    """Raises DdpmError where the results of a file are not what this version writes under such a head."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DdpmError(f"{name}: its results are not those of this version ({reason}): measure again") from error


def read_tree(place: Path) -> dict[str, Document]:
    """The result files of a folder and of the folders in it, by names such as `cifar10/bpd`; or one file, by its kind.

    Raises DdpmError when there is none.
    """
    if place.is_file():
        found = read(place)
        return {found["kind"]: found}
    paths = [*sorted(place.glob("bench-*.json")), *sorted(place.glob("*/bench-*.json"))]
    if not paths:
        raise DdpmError(f"{place}: no result files (bench-*.json) in it: name the --out folder of ddpmcodec bench")
    return {name_of(path.parent.relative_to(place), found["kind"]): found for path in paths if (found := read(path))}


def name_of(folder: Path, kind: str) -> str:
    return (folder / kind).as_posix()


def _problem(found: Any) -> str | None:
    if not isinstance(found, dict) or "schema" not in found:
        return "it has no schema"
    if found["schema"] != SCHEMA:
        return f"schema {found['schema']}, this version reads {SCHEMA}"
    for key, kind in HEAD.items():
        if not isinstance(found.get(key), kind):
            return f"{key!r} is missing or of another type"
    return None
