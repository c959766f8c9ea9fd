"""Imports point one way, coding needs none of the extras, and `python -m ddpmcodec` is the command."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import ddpmcodec
from ddpmcodec import benchmarks, cli


def python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


@cache
def sources() -> dict[str, Path]:
    """Files by the names of their modules."""
    found = {}
    for package in (benchmarks, cli, ddpmcodec):
        folder = Path(next(iter(package.__path__)))
        for path in folder.rglob("*.py"):
            parts = (package.__name__, *path.relative_to(folder).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(module: str, path: Path) -> Iterator[str]:
    """All that a module names, also inside functions and for types alone."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = ".".join(filter(None, [package if node.level else "", node.module]))
            yield from (f"{origin}.{alias.name}" for alias in node.names)
            yield origin


@cache
def imports() -> dict[str, set[str]]:
    """What each module imports of the project; from inside a package, its modules and not the package."""
    modules = sources()
    assert len(modules) > 100
    own = modules.keys() - {"ddpmcodec"}
    return {
        module: {name for name in imported(module, path) if name in own and not f"{module}.".startswith(f"{name}.")}
        for module, path in modules.items()
    }


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = imports()
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


# What each part of the package may import of the others: a part imports those of lower lines only. Parts that are a
# single module without a line of their own (`SINGLE`) may be imported from anywhere, and import each other alone.
SINGLE = {
    "arguments",
    "comparison",
    "content",
    "errors",
    "parallel",
}
LAYERS = {
    "cli": {"archive", "benchmarks", "codec", "format", "formats", "models", "paper", "plugins", "training", "viewer"},
    "benchmarks": {"archive", "codec", "format", "formats", "models", "paper", "plugins", "training"},
    "viewer": {"codec", "format", "formats", "models"},
    "plugins": {"archive", "codec", "format", "formats", "models"},
    "training": {"archive", "codec", "format", "formats", "models", "paper"},  # archive: of images to train on
    "archive": {"codec", "format", "formats", "models", "paper"},  # paper: bits back, when it is asked for
    "codec": {"format", "formats", "models"},
    "paper": {"format", "formats", "models"},
    "models": {"format"},
    "formats": {"format"},
    "format": set(),
}


def part_of(module: str) -> str:
    return module.split(".")[1]


def test_parts_import_what_the_table_of_layers_allows() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, names in imports().items()
        for name in names
        if module not in ("ddpmcodec", "ddpmcodec.__main__") and part_of(name) != part_of(module)
        if part_of(name) not in SINGLE | LAYERS.get(part_of(module), set())
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_the_table_of_layers_is_of_the_parts_that_there_are_and_imports_point_down() -> None:
    parts = {part_of(module) for module in sources() if module not in ("ddpmcodec", "ddpmcodec.__main__")}
    assert LAYERS.keys() | SINGLE == parts
    lines = list(LAYERS)
    assert all(lines.index(name) < lines.index(other) for name, allowed in LAYERS.items() for other in allowed)


WITHOUT_EXTRAS = """
import io, sys
for name in ("torch", "scipy"):
    sys.modules[name] = None  # importing it is an error
import numpy as np
import ddpmcodec, ddpmcodec.archive, ddpmcodec.models.context
image = np.add.outer(np.arange(20), np.arange(0, 96, 3)).astype(np.uint8)
noisy = image + np.random.default_rng(0).integers(0, 64, image.shape, np.uint8)
for levels in (0, 1, 2, 5):
    data = ddpmcodec.encode(noisy, levels=levels)
    assert ddpmcodec.info(data)["coding"] == "context model"
    assert np.array_equal(ddpmcodec.decode(data, as_array=True), noisy)
    ddpmcodec.decode(ddpmcodec.truncate(data, bytes=len(data) // 2), partial=True)
    ddpmcodec.truncate(data, step=1)
smooth = ddpmcodec.encode(image)
assert np.array_equal(ddpmcodec.decode(smooth, as_array=True), image)
packed = ddpmcodec.archive.create([("a.png", noisy), ("b.png", image)])
assert [name for name, _ in ddpmcodec.archive.extract(packed)] == ["a.png", "b.png"]
print("done")
"""


def test_coding_needs_no_torch() -> None:
    assert python("-c", WITHOUT_EXTRAS) == "done\n"


def test_the_package_runs_as_the_command() -> None:
    assert python("-m", "ddpmcodec", "--version") == f"ddpmcodec {ddpmcodec.__version__}\n"
