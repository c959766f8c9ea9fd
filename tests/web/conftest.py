"""The decoder for browsers, built once, and run in Node.js. Without emscripten or Node.js these tests are skipped."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from node_decoder import ROOT, Node

LEAST_NODE = 20


@pytest.fixture(scope="session")
def dist() -> Path:
    """The folder that a web server would serve: of DDPMCODEC_WEB, or built here."""
    if given := os.environ.get("DDPMCODEC_WEB"):
        return Path(given)
    if shutil.which("emcmake") is None:
        pytest.skip("no emscripten here: apt install emscripten, or name a built folder with DDPMCODEC_WEB")
    spec = importlib.util.spec_from_file_location("build_web", ROOT / "web" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    build.main([])
    return Path(build.DIST)


@pytest.fixture(scope="session")
def node(dist: Path) -> Iterator[Node]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("no Node.js here: apt install nodejs")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < LEAST_NODE:
        pytest.skip(f"Node.js {version.strip()} is too old: {LEAST_NODE} or later is needed")
    command = [program, Path(__file__).parent / "harness.mjs", dist]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Node(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
