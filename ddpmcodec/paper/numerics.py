"""What PyTorch computes depends on settings, threads and batches: how the paper's system is run in spite of them.

Exact paths compute the same under all settings of the process, autocast apart, which is off around them
(`exact_torch`). Paths that are not exact, as of the paper's network, run with the settings of a new process
(`new_process`), and where files depend on them under a numerics profile, so that a file decodes on the machine that
wrote it. Float32 sums depend on their order, and that on the processor, the libraries, the number of threads, and the
size of the batch: one image alone, in a batch of two, of four and of sixteen gives four different results. A profile
fixes what a program can fix, at one thread and one image; a fingerprint, the hash of every bit that the network returns
for a fixed input, shows the rest.
"""

from __future__ import annotations

import hashlib
import math
import platform
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddpmcodec.errors import ModelError
from ddpmcodec.paper.diffusion import Denoiser, Prediction
from ddpmcodec.parallel import is_forked, one_thread_if, torch_threads

_settings = threading.RLock()  # they belong to the process
# Variables, so that Python adds them when it is asked, not when it compiles.
_ONE, _STEP = 1.0, 2.0**-52
_SMALL, _SMALLER, _LARGE = 2.0**-1000, 2.0**-50, 2.0**500  # the product of the first two is denormal


def require_rounding_to_nearest() -> None:
    """Raises ModelError where the processor rounds otherwise (fesetround): what is coded so decodes nowhere else."""
    up, down = _ONE + _STEP / 2 != _ONE, -_ONE - _STEP / 2 != -_ONE
    to_zero = _ONE + 1.5 * _STEP != _ONE + 2 * _STEP
    if up or down or to_zero:
        raise ModelError(
            "this thread's floating-point arithmetic does not round to nearest (fesetround): nothing can be coded"
            " exactly; set FE_TONEAREST"
        )


def require_denormals() -> None:
    """Raises ModelError where they are flushed to zero, which networks that are not exact do not bear."""
    if _SMALL * _SMALLER * _LARGE == 0:
        raise ModelError(
            "this thread flushes denormal numbers to zero (torch.set_flush_denormal): a network under a numerics"
            " profile computes other numbers then; switch it off"
        )


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
    """Set an attribute until `restore` is closed, where this PyTorch has it."""
    before = getattr(owner, name, value)
    if before != value:
        restore.callback(setattr, owner, name, before)
        setattr(owner, name, value)


# --- the numerics profile: one thread, one image at a time

Description = dict[str, str | int]

SIDE = 32  # of the images of a fingerprint


def describe() -> Description:
    """What the numbers of a network are known to depend on, here and now: for people, and for the header of a file."""
    return {
        "torch": str(torch.__version__),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": 1,
        "batch": 1,
        "dtype": "float32",
    }


def run(denoiser: Denoiser, c_t: Tensor, s_t: float) -> Prediction:
    """denoiser(c_t, s_t) in float32, on a CPU, one image at a time.

    What an image gives depends on the image, the noise level and the denoiser alone: as long as the fingerprint is the
    same, the numbers are, to the last bit.
    """
    with fixed_numerics():  # copies are memory of PyTorch's own, on whose alignment sums may depend
        parts = [denoiser(torch.zeros(image.shape).copy_(image), s_t) for image in torch.split(c_t, 1)]
        return Prediction(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def fingerprint(denoiser: Denoiser, levels: Sequence[float]) -> str:
    """sha256 of all bits of the predictions of one image at these noise levels, in hexadecimal."""
    digest = hashlib.sha256()
    for s_t in levels:
        for tensor in run(denoiser, fingerprint_input(s_t), s_t):
            digest.update(tensor.float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def check(denoiser: Denoiser, expected: str, there: Mapping[str, str | int], levels: Sequence[float]) -> None:
    """Raises ModelError unless the fingerprint is the one of the file, saying what differs from its description."""
    found = fingerprint(denoiser, levels)
    if found != expected:
        raise ModelError(
            "the network does not compute here what it computed where the file was written: its fingerprint was "
            f"{expected[:16]}, and is {found[:16]}; {differences(there, describe())}: "
            "decode on the machine that wrote the file, or one like it"
        )


def differences(there: Mapping[str, object], here: Mapping[str, object]) -> str:
    """What differs, in words for people: 'threads was 2, and is 1'."""
    changed = [key for key in sorted(there.keys() | here.keys()) if there.get(key) != here.get(key)]
    clauses = [f"{key} was {there.get(key, 'not recorded')}, and is {here.get(key, 'not recorded')}" for key in changed]
    return "; ".join(clauses) or "all that is described is the same"


def fingerprint_input(s_t: float) -> Tensor:
    """[1, 3, SIDE, SIDE] float32, as wide as c_t is: from the raw output of numpy's Philox 4x64, key 0."""
    raw = np.random.Philox(key=0).random_raw(math.prod((1, 3, SIDE, SIDE))).reshape(1, 3, SIDE, SIDE)
    unit = (raw >> np.uint64(40)).astype(np.float64) / 2**24
    return torch.from_numpy(((unit - 0.5) * (255 + 3.5 * s_t)).astype(np.float32))


@contextmanager
def fixed_numerics() -> Iterator[None]:
    """On one thread, with the settings of a new process, which are put back afterwards; other threads wait for their
    turn.

    Raises ModelError where the processor's settings are other than those of a new process.
    """
    with new_process(), torch_threads(1):
        require_denormals()
        with torch.backends.nnpack.flags(enabled=False):  # its Winograd convolutions round more
            yield
