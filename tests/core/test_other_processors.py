"""The whole core on processors that this machine is not: cross-compiled, run by QEMU, compared with the known answer.

Skipped where there is no cross-compiler or no QEMU (Debian: g++-aarch64-linux-gnu, qemu-user-static).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import known_networks as known_answer
import numpy as np
import pytest

CORE = Path(__file__).parents[2] / "ddpmcodec" / "_core"
PROGRAM = Path(__file__).parent / "known_answer.cpp"
ROOMS = ("kernels", "entropy", "networks", "pyramid", "pixels")  # of the core that codes pixels
COMPILER = "aarch64-linux-gnu-g++"
FLAGS = [
    "-std=c++17",
    "-O1",
    "-fno-fast-math",
    "-ffp-contract=off",
    "-static",
    "-pthread",
    *(f"-I{CORE / room}" for room in ROOMS),
]
DOT_PRODUCT = "-march=armv8.2-a+dotprod"
emulator = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
pytestmark = pytest.mark.skipif(
    not (shutil.which(COMPILER) and emulator), reason=f"no {COMPILER}, or no qemu-aarch64, on this machine"
)


def sources() -> list[Path]:
    """All of the core that codes pixels."""
    return sorted(file for room in ROOMS for file in (CORE / room).glob("*.cpp"))


def written(network: dict[str, Any], components: int = known_answer.COMPONENTS) -> bytes:
    layers = ["stem", *(f"block{k}" for k in range(known_answer.DEPTH)), "head", "skip"]
    keys = [f"{layer}.{part}" for layer in layers for part in ("weight", "factor", "bias")]
    shape = [known_answer.WIDTH, known_answer.DEPTH, components, known_answer.BLOCK_INPUTS]
    sizes = np.array(shape, "<i4")
    return sizes.tobytes() + b"".join(network[key].tobytes() for key in keys if key in network)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `program`, and with `case`, which it reads."""
    found = tmp_path_factory.mktemp("aarch64")
    run = [COMPILER, *FLAGS]
    for source in (*sources(), PROGRAM):
        special = [DOT_PRODUCT] if source.stem == "kernels_neon" else []
        subprocess.run([*run, *special, "-c", source, "-o", found / f"{source.stem}.o"], check=True)
    subprocess.run([*run, *found.glob("*.o"), "-o", found / "program"], check=True)
    roles = ["direct", "last", "band", "band", "band"]
    networks = b"".join(written(known_answer.tensors(role)) for role in roles)
    networks += written(known_answer.tensors("direct", 1), 1)
    picture = known_answer.picture()[0]
    (found / "case").write_bytes(networks + np.array(picture.shape[:2], "<i4").tobytes() + picture.tobytes())
    return found


@pytest.mark.parametrize("kernel", ["plain", "neon"])
def test_an_arm_processor_codes_to_the_known_answer(folder: Path, kernel: str) -> None:
    assert emulator is not None
    done = subprocess.run(
        [emulator, "-cpu", "max", folder / "program", folder / "case"], check=True, stdout=subprocess.PIPE,
        env={**os.environ, "DDPMCODEC_KERNELS": kernel},
    )  # fmt: skip
    assert hashlib.sha256(done.stdout).hexdigest() == known_answer.ANSWER
