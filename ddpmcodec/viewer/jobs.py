"""Work in a thread, for pages that ask again and again until it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

T = TypeVar("T")
Advance = Callable[[float], object]  # called with the pixels' worth of work done since the last call
Work = Callable[[Advance], T]


class Superseded(Exception):
    """Nobody waits for this work any longer."""


class Job(Generic[T]):
    """One piece of work. key: names its result. done: pixels' worth of work so far."""

    future: Future[T]

    def __init__(self, key: Hashable, work: Work[T]) -> None:
        self.key, self.done = key, 0.0
        self._work, self._stopped = work, threading.Event()

    def run(self) -> T:
        self.advance(0)
        return self._work(self.advance)

    def advance(self, amount: float) -> None:
        """Raises Superseded, which ends the work, once the job was stopped."""
        if self._stopped.is_set():
            raise Superseded
        self.done += amount

    def stop(self) -> None:
        self._stopped.set()


class Jobs(Generic[T]):
    """Jobs in one thread, one at a time; of each slot the latest alone.

    >>> jobs = Jobs[int]()
    >>> jobs.latest("slot", "key", lambda advance: 1 + 1).future.result()
    2
    >>> jobs.close()
    True
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1)
        self._latest: dict[Hashable, Job[T]] = {}
        self._unfinished: set[Future[T]] = set()
        self._lock = threading.Lock()

    def latest(self, slot: Hashable, key: Hashable, work: Work[T]) -> Job[T]:
        """The slot's job of this key. A job of another key makes way: it does not start, or ends when it advances."""
        with self._lock:
            job = self._latest.get(slot)
            if job is None or job.key != key:
                if job is not None:
                    job.stop()
                job = self._latest[slot] = Job(key, work)
                job.future = self._executor.submit(job.run)
                self._unfinished.add(job.future)
                job.future.add_done_callback(self._unfinished.discard)
            return job

    def forget(self, slot: Hashable, job: Job[T]) -> None:
        """Drops a job once its result is kept elsewhere."""
        with self._lock:
            if self._latest.get(slot) is job:
                del self._latest[slot]

    def stop(self) -> None:
        """Ends all jobs, the one that runs as soon as it advances."""
        with self._lock:
            for job in self._latest.values():
                job.stop()
            self._latest.clear()

    def close(self, patience: float = 0) -> bool:
        """Ends all jobs, and takes no more. Whether the one that runs has ended within so many seconds."""
        self.stop()
        self._executor.shutdown(wait=False, cancel_futures=True)
        return not wait(self._unfinished.copy(), patience).not_done
