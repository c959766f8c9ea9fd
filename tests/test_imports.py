"""Importing the library changes nothing of the process, and `python -m ddpmcodec` is the command."""

from __future__ import annotations

import subprocess
import sys

import ddpmcodec

SWITCHES = """
import os
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

before = switches()
import importlib, pkgutil, ddpmcodec
for module in pkgutil.walk_packages(ddpmcodec.__path__, "ddpmcodec."):
    if module.name.startswith(("ddpmcodec.benchmarks", "ddpmcodec.cli")) or module.name.endswith("__main__"):
        continue
    importlib.import_module(module.name)
after = switches()
print([name for name in before if before[name] != after[name]])
"""


def python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


def test_imports_change_no_global_switch_and_no_number_of_threads() -> None:
    assert python("-c", SWITCHES) == "[]\n"


def test_the_package_runs_as_the_command() -> None:
    assert python("-m", "ddpmcodec", "--version") == f"ddpmcodec {ddpmcodec.__version__}\n"
    assert python("-m", "ddpmcodec", "--help").startswith("Usage: ddpmcodec ")
