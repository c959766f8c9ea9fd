"""Calls of the core are short enough for Ctrl-C on any machine. What fails in a batch is found alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from ddpmcodec.codec import passes
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import ALONE, work_through
from ddpmcodec.errors import ImageError
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import thread_count, threads_of


class Timed:
    """A pass on a machine that takes so many seconds for a wave."""

    def __init__(self, coder: Any, seconds: float) -> None:
        self.coder, self.seconds, self.now = coder, seconds, 0.0
        self.calls: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.coder, name)

    def advance(self, waves: int, segment: int) -> int:
        self.now += waves * self.seconds
        self.calls.append(waves)
        done: int = self.coder.advance(waves, segment)
        return done


@pytest.mark.parametrize(("seconds", "most"), [(1e-6, 45), (1e-3, 160), (1.0, 1500)])
@pytest.mark.parametrize("levels", [0, 2])
def test_calls_are_as_long_as_ctrl_c_may_wait(
    levels: int, seconds: float, most: int, model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a wave takes longer, a call becomes one wave; the first call of a step is as long as a guess."""
    pixels, coding = np.zeros((1, 40, 60, 3), np.uint8), Coding(effort=1, levels=levels)
    coder = Timed(passes.new_pass(model, coding, pixels.shape, lanes=False), seconds)
    coder.encode(pixels)
    monkeypatch.setattr(passes.time, "perf_counter", lambda: coder.now)
    monkeypatch.setattr(passes, "FIRST_POSITIONS", 64)
    passes.run(coder, pixels.shape, coding, None, None)
    assert coder.is_exact
    assert len(coder.calls) <= most
    assert all(waves * seconds <= 2 * passes.CALL_SECONDS or waves <= 64 // 15 for waves in coder.calls)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    with threads_of(2):
        yield


def outcomes(keys: Sequence[tuple[int, object]], bad: set[int], jobs: int | None = None) -> tuple[list[str], list[int]]:
    """What each item became, and the sizes of all batches that were tried."""
    found: dict[int, str] = {}
    tried: list[int] = []

    def code(items: Sequence[int]) -> list[str]:
        tried.append(len(items))
        if failing := bad.intersection(items):
            raise ImageError(f"{min(failing)} is bad")
        return [f"{item} is coded" for item in items]

    def done(item: int, outcome: object) -> None:
        assert item not in found
        found[item] = str(outcome)

    work_through(range(len(keys)), keys, code, done, jobs)
    return [found[item] for item in range(len(keys))], tried


@pytest.mark.parametrize("jobs", [None, 1, 2])
def test_files_of_one_size_are_coded_together_for_all_threads(jobs: int | None) -> None:
    found, tried = outcomes([(1024, "a")] * 8 + [(1024, "b")] * 2, set(), jobs)
    assert found == [f"{n} is coded" for n in range(10)]
    assert sorted(tried) == [1, 1, 4, 4]


def test_what_fails_is_found_by_halves_and_stops_no_other() -> None:
    found, tried = outcomes([(64, "a")] * 16, {3}, jobs=1)
    assert found == ["3 is bad" if n == 3 else f"{n} is coded" for n in range(16)]
    assert tried == [8, 4, 2, 2, 1, 1, 4, 8]


def test_large_files_are_coded_one_by_one() -> None:
    assert outcomes([(ALONE, "a")] * 3, set())[1] == [1, 1, 1]


def test_jobs_are_side_by_side_on_one_thread_each() -> None:
    meeting = threading.Barrier(2)

    def code(items: Sequence[int]) -> list[int]:
        meeting.wait(timeout=60)
        return [thread_count()]

    found: list[object] = []
    work_through([0, 1], [(ALONE, 0), (ALONE, 1)], code, lambda item, outcome: found.append(outcome))
    assert found == [1, 1]


def test_one_file_has_all_threads() -> None:
    found: list[object] = []
    work_through([0], [(ALONE, 0)], lambda items: [thread_count()], lambda item, outcome: found.append(outcome))
    assert found == [2]


def test_a_reader_that_went_away_ends_the_work() -> None:
    def code(items: Sequence[int]) -> list[int]:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        work_through([0, 1], [(64, 0)] * 2, code, print, jobs=1)


def test_threads_are_as_before_afterwards() -> None:
    with threads_of(5):
        assert thread_count() == 5
    with threads_of(None):
        assert thread_count() == 2
