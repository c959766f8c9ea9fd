"""The same bits on every machine: processes that compute with other instructions, threads and settings agree.

Every environment computes outputs of networks, whole files, and the pixels of all golden files, with the tiny model and
an embedded one (exact_hashes.py), and all that it prints must be what the first one prints. The matrix covers the
instructions that this machine has.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

import ddpmcodec
from ddpmcodec import _native, models

ROOT = Path(ddpmcodec.__file__).parents[1]


class Environment(NamedTuple):
    """kernel: the core's, or its choice. settings: as `exact_hashes.Settings`. embedded: whether it computes with the
    embedded model, too."""

    name: str
    kernel: str = ""
    settings: tuple[tuple[str, Any], ...] = ()
    embedded: bool = True

    def variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "DDPMCODEC_KERNELS"}
        return kept | {"PYTHONPATH": str(ROOT)} | ({"DDPMCODEC_KERNELS": self.kernel} if self.kernel else {})


REFERENCE = Environment("as it comes")
OTHERS = [
    *(Environment(name, name, (("threads", 1 + number % 2),)) for number, name in enumerate(_native.kernels())),
    Environment("flush to zero", settings=(("flush", True), ("threads", 2)), embedded=False),
    Environment("eight threads at once", settings=(("at_once", 8),), embedded=False),
    Environment("forked", settings=(("forked", True), ("threads", 2)), embedded=False),
]
MODELS = (models.PHOTO,)  # and a tiny one

Run = Callable[[Environment], dict[str, str]]


@pytest.fixture(scope="module")
def run(context_path: Path) -> Run:
    """What a process in an environment prints."""
    script = Path(__file__).with_name("exact_hashes.py")
    embedded = [str(models.path(name)) for name in MODELS]

    def process(environment: Environment) -> dict[str, str]:
        paths = [str(context_path), *(embedded if environment.embedded else [])]
        command = [sys.executable, str(script), json.dumps(dict(environment.settings)), *paths]
        ended = subprocess.run(command, env=environment.variables(), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        found: dict[str, str] = json.loads(ended.stdout)
        return found

    return process


@pytest.fixture(scope="module")
def results(run: Run) -> dict[Environment, dict[str, str]]:
    """Of all environments, two at a time."""
    environments = [*OTHERS, REFERENCE]
    with ThreadPoolExecutor(2) as executor:
        return dict(zip(environments, executor.map(run, environments), strict=True))


OF_A_MODEL = 3 * (5 * 3 + 1 * 4)  # efforts: networks in three batches, and files of one schedule at least


def test_a_process_computes_one_thing(results: dict[Environment, dict[str, str]]) -> None:
    found = results[REFERENCE]
    assert len(found) > OF_A_MODEL * (1 + len(MODELS))
    assert {len(value) for value in found.values()} == {64}  # one hash each, not several, nor a complaint


@pytest.mark.parametrize("environment", OTHERS, ids=lambda e: e.name)
def test_another_environment_computes_the_same(
    results: dict[Environment, dict[str, str]], environment: Environment
) -> None:
    found = results[environment]
    assert len(found) > OF_A_MODEL
    assert found == {name: value for name, value in results[REFERENCE].items() if name in found}


def test_kernels_are_chosen_by_name() -> None:
    program = "from ddpmcodec import _native; print(_native.kernel())"
    for name in _native.kernels():
        variables = Environment(name, name).variables()
        said = subprocess.run(
            [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True
        )
        assert said.stdout == f"{name}\n"


def test_golden_files_decode_to_their_pictures(results: dict[Environment, dict[str, str]]) -> None:
    golden = Path(__file__).parent / "golden"
    for folder in (path for path in golden.glob("v*") if path.is_dir()):
        for entry in json.loads((folder / "manifest.json").read_text())["streams"]:
            with Image.open(folder / entry["picture"]) as picture:
                expected = hashlib.sha256(picture.tobytes()).hexdigest()
            assert results[REFERENCE][f"golden {folder.name}/{entry['file']}"] == expected
