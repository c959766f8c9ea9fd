"""Training of a context model: it learns, goes on where it was, and says what its state is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec.coding_schedule import SCHEDULES, STEPS
from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.networks.context.shape import BAND_KINDS
from ddpmcodec.networks.context.window import INPUTS
from ddpmcodec.training import context_trainer, state
from ddpmcodec.training.context_trainer import ROUND_ROBIN, ContextSettings, ContextTrainer, first_networks, networks_of

SETTINGS = ContextSettings(("x",), width=32, depth=2, batch=128)


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_trainer, "CAPACITY", 4000)


def smooth(count: int, side: int = 32, seed: int = 0) -> np.ndarray:
    """Slopes and a little noise, uint8 [N, side, side, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    slope = rng.uniform(-3, 3, (2, count, 1, 1, 1))
    plane = 128 + slope[0] * (x - side / 2)[..., None] + slope[1] * (y - side / 2)[..., None]
    noise = rng.normal(0, 2, (count, side, side, 3))
    return np.clip(plane + noise, 0, 255).astype(np.uint8)


class Slopes:
    """Batches of smooth images without end."""

    number = 0

    def __call__(self) -> np.ndarray:
        self.number += 1
        return smooth(4, seed=self.number)


def trainer_of(held_out: Any = (), **changed: Any) -> ContextTrainer:
    return ContextTrainer(replace(SETTINGS, **changed), Slopes(), held_out, compiled=False)


def parameters(trainer: ContextTrainer) -> list[torch.Tensor]:
    return [p.detach().clone() for network in trainer.networks for p in network.parameters()]


def test_networks_are_trained_round_robin_and_learn() -> None:
    trainer, held_out = trainer_of(), [smooth(2, seed=99)]
    before = sum(trainer.code_length(held_out))
    found = [trainer.update() for _ in range(5 * len(ROUND_ROBIN))]
    kinds = [int(key.removeprefix("loss_")) - 1 for losses in found for key in losses if key != "loss"]
    assert kinds == 5 * list(ROUND_ROBIN)
    assert set(kinds) == set(range(BAND_KINDS))
    assert sum(trainer.code_length(held_out)) < 0.8 * before
    assert (trainer.step, trainer.images) == (len(kinds), 4 * trainer.source.number)


def test_every_step_of_every_schedule_is_evaluated() -> None:
    found = trainer_of([smooth(1), smooth(1, side=24)]).evaluate()
    assert set(found["held_out"]) == set(SCHEDULES)
    assert len(found["steps"]) == len(STEPS)
    assert all(cost > 0 for cost in found["steps"])
    assert trainer_of().evaluate() == {}


def test_rates_fall_to_nothing() -> None:
    trainer = trainer_of(hours=1.0)
    for _ in range(2 * len(ROUND_ROBIN)):
        trainer.update()
    before = parameters(trainer)
    trainer.seconds = 3600.0
    assert trainer.progress() == 1
    for _ in range(len(ROUND_ROBIN)):
        trainer.update()
    for a, b in zip(before, parameters(trainer), strict=True):
        assert torch.equal(a, b)


# --- states


def test_a_state_goes_on_where_it_was(tmp_path: Path) -> None:
    trainer, other = trainer_of(), trainer_of(seed=1)
    for _ in range(9):
        trainer.update()
    trainer.seconds = 12.5
    state.write(tmp_path, trainer.state())
    other.restore(state.read(tmp_path))
    assert (other.step, other.seconds, other.images) == (9, 12.5, trainer.images)
    assert other.source.number == trainer.source.number
    assert all(torch.equal(a, b) for a, b in zip(parameters(trainer), parameters(other), strict=True))
    other.replay = trainer.replay
    saved = trainer.replay.generator.get_state(), trainer.replay.due[:]
    first = trainer.update()
    trainer.replay.generator.set_state(saved[0])
    trainer.replay.due[:] = saved[1]
    assert other.update() == first
    assert all(torch.equal(a, b) for a, b in zip(parameters(trainer), parameters(other), strict=True))


def test_a_state_has_the_networks() -> None:
    trainer = trainer_of()
    trainer.update()
    for own, read in zip(trainer.networks, networks_of(trainer.state(), Path("run")), strict=True):
        assert read.shape == (32, 2)
        assert all(torch.equal(a, b) for a, b in zip(own.parameters(), read.parameters(), strict=True))


def test_the_state_of_another_run_has_none(tmp_path: Path) -> None:
    other = state.State({"network.enter": torch.zeros(3)}, {"step": 1})
    with pytest.raises(TrainingError, match=r"run/state.safetensors: not the state of such a run \(.*: name a folder"):
        networks_of(other, Path("run"))


def test_the_first_scales_are_those_of_what_is_coded() -> None:
    trainer = trainer_of()
    network, positions = trainer.networks[2], trainer.replay.draw(2, 400)
    context_trainer.begin_scales(network, positions)
    chosen = positions.situation.unique()  # type: ignore[no-untyped-call]
    scales = network.biases["leave"].data[:, 3:6]
    assert torch.isfinite(scales).all()
    middle = ((positions.new_lo + positions.new_hi) / 2).abs()
    sizes = torch.stack([middle[0, positions.situation == s].mean() for s in chosen])
    order = torch.argsort(sizes)
    assert (torch.diff(scales[chosen, 0][order]) >= -1e-5).all()


# --- what networks begin as


def test_a_run_begins_with_a_model_that_grows(context_path: Path) -> None:
    rows, situations = torch.full((5, INPUTS), 130, dtype=torch.uint8), torch.arange(5)
    plain = first_networks(ContextSettings(("x",), start=str(context_path)))
    wider = first_networks(ContextSettings(("x",), start=str(context_path), width=208, depth=4))
    for own, grew in zip(plain, wider, strict=True):
        assert grew.shape == (208, 4)
        assert torch.equal(own(rows, situations), grew(rows, situations))


def test_a_shape_that_networks_cannot_have_is_refused(context_path: Path) -> None:
    with pytest.raises(TrainingError, match="200 wide with 3 blocks: give a --width that is a multiple of 16 up"):
        first_networks(ContextSettings(("x",), width=200))
    with pytest.raises(TrainingError, match="its networks are 192 wide with 3 blocks: give a --width and a"):
        first_networks(ContextSettings(("x",), start=str(context_path), width=96))


def test_a_run_begins_with_the_networks_of_another(tmp_path: Path) -> None:
    trainer = trainer_of()
    state.write(tmp_path, trainer.state())
    for own, read in zip(trainer.networks, first_networks(replace(SETTINGS, start=str(tmp_path))), strict=True):
        rows, situations = torch.full((5, INPUTS), 131, dtype=torch.uint8), torch.arange(5)
        assert torch.equal(own(rows, situations), read(rows, situations))


def test_a_run_goes_on_without_what_it_began_with() -> None:
    settings = replace(SETTINGS, start="a model that is gone")
    with pytest.raises(ModelError, match="no model of that name"):
        ContextTrainer(settings, Slopes(), compiled=False)
    first = trainer_of()
    first.update()
    second = ContextTrainer(settings, Slopes(), compiled=False, begins=False)
    second.restore(first.state())
    assert all(torch.equal(a, b) for a, b in zip(parameters(first), parameters(second), strict=True))
