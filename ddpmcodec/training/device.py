"""Where training computes."""

from __future__ import annotations

import torch

from ddpmcodec.errors import TrainingError


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
