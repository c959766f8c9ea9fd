"""The folder that web/build.py makes."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

import ddpmcodec


def test_a_build_deletes_what_an_earlier_one_left(build: Any, dist: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build.assemble(out, dist / "ddpmcodec.wasm")
    (out / "demo").mkdir()
    (out / "old.js").touch()
    build.assemble(out, dist / "ddpmcodec.wasm")
    assert not {"demo", "old.js"} & {path.name for path in out.iterdir()}


def test_other_files_are_left(build: Any, dist: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SystemExit, match="other files"):
        build.assemble(tmp_path, dist / "ddpmcodec.wasm")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_package_has_every_file_but_the_demo(build: Any, dist: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build.assemble(out, dist / "ddpmcodec.wasm")
    patterns = [*json.loads((out / "package.json").read_text())["files"], "LICENSE", "package.json"]  # npm adds two
    assert [path.name for path in out.iterdir() if not any(fnmatch(path.name, own) for own in patterns)] == []
    assert (out / "LICENSE").exists()


def test_a_package_states_the_version_of_the_library(dist: Path) -> None:
    assert json.loads((dist / "package.json").read_text())["version"] == ddpmcodec.__version__
    assert f'"{ddpmcodec.__version__}"' in (dist / "version.js").read_text()
