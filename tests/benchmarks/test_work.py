"""Long runs in units: nothing finished is done twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ddpmcodec.benchmarks._work import Task, Unit, Work, groups
from ddpmcodec.errors import DdpmError
from ddpmcodec.parallel import threads_of

IDENTITY = {"dataset": "x"}


class Squares:
    """Units that square a number, note that they did, and may be interrupted."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.done: list[int] = []
        self.stop_at = stop_at

    def units(self, count: int) -> list[Unit]:
        return [Unit(f"{i}^2", 1, self._work(i)) for i in range(count)]

    def _work(self, i: int) -> Callable[[], int]:
        def square() -> int:
            if i == self.stop_at:
                raise KeyboardInterrupt
            self.done.append(i)
            return i * i

        return square


def test_values_come_in_the_order_of_the_units(tmp_path: Path) -> None:
    found = Work(tmp_path, "bpd", IDENTITY).results(Squares().units(3), quiet=True)
    assert found == {"0^2": 0, "1^2": 1, "2^2": 4}
    assert list(found) == ["0^2", "1^2", "2^2"]


def test_an_interrupted_run_keeps_what_is_finished_and_the_next_one_does_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = Squares(stop_at=2), Squares()
    with pytest.raises(KeyboardInterrupt):
        Work(tmp_path, "bpd", IDENTITY).results(first.units(4), quiet=True)
    kept = tmp_path / "bench-bpd.partial.jsonl"
    words = f"ddpmcodec: interrupted: what is finished is kept in {kept}; the same command goes on from there\n"
    assert capsys.readouterr().err == words
    work = Work(tmp_path, "bpd", IDENTITY)
    assert work.results(second.units(4), quiet=True) == {"0^2": 0, "1^2": 1, "2^2": 4, "3^2": 9}
    assert (first.done, second.done) == ([0, 1], [2, 3])
    work.finish({"kind": "bpd"})
    assert [path.name for path in tmp_path.iterdir()] == ["bench-bpd.json"]


def test_a_line_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    Work(tmp_path, "bpd", IDENTITY).results(Squares().units(2), quiet=True)
    kept = tmp_path / "bench-bpd.partial.jsonl"
    kept.write_text(kept.read_text()[:-3])
    again = Squares()
    assert Work(tmp_path, "bpd", IDENTITY).results(again.units(3), quiet=True) == {"0^2": 0, "1^2": 1, "2^2": 4}
    assert again.done == [1, 2]
    assert [json.loads(line) for line in kept.read_text().splitlines()[1:]] == [["0^2", 0], ["1^2", 1], ["2^2", 4]]


def test_kept_work_that_is_damaged_is_named(tmp_path: Path) -> None:
    Work(tmp_path, "bpd", IDENTITY).results(Squares().units(2), quiet=True)
    kept = tmp_path / "bench-bpd.partial.jsonl"
    kept.write_text(kept.read_text().replace('["0^2"', '["0^2'))
    with pytest.raises(DdpmError, match=r"partial.jsonl: .*damaged"):
        Work(tmp_path, "bpd", IDENTITY)


def test_unfinished_work_on_something_else_is_refused(tmp_path: Path) -> None:
    Work(tmp_path, "bpd", IDENTITY).results(Squares().units(1), quiet=True)
    with pytest.raises(DdpmError, match="unfinished work"):
        Work(tmp_path, "bpd", {"dataset": "y"})


def test_units_side_by_side_are_done_by_all_threads(tmp_path: Path) -> None:
    meeting = threading.Barrier(2, timeout=60)  # two units must be at work for either to end

    def meet() -> str:
        meeting.wait()
        return "met"

    units = [Unit(str(i), 1, meet) for i in range(2)]
    with threads_of(2):
        found = Work(tmp_path, "bpd", IDENTITY).results(units, quiet=True, side_by_side=True)
    assert found == {"0": "met", "1": "met"}


def test_progress_says_the_share_and_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Work(tmp_path, "bpd", IDENTITY).results(Squares().units(2))
    assert "bench bpd: 100%" in (shown := capsys.readouterr().err)
    assert shown.rstrip().endswith("00:00 left")


# --- what is measured image by image


def test_groups_are_of_so_many_images_and_pixels_and_of_one_image_at_least() -> None:
    assert list(groups([1] * 5, 2, 100)) == [(0, 2), (2, 4), (4, 5)]
    assert list(groups([3, 3, 9, 1, 1], 10, 6)) == [(0, 2), (2, 3), (3, 5)]


def test_the_values_of_all_units_come_back_in_the_order_of_the_images() -> None:
    images = [np.full((2, 3, 3), number, np.uint8) for number in range(5)]
    task = Task("mean", 7, lambda group, first: {"mean": [float(x.mean()) for x in group], "first": [first]}, 2)
    other = Task("mean of others", 1, lambda group, _: {"mean": [-1.0 for _ in group]})
    units = [*other.units(images), *task.units(images)]
    assert [unit.key for unit in units[1:]] == ["mean: 0-2", "mean: 2-4", "mean: 4-5"]
    assert units[1].weight == 7 * 2 * 6
    assert task.collect({unit.key: unit.work() for unit in units}) == {"mean": [0, 1, 2, 3, 4], "first": [0, 2, 4]}
