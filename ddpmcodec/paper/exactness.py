"""PyTorch's settings, which other code in the process may have changed, around what must not depend on them.

Exact paths compute the same under all of them, autocast apart, which is off around them (`exact_torch`). Paths that are
not exact, previews and the paper's network, run with the settings of a new process (`new_process`).
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from ddpmcodec.parallel import is_forked, one_thread_if
from ddpmcodec.processor import require_rounding_to_nearest

_settings = threading.RLock()  # they belong to the process


@contextmanager
def exact_torch() -> Iterator[None]:
    """Around exact operations of PyTorch: no autocast, no gradients, new tensors on the CPU. It is this thread's alone.
    A process that was forked stays on one thread, as only its parent has OpenMP's.

    Raises ModelError where the processor does not round to nearest.
    """
    require_rounding_to_nearest()
    with one_thread_if(is_forked()), torch.autocast("cpu", enabled=False), torch.no_grad(), torch.device("cpu"):
        yield


def torch_settings() -> Hashable:
    """Settings of the process that choose PyTorch's convolutions: where they change, known answers are asked again."""
    mkldnn = torch.backends.mkldnn
    conv = getattr(mkldnn, "conv", None)  # since PyTorch 2.9
    return bool(mkldnn.enabled), getattr(conv, "fp32_precision", None), torch.get_float32_matmul_precision()


@contextmanager
def new_process() -> Iterator[None]:
    """Around operations that are not exact: PyTorch's settings as in a new process, which are put back afterwards.

    Other threads wait for their turn. Raises as `exact_torch`.
    """
    with _settings, ExitStack() as restore:
        restore.callback(torch.set_default_dtype, torch.get_default_dtype())
        restore.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        restore.callback(
            torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled(),
            warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
        )  # fmt: skip
        _set(restore, torch.backends.mkldnn, "enabled", True)
        _set(restore, getattr(torch.backends.mkldnn, "conv", None), "fp32_precision", "none")
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
        torch.use_deterministic_algorithms(True)
        restore.enter_context(exact_torch())
        yield


def _set(restore: ExitStack, owner: Any, name: str, value: object) -> None:
    """An attribute for a while, where this PyTorch has it."""
    before = getattr(owner, name, value)
    if before != value:
        restore.callback(setattr, owner, name, before)
        setattr(owner, name, value)
