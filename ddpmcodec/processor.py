"""The processor: its name, and what exact arithmetic needs of its settings, which other code in the process may have
changed."""

from __future__ import annotations

import platform
from pathlib import Path

from ddpmcodec.errors import ModelError

# Variables, so that Python adds them when it is asked, not when it compiles.
_ONE, _STEP = 1.0, 2.0**-52
_SMALL, _SMALLER, _LARGE = 2.0**-1000, 2.0**-50, 2.0**500  # the product of the first two is denormal


def name() -> str:
    """The processor's name, where the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


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
