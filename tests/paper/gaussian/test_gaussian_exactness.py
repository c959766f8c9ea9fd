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
from pathlib import Path
from typing import NamedTuple

import pytest

from ddpmcodec import models

VARIABLES = ("ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "ATEN_CPU_CAPABILITY")


class Environment(NamedTuple):
    """oneDNN's instruction set and arithmetic of float32 convolutions, and PyTorch's own instruction set."""

    onednn: str = ""
    float32: str = ""
    aten: str = ""
    threads: int = 1

    def variables(self) -> dict[str, str]:
        return {name: value for name, value in zip(VARIABLES, self[:3], strict=True) if value}


REFERENCE = Environment()
# Most instruction sets, each arithmetic and number of threads in one of them: processes take long.
OTHERS = [
    Environment(onednn="AVX2", aten="default", threads=2),
    Environment(onednn="AVX512_CORE", aten="avx2"),
    Environment(float32="ANY", threads=2),  # with all instructions there are, as those of bfloat16
]


@pytest.fixture(scope="module")
def results(tiny_gaussian: Path) -> dict[Environment, dict[str, str]]:
    """What processes in all environments find."""
    script, environments = Path(__file__).with_name("gaussian_hashes.py"), [*OTHERS, REFERENCE]
    ended = subprocess.run(
        [sys.executable, script, tiny_gaussian, models.path(models.GAUSSIAN)],
        input=json.dumps([(each.variables(), each.threads) for each in environments]),
        env={name: value for name, value in os.environ.items() if name not in VARIABLES},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(zip(environments, json.loads(ended.stdout), strict=True))


def hashes(found: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in found.items() if name != "instructions"}


def test_all_paths_of_one_process_agree(results: dict[Environment, dict[str, str]]) -> None:
    found = hashes(results[REFERENCE])
    assert len(found) == 2 * (3 + 1)  # of two models: batches, and a stack
    assert {len(value) for value in found.values()} == {64}  # one hash each, not several, nor a complaint


@pytest.mark.parametrize("environment", OTHERS, ids=lambda e: ", ".join(str(v) for v in e if v))
def test_another_environment_computes_the_same(
    results: dict[Environment, dict[str, str]], environment: Environment
) -> None:
    assert hashes(results[environment]) == hashes(results[REFERENCE])


def test_the_variables_are_read_in_time(results: dict[Environment, dict[str, str]]) -> None:
    assert results[OTHERS[0]]["instructions"] == "DEFAULT"
