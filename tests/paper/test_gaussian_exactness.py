"""The same bits on every machine: processes that compute with other instructions and threads agree on everything.

Every environment computes the integers of every path of the network and stacks of images, with a tiny Gaussian model
and the embedded one (gaussian_hashes.py), and all that it prints must be what the first one prints. Instructions that a
processor does not have are not used whatever the variables say, so the matrix runs anywhere and covers what the machine
has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from ddpmcodec import models


class Environment(NamedTuple):
    """oneDNN's instruction set and arithmetic of float32 convolutions, and PyTorch's own instruction set."""

    onednn: str = ""
    float32: str = ""
    aten: str = ""
    threads: int = 1

    def variables(self) -> dict[str, str]:
        chosen = {
            "ONEDNN_MAX_CPU_ISA": self.onednn,
            "ONEDNN_DEFAULT_FPMATH_MODE": self.float32,
            "ATEN_CPU_CAPABILITY": self.aten,
        }
        kept = {name: value for name, value in os.environ.items() if name not in chosen}
        return kept | {name: value for name, value in chosen.items() if value}


REFERENCE = Environment()
# Most instruction sets, each arithmetic and number of threads in one of them: processes take long to start.
OTHERS = [
    Environment(onednn="AVX2", aten="default", threads=2),
    Environment(onednn="AVX512_CORE", aten="avx2"),
    Environment(float32="ANY", threads=2),  # with all instructions there are, as those of bfloat16
]

Run = Callable[[Environment], dict[str, str]]


@pytest.fixture(scope="module")
def run(tiny_gaussian: Path) -> Run:
    """What a process in an environment prints."""
    script = Path(__file__).with_name("gaussian_hashes.py")
    paths = [str(tiny_gaussian), str(models.path(models.GAUSSIAN))]

    def process(environment: Environment) -> dict[str, str]:
        command = [sys.executable, str(script), str(environment.threads), *paths]
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


def test_all_paths_of_one_process_agree(results: dict[Environment, dict[str, str]]) -> None:
    found = results[REFERENCE]
    assert len(found) == 2 * (3 + 1)  # of two models: batches, and a stack
    assert {len(value) for value in found.values()} == {64}  # one hash each, not several, nor a complaint


@pytest.mark.parametrize("environment", OTHERS, ids=lambda e: ", ".join(str(v) for v in e if v))
def test_another_environment_computes_the_same(
    results: dict[Environment, dict[str, str]], environment: Environment
) -> None:
    assert results[environment] == results[REFERENCE]
