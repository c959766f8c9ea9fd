"""The check that .ci/platforms makes of a build: golden files are restored, and other results are found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from installed import GOLDEN, Installed

PLATFORMS = Path(__file__).parents[2] / ".ci" / "platforms"
needs_bash = pytest.mark.skipif(sys.platform == "win32", reason="it is a script for bash")


def checked(*command: object) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, GOLDEN / "decoded.py", *command]
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True)


def test_a_right_build_restores_all_golden_files(installed: Installed) -> None:
    ended = checked(installed.prefix / "bin" / "ddpm-decode")
    count, _, total = ended.stdout.split()[:3]
    assert (ended.returncode, ended.stderr, count) == (0, "", total)
    assert int(total) > 60


@pytest.mark.parametrize(("program", "word"), [("print('P5 1 1 255')", "else"), ("raise OSError('broken')", "broken")])
def test_a_wrong_build_is_found(program: str, word: str) -> None:
    ended = checked(sys.executable, "-c", program)
    assert ended.returncode == 1
    assert ended.stdout.startswith("0 of")
    assert word in ended.stderr


@needs_bash
def test_a_platform_without_its_tools_is_skipped() -> None:
    ended = subprocess.run([PLATFORMS, "musl"], env={**os.environ, "PYTHON": "false"}, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.split()[:3]) == (0, ["musl", "skipped:", "no"])


@needs_bash
def test_an_unknown_platform_is_refused() -> None:
    ended = subprocess.run([PLATFORMS, "amiga"], capture_output=True, text=True)
    assert ended.returncode == 2
    assert "amiga" in ended.stderr
