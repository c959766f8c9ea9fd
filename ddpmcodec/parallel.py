"""The processor, and independent pieces of work on all of its cores: one thread a piece, or one piece on all threads of
the compiled core.

The result does not depend on the number of threads: what is coded is exact.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from ddpmcodec._native import MOST_THREADS
from ddpmcodec.arguments import whole_number

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

# Pixels that are worked on at a time, so that many cores take no more memory. Decoding takes about 60 bytes a pixel,
# encoding 20 without noise levels, 90 with two, 160 with five.
WORK_PIXELS = 1 << 22

_inside = threading.local()
_imported_in = os.getpid()
_chosen: dict[object, int] = {}  # by `threads_of`; the newest counts
_torch_lock = threading.Lock()
_torch_users = 0  # threads and pieces of work for which PyTorch has other threads than before
_torch_threads = 0  # and how many it had before all of them


class Abandoned(Exception):
    """Ends a piece of work whose result nobody waits for any more."""


def processor_name() -> str:
    """The processor's name, where the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def thread_count() -> int:
    """Threads that a piece of work may use: one inside `run_all`, otherwise as many as `threads_of` says, or as there
    are cores for this process (fewer where the environment variable OMP_NUM_THREADS says so), which workers of a
    PyTorch DataLoader share."""
    if is_worker():
        return 1
    loading = sys.modules.get("torch.utils.data")
    loader_worker = loading.get_worker_info() if loading else None
    chosen = list(_chosen.values())
    return max((chosen[-1] if chosen else _default()) // (loader_worker.num_workers if loader_worker else 1), 1)


def is_worker() -> bool:
    """Whether this is a thread of `run_all`, which is one of several."""
    return getattr(_inside, "worker", False)


def _default() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # of OpenMP's nested levels the outermost
    return min(cores, int(wanted)) if wanted.isdecimal() and int(wanted) else cores


@contextmanager
def threads_of(count: int | None) -> Iterator[None]:
    """Work in this process uses so many threads meanwhile; None: as many as before. Where several threads choose at a
    time, the latest choice counts for all. Raises TypeError or ValueError for what is no number of threads, 1 to 1024.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> from ddpmcodec.parallel import threads_of
    >>> with threads_of(1):
    ...     data = ddpmcodec.encode(np.zeros((8, 8), np.uint8))
    """
    if count is not None and not 1 <= whole_number("threads", count) <= MOST_THREADS:
        raise ValueError(f"threads must be 1 to {MOST_THREADS}, not {count}")
    choice = object()
    if count is not None:
        _chosen[choice] = int(count)
    try:
        with torch_threads(count):
            yield
    finally:
        _chosen.pop(choice, None)


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """PyTorch, where somebody has imported it, uses so many threads meanwhile; None: as many as before.

    Its number is that of a thread, and of threads that begin later. So what a thread found that began while others
    compute may be theirs: then it puts back what was before all of them.
    """
    torch = sys.modules.get("torch")
    if torch is None or count is None:
        yield
        return
    global _torch_users, _torch_threads
    with _torch_lock:
        found, depth = torch.get_num_threads(), getattr(_inside, "torch_depth", 0)
        if not _torch_users:
            _torch_threads = found
        before = found if depth else _torch_threads
        _torch_users += 1
        _inside.torch_depth = depth + 1
        torch.set_num_threads(count)
    try:
        yield
    finally:
        with _torch_lock:
            torch.set_num_threads(before)
            _inside.torch_depth = depth
            _torch_users -= 1


def _enter_worker(abandoned: threading.Event) -> None:
    _inside.worker, _inside.abandoned = True, abandoned


def stop_if_abandoned() -> None:
    """Raises Abandoned where another piece of work has failed, or after Ctrl-C. Long pieces call it now and then."""
    if is_worker() and _inside.abandoned.is_set():
        raise Abandoned


def side_by_side(pixels: int) -> int:
    """How many pieces of work on so many pixels each may run at a time, however many cores there are."""
    return max(1, WORK_PIXELS // max(pixels, 1))


def portions(items: Iterable[T], pixels: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Groups of neighbours to be worked on together: of WORK_PIXELS at most, or of one item; at most `most` in each."""
    group, total = list[T](), 0
    for item in items:
        if group and (total + pixels(item) > WORK_PIXELS or len(group) == most):
            yield group
            group, total = list[T](), 0
        group.append(item)
        total += pixels(item)
    if group:
        yield group


def run_all(function: Callable[[T], R], items: Iterable[T], most: int | None = None) -> list[R]:
    """[function(item) for item in items], as many at a time as there are threads; a worker splits no further.

    most: how many at a time, where memory is the limit. Pieces that have begun when one fails end at their next
    `stop_if_abandoned`; after Ctrl-C nobody waits for that. Raises MemoryError where the system has no thread more.
    """
    pieces = list(items)
    threads = min(len(pieces), thread_count(), most or len(pieces))
    if threads < 2:
        return [function(piece) for piece in pieces]
    abandoned = threading.Event()
    executor = ThreadPoolExecutor(threads, initializer=_enter_worker, initargs=(abandoned,))
    waits = True
    try:
        return list(_begun(executor, function, pieces))
    except KeyboardInterrupt:  # some pieces, such as Pillow's WebP, cannot be ended
        waits = False
        raise
    finally:
        abandoned.set()
        executor.shutdown(waits, cancel_futures=True)


def interruptible(function: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """Return what a function returns that takes long and cannot be ended. It must write nothing but its result.

    Another thread runs it if this is the main one. After Ctrl-C nobody waits for it.
    """
    if threading.current_thread() is not threading.main_thread():
        return function(*arguments, **options)
    executor = ThreadPoolExecutor(1)
    try:
        result = executor.submit(function, *arguments, **options)
    except RuntimeError:  # the system has no thread more
        return function(*arguments, **options)
    try:
        return result.result()
    finally:
        executor.shutdown(wait=False)
        del result  # an error and it would keep each other, and the caller's files open


def _begun(executor: ThreadPoolExecutor, function: Callable[[T], R], pieces: list[T]) -> Iterator[R]:
    """The results in order. Raises MemoryError where threads cannot be started."""
    try:
        return executor.map(function, pieces)  # which starts the threads
    except RuntimeError as error:
        raise MemoryError(f"{error}, for want of memory, or as processes are limited") from error


def is_forked() -> bool:
    """Whether this process is a fork of one that may have used OpenMP: its threads stayed there, and PyTorch would wait
    for them. New threads of this process, such as those of `run_all`, start their own."""
    return os.getpid() != _imported_in


@contextmanager
def one_thread_if(small: bool) -> Iterator[None]:
    """Keep PyTorch on one thread where `run_all` has others, and for work too small to share: on a busy machine waiting
    for the other threads costs fifty times the work itself (measured on images of 32x32)."""
    with torch_threads(1 if small or is_worker() else None):
        yield
