"""What exact arithmetic needs of the processor, whose settings other code in the process may have changed."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys

from ddpmcodec.errors import ModelError

ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA = 158, 0x1023, 18  # Linux's numbers: arch_prctl, ARCH_REQ_XCOMP_PERM

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


@functools.cache
def permits_tiles() -> bool:
    """Whether this process may use AMX's tile registers, which Linux gives to those that ask."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    answer = ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA)
    return bool(answer == 0)
