"""What the library does to a process that uses it: no switch changes, nothing waits by spinning, and forks code too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ddpmcodec import cli

# Three tests in one process: to import PyTorch and the library takes longest.
PROGRAM = """
import json, multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import torch

def switches():
    return {
        "threads": torch.get_num_threads(),
        "threads between operations": torch.get_num_interop_threads(),
        "environment": dict(os.environ),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "anomalies": torch.is_anomaly_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "onednn": torch.backends.mkldnn.enabled,
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "tf32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
        "torch's generator": torch.get_rng_state().tolist(),
        "flush to zero": (torch.tensor([1e-40]) * 0.5).item() == 0,
        "numpy's errors": np.geterr(),
        "numpy's printing": repr(np.get_printoptions()),
        "numpy's generator": repr(np.random.get_state()),
    }

def tasks():
    return len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else None

before = switches()
import importlib, pkgutil, ddpmcodec
for module in pkgutil.walk_packages(ddpmcodec.__path__, "ddpmcodec."):
    if module.name.startswith(("ddpmcodec.benchmarks", "ddpmcodec.cli")) or module.name.endswith("__main__"):
        continue
    importlib.import_module(module.name)
y, x = np.mgrid[:24, :700]
noise = np.random.Generator(np.random.Philox(1)).normal(0, 5, (24, 700, 3))
wide = (np.stack([x / 3, 250 - x / 3, 9 * y], -1) + noise).clip(0, 255).astype(np.uint8)  # previews in two parts
small = np.ascontiguousarray(wide[:, :64])
files = ddpmcodec.encode_many([wide, small], effort=1)
assert all(map(np.array_equal, ddpmcodec.decode_many(files, as_array=True), [wide, small]))

def previews():
    return [ddpmcodec.decode(file, max_bytes=len(file) // 2, as_array=True).tobytes() for file in files]

def encoded():
    return ddpmcodec.encode(small, effort=1, verify=False)

def bits_back():
    return ddpmcodec.archive.create([("a.png", small[:, :32]), ("b.png", small[:, 32:])], bits_back=2)

results = {previews: previews()}
assert results[previews] != [wide.tobytes(), small.tobytes()]
after, coded = switches(), tasks()
torch.ones(1 << 20).exp()  # on two threads, one of which a fork leaves behind
threads = [torch.get_num_threads(), coded and tasks() - coded]
results |= {encoded: files[1], bits_back: bits_back()}
said = {"changed": [name for name in before if before[name] != after[name]], "threads": threads}
if hasattr(os, "fork"):
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as executor:
        said["forked"] = [executor.submit(work).result() == expected for work, expected in results.items()]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_imports_and_coding_change_no_global_switch_and_no_number_of_threads(said: dict[str, Any]) -> None:
    assert said["changed"] == []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are not listed here")
def test_the_codec_starts_no_threads_of_openmp(said: dict[str, Any]) -> None:
    """They would spin at the end of every operation, and stay: the second one starts where PyTorch alone computes."""
    assert said["threads"] == [2, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_processes_code_too(said: dict[str, Any]) -> None:
    """They would wait for threads of OpenMP that only their parent has."""
    assert said["forked"] == [True, True, True]


@pytest.mark.parametrize(("chosen", "policy"), [("", "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_of_the_command_sleep_while_they_wait(
    chosen: str, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of OpenMP, which training uses, unless the user wants otherwise."""
    monkeypatch.setattr(os, "environ", {"OMP_WAIT_POLICY": chosen} if chosen else {})
    monkeypatch.setattr(cli, "gc", Mock())  # of this process, as it is
    monkeypatch.setattr(cli, "run", lambda: 0)
    with pytest.raises(SystemExit):
        cli.main()
    assert os.environ["OMP_WAIT_POLICY"] == policy
