"""The version is written in ddpmcodec/__init__.py, and everything else agrees with it."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

import ddpmcodec
from ddpmcodec import _native

ROOT = Path(__file__).parents[1]


def test_the_installed_package_and_its_core_have_the_version() -> None:
    assert version("ddpmcodec") == ddpmcodec.__version__
    assert _native.version() == ddpmcodec.__version__


@pytest.mark.parametrize(("name", "written"), [("CITATION.cff", r"^version: (\S+)$"), ("CHANGELOG.md", r"^## (\S+)")])
def test_documents_that_repeat_the_version_agree(name: str, written: str) -> None:
    assert re.findall(written, (ROOT / name).read_text(), re.MULTILINE)[0] == ddpmcodec.__version__


@pytest.mark.parametrize(
    "name", ["CMakeLists.txt", "pyproject.toml", "setup.cfg", "web/CMakeLists.txt", "web/package.json"]
)
def test_no_build_file_repeats_the_version(name: str) -> None:
    assert not re.search(rf"(?<![\d.]){re.escape(ddpmcodec.__version__)}(?![\d.])", (ROOT / name).read_text())
