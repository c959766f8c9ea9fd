"""Where training computes, and in which type."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

from ddpmcodec.errors import TrainingError

CPUINFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def device_of(name: str | None) -> torch.device:
    """name: as PyTorch names it; default: a GPU where there is one. Raises TrainingError where this PyTorch has no such
    device.

    >>> device_of("cpu")
    device(type='cpu')
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"--device {name}: cannot be used here ({reason}); name another, such as cpu") from error


@cache
def product_type(device: torch.device) -> torch.dtype:
    """Of products: bfloat16 where it is fast, and float32 on processors that would emulate it."""
    fast = device.type == "cuda" or (device.type == "cpu" and not BFLOAT16_FLAGS.isdisjoint(_flags()))
    return torch.bfloat16 if fast else torch.float32


def _flags() -> set[str]:
    """Of the processor, as Linux names them; elsewhere none."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split()}
