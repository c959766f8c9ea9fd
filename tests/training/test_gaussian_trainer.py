"""The training loop on pictures that are easy to learn."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.paper import gaussian_model as model_file
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.gaussian_network import Architecture
from ddpmcodec.training import gaussian_trainer, run, state
from ddpmcodec.training.data import Crops
from ddpmcodec.training.gaussian_trainer import (
    MODEL,
    GaussianSettings,
    GaussianTrainer,
    TrainingPredictor,
    averaged_network,
    crops_and_held_out,
    draw,
    loss,
    train,
)

Whole = tuple[GaussianTrainer, Path]


@pytest.fixture(scope="module")
def settings(pictures: Path, architecture: Architecture) -> GaussianSettings:
    """A run of five steps."""
    return GaussianSettings(
        (str(pictures),),
        steps=5,
        batch=4,
        crop=16,
        hold_out=3,
        warmup=2,
        seed=11,
        evaluate_images=2,
        evaluate_levels=4,
        architecture=architecture,
        name="mine",
    )


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that saves after every step."""
    monkeypatch.setattr(run, "FIRST_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(run, "SAVE_SECONDS", 0.0)
    return tmp_path / "run"


@pytest.fixture(scope="module")
def whole(settings: GaussianSettings, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A run from its beginning to its end, and its folder, to be read."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return start(settings, folder), folder


def start(settings: GaussianSettings, out: Path, **how: Any) -> GaussianTrainer:
    return train(settings, out, lambda _: None, evaluate_minutes=0, compiled=False, **how)[0]


def made(settings: GaussianSettings) -> GaussianTrainer:
    return GaussianTrainer(settings, *crops_and_held_out(settings)[:2], compiled=False)


def test_one_bad_batch_has_no_more_weight_than_others(settings: GaussianSettings) -> None:
    trainer, norms = made(settings), []
    for optimizer in trainer.optimizers[1:]:
        optimizer.register_step_pre_hook(
            lambda optimizer, *_: norms.append(max(p.grad.norm() for p in optimizer.param_groups[0]["params"]))
        )
    for scale in (1.0, 1e6):
        trainer.loss = lambda *asked, scale=scale: scale * loss(*asked)
        trainer.update()
    assert norms[1] < 100 * norms[0]


def test_late_in_a_run_the_average_moves_slowly(settings: GaussianSettings) -> None:
    """It averages over hundreds of steps."""
    trainer = made(settings)
    trainer.step = 100_000
    for parameter in trainer.network.parameters():
        parameter.data *= 1.5
    before = torch.nn.utils.parameters_to_vector(trainer.averaged.parameters())
    trainer.update()
    after, ahead = (torch.nn.utils.parameters_to_vector(n.parameters()) for n in (trainer.averaged, trainer.network))
    assert 0 < (after - before).norm() < 0.005 * (ahead - before).norm()


def parameters(trainer: GaussianTrainer) -> list[Tensor]:
    return [*trainer.network.parameters(), *trainer.averaged.parameters()]


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / run.LOG).read_text().splitlines()]


# --- learning


def test_training_lowers_the_loss_and_the_held_out_bound(settings: GaussianSettings) -> None:
    trainer = made(replace(settings, steps=40, adam_rate=0.01))
    batch = draw(trainer.crops.batch(99, 30), torch.Generator().manual_seed(0))
    before, bound = loss(TrainingPredictor(trainer.network), batch), trainer.bound().mean
    for _ in range(40):
        trainer.update()
    for network in (trainer.network, trainer.averaged):
        assert loss(TrainingPredictor(network), batch) < 0.95 * before
    assert trainer.bound().mean < bound - 0.3


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # what PyTorch does itself
def test_a_compiled_loss_trains_as_it_would_have(settings: GaussianSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced, but not made into C++, which would take a minute. Compiling ahead changes nothing."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    plain, compiled = (GaussianTrainer(settings, *crops_and_held_out(settings)[:2], compiled=c) for c in (False, True))
    compiled.compile()
    for _ in range(2):
        assert compiled.update()["loss"] == pytest.approx(plain.update()["loss"], rel=1e-4)


def test_learning_rates_rise_and_fall_to_zero(settings: GaussianSettings) -> None:
    trainer = made(settings)
    rates = []
    for _ in range(5):
        trainer.update()
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers])
    multipliers = [0.5, *(1 - step / 5 for step in range(1, 5))]
    assert np.allclose(rates, np.outer(multipliers, [settings.muon_rate, settings.adam_rate]))
    assert trainer.progress() == 1


def test_hours_measure_the_progress_where_no_steps_are_given(settings: GaussianSettings) -> None:
    trainer = made(replace(settings, steps=None, hours=2))
    trainer.seconds = 3600
    assert trainer.progress() == 0.5
    trainer.seconds = 1e9
    assert trainer.progress() == 1


def test_gradients_are_clipped(settings: GaussianSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_trainer, "CLIP", 1e-12)
    trainer = made(settings)
    before = [p.detach().clone() for p in trainer.network.parameters()]
    assert trainer.update()["gradient_norm"] > 1e-3
    adam = trainer.optimizers[1]
    assert max(float(s["exp_avg"].abs().max()) for s in adam.state.values()) < 1e-12
    assert any(not p.equal(b) for p, b in zip(trainer.network.parameters(), before, strict=True))


@pytest.mark.parametrize(("step", "decay"), [(0, 0.1), (8, 0.5), (100_000, 0.999)])
def test_the_average_follows_the_network(settings: GaussianSettings, step: int, decay: float) -> None:
    trainer = made(replace(settings, steps=200_000))
    trainer.step, first = step, trainer.network.weights["stem"].detach().clone()
    trainer.update()
    expected = decay * first + (1 - decay) * trainer.network.weights["stem"]
    assert torch.allclose(trainer.averaged.weights["stem"], expected)


def test_another_seed_begins_with_another_network(settings: GaussianSettings) -> None:
    one, again, other = (made(replace(settings, seed=seed)).network.weights["stem"] for seed in (1, 1, 2))
    assert one.equal(again)
    assert not one.equal(other)


def test_muon_takes_the_inner_convolutions(settings: GaussianSettings) -> None:
    trainer = made(settings)
    muon, adam = (optimizer.param_groups[0]["params"] for optimizer in trainer.optimizers)
    assert {p.shape for p in muon} == {(8, 8, 3, 3), (12, 12, 3, 3)}
    assert len(muon) + len(adam) == len(list(trainer.network.parameters()))


# --- what is never trained on


def test_the_last_images_are_held_out(settings: GaussianSettings, gradients: NDArray[np.uint8]) -> None:
    crops, held_out, _ = crops_and_held_out(settings)
    assert len(crops.parts[0].images) == 37
    assert all(np.array_equal(a, b) for a, b in zip(crops.parts[0].images, gradients[:37], strict=True))
    ends = [pixels.tobytes() for pixels in (*gradients[37:], *gradients[37:, :, ::-1])]
    assert all(pixels.permute(1, 2, 0).numpy().tobytes() in ends for pixels in held_out)
    assert held_out.shape == (2, 3, 16, 16)


def test_several_data_sets_keep_their_last_images_back(
    settings: GaussianSettings, tmp_path: Path, gradients: NDArray[np.uint8]
) -> None:
    """Those of sets too small for it are all trained on; what is evaluated comes from the first set."""
    large = np.repeat(np.repeat(gradients[:2], 2, 1), 2, 2)
    np.save(tmp_path / "large.npy", large)
    sources = *settings.data, str(tmp_path / "large.npy")
    crops, held_out, _ = crops_and_held_out(replace(settings, data=sources, crop=32))
    assert [(len(part.images), part.size) for part in crops.parts] == [(37, 16), (2, 32)]
    ends = [pixels.tobytes() for pixels in (*gradients[37:], *gradients[37:, :, ::-1])]
    assert all(pixels.permute(1, 2, 0).numpy().tobytes() in ends for pixels in held_out)


def test_images_that_are_left_out_are_counted(settings: GaussianSettings, tmp_path: Path) -> None:
    folder, said = tmp_path / "mixed", list[object]()
    folder.mkdir()
    for number, side in enumerate((16, 16, 12, 16)):
        Image.fromarray(np.full((side, side, 3), number, np.uint8)).save(folder / f"{number}.png")
    crops_and_held_out(replace(settings, data=(str(folder),), hold_out=1), said.append)
    assert said == ["1 of 3 training images are smaller than the crops, and left out"]


def test_of_each_image_held_out_a_crop_is_evaluated(settings: GaussianSettings, tmp_path: Path) -> None:
    """However large it is: figures of the same image are not independent."""
    for number, side in enumerate((16, 16, 16, 80, 16, 16)):
        Image.fromarray(np.full((side, side, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    found = crops_and_held_out(replace(settings, data=(str(tmp_path),), hold_out=4, evaluate_images=9)).held_out
    assert found[:, 0, 0, 0].tolist() == [2, 3, 4, 5]


def test_crops_must_fit_the_network(settings: GaussianSettings) -> None:
    with pytest.raises(TrainingError, match=r"14 pixels.*crop="):
        crops_and_held_out(replace(settings, crop=14))


# --- a run on disk


def test_a_run_logs_what_it_does(settings: GaussianSettings, out: Path) -> None:
    assert start(replace(settings, steps=2), out).step == 2
    first, *others = records(out)
    assert first["settings"]["architecture"] == settings.architecture.to_json()
    assert (first["step"], first["settings"]["hold_out"]) == (0, 3)
    assert [record["step"] for record in others] == [1, 2]
    for record in others:
        assert {"images", "seconds", "images_per_second", "loss", "gradient_norm", "held_out"} < set(record)
    assert others[-1]["images"] == 2 * settings.batch
    assert 0 < others[-1]["held_out"]["bound"] < 10
    assert others[-1]["standard_error"] > 0


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    settings: GaussianSettings, out: Path, whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Crops.batch

    def killed(crops: Crops, step: int, count: int) -> Tensor:
        if step == 3:
            raise KeyboardInterrupt
        return batch(crops, step, count)

    monkeypatch.setattr(Crops, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        start(settings, out)
    monkeypatch.setattr(Crops, "batch", batch)
    resumed = start(settings, out, resume=True)
    assert resumed.step == whole[0].step == 5
    assert all(a.equal(b) for a, b in zip(parameters(resumed), parameters(whole[0]), strict=True))
    assert [record["step"] for record in records(out)] == [0, 1, 2, 3, 3, 4, 5]


def test_a_finished_run_has_nothing_to_resume_but_goes_on_for_more_steps(
    settings: GaussianSettings, out: Path, whole: Whole
) -> None:
    shutil.copytree(whole[1], out)
    again = start(replace(settings, steps=6), out, resume=True)
    assert again.settings.steps == 5
    assert all(a.equal(b) for a, b in zip(parameters(whole[0]), parameters(again), strict=True))
    assert start(replace(settings, steps=6), out, resume=True, chosen=["steps"]).step == 6


def test_a_state_with_settings_of_older_versions_goes_on(settings: GaussianSettings, out: Path, whole: Whole) -> None:
    """They are constants now."""
    shutil.copytree(whole[1], out)
    saved = state.read(out)
    saved.facts["settings"] |= {"clip": 1.0, "average": 0.999}
    state.write(out, saved)
    assert start(replace(settings, steps=6), out, resume=True, chosen=["steps"]).step == 6


def test_another_network_cannot_go_on_from_a_state(settings: GaussianSettings, whole: Whole) -> None:
    other = replace(settings, architecture=replace(settings.architecture, width=4))
    with pytest.raises(TrainingError, match="width=8, not 4"):
        start(other, whole[1], resume=True, chosen=["architecture"])


# --- from one run to the next


def test_a_run_starts_from_the_averaged_network_of_another(settings: GaussianSettings, whole: Whole) -> None:
    first, folder = whole
    tuned = made(replace(settings, start=str(folder), seed=5))
    expected = list(first.averaged.parameters())
    for network in (tuned.network, tuned.averaged):
        assert all(a.equal(b) for a, b in zip(network.parameters(), expected, strict=True))
    assert (tuned.step, tuned.seconds) == (0, 0.0)


def test_a_run_cannot_start_from_another_network(settings: GaussianSettings, whole: Whole) -> None:
    wider = replace(settings.architecture, width=12)
    with pytest.raises(TrainingError, match=r"whole: .*'width': 8, .*'width': 12"):
        made(replace(settings, start=str(whole[1]), architecture=wider))


# --- from a state to a model


def test_every_save_has_the_averaged_network_as_a_model(settings: GaussianSettings, whole: Whole) -> None:
    trainer, folder = whole
    model = find_denoiser(folder / MODEL)
    assert (model.name, model.architecture) == ("mine", settings.architecture)
    assert (model.metadata["training"]["step"], model.metadata["training"]["images"]) == (5, 20)
    restored = averaged_network(folder)
    assert model_file.export(restored, name="x") == model_file.export(trainer.averaged, name="x")
    assert all(torch.equal(model.params[k], p) for k, p in model_file.constants(restored).items())


def test_the_time_that_a_run_took_is_not_in_its_model(whole: Whole) -> None:
    """Equal runs have models of one id."""
    trainer, folder = whole
    before, seconds = trainer.export(), trainer.seconds
    trainer.seconds += 1
    assert trainer.export() == before == (folder / MODEL).read_bytes()
    trainer.seconds = seconds


def test_an_exported_model_is_no_state(tmp_path: Path, tiny_gaussian: Path) -> None:
    (tmp_path / state.FILE).write_bytes(tiny_gaussian.read_bytes())
    with pytest.raises(TrainingError, match=r"state.safetensors: not the state"):
        averaged_network(tmp_path)


def test_a_run_starts_from_an_exported_model(settings: GaussianSettings, whole: Whole) -> None:
    first, folder = whole
    tuned = made(replace(settings, start=str(folder / MODEL), seed=5))
    for name, p in tuned.averaged.integer_parameters().items():
        assert torch.allclose(p, first.averaged.integer_parameters()[name], rtol=1e-4, atol=1e-4)


def test_a_run_cannot_start_from_what_is_no_network(settings: GaussianSettings) -> None:
    with pytest.raises(ModelError, match="cannot read the network"):
        made(replace(settings, start=__file__))


def test_a_run_goes_on_without_what_it_began_with(settings: GaussianSettings) -> None:
    gone = replace(settings, start="a model that is gone")
    with pytest.raises(ModelError, match="no such file"):
        made(gone)
    first = made(settings)
    second = GaussianTrainer(gone, *crops_and_held_out(gone)[:2], compiled=False, begins=False)
    second.restore(first.state())
    assert all(torch.equal(a, b) for a, b in zip(parameters(first), parameters(second), strict=True))
