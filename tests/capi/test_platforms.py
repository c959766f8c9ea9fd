"""The check that .ci/platforms makes of a build. tests/test_conformance.py has wrong ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from installed import Installed

PLATFORMS = Path(__file__).parents[2] / ".ci" / "platforms"
SUITE = Path(__file__).parents[1] / "conformance" / "run.py"
needs_bash = pytest.mark.skipif(sys.platform == "win32", reason="it is a script for bash")


def test_the_build_of_this_machine_conforms(installed: Installed) -> None:
    decode, encode = (
        f"{installed.prefix}/bin/ddpm-{name} --model {{model}} {{input}}" for name in ("decode", "encode")
    )
    options = ["--damaged-code", "3", "--partial", f"{decode} --partial -", "--original", f"{decode} --original -"]
    options += ["--encode", f"{encode} --effort {{effort}} --levels {{levels}} -"]
    command = [*options, "--", *decode.split(), "{output}.pam"]
    ended = subprocess.run([sys.executable, SUITE, *command], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    kinds = "images", "previews", "originals", "encodings", "damaged"
    assert all(re.search(rf"{kind} (\d+) of \1\b", ended.stdout) for kind in kinds)


@needs_bash
def test_a_platform_without_its_tools_is_skipped() -> None:
    ended = subprocess.run([PLATFORMS, "musl"], env={**os.environ, "PYTHON": "false"}, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.split()[:3]) == (0, ["musl", "skipped:", "no"])


@needs_bash
def test_an_unknown_platform_is_refused() -> None:
    ended = subprocess.run([PLATFORMS, "amiga"], capture_output=True, text=True)
    assert ended.returncode == 2
    assert "amiga" in ended.stderr
