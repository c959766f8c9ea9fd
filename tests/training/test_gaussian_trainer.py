"""The training loop on pictures that are easy to learn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.networks.gaussian import load_gaussian, model_file
from ddpmcodec.networks.gaussian.architecture import Architecture
from ddpmcodec.training import gaussian_state as state
from ddpmcodec.training.data import Crops
from ddpmcodec.training.gaussian import LatentPredictor, draw, loss
from ddpmcodec.training.gaussian_trainer import MODEL, Settings, Trainer, split, train


@pytest.fixture
def settings(pictures: Path, tmp_path: Path, architecture: Architecture) -> Settings:
    """A run of six steps that evaluates and saves after every one."""
    return Settings(
        str(pictures),
        str(tmp_path / "run"),
        steps=6,
        batch=4,
        crop=16,
        hold_out=3,
        warmup=2,
        seed=11,
        evaluate_minutes=0,
        evaluate_images=2,
        evaluate_levels=8,
        architecture=architecture,
    )


def start(settings: Settings, **how: bool) -> Trainer:
    return train(settings, compiled=False, **how)


def parameters(trainer: Trainer) -> list[Tensor]:
    return [*trainer.latent.parameters(), *trainer.averaged.parameters()]


def records(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(settings.out, "log.jsonl").read_text().splitlines()]


# --- learning


def test_training_lowers_the_loss_and_the_held_out_bound(settings: Settings) -> None:
    trainer, (crops, held_out) = Trainer(replace(settings, steps=60, adam_rate=0.01), compiled=False), split(settings)
    batch = draw(crops.batch(99, 30), torch.Generator().manual_seed(0))
    before, bound = loss(LatentPredictor(trainer.latent), batch), trainer.evaluate(held_out).mean
    for step in range(60):
        trainer.update(crops.batch(step, 4))
    for network in (trainer.latent, trainer.averaged):
        assert loss(LatentPredictor(network), batch) < 0.95 * before
    assert trainer.evaluate(held_out).mean < bound - 0.3


def test_learning_rates_rise_and_fall_to_zero(settings: Settings) -> None:
    trainer, (crops, _) = Trainer(settings, compiled=False), split(settings)
    rates = []
    for step in range(6):
        trainer.update(crops.batch(step, 4))
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers])
    multipliers = [0.5, *(1 - step / 6 for step in range(1, 6))]
    assert np.allclose(rates, np.outer(multipliers, [settings.muon_rate, settings.adam_rate]))
    assert trainer.progress() == 1


def test_hours_measure_the_progress_where_no_steps_are_given(settings: Settings) -> None:
    trainer = Trainer(replace(settings, steps=None, hours=2), compiled=False)
    trainer.seconds = 3600
    assert trainer.progress() == 0.5
    trainer.seconds = 1e9
    assert trainer.progress() == 1


def test_gradients_are_clipped(settings: Settings) -> None:
    trainer, (crops, _) = Trainer(replace(settings, clip=1e-12), compiled=False), split(settings)
    before = [p.detach().clone() for p in trainer.latent.parameters()]
    _, norm = trainer.update(crops.batch(0, 4))
    assert norm > 1e-3
    adam = trainer.optimizers[1]
    assert max(float(s["exp_avg"].abs().max()) for s in adam.state.values()) < 1e-12
    assert any(not p.equal(b) for p, b in zip(trainer.latent.parameters(), before, strict=True))


def test_the_average_follows_the_network(settings: Settings) -> None:
    trainer, (crops, _) = Trainer(settings, compiled=False), split(settings)
    first = trainer.latent.weights["enter"].detach().clone()
    trainer.update(crops.batch(0, 4))
    expected = 0.1 * first + 0.9 * trainer.latent.weights["enter"]  # 1 of 10: short at first
    assert torch.allclose(trainer.averaged.weights["enter"], expected)


def test_muon_takes_the_inner_convolutions(settings: Settings) -> None:
    trainer = Trainer(settings, compiled=False)
    muon, adam = (optimizer.param_groups[0]["params"] for optimizer in trainer.optimizers)
    assert {p.shape for p in muon} == {(8, 8, 3, 3), (12, 12, 3, 3)}
    assert len(muon) + len(adam) == len(list(trainer.latent.parameters()))


def test_a_loss_that_is_no_number_ends_the_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "update", lambda *_: (float("nan"), 1.0))
    with pytest.raises(TrainingError, match=r"the loss is nan after 0 steps: go back to the last save"):
        start(settings)


# --- what is never trained on


def test_the_last_images_are_held_out(settings: Settings, gradients: NDArray[np.uint8]) -> None:
    crops, held_out = split(settings)
    assert len(crops.parts[0].images) == 37
    assert all(np.array_equal(a, b) for a, b in zip(crops.parts[0].images, gradients[:37], strict=True))
    ends = [pixels.tobytes() for pixels in (*gradients[37:], *gradients[37:, :, ::-1])]
    assert all(pixels.permute(1, 2, 0).numpy().tobytes() in ends for pixels in held_out)
    assert held_out.shape == (2, 3, 16, 16)


@pytest.mark.parametrize("hold_out", [40, 41])
def test_something_must_be_left_to_train_on(settings: Settings, hold_out: int) -> None:
    with pytest.raises(TrainingError, match=rf"40 images, of which --hold-out keeps {hold_out}; nothing is left"):
        start(replace(settings, hold_out=hold_out))


def test_several_data_sets_keep_their_last_images_back(
    settings: Settings, tmp_path: Path, gradients: NDArray[np.uint8]
) -> None:
    """Those of sets too small for it are all trained on; what is evaluated comes from the first set."""
    large = np.repeat(np.repeat(gradients[:2], 2, 1), 2, 2)
    np.save(tmp_path / "large.npy", large)
    sources = settings.data, str(tmp_path / "large.npy")
    assert isinstance(sources[0], str)
    crops, held_out = split(replace(settings, data=sources, crop=32, evaluate_images=3, validate=sources[1]))
    assert [(len(part.images), part.size) for part in crops.parts] == [(37, 16), (2, 32)]
    assert held_out.shape == (2, 3, 32, 32)
    _, held_out = split(replace(settings, data=sources))
    ends = [pixels.tobytes() for pixels in (*gradients[37:], *gradients[37:, :, ::-1])]
    assert all(pixels.permute(1, 2, 0).numpy().tobytes() in ends for pixels in held_out)


def test_crops_must_fit_the_network(settings: Settings) -> None:
    with pytest.raises(TrainingError, match="crops of 14 pixels: --crop must be a multiple of 4"):
        start(replace(settings, crop=14))


# --- a run on disk


def test_a_run_logs_what_it_does(settings: Settings) -> None:
    trainer = start(replace(settings, steps=2))
    first, *others = records(settings)
    assert first["settings"]["architecture"] == settings.architecture.to_json()
    assert (first["step"], first["settings"]["hold_out"]) == (0, 3)
    keys = {"step", "images", "seconds", "images_per_second", "loss", "gradient_norm", "held_out"}
    assert [set(record) for record in others] == [keys] * 3  # after both steps, and at the end
    assert [record["step"] for record in others] == [1, 2, 2]
    assert others[-1]["images"] == 2 * settings.batch
    assert 0 < others[-1]["held_out"]["mean"] < 10
    assert others[-1]["held_out"]["standard_error"] > 0
    assert trainer.step == 2


def test_every_fifty_steps_are_logged(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def update(trainer: Trainer, pixels: Tensor) -> tuple[float, float]:
        trainer.step += 1
        return float(trainer.step), 0.25

    monkeypatch.setattr(Trainer, "update", update)
    start(replace(settings, steps=120, evaluate_minutes=1e9))
    found = [(record["step"], record["loss"], record["gradient_norm"]) for record in records(settings)[1:]]
    assert found == [(50, 25.5, 0.25), (100, 75.5, 0.25), (120, 110.5, 0.0)]


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = start(replace(settings, out=str(tmp_path / "whole")))
    batch = Crops.batch

    def killed(crops: Crops, step: int, count: int) -> Tensor:
        if step == 3:
            raise KeyboardInterrupt
        return batch(crops, step, count)

    monkeypatch.setattr(Crops, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        start(settings)
    monkeypatch.setattr(Crops, "batch", batch)
    resumed = start(settings, resume=True)
    assert resumed.step == whole.step == 6
    assert all(a.equal(b) for a, b in zip(parameters(resumed), parameters(whole), strict=True))
    assert [record["step"] for record in records(settings)] == [0, 1, 2, 3, 3, 4, 5, 6, 6]


def test_the_same_seed_gives_the_same_network(settings: Settings, tmp_path: Path) -> None:
    runs = [
        start(replace(settings, steps=1, seed=seed, out=str(tmp_path / name)))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    one, again, other = (run.latent.weights["enter"] for run in runs)
    assert one.equal(again)
    assert not one.equal(other)


def test_a_finished_run_has_nothing_to_resume(settings: Settings) -> None:
    first = start(replace(settings, steps=1))
    again = start(replace(settings, steps=1), resume=True)
    assert all(a.equal(b) for a, b in zip(parameters(first), parameters(again), strict=True))
    assert records(settings)[-1]["loss"] is None


def test_resuming_nothing_starts(settings: Settings) -> None:
    assert start(replace(settings, steps=1), resume=True).step == 1


def test_another_run_is_not_overwritten(settings: Settings) -> None:
    start(replace(settings, steps=1))
    before = Path(settings.out, state.FILE).read_bytes()
    with pytest.raises(
        TrainingError, match=r"run: holds a training run already; go on with --resume, or choose another"
    ):
        start(settings)
    assert Path(settings.out, state.FILE).read_bytes() == before


def test_another_network_cannot_go_on_from_a_state(settings: Settings) -> None:
    start(replace(settings, steps=1))
    with pytest.raises(TrainingError, match=r"the saved network is \{'width': 8, .*\}, not \{'width': 4"):
        start(replace(settings, architecture=replace(settings.architecture, width=4)), resume=True)


# --- from one run to the next


def test_a_run_starts_from_the_averaged_network_of_another(settings: Settings, tmp_path: Path) -> None:
    first = start(replace(settings, steps=3))
    tuned = Trainer(replace(settings, start=settings.out, seed=5), compiled=False)
    expected = list(first.averaged.parameters())
    for network in (tuned.latent, tuned.averaged):
        assert all(a.equal(b) for a, b in zip(network.parameters(), expected, strict=True))
    assert (tuned.step, tuned.seconds) == (0, 0.0)


def test_a_run_cannot_start_from_another_network(settings: Settings) -> None:
    start(replace(settings, steps=1))
    wider = replace(settings.architecture, width=12)
    with pytest.raises(TrainingError, match=r"run: its network is \{'width': 8, .*\}, not \{'width': 12"):
        Trainer(replace(settings, start=settings.out, architecture=wider), compiled=False)


# --- from a state to a model


def test_every_save_has_the_averaged_network_as_a_model(settings: Settings) -> None:
    trainer = start(replace(settings, steps=2, name="mine"))
    model = load_gaussian(Path(settings.out, MODEL))
    assert (model.name, model.architecture) == ("mine", settings.architecture)
    assert (model.metadata["training"]["step"], model.metadata["training"]["images"]) == (2, 8)
    restored = state.averaged_network(Path(settings.out))
    assert model_file.export(restored, name="x") == model_file.export(trainer.averaged, name="x")
    assert all(torch.equal(model.params[k], p) for k, p in model_file.constants(restored).items())


@pytest.mark.parametrize("content", [b"", b"hello world", None], ids=["empty", "text", "missing"])
def test_what_is_no_state_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / state.FILE).write_bytes(content)
    with pytest.raises(TrainingError, match=r"state.safetensors: not a training state .*; was --out the folder"):
        state.averaged_network(tmp_path)


def test_an_exported_model_is_no_state(settings: Settings, tmp_path: Path, tiny_gaussian: Path) -> None:
    (tmp_path / state.FILE).write_bytes(tiny_gaussian.read_bytes())
    with pytest.raises(TrainingError, match=r"state.safetensors: not a training state"):
        state.averaged_network(tmp_path)


def test_a_run_starts_from_an_exported_model(settings: Settings, tmp_path: Path) -> None:
    first = start(replace(settings, steps=3))
    exported = tmp_path / "model.safetensors"
    exported.write_bytes(model_file.export(first.averaged, name="start"))
    tuned = Trainer(replace(settings, start=str(exported), seed=5), compiled=False)
    for name, p in tuned.averaged.integer_parameters().items():
        assert torch.allclose(p, first.averaged.integer_parameters()[name], rtol=1e-4, atol=1e-4)


def test_a_run_cannot_start_from_what_is_no_network(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a ddpmcodec model"):
        Trainer(replace(settings, start=__file__), compiled=False)
