"""Work on all cores: every piece once, in order, and PyTorch's threads as they were."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from ddpmcodec.parallel import one_thread_if, run_all


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_results_come_in_order(count: int) -> None:
    assert run_all(lambda n: n * n, iter(range(count))) == [n * n for n in range(count)]
    assert torch.get_num_threads() == 2


def test_pieces_run_side_by_side_with_one_thread_each() -> None:
    meeting = threading.Barrier(2)

    def piece(_: int) -> tuple[int, int]:
        meeting.wait(timeout=60)
        return threading.get_ident(), torch.get_num_threads()

    found = run_all(piece, range(4))
    assert {threads for _, threads in found} == {1}
    assert len({thread for thread, _ in found}) == 2
    assert threading.get_ident() not in {thread for thread, _ in found}


def test_work_inside_a_worker_is_not_split_again() -> None:
    def outer(_: int) -> set[int]:
        return set(run_all(lambda _: threading.get_ident(), range(5)))

    inner = run_all(outer, range(2))
    assert [len(threads) for threads in inner] == [1, 1]


def test_one_piece_keeps_the_threads_of_pytorch() -> None:
    assert run_all(lambda _: (threading.get_ident(), torch.get_num_threads()), [0]) == [(threading.get_ident(), 2)]


def test_on_one_thread_nothing_is_started() -> None:
    torch.set_num_threads(1)
    assert set(run_all(lambda _: threading.get_ident(), range(3))) == {threading.get_ident()}


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


@pytest.mark.parametrize(("small", "threads"), [(True, 1), (False, 2)])
def test_small_work_stays_on_one_thread(small: bool, threads: int) -> None:
    with one_thread_if(small):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2


def test_threads_come_back_after_an_error_too() -> None:
    def fail() -> None:
        with one_thread_if(True):
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert torch.get_num_threads() == 2
