"""Kernels are kept where they can be, and forgotten when anything changes that they are made from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import ddpmcodec
from ddpmcodec import compiled

SOURCE = Path(ddpmcodec.__file__).parent


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, with a kept kernel that was made from it."""
    ignored = shutil.ignore_patterns("__pycache__", "models", "cli", "benchmarks")
    shutil.copytree(SOURCE, tmp_path / "ddpmcodec", ignore=ignored)
    compiled.forget_outdated(tmp_path / "ddpmcodec")
    kept = tmp_path / "ddpmcodec" / "channels" / "__pycache__"
    kept.mkdir()
    for name in ("cells._encode-1.nbi", "cells._encode-1.nbc", "cells.pyc"):
        (kept / name).touch()
    return tmp_path / "ddpmcodec"


def kept(package: Path) -> list[str]:
    return sorted(path.name for path in package.glob("channels/__pycache__/*"))


def test_kernels_stay_while_nothing_changes(package: Path) -> None:
    compiled.forget_outdated(package)
    (package / "codec.py").write_text("# no kernel is made from it")
    compiled.forget_outdated(package)
    assert kept(package) == ["cells._encode-1.nbc", "cells._encode-1.nbi", "cells.pyc"]


@pytest.mark.parametrize("name", ["networks/gaussian/elementwise.py", "ans/logistic.py", "channels/bits_back.py"])
def test_kernels_go_when_one_they_call_changes(package: Path, name: str) -> None:
    with (package / name).open("a") as file:
        file.write("# changed")
    compiled.forget_outdated(package)
    assert kept(package) == ["cells.pyc"]


def test_kernels_go_with_the_tables_that_are_frozen_into_them(package: Path) -> None:
    (table, *_) = sorted((package / "ans").glob("*.npy"))
    table.write_bytes(table.read_bytes() + b"0")
    compiled.forget_outdated(package)
    assert kept(package) == ["cells.pyc"]


def test_a_kernel_that_cannot_be_kept_is_compiled_all_the_same() -> None:
    names: dict[str, object] = {}
    exec("def twice(x):\n    return 2 * x", names)
    assert compiled.kernel()(names["twice"])(21) == 42
