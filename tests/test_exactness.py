"""The same bits on every machine: processes that compute with other instructions, threads and settings agree.

Every environment computes outputs of networks, whole files, and the pixels of all golden files, with the tiny model and
an embedded one (exact_hashes.py), and all that it prints must be what the first one prints. Instructions that a
processor does not have are not used whatever the variables say, so the matrix runs anywhere and covers what the machine
has.
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
from llvmlite import binding
from PIL import Image

from ddpmcodec import compiled, models

ROOT = Path(compiled.__file__).parents[1]
HASWELL = "+avx,+avx2,+bmi,+bmi2,+fma,+f16c,+lzcnt,+movbe,+popcnt,+sse4.1,+sse4.2,+ssse3"


class Environment(NamedTuple):
    """numba: the CPU that it compiles for, and its features. onednn: its instruction set. float32: the arithmetic of
    its convolutions. aten: PyTorch's own instruction set. settings: as `exact_hashes.Settings`. embedded: whether it
    computes with the embedded model, too."""

    name: str
    numba: tuple[str, str] = ("", "")
    onednn: str = ""
    float32: str = ""
    aten: str = ""
    settings: tuple[tuple[str, Any], ...] = ()
    embedded: bool = True

    def variables(self, cache: Path) -> dict[str, str]:
        chosen = {
            "ONEDNN_MAX_CPU_ISA": self.onednn,
            "ONEDNN_DEFAULT_FPMATH_MODE": self.float32,
            "ATEN_CPU_CAPABILITY": self.aten,
            "NUMBA_CPU_NAME": self.numba[0],
            "NUMBA_CPU_FEATURES": self.numba[1],
            "NUMBA_CACHE_DIR": str(cache) if self.numba[0] else os.environ.get("NUMBA_CACHE_DIR", ""),
            "PYTHONPATH": str(ROOT),
        }
        kept = {name: value for name, value in os.environ.items() if name not in chosen}
        return kept | {name: value for name, value in chosen.items() if value}


REFERENCE = Environment("as it comes")
# fmt: off
OTHERS = [
    Environment("generic", ("generic", ""), "SSE41", aten="default", settings=(("threads", 2),)),
    Environment("haswell, flush to zero", ("haswell", HASWELL), "AVX2", aten="avx2", settings=(("flush", True),)),
    Environment("low precision", onednn="AVX512_CORE", float32="ANY", aten="avx2", settings=(("threads", 2),)),
    Environment("eight threads, no oneDNN", settings=(("at_once", 8), ("onednn", False), ("flush", True)),
                embedded=False),
    Environment("forked", settings=(("forked", True), ("threads", 2)), embedded=False),
]
# fmt: on
MODELS = (models.PHOTO,)  # and a tiny one; the other embedded ones have networks of the same shape

Run = Callable[[Environment], dict[str, str]]


def runs_here(environment: Environment) -> bool:
    here = binding.get_host_cpu_features()
    return all(here.get(feature[1:]) for feature in environment.numba[1].split(",") if feature)


@pytest.fixture(scope="module")
def cache(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where kernels of other targets are kept, by content."""
    return pytestconfig.cache.mkdir("numba") if pytestconfig.cache else tmp_path_factory.mktemp("numba")


@pytest.fixture(scope="module")
def run(context_path: Path, cache: Path) -> Run:
    """What a process in an environment prints."""
    script = Path(__file__).with_name("exact_hashes.py")
    embedded = [str(models.path(name)) for name in MODELS]

    def process(environment: Environment) -> dict[str, str]:
        paths = [str(context_path), *(embedded if environment.embedded else [])]
        command = [sys.executable, str(script), json.dumps(dict(environment.settings)), *paths]
        ended = subprocess.run(command, env=environment.variables(cache), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        found: dict[str, str] = json.loads(ended.stdout)
        return found

    return process


@pytest.fixture(scope="module")
def results(run: Run) -> dict[Environment, dict[str, str]]:
    """Of all environments that run here, two at a time."""
    environments = [environment for environment in [*OTHERS, REFERENCE] if runs_here(environment)]
    with ThreadPoolExecutor(2) as executor:
        return dict(zip(environments, executor.map(run, environments), strict=True))


def test_a_process_computes_one_thing(results: dict[Environment, dict[str, str]]) -> None:
    found = results[REFERENCE]
    assert len(found) > 21 * (1 + len(MODELS))
    assert {len(value) for value in found.values()} == {64}  # one hash each, not several, nor a complaint


@pytest.mark.parametrize("environment", OTHERS, ids=lambda e: e.name)
def test_another_environment_computes_the_same(
    results: dict[Environment, dict[str, str]], environment: Environment
) -> None:
    if environment not in results:
        pytest.skip("this processor does not have the instructions")
    found = results[environment]
    assert len(found) > 21
    assert found == {name: value for name, value in results[REFERENCE].items() if name in found}


def test_golden_files_decode_to_their_pictures(results: dict[Environment, dict[str, str]]) -> None:
    golden = Path(__file__).parent / "golden"
    for folder in (path for path in golden.glob("v*") if path.is_dir()):
        for entry in json.loads((folder / "manifest.json").read_text())["streams"]:
            with Image.open(folder / entry["picture"]) as picture:
                expected = hashlib.sha256(picture.tobytes()).hexdigest()
            assert results[REFERENCE][f"golden {folder.name}/{entry['file']}"] == expected


def test_importing_and_coding_change_no_settings() -> None:
    program = """
import numpy as np, torch
before = (torch.get_num_threads(), torch.backends.mkldnn.enabled, torch.get_float32_matmul_precision(),
          torch.are_deterministic_algorithms_enabled(), torch.get_default_dtype(), np.geterr())
tiny = torch.tensor(1e-40)
import ddpmcodec
image = np.arange(2400, dtype=np.uint8).reshape(20, 40, 3)
assert np.array_equal(ddpmcodec.decode(ddpmcodec.encode(image)), image)
after = (torch.get_num_threads(), torch.backends.mkldnn.enabled, torch.get_float32_matmul_precision(),
         torch.are_deterministic_algorithms_enabled(), torch.get_default_dtype(), np.geterr())
assert before == after, (before, after)
assert (tiny * 1.0).item() > 0, "denormals are flushed"
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
