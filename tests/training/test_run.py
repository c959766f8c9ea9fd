"""The loop that all runs share, with a trainer that counts: what it logs, when it saves, how it ends and goes on."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ddpmcodec.errors import OutputError, TrainingError
from ddpmcodec.training import run, state
from ddpmcodec.training.run import saved_settings, settings_of
from ddpmcodec.training.state import State


@dataclass(frozen=True)
class Inner:
    width: int = 8
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Settings:
    data: tuple[str, ...] = ("a", "b")
    steps: int = 5
    rate: float = 0.5
    start: str | None = None
    network: Inner = Inner()


class Counter:
    """Its loss is its step, and a step takes as long as it says."""

    unit = "bits/dim"

    def __init__(self, settings: Settings = Settings(), pace: float = 0.0) -> None:
        self.settings, self.pace = settings, pace
        self.step, self.seconds, self.saves, self.images_digest = 0, 0.0, list[int](), "of none"
        self.before: Callable[[], object] = lambda: None

    @property
    def images(self) -> int:
        return 3 * self.step

    def progress(self) -> float:
        return min(1.0, self.step / self.settings.steps)

    def update(self) -> dict[str, float]:
        self.before()
        self.step += 1
        self.seconds += self.pace
        return {"loss": float(self.step), "norm": 0.25}

    def evaluate(self) -> dict[str, Any]:
        return {"held_out": {"one": 1.5, "two": 2.5}}

    def state(self) -> State:
        self.saves.append(self.step)
        facts = {"settings": run.asdict(self.settings), "step": self.step, "seconds": self.seconds}
        return State({"weights": torch.tensor([float(self.step)])}, facts)

    def files(self) -> dict[str, bytes]:
        return {"model": bytes([self.step])}


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / run.LOG).read_text().splitlines()]


def test_a_run_ends_with_an_evaluation_and_a_save(tmp_path: Path) -> None:
    said: list[object] = []
    trainer = Counter()
    assert run.run(trainer, tmp_path / "run", said.append)
    first, last = records(tmp_path / "run")
    assert first == {"settings": json.loads(json.dumps(run.asdict(trainer.settings))), "step": 0}
    assert (last["step"], last["images"], last["done"]) == (5, 15, 1.0)
    assert (last["loss"], last["norm"], last["held_out"]) == (3.0, 0.25, {"one": 1.5, "two": 2.5})
    assert said == ["100%, step 5: one 1.5000, two 2.5000 bits/dim on held-out images"]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["log.jsonl", "model", "state.safetensors"]
    assert (tmp_path / "run" / "model").read_bytes() == b"\5"


def test_lines_evaluations_and_saves_come_by_the_clock_of_training(tmp_path: Path) -> None:
    """Steps of ten seconds: a line every 20, saves after 45 and 300 more, evaluations by the minute."""
    trainer = Counter(Settings(steps=40), pace=10.0)
    run.run(trainer, tmp_path, lambda _: None, evaluate_minutes=1.0)
    found = records(tmp_path)[1:]
    assert [line["step"] for line in found if "held_out" in line] == [6, 12, 18, 24, 30, 36, 40]
    assert [line["step"] for line in found if "held_out" not in line][:5] == [2, 4, 7, 9, 11]
    assert trainer.saves == [5, 35, 40]
    assert found[0]["loss"] == 1.5
    assert found[1]["loss"] == 3.5
    assert {line["images_per_second"] for line in found} == {0.3}  # three images in ten seconds


def test_a_finished_run_has_nothing_to_do(tmp_path: Path) -> None:
    trainer = Counter()
    trainer.step = 5
    assert run.run(trainer, tmp_path, lambda _: None)
    assert trainer.saves == []


def test_sigterm_saves_and_ends_the_run(tmp_path: Path) -> None:
    trainer = Counter()
    trainer.before = lambda: trainer.step == 2 and os.kill(os.getpid(), signal.SIGTERM)
    before = signal.getsignal(signal.SIGTERM)
    assert not run.run(trainer, tmp_path, lambda _: None)
    assert signal.getsignal(signal.SIGTERM) is before
    assert trainer.saves == [3]
    assert [line["step"] for line in records(tmp_path)] == [0, 3]


def test_a_loss_that_is_no_number_ends_the_run_without_a_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Counter()
    monkeypatch.setattr(trainer, "update", lambda: {"loss": float("nan")})
    with pytest.raises(TrainingError, match="loss is nan"):
        run.run(trainer, tmp_path, lambda _: None)
    assert not state.exists(tmp_path)


def test_of_many_processes_one_writes_and_all_stop(tmp_path: Path) -> None:
    trainer = Counter()
    assert not run.run(trainer, tmp_path / "run", lambda _: None, writes=False, agree=lambda _: trainer.step == 2)
    assert trainer.step == 2
    assert run.run(trainer, tmp_path / "run", lambda _: None, writes=False)
    assert not (tmp_path / "run").exists()


# --- full disks


@contextmanager
def full_disk() -> Iterator[None]:
    """The limit on file sizes fails a write in the same way as a full disk does: after a part of the data."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_full_disk_keeps_the_last_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run.run(Counter(), tmp_path, lambda _: None)
    before = contents(tmp_path)
    trainer = Counter(Settings(steps=9))
    monkeypatch.setattr(trainer, "state", lambda: State({"weights": torch.zeros(50_000)}, {}))
    with (
        full_disk(),
        pytest.raises(OutputError, match=r"state.safetensors: .*File too large"),
    ):
        run.run(trainer, tmp_path, lambda _: None)
    after = contents(tmp_path)
    assert after.pop("log.jsonl").startswith(before.pop("log.jsonl"))
    assert after == before


def test_a_log_that_cannot_grow_keeps_whole_lines(tmp_path: Path) -> None:
    before = b'{"step": 0}\n' + b" " * 99_900 + b"\n"
    (tmp_path / run.LOG).write_bytes(before)
    with (
        full_disk(),
        pytest.raises(OutputError, match=r"log.jsonl: .*File too large"),
    ):
        run.run(Counter(), tmp_path, lambda _: None)
    assert contents(tmp_path) == {run.LOG: before}


# --- resuming


@pytest.fixture
def out(tmp_path: Path) -> Path:
    run.run(Counter(), tmp_path, lambda _: None)
    return tmp_path


def test_settings_are_saved_with_a_run(out: Path) -> None:
    assert saved_settings(out, Settings) == Settings()


def test_a_resumed_run_keeps_its_settings_but_for_changes(out: Path) -> None:
    other = Settings(data=(), steps=9, rate=0.1)
    found = settings_of(out, other, resume=True, chosen=["steps"], changes=["steps"])
    assert found == (replace(Settings(), steps=9), True)


def test_a_file_is_no_folder_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(TrainingError, match="run: is a file"):
        settings_of(tmp_path / "run", Settings(), resume=False)


def test_a_folder_without_a_run_takes_the_settings_as_they_are(tmp_path: Path) -> None:
    assert settings_of(tmp_path, Settings(rate=0.1), resume=True) == (Settings(rate=0.1), False)


def test_a_folder_without_a_run_and_no_data_make_none(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nope: .*no run"):
        settings_of(tmp_path / "nope", Settings(data=()), resume=True)


def test_another_run_is_not_gone_on_with_unasked(out: Path) -> None:
    with pytest.raises(TrainingError, match="holds a training run"):
        settings_of(out, Settings(), resume=False)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rate": 0.1}, "rate=0.5, not 0.1"),
        ({"start": "x"}, "start=None, not x"),
        ({"data": ("c",)}, "data=a, b, not c"),
        ({"network": Inner(width=9)}, "width=8, not 9"),
    ],
)
def test_other_settings_are_refused(out: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingError, match=f"started with {said}"):
        settings_of(out, replace(Settings(), **changed), resume=True, chosen=list(changed), changes=["steps"])


@pytest.mark.parametrize(
    "changed",
    [
        {"rate": "0.5"},
        {"steps": None},
        {"steps": 2.5},
        {"data": ["a", 3]},
        {"data": "ab"},
        {"start": 5},
        {"network": 8},
    ],
    ids=str,
)
def test_a_state_whose_settings_are_of_other_types_is_refused(out: Path, changed: dict[str, Any]) -> None:
    saved = state.read(out)
    saved.facts["settings"] |= changed
    state.write(out, saved)
    with pytest.raises(TrainingError, match="not the state"):
        saved_settings(out, Settings)


@pytest.mark.parametrize(
    ("told", "before", "compiles"),
    [(None, None, True), (None, False, False), (None, True, True), (True, False, True), (False, True, False)],
)
def test_a_resumed_run_compiles_as_before_unless_told(told: bool | None, before: bool | None, compiles: bool) -> None:
    saved = None if before is None else State({}, {"compiled": before})
    assert run.compiles(told, saved) == compiles


def test_a_state_without_such_settings_is_refused(out: Path) -> None:
    saved = state.read(out)
    del saved.facts["settings"]["rate"]
    state.write(out, saved)
    with pytest.raises(TrainingError, match="not the state"):
        saved_settings(out, Settings)


def test_a_folder_is_trained_in_by_one_process_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "new" / "run"
    with run.alone_in(out):
        with (
            pytest.raises(TrainingError, match="another process"),
            run.alone_in(out),
        ):
            raise AssertionError
        assert out.is_dir()
    assert not out.exists()  # nothing was written
    with run.alone_in(out):
        (out / "kept").touch()
    with run.alone_in(out):
        assert (out / "kept").exists()


def test_other_images_than_before_are_noted(tmp_path: Path) -> None:
    said: list[object] = []
    trainer = Counter()
    run.run(trainer, tmp_path, said.append)
    saved = state.read(tmp_path)
    assert saved.facts["images_digest"] == "of none"
    said.clear()
    for before, digest in ((None, "x"), (saved, "of none"), (State({}, {}), "x")):
        run.say_if_changed(before, digest, said.append)
    assert said == []
    run.say_if_changed(saved, "x", said.append)
    assert said == [
        "the images are not those that the run was begun with: figures of held-out images may look too good"
    ]


@pytest.mark.parametrize(
    ("loss", "norm", "said"),
    [
        (float("nan"), 1.0, "loss is nan"),
        (0.5, float("inf"), "gradient .*0.5"),
    ],
)
def test_what_is_no_number_ends_a_run(loss: float, norm: float, said: str) -> None:
    run.require_finite(0.5, 1.0, 3)
    with pytest.raises(TrainingError, match=said):
        run.require_finite(loss, norm, 3)


class Compiled(Counter):
    """Compiles until enough was said."""

    compiled = True

    def __init__(self, said: list[object]) -> None:
        super().__init__()
        self.said = said

    def compile(self) -> None:
        while len(self.said) < 3:
            time.sleep(0.01)

    def restore(self, saved: State) -> None:
        self.step = int(saved.facts["step"])


def test_compiling_is_not_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "COMPILE_SECONDS", 0.01)
    said: list[object] = []
    run.prepare(Compiled(said), None, tmp_path, said.append)
    first, *others = map(str, said)
    assert first.startswith("compiling")
    assert all("still compiling" in line for line in others)
