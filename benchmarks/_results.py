"""Result files, and what a benchmark makes of them: tables, figures, and measures to compare.

A result says what was measured where, with what, and how to do it again. Its schema: benchmarks/README.md.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from PIL import features

from ddpmcodec import _native
from ddpmcodec.errors import DdpmError
from ddpmcodec.formats.files import write_file
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import processor_name, thread_count

Document = dict[str, Any]
Row = Mapping[str, Any]  # one line of a table, by column

SCHEMA = 2
KINDS = ("bpd", "jpeg", "rd", "speed", "loading", "strips")  # in the order of a report
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
    "pillow",
    "pillow-jxl-plugin",
    "lepton-jpeg-python",
    "bjontegaard",
    "pytorch-msssim",
)
PROGRAMS = ("ssimulacra2",)
LIBRARIES = ("libjpeg_turbo", "jpg_2000", "webp", "avif", "zlib")  # that Pillow codes with


def document(
    kind: str,
    command: str,
    results: Mapping[str, Any],
    *,
    model: ContextModel | None,
    dataset: Mapping[str, Any] | None,
    denoiser: Mapping[str, str] | None = None,
) -> Document:
    """A result file. command: the command line that made it. dataset: `Dataset.describe()`. denoiser: name and id of
    that of the paper's system, where it was measured, too."""
    return {
        "schema": SCHEMA,
        "kind": kind,
        "command": command,
        "machine": machine(),
        "versions": versions(),
        "model": model and {"name": model.name, "id": model.id.hex()},
        "dataset": dataset,
        "results": results,
        **({"denoiser": denoiser} if denoiser else {}),
    }


def machine() -> dict[str, Any]:
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": thread_count(),
        "kernel": _native.kernel(),
        "system": platform.platform(),
    }


def versions() -> dict[str, str | None]:
    """Versions of Python, the packages that matter and Pillow's libraries; None for those that are not there. Programs
    do not say theirs: they are "found" or not."""
    installed: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            installed[package] = None
    installed |= {name: "found" if shutil.which(name) else None for name in PROGRAMS}
    return installed | {name: features.version(name) for name in LIBRARIES}


def estimate(values: Any) -> dict[str, float | None]:
    """{mean, standard_error} of one value per image; the error is None for a single image."""
    array = np.asarray(values, np.float64)
    error = float(array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else None
    return {"mean": float(array.mean()), "standard_error": error}


def of_images(document: Document) -> str:
    """How many images of which data set."""
    data = document["dataset"]
    name = f"the {data['name']} {data['split']} set" if data["split"] else data["name"]
    count = f"all {data['of']:,}" if data["images"] == data["of"] else f"{data['images']:,} of the {data['of']:,}"
    return f"{count} images of {name}"


def dimensions(document: Document) -> list[int]:
    """The dimensions, H W 3, of every image."""
    data = document["dataset"]
    given: int | list[int] = data["dimensions"]
    return given if isinstance(given, list) else [given] * int(data["images"])


def path_of(folder: Path, kind: str) -> Path:
    return folder / f"bench-{kind}.json"


def write(folder: Path, document: Document) -> Path:
    """Write bench-<kind>.json, complete or not at all; NaN and infinity are ValueErrors. Returns its path."""
    path = path_of(folder, document["kind"])
    write_file(path, dumps(document).encode())
    return path


def dumps(document: Document) -> str:
    """JSON with a line per entry, but a list of plain values (a size for every image) on one line. Raises ValueError
    for NaN and infinity.
    """
    return _dumps(document, "") + "\n"


def _dumps(value: Any, indent: str) -> str:
    inner = indent + "  "
    if isinstance(value, Mapping) and value:
        lines = [f"{inner}{json.dumps(key)}: {_dumps(entry, inner)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(entry, Mapping | list) for entry in value):
        return "[\n" + ",\n".join(inner + _dumps(entry, inner) for entry in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)


def read(path: Path) -> Document:
    """The content of a result file. Raises DdpmError for other files, and for another schema."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise DdpmError(f"{path}: cannot be read ({error.strerror}): name a result of ddpmcodec bench") from error
    except ValueError as error:
        raise DdpmError(f"{path}: not a result of ddpmcodec bench ({error})") from error
    if problem := _problem(content):
        raise DdpmError(f"{path}: not a result of ddpmcodec bench ({problem}): measure again")
    return dict(content)


@contextmanager
def as_written(name: str) -> Iterator[None]:
    """Raises DdpmError where the results of a file are not what this version writes under such a head."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DdpmError(f"{name}: its results are not those of this version ({reason}): measure again") from error


def read_tree(source: Path) -> dict[str, Document]:
    """The result files of a folder and of the folders in it, by names such as `cifar10/bpd`; or one file, by its kind.

    Raises DdpmError when there is none.
    """
    if source.is_file():
        document = read(source)
        return {document["kind"]: document}
    paths = [*sorted(source.glob("bench-*.json")), *sorted(source.glob("*/bench-*.json"))]
    if not paths:
        raise DdpmError(f"{source}: no result files (bench-*.json) in it: name the --out folder of ddpmcodec bench")
    return {
        name_of(path.parent.relative_to(source), document["kind"]): document
        for path in paths
        if (document := read(path))
    }


def name_of(folder: Path, kind: str) -> str:
    return (folder / kind).as_posix()


def _problem(content: Any) -> str | None:
    if not isinstance(content, dict) or "schema" not in content:
        return "it has no schema"
    if content["schema"] != SCHEMA:
        return f"schema {content['schema']}, this version reads {SCHEMA}"
    for key, expected in HEAD.items():
        if not isinstance(content.get(key), expected):
            return f"{key!r} is missing or of another type"
    return None


# --- tables


class Table(NamedTuple):
    """name: one word, for markers in README.md. The columns are those of all rows, in order of appearance."""

    name: str
    caption: str
    rows: Sequence[Row]

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for row in self.rows for column in row))

    def cells(self) -> Iterator[list[str]]:
        """The lines below the head; what a row lacks is a dash."""
        for row in self.rows:
            yield [_text(row.get(column)) for column in self.columns]

    def _numeric(self) -> list[bool]:
        """Whether each column is aligned to the right."""
        return [
            all(cell == "-" or cell.lstrip("+-")[:1].isdigit() for cell in column)
            for column in zip(*self.cells(), strict=True)
        ]

    def markdown(self) -> str:
        lines = [self.columns, ["---:" if numbers else "---" for numbers in self._numeric()], *self.cells()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def html(self) -> str:
        attributes = ["" if number else ' class="text"' for number in self._numeric()]
        head = "".join(
            f"<th{attribute}>{escape(column)}</th>" for attribute, column in zip(attributes, self.columns, strict=True)
        )
        body = "\n".join(_html_line(attributes, line) for line in self.cells())
        caption = f"<caption>{escape(self.caption)}</caption>"
        return f"<table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _html_line(attributes: Sequence[str], line: Sequence[str]) -> str:
    """The first cell is a header."""
    first, *others = (escape(cell) for cell in line)
    cells = "".join(f"<td{attribute}>{cell}</td>" for attribute, cell in zip(attributes[1:], others, strict=True))
    return f"<tr><th{attributes[0]}>{first}</th>{cells}</tr>"


def _text(value: Any) -> str:
    """Floats with three or four significant digits; ready-made text as it is."""
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:#.3g}".rstrip(".") if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def plus_minus(estimate: Mapping[str, float | None] | None, digits: int = 3) -> str | None:
    """`mean ± standard error` of an `estimate`."""
    if estimate is None or estimate["mean"] is None:
        return None
    error = estimate["standard_error"]
    return f"{estimate['mean']:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


# --- what `report`, `readme` and `compare` ask of a benchmark


class Measure(NamedTuple):
    """Numbers that two result files can be compared by.

    values: by what was measured, such as the id of an image (`Dataset.describe`). timing: they depend on the machine as
    much as on the code; the keys are then numbers of repeats, and repeats of two runs are no pairs. higher_is_better:
    decibels, say, which are compared by their difference; other numbers are all positive, and compared by their ratio.
    """

    name: str
    values: Mapping[str, float]
    timing: bool = False
    higher_is_better: bool = False


class Benchmark(Protocol):
    """A module of this package that makes result files of its kind."""

    TITLE: str  # heading of its part of a report

    def tables(self, document: Document) -> Sequence[Table]:
        """What the result says, for people."""

    def figures(self, document: Document) -> Mapping[str, str]:
        """Caption of every figure by its name, NAME.png and NAME.svg beside the result file."""

    def measures(self, document: Document) -> Sequence[Measure]:
        """What the result says, to compare with another."""


def benchmark(kind: str) -> Benchmark:
    return cast(Benchmark, import_module(f"{__package__}.{kind}"))
