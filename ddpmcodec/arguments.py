"""Checks of arguments: numbers (text that looks like one is refused, not guessed at), and limits."""

from __future__ import annotations

from math import inf
from numbers import Integral, Real

from ddpmcodec.errors import LimitError

REAL = ("bpp", "psnr")  # arguments that need not be whole


def whole_number(name: str, value: object) -> int:
    """A whole number of Python or NumPy as one of Python: those of NumPy overflow. name: of the argument, for the
    message. Raises TypeError for anything else."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    return int(value)


def check_limits(**limits: float | None) -> None:
    """Raises TypeError for a limit that is no number (a whole one, unless REAL names it), and ValueError for one below
    0 or infinite. None stands for no limit."""
    for name, limit in limits.items():
        if limit is None:
            continue
        if name not in REAL:
            whole_number(name, limit)
        elif isinstance(limit, bool) or not isinstance(limit, Real):
            raise TypeError(f"{name} must be a number, not {limit!r}")
        if not 0 <= limit < inf:
            raise ValueError(f"{name} must be a number from 0 on, not {limit}")


def check_pixels(name: str, width: int, height: int, max_pixels: int | None) -> None:
    """Raises LimitError for an image over the limit, before anything of its size is made. name: what claims that size,
    for the message."""
    if max_pixels is not None and width * height > max_pixels:
        raise LimitError(
            f"{name} claims {width} x {height} pixels, and at most {max_pixels} are decoded: if you trust its origin,"
            " allow more with max_pixels=N"
        )
