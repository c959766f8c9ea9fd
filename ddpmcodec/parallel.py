"""Independent pieces of work on all cores: one thread a piece, each with single-threaded convolutions.

Small convolutions split badly, and nothing else in a network call is split at all, so whole pieces side by side are
faster than one piece on all cores. The result does not depend on the number of threads: the network is exact.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

_inside = threading.local()


def _enter_worker() -> None:
    _inside.worker = True
    torch.set_num_threads(1)


def run_all(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """[function(item) for item in items], as many at a time as PyTorch has threads; a worker splits no further."""
    pieces = list(items)
    threads = min(len(pieces), torch.get_num_threads())
    if threads < 2 or getattr(_inside, "worker", False):
        return [function(piece) for piece in pieces]
    before = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=_enter_worker) as executor:
        try:
            return list(executor.map(function, pieces))
        finally:
            executor.shutdown(cancel_futures=True)
            torch.set_num_threads(before)


@contextmanager
def one_thread_if(small: bool) -> Iterator[None]:
    """Keep PyTorch on one thread for work too small to share: on a busy machine waiting for the other threads costs
    fifty times the work itself (measured on images of 32x32)."""
    before = torch.get_num_threads()
    if not small or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
