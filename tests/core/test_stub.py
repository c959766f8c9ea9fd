"""The stub of the compiled core, by which mypy checks those who call it, says what is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import ddpmcodec
from ddpmcodec import _native, benchmarks, cli

BODY = ast.parse((Path(ddpmcodec.__file__).parent / "_native.pyi").read_text()).body
CLASSES = {node.name: node.body for node in BODY if isinstance(node, ast.ClassDef)}


def stated(body: list[ast.stmt]) -> dict[str, list[str]]:
    """By name the parameters of functions; none of values and properties."""
    found: dict[str, list[str]] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
            found[node.name] = [name for name in names if name != "self"]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = []
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):  # of an enumeration
            (target,) = node.targets
            assert isinstance(target, ast.Name)
            found[target.id] = []
    return found


def compiled(owner: Any) -> dict[str, list[str]]:
    """The same of the module or a class, by signatures as nanobind writes them: name(first: int, second: int = 0)."""
    found = {}
    for name, value in vars(owner).items():
        if name.startswith("_") or isinstance(value, type):
            continue
        signature = (getattr(value, "__doc__", None) or "").split("\n")[0] if callable(value) else ""
        signature = re.sub(r"\[[^][]*(\[[^][]*\][^][]*)*\]", "", signature)  # of types
        names = re.findall(r"[(,] *(\w+)(?=[:,)=])", signature)
        found[name] = [name for name in names if name != "self"]
    return found


def test_the_module_has_what_the_stub_says() -> None:
    functions = stated(BODY)
    assert compiled(_native) == functions
    assert {name for name, value in vars(_native).items() if isinstance(value, type)} == set(CLASSES)


def used() -> set[str]:
    """Names of the module that the library, its commands and its benchmarks mention."""
    folders = [Path(package.__path__[0]) for package in (benchmarks, cli, ddpmcodec)]
    sources = [path.read_text() for folder in folders for path in folder.rglob("*.py")]
    names = set[str]()
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.ImportFrom) and node.module == "ddpmcodec._native":
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "_native":
            names.add(node.attr)
    return names


def test_the_module_has_nothing_for_tests_alone() -> None:
    """They have `ddpmcodec._testing`. But only the module itself can change its kernels, and what reads JPEG files also
    makes them again."""
    assert stated(BODY).keys() - used() == {"use_kernel", "parse_frame", "rebuild_jpeg", "write_preview_jpeg"}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_what_the_stub_says(name: str) -> None:
    said = stated(CLASSES[name])
    said.pop("__init__", None)  # nanobind keeps no signature of it
    assert compiled(getattr(_native, name)) == said
