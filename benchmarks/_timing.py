"""Seconds of a piece of work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

R = TypeVar("R")


def timed(work: Callable[[], R]) -> tuple[R, float]:
    """What it returns, and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def seconds(work: Callable[[], Any], repeats: int) -> list[float]:
    """Of each of the repeats, after one run to warm up."""
    work()
    return [timed(work)[1] for _ in range(repeats)]
