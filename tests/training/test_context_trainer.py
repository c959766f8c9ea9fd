"""Training of a context model: it learns, goes on where it was, and says what its state is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec.errors import TrainingError
from ddpmcodec.models.context import BAND_ROLES, ROLES, contract_role
from ddpmcodec.training import context_trainer, state
from ddpmcodec.training.context_trainer import ContextSettings, ContextTrainer, bits_of, figures, pixel_rate
from ddpmcodec.training.networks import SHARES, networks_of
from ddpmcodec.training.replay import bands_of, pixels_of
from ddpmcodec.training.trainable import Shape, TrainableNetwork

SETTINGS = ContextSettings(("x",), effort=1, batch=128)
ROUNDS = 30  # of updates until all networks have learned


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
    found: np.ndarray = np.clip(plane + noise, 0, 255).astype(np.uint8)
    return found


class Slopes:
    """Batches of smooth images without end."""

    number = 0
    sides = (32, 32)

    def __call__(self) -> np.ndarray:
        self.number += 1
        return smooth(4, seed=self.number)


def trainer_of(held_out: Any = (), **changed: Any) -> ContextTrainer:
    return ContextTrainer(replace(SETTINGS, **changed), Slopes(), held_out, compiled=False)


def parameters(trainer: ContextTrainer) -> list[torch.Tensor]:
    return [p.detach().clone() for network in trainer.networks.values() for p in network.parameters()]


def test_networks_are_trained_round_robin_and_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_trainer, "WARMUP", 1)
    trainer = trainer_of([smooth(2, seed=99)], muon_rate=0.004, adam_rate=0.001)
    before = trainer.evaluate()["held_out"]
    found = [trainer.update() for _ in range(ROUNDS * sum(SHARES.values()))]
    roles = [key.removeprefix("loss_") for losses in found for key in losses if key != "loss"]
    assert Counter(roles) == {role: ROUNDS * share for role, share in SHARES.items()}
    after = trainer.evaluate()["held_out"]
    assert all(after[name] < 0.95 * before[name] for name in ("levels 0", "levels 1", "levels 2", "levels 5"))
    assert (trainer.step, trainer.images) == (len(roles), 4 * trainer.source.number)


def test_a_gradient_that_is_no_number_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(roles=("direct",))
    before = {name: value.clone() for name, value in trainer.networks["direct"].state_dict().items()}
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda parameters, norm: torch.tensor(float("nan")))
    with pytest.raises(TrainingError, match="gradient"):
        trainer.update()
    assert trainer.step == 0
    assert all(torch.equal(value, before[name]) for name, value in trainer.networks["direct"].state_dict().items())


def test_a_run_may_train_some_networks_only() -> None:
    trainer = trainer_of([smooth(1)], roles=("band2",))
    assert set(trainer.update()) == {"loss", "loss_band2"}
    assert set(trainer.networks) == {"band2"}
    assert set(trainer.evaluate()["held_out"]) == {"bands 1", "bands 2", "bands 5"}
    assert trainer_of().evaluate() == {}


def test_compiling_changes_nothing() -> None:
    first, second = trainer_of(), trainer_of()
    first.compile()
    assert [first.update() for _ in range(12)] == [second.update() for _ in range(12)]


def test_first_steps_are_small() -> None:
    """Moments of gradients are not known yet."""
    trainer, rates = trainer_of(hours=1e9, roles=("direct",)), []
    for trainer.step in (0, 10_000):
        trainer.update()
        rates.append([each.param_groups[0]["lr"] for each in trainer.optimizers["direct"]])
    assert all(first < 0.1 * later for first, later in zip(*rates, strict=True))


def test_rates_fall_to_nothing() -> None:
    trainer = trainer_of(hours=1.0)
    for _ in range(12):
        trainer.update()
    before = parameters(trainer)
    trainer.seconds = 3600.0
    assert trainer.progress() == 1
    for _ in range(12):
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
    assert other.source.number == trainer.source.number == other.replay.draws
    assert all(torch.equal(a, b) for a, b in zip(parameters(trainer), parameters(other), strict=True))
    other.replay = trainer.replay
    saved, due = trainer.replay.generator.get_state(), dict(trainer.replay.due)
    first = trainer.update()
    trainer.replay.generator.set_state(saved)
    trainer.replay.due = due
    assert other.update() == first
    assert all(torch.equal(a, b) for a, b in zip(parameters(trainer), parameters(other), strict=True))


def test_two_resumed_runs_are_the_same() -> None:
    trainer, found = trainer_of(), []
    for _ in range(3):
        trainer.update()
    saved = trainer.state()
    for _ in range(2):
        other = trainer_of()
        other.restore(saved)
        found.append([other.update() for _ in range(4)])
    assert found[0] == found[1]


def test_a_state_has_the_networks() -> None:
    trainer = trainer_of(roles=("direct", "band1"))
    trainer.update()
    found = networks_of(trainer.state(), Path("run"))
    assert set(found) == {"direct", "band1"}
    for role, network in found.items():
        assert network.shape == trainer.networks[role].shape
        own = trainer.networks[role].parameters()
        assert all(torch.equal(a, b) for a, b in zip(own, network.parameters(), strict=True))


def test_a_run_goes_on_without_what_it_began_with() -> None:
    settings = replace(SETTINGS, start="a model that is gone")
    first = trainer_of()
    first.update()
    own = networks_of(first.state(), Path("run"))
    second = ContextTrainer(settings, Slopes(), compiled=False, networks=own)
    second.restore(first.state())
    assert all(torch.equal(a, b) for a, b in zip(parameters(first), parameters(second), strict=True))


def test_roles_are_those_that_there_are() -> None:
    assert ContextSettings((), roles=["direct"]).roles == ContextSettings((), roles="direct").roles == ("direct",)  # type: ignore[arg-type]
    for wrong in (("foo",), ("direct", "band4"), ()):
        with pytest.raises(TrainingError, match=r"roles.*band1"):
            ContextSettings((), roles=wrong)


# --- evaluation: of every network, of whole files, and the same however positions are computed together

Pixels = np.ndarray


def networks(*roles: str) -> dict[str, TrainableNetwork]:
    torch.manual_seed(0)
    return {role: TrainableNetwork(Shape(contract_role(role), 16, 1, 1 if role[0] == "b" else 3)) for role in roles}


def test_all_networks_have_figures(gradients: Pixels) -> None:
    found = figures(networks(*ROLES), [gradients[:3], gradients[3:5, :12, :12]])
    rates, steps = found["held_out"], found["steps"]
    assert list(rates) == [
        "direct", "single", "last 2", "last 5", "bands 1", "bands 2", "bands 5",
        "levels 0", "levels 1", "levels 2", "levels 5",
    ]  # fmt: skip
    assert {key: len(value) for key, value in steps.items()} == {"1": 1, "2": 2, "5": 5}
    assert all(rate > 0 for rate in (*rates.values(), *steps["2"], *steps["5"]))
    assert rates["levels 0"] == rates["direct"]
    for levels in (1, 2, 5):
        assert rates[f"bands {levels}"] == pytest.approx(sum(steps[str(levels)]), abs=1e-3)
        assert rates[f"levels {levels}"] == pytest.approx(
            rates[pixel_rate(levels)] + rates[f"bands {levels}"], abs=1e-3
        )


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (["direct"], ["direct", "levels 0"]),
        (["last", "band1"], ["last 2", "last 5", "bands 1", "bands 2", "bands 5"]),
        (["band3"], ["bands 1", "bands 2", "bands 5"]),
    ],
)
def test_totals_need_all_of_their_networks(roles: list[str], expected: list[str], gradients: Pixels) -> None:
    assert list(figures(networks(*roles), [gradients[:1]])["held_out"]) == expected


def test_parts_of_a_batch_are_the_whole(gradients: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = figures(networks(*ROLES), [gradients[:5]])
    monkeypatch.setattr(context_trainer, "PIXELS", 2 * 16 * 16)
    monkeypatch.setattr(context_trainer, "POSITIONS", 100)
    assert figures(networks(*ROLES), [gradients[:5]]) == whole


@pytest.mark.parametrize("role", ROLES)
def test_positions_that_are_computed_apart_cost_the_same(
    role: str, gradients: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.ascontiguousarray(gradients[:5, :12, :12])
    columns = bands_of(images, 2)[role] if role in BAND_ROLES else pixels_of(images, 0 if role == "direct" else 2)
    network = networks(role)[role]
    for layer in ("head", "skip"):
        torch.nn.init.normal_(network.weights[layer], std=0.01)
    together = bits_of(network, columns)
    monkeypatch.setattr(context_trainer, "POSITIONS", 100)
    assert np.allclose(bits_of(network, columns), together, rtol=1e-3)
    assert together.std() > 0
