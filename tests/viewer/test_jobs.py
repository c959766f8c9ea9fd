"""Of a slot's jobs the latest alone is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from ddpmcodec.viewer.jobs import Advance, Jobs, Superseded


@pytest.fixture
def jobs() -> Iterator[Jobs[str]]:
    made = Jobs[str]()
    yield made
    made.close()


class Blocked:
    """Work that goes on when it is let, and says that it began."""

    def __init__(self) -> None:
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, advance: Advance) -> str:
        self.began.set()
        self.go.wait()
        advance(1)
        return "done"


def test_the_same_key_is_the_same_job(jobs: Jobs[str]) -> None:
    first = jobs.latest("page", 1, lambda advance: "one")
    assert jobs.latest("page", 1, lambda advance: "never called") is first
    assert first.future.result() == "one"


def test_a_newer_key_ends_the_job_that_runs_when_it_advances_and_those_that_wait(jobs: Jobs[str]) -> None:
    work = Blocked()
    running = jobs.latest("page", 1, work)
    work.began.wait()
    waiting = jobs.latest("page", 2, lambda advance: "never called")
    latest = jobs.latest("page", 3, lambda advance: "three")
    work.go.set()
    assert latest.future.result() == "three"
    for job in (running, waiting):
        with pytest.raises(Superseded):
            job.future.result()


def test_slots_do_not_disturb_each_other(jobs: Jobs[str]) -> None:
    work = Blocked()
    one = jobs.latest("page", 1, work)
    other = jobs.latest("other page", 2, lambda advance: "two")
    work.go.set()
    assert (one.future.result(), other.future.result(), one.done) == ("done", "two", 1)


def test_errors_are_the_result_until_the_job_is_forgotten(jobs: Jobs[str]) -> None:
    def fail(advance: Advance) -> str:
        raise ValueError("as it is")

    failed = jobs.latest("page", 1, fail)
    with pytest.raises(ValueError, match="as it is"):
        failed.future.result()
    jobs.forget("page", failed)
    assert jobs.latest("page", 1, lambda advance: "again").future.result() == "again"


def test_stopped_jobs_end_and_are_made_anew(jobs: Jobs[str]) -> None:
    work = Blocked()
    running = jobs.latest("page", 1, work)
    work.began.wait()
    jobs.stop()
    work.go.set()
    with pytest.raises(Superseded):
        running.future.result()
    assert jobs.latest("page", 1, lambda advance: "again").future.result() == "again"


def test_closing_ends_what_runs_and_says_whether_it_has_ended() -> None:
    jobs, work = Jobs[str](), Blocked()
    running = jobs.latest("page", 1, work)
    waiting = jobs.latest("other page", 2, lambda advance: "never called")
    work.began.wait()
    assert not jobs.close(0.01)
    work.go.set()
    with pytest.raises(Superseded):
        running.future.result()
    assert waiting.future.cancelled()
    assert jobs.close()
