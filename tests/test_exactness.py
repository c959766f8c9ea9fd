"""The same bits on every machine: processes that compute with other instructions, threads and settings agree.

Every environment computes outputs of networks and whole files with a tiny model, and those of each instruction set also
with an embedded one, and the pixels of all golden files (exact_hashes.py): all must be what the first one computes. The
matrix covers the instructions that this machine has.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

import ddpmcodec
from ddpmcodec import _native, models

ROOT = Path(ddpmcodec.__file__).parents[1]


class Environment(NamedTuple):
    """kernel: the core's, or its choice. settings: as `exact_hashes.Settings`."""

    name: str
    kernel: str = ""
    settings: tuple[tuple[str, Any], ...] = ()

    def variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "DDPMCODEC_KERNELS"}
        path = os.pathsep.join([str(ROOT), str(Path(__file__).with_name("core"))])
        return kept | {"PYTHONPATH": path} | ({"DDPMCODEC_KERNELS": self.kernel} if self.kernel else {})


REFERENCE, *OTHERS = [
    *(Environment(name, name, (("threads", 1 + number % 2),)) for number, name in enumerate(_native.kernels())),
    Environment("four threads at once", settings=(("at_once", 4), ("golden", False))),
    Environment("forked", settings=(("forked", True), ("threads", 2), ("golden", False))),
]
FLAT = np.full((134, 128, 3), 255, np.uint8)
FLAT[65:, 75:] = 200, 158, 253
MODELS = (models.PHOTO,)  # and a tiny one

Results = dict[Environment, dict[str, str]]


@pytest.fixture(scope="module")
def results(context_path: Path) -> Results:
    """What processes in all environments print, two at a time."""
    script = Path(__file__).with_name("exact_hashes.py")
    embedded = [str(models.path(name)) for name in MODELS]

    def run(environment: Environment) -> dict[str, str]:
        paths = [str(context_path), *(embedded if environment.kernel else [])]
        command = [sys.executable, str(script), json.dumps(dict(environment.settings)), *paths]
        ended = subprocess.run(command, env=environment.variables(), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        found: dict[str, str] = json.loads(ended.stdout)
        return found

    environments = [REFERENCE, *OTHERS]
    with ThreadPoolExecutor(2) as executor:
        return dict(zip(environments, executor.map(run, environments), strict=True))


OF_A_MODEL = 3 * (5 * 3 + 1 * 4)  # efforts: networks in three batches, and files of one schedule at least


def assert_same(found: dict[str, str], results: Results) -> None:
    assert len(found) > OF_A_MODEL
    assert found == {name: value for name, value in results[REFERENCE].items() if name in found}


def test_a_process_computes_one_thing(results: Results) -> None:
    found = results[REFERENCE]
    assert len(found) > OF_A_MODEL * (1 + len(MODELS))
    assert {len(value) for value in found.values()} == {64}  # one hash each, not several, nor a complaint


@pytest.mark.parametrize("environment", OTHERS, ids=lambda e: e.name)
def test_another_environment_computes_the_same(results: Results, environment: Environment) -> None:
    assert_same(results[environment], results)


def test_a_thread_that_flushes_to_zero_computes_the_same(
    results: Results, context_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PyTorch is asked to for speed; threads of the core are like the one that starts them."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import exact_hashes

    def compute() -> dict[str, str]:
        assert torch.set_flush_denormal(True)
        assert (torch.tensor([1e-40]) * 0.5).item() == 0
        return exact_hashes.everything(exact_hashes.Settings(threads=2), [str(context_path)])

    with ThreadPoolExecutor(1) as executor:
        assert_same(executor.submit(compute).result(), results)


@pytest.mark.parametrize(("levels", "effort"), [(2, 2), (5, 2), (5, 1)])
def test_flat_pictures_are_the_same_where_denormal_numbers_are_flushed(levels: int, effort: int) -> None:
    """What weights learn from there has squares that are denormal."""
    photo = ddpmcodec.encode(FLAT, effort=effort, levels=levels, model="photo", verify=False)

    def flushed() -> tuple[bytes, bool]:
        assert torch.set_flush_denormal(True)
        again = ddpmcodec.encode(FLAT, effort=effort, levels=levels, model="photo", verify=False)
        assert (torch.tensor([1e-40]) * 0.5).item() == 0  # still, as the caller has it
        return again, np.array_equal(ddpmcodec.decode(photo, as_array=True), FLAT)

    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(flushed).result() == (photo, True)


def test_golden_files_decode_to_their_pictures(results: Results) -> None:
    golden = Path(__file__).parent / "golden"
    for folder in (path for path in golden.glob("v*") if path.is_dir()):
        for entry in json.loads((folder / "manifest.json").read_text())["streams"]:
            with Image.open(folder / entry["picture"]) as picture:
                expected = hashlib.sha256(picture.tobytes()).hexdigest()
            assert results[REFERENCE][f"golden {folder.name}/{entry['file']}"] == expected
