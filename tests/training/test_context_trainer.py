"""Training of a context model: it learns, goes on where it was, and says what its state is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec.coding_schedule import SCHEDULES, STEPS
from ddpmcodec.errors import TrainingError
from ddpmcodec.networks.context.shape import BAND_KINDS
from ddpmcodec.training import context_trainer
from ddpmcodec.training.context_trainer import (
    TURNS,
    ContextTrainer,
    read_facts,
    read_networks,
    read_state,
    train,
    write_state,
)
from ddpmcodec.training.positions import Pool


def smooth(count: int, side: int = 32, seed: int = 0) -> np.ndarray:
    """Slopes and a little noise, uint8 [N, side, side, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    slope = rng.uniform(-3, 3, (2, count, 1, 1, 1))
    plane = 128 + slope[0] * (x - side / 2)[..., None] + slope[1] * (y - side / 2)[..., None]
    noise = rng.normal(0, 2, (count, side, side, 3))
    return np.clip(plane + noise, 0, 255).astype(np.uint8)


def trainer_of(seed: int = 0) -> ContextTrainer:
    torch.manual_seed(seed)
    state = {"calls": 0}

    def source() -> np.ndarray:
        state["calls"] += 1
        return smooth(4, seed=state["calls"])

    pool = Pool(source, shares={"short": 0.2, "long": 0.1}, capacity=4000, uses=4.0)
    return ContextTrainer(pool, batch=128, compiled=False)


def parameters(trainer: ContextTrainer) -> list[torch.Tensor]:
    return [p.detach().clone() for network in trainer.networks for p in network.parameters()]


def test_networks_take_turns_and_learn() -> None:
    trainer, held_out = trainer_of(), [smooth(2, seed=99)]
    before = sum(trainer.evaluate(held_out))
    kinds = [trainer.update(0.0)[0] for _ in range(5 * len(TURNS))]
    assert kinds == 5 * list(TURNS)
    assert set(kinds) == set(range(BAND_KINDS))
    assert sum(trainer.evaluate(held_out)) < 0.8 * before
    assert trainer.taken == len(kinds)


def test_every_step_of_every_schedule_is_evaluated() -> None:
    costs = trainer_of().evaluate([smooth(1), smooth(1, side=24)])
    assert len(costs) == len(STEPS)
    assert all(cost > 0 for cost in costs)


def test_rates_fall_to_nothing() -> None:
    trainer = trainer_of()
    for _ in range(2 * len(TURNS)):
        trainer.update(0.0)
    before = parameters(trainer)
    for _ in range(len(TURNS)):
        trainer.update(1.0)
    for a, b in zip(before, parameters(trainer), strict=True):
        assert torch.equal(a, b)


# --- states


def test_a_state_goes_on_where_it_was(tmp_path: Path) -> None:
    trainer = trainer_of()
    for _ in range(9):
        trainer.update(0.0)
    trainer.seconds = 12.5
    write_state(tmp_path / "state", trainer, {"name": "x"})
    other = trainer_of(seed=1)
    read_state(tmp_path / "state", other)
    assert (other.taken, other.seconds, other.pool.images) == (trainer.taken, 12.5, trainer.pool.images)
    assert all(torch.equal(a, b) for a, b in zip(parameters(trainer), parameters(other), strict=True))
    other.pool = trainer.pool
    saved = trainer.pool.rng.bit_generator.state, trainer.pool.due[:]
    first = trainer.update(0.3)
    trainer.pool.rng.bit_generator.state, trainer.pool.due[:] = saved
    assert other.update(0.3) == first
    assert all(torch.equal(a, b) for a, b in zip(parameters(trainer), parameters(other), strict=True))


def test_a_state_tells_its_facts_and_networks(tmp_path: Path) -> None:
    trainer = trainer_of()
    trainer.update(0.0)
    write_state(tmp_path / "state", trainer, {"name": "x", "rate": 0.5})
    facts = read_facts(tmp_path / "state")
    assert (facts["name"], facts["rate"], facts["taken"]) == ("x", 0.5, 1)
    for own, read in zip(trainer.networks, read_networks(tmp_path / "state"), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(own.parameters(), read.parameters(), strict=True))


@pytest.mark.parametrize("content", [b"", b"no state", None])
def test_what_is_no_state_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "state"
    if content is not None:
        path.write_bytes(content)
    for read in (read_facts, read_networks, lambda p: read_state(p, trainer_of())):
        with pytest.raises(TrainingError, match=r"state: not the state of a training run \(.*: name a folder that"):
            read(path)


def test_a_state_of_other_networks_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save

    tensors = {f"band{k}.weights.enter": torch.zeros(3, 3) for k in range(3)}
    facts = '{"taken": 1, "seconds": 2.0, "images": 3}'
    (tmp_path / "state").write_bytes(save(tensors, metadata={"ddpmcodec": facts}))
    with pytest.raises(TrainingError, match="not the state of a training run"):
        read_state(tmp_path / "state", trainer_of())


# --- a run


def test_a_run_logs_evaluates_and_saves(tmp_path: Path) -> None:
    trainer, log = trainer_of(), list[dict[str, Any]]()
    train(trainer, 1e-4, [smooth(1)], log.append, tmp_path / "state", facts=lambda: {"by": "test"})
    last = log[-1]
    assert last["step"] == trainer.taken > 0
    assert last["done"] == 1.0
    assert set(last["held_out"]) == set(SCHEDULES)
    assert len(last["steps"]) == len(STEPS)
    assert read_facts(tmp_path / "state")["by"] == "test"
    assert trainer.seconds >= 0.36


def test_a_run_stops_when_it_is_told_to(tmp_path: Path) -> None:
    trainer = trainer_of()
    train(trainer, 1.0, [], lambda _: None, tmp_path / "state", stop=lambda: trainer.taken == 3)
    assert read_facts(tmp_path / "state")["taken"] == 3


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of()
    monkeypatch.setattr(trainer, "update", lambda done: (0, float("nan")))
    with pytest.raises(TrainingError, match="the loss is nan after 0 steps: go back to the last save"):
        train(trainer, 1.0, [], lambda _: None, tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_the_first_scales_are_those_of_what_is_coded() -> None:
    trainer = trainer_of()
    network, positions = trainer.networks[2], trainer.pool.draw(2, 400)
    context_trainer.begin_scales(network, positions)
    chosen = positions.situation.unique()  # type: ignore[no-untyped-call]
    scales = network.biases["leave"].data[:, 3:6]
    assert torch.isfinite(scales).all()
    middle = ((positions.new_lo + positions.new_hi) / 2).abs()
    sizes = torch.stack([middle[0, positions.situation == s].mean() for s in chosen])
    order = torch.argsort(sizes)
    assert (torch.diff(scales[chosen, 0][order]) >= -1e-5).all()
