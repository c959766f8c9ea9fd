"""Work on all cores: every piece once, in order, and threads as they were, PyTorch's too."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from ddpmcodec import parallel
from ddpmcodec.parallel import (
    WORK_PIXELS,
    interruptible,
    one_thread_if,
    portions,
    run_all,
    side_by_side,
    stop_if_abandoned,
    thread_count,
    threads_of,
)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """PyTorch's threads are as many beforehand, too, on a machine of any number of cores."""
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    with threads_of(2):
        yield
    torch.set_num_threads(usual)


def test_portions_are_limited_by_pixels_and_by_number() -> None:
    half = WORK_PIXELS // 2
    sizes = [half, half, 1, 3 * half, 1, 1, 1]
    assert list(portions(sizes, int, most=2)) == [[half, half], [1], [3 * half], [1, 1], [1]]
    assert list(portions([], int, most=2)) == []


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_results_come_in_order(count: int) -> None:
    assert run_all(lambda n: n * n, iter(range(count))) == [n * n for n in range(count)]
    assert torch.get_num_threads() == 2


def test_pieces_run_side_by_side_with_one_thread_each() -> None:
    meeting = threading.Barrier(2)

    def piece(_: int) -> tuple[int, int]:
        meeting.wait(timeout=60)
        with one_thread_if(small=False):  # as the Gaussian model computes
            return threading.get_ident(), torch.get_num_threads() * thread_count()

    found = run_all(piece, range(4))
    assert {threads for _, threads in found} == {1}
    assert len({thread for thread, _ in found}) == 2
    assert threading.get_ident() not in {thread for thread, _ in found}


def test_work_inside_a_worker_is_not_split_again() -> None:
    def outer(_: int) -> set[int]:
        return set(run_all(lambda _: threading.get_ident(), range(5)))

    inner = run_all(outer, range(2))
    assert [len(threads) for threads in inner] == [1, 1]


def test_one_piece_keeps_all_threads() -> None:
    assert run_all(lambda _: (threading.get_ident(), thread_count()), [0]) == [(threading.get_ident(), 2)]


def test_threads_are_as_before_afterwards() -> None:
    with threads_of(5):
        assert (thread_count(), torch.get_num_threads()) == (5, 5)
        with threads_of(None):
            assert (thread_count(), torch.get_num_threads()) == (5, 5)
    assert (thread_count(), torch.get_num_threads()) == (2, 2)


def test_choices_of_threads_that_overlap_end_with_them() -> None:
    begun, ended = threading.Event(), threading.Event()

    def other() -> None:
        with threads_of(3):
            begun.set()
            ended.wait()

    thread = threading.Thread(target=other)
    with threads_of(5):
        thread.start()
        begun.wait()
        assert thread_count() == 3
    assert thread_count() == 3
    ended.set()
    thread.join()
    assert thread_count() == 2


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("1", 1), ("1,2", 1), ("0", None), ("many", None), ("\N{SUPERSCRIPT TWO}", None), ("9999", None)],
)
def test_the_environment_may_say_fewer(variable: str, expected: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_chosen", {})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = thread_count()
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert thread_count() == (expected or cores)


def test_on_one_thread_nothing_is_started() -> None:
    with threads_of(1):
        assert set(run_all(lambda _: threading.get_ident(), range(3))) == {threading.get_ident()}


@pytest.mark.parametrize("started", [0, 1])
def test_where_the_system_has_no_thread_more_it_is_a_want_of_memory(
    started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, count = threading.Thread.start, [0]

    def limited(thread: threading.Thread) -> None:
        if count[0] == started:
            raise RuntimeError("can't start new thread")
        count[0] += 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(MemoryError, match="new thread"):
        run_all(lambda n: threading.Event().wait(0.01), range(9))
    assert torch.get_num_threads() == 2


def test_an_error_ends_the_work_and_comes_out() -> None:
    begun: list[int] = []

    def piece(n: int) -> None:
        begun.append(n)
        if n == 0:
            raise ValueError("piece 0")
        threading.Event().wait(0.01)

    with pytest.raises(ValueError, match="piece 0"):
        run_all(piece, range(1000))
    assert len(begun) < 1000
    assert torch.get_num_threads() == 2


def test_an_error_ends_pieces_that_have_begun(capsys: pytest.CaptureFixture[str]) -> None:
    meeting = threading.Barrier(2)

    def piece(n: int) -> None:
        meeting.wait(timeout=60)
        while n:
            stop_if_abandoned()
        raise ValueError("piece 0")

    with pytest.raises(ValueError, match="piece 0"):
        run_all(piece, range(2))
    stop_if_abandoned()  # not here
    assert capsys.readouterr().err == ""


def test_ctrl_c_ends_pieces_that_have_begun() -> None:
    def piece(n: int) -> None:
        if n == 0:
            os.kill(os.getpid(), signal.SIGINT)  # as a terminal does: to the process, whose main thread waits
        while True:
            stop_if_abandoned()

    with pytest.raises(KeyboardInterrupt):
        run_all(piece, range(2))


def test_after_ctrl_c_nobody_waits_for_a_piece_that_cannot_be_ended() -> None:
    """Such as one in another library's code."""
    ends, ended = threading.Event(), threading.Event()

    def piece(n: int) -> None:
        if n == 0:
            os.kill(os.getpid(), signal.SIGINT)
        else:
            ends.wait(60)
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        run_all(piece, range(2))
    assert not ended.is_set()
    ends.set()


def test_after_ctrl_c_nobody_waits_for_a_call_that_cannot_be_ended() -> None:
    ends, ended = threading.Event(), threading.Event()

    def call() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        ends.wait(60)
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        interruptible(call)
    assert not ended.is_set()
    ends.set()


def test_a_call_that_cannot_be_ended_runs_in_the_thread_of_a_worker() -> None:
    main = threading.get_ident()
    assert interruptible(threading.get_ident) != main
    assert run_all(lambda _: interruptible(threading.get_ident) == threading.get_ident(), range(2)) == [True, True]
    with pytest.raises(ValueError, match="many"):
        interruptible(int, "many")


def test_memory_limits_the_pieces_at_a_time() -> None:
    assert (side_by_side(WORK_PIXELS), side_by_side(WORK_PIXELS // 3), side_by_side(9 * WORK_PIXELS)) == (1, 3, 1)
    running, most = [0], [0]

    def piece(_: int) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        threading.Event().wait(0.01)
        running[0] -= 1

    with threads_of(4):
        run_all(piece, range(12), most=2)
    assert most == [2]


@pytest.mark.parametrize(("small", "threads"), [(True, 1), (False, 2)])
def test_small_work_stays_on_one_thread(small: bool, threads: int) -> None:
    with one_thread_if(small):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2


def test_pytorch_has_its_threads_again_when_several_callers_were_done_in_any_order() -> None:
    """Its number is that of a thread, and of all that begin later: none must take another's for the user's."""
    inside, first_is_out = threading.Barrier(2), threading.Event()

    def first() -> int:
        with one_thread_if(small=True):
            inside.wait(60)
        first_is_out.set()
        return torch.get_num_threads()

    def second() -> int:
        with one_thread_if(small=True):
            inside.wait(60)
            first_is_out.wait(60)
            with threads_of(5):
                assert torch.get_num_threads() == 5
            assert torch.get_num_threads() == 1
        return torch.get_num_threads()

    for work in ((first, second), (second, first)):
        inside, first_is_out = threading.Barrier(2), threading.Event()
        with ThreadPoolExecutor(2) as executor:
            assert [future.result() for future in [executor.submit(call) for call in work]] == [2, 2]
        with ThreadPoolExecutor(1) as executor:
            assert executor.submit(torch.get_num_threads).result() == 2


def test_threads_come_back_after_an_error_too() -> None:
    def fail() -> None:
        with one_thread_if(True):
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("count", "error"), [(0, ValueError), (-1, ValueError), (1025, ValueError), ("2", TypeError)])
def test_numbers_of_threads_that_cannot_be_are_refused(count: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="threads"), threads_of(count):
        raise AssertionError("it was taken")
