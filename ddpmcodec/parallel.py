"""Independent pieces of work on all cores: one thread a piece, each with single-threaded convolutions.

Small convolutions split badly, and nothing else in a network call is split at all, so whole pieces side by side are
faster than one piece on all cores. The result does not depend on the number of threads: the network is exact.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

# Worked on at a time, so that memory is the same on machines of many cores. Decoding takes about 80 bytes a pixel.
WORK_PIXELS = 1 << 23

_inside = threading.local()
_imported_in = os.getpid()


class Abandoned(Exception):
    """What a piece of work raises whose result nobody waits for any more."""


def _enter_worker(abandoned: threading.Event) -> None:
    _inside.worker, _inside.abandoned = True, abandoned
    torch.set_num_threads(1)


def stop_if_abandoned() -> None:
    """For long pieces of work to call now and then: Ctrl-C and errors of others end them too, by Abandoned."""
    if getattr(_inside, "worker", False) and _inside.abandoned.is_set():
        raise Abandoned


def side_by_side(pixels: int) -> int:
    """How many pieces of work on so many pixels each may run at a time, however many cores there are."""
    return max(1, WORK_PIXELS // pixels)


def run_all(function: Callable[[T], R], items: Iterable[T], most: int | None = None) -> list[R]:
    """[function(item) for item in items], as many at a time as PyTorch has threads; a worker splits no further.

    most: at a time, where memory is the limit. Pieces that have begun when one fails end at their next
    `stop_if_abandoned`.
    """
    pieces = list(items)
    threads = min(len(pieces), torch.get_num_threads(), most or len(pieces))
    if threads < 2 or getattr(_inside, "worker", False):
        return [function(piece) for piece in pieces]
    before = torch.get_num_threads()
    abandoned = threading.Event()
    with ThreadPoolExecutor(threads, initializer=_enter_worker, initargs=(abandoned,)) as executor:
        try:
            return list(executor.map(function, pieces))
        finally:
            abandoned.set()
            executor.shutdown(cancel_futures=True)
            torch.set_num_threads(before)


def is_forked() -> bool:
    """Whether this process is a fork of one that may have used OpenMP: its threads stayed there, and PyTorch would wait
    for them. New threads of this process, as of `run_all`, start their own."""
    return os.getpid() != _imported_in


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
