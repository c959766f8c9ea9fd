"""Training of a network of previews: its arithmetic, what it learns from, its runs, and the models that have it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ddpmcodec
from ddpmcodec import _native
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import encode_tiles
from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.models.context import EFFORTS, PREVIEW, ROLES, ContextModel, network_of, parse
from ddpmcodec.models.registry import find
from ddpmcodec.training import run, state
from ddpmcodec.training.context_run import export
from ddpmcodec.training.preview_states import CodingStates, states_of
from ddpmcodec.training.preview_trainer import (
    Examples,
    PreviewSettings,
    PreviewTrainer,
    TrainablePreviewNetwork,
    gain,
    shape_of,
    to_rgb,
    train,
)


@pytest.fixture(scope="module")
def settings(pictures: Path, model_path: Path) -> PreviewSettings:
    """A run of 12 steps."""
    return PreviewSettings((str(pictures),), str(model_path), steps=12, crop=16, width=16, depth=2, batch=3, seed=4)


@pytest.fixture(scope="module")
def whole(settings: PreviewSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run from its beginning to its end, to be read."""
    return start(settings, tmp_path_factory.mktemp("runs") / "whole")


def start(settings: PreviewSettings, out: Path, **how: Any) -> Path:
    train(settings, out, lambda _: None, evaluate_minutes=0, compiled=False, device="cpu", **how)
    return out


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / run.LOG).read_text().splitlines()]


def random_network(width: int = 32, depth: int = 2) -> TrainablePreviewNetwork:
    torch.manual_seed(3)
    network = TrainablePreviewNetwork(shape_of(width, depth))
    with torch.no_grad():
        for layer in ("head", "skip"):
            network.weights[layer].normal_(0, 0.05)
        network.biases["stem"].normal_(0, 1)
    return network


def picture(height: int = 40, width: int = 56) -> Any:
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(1).integers(0, 9, (height, width, 3))
    return (np.stack([3 * x + y, 2 * y + 40, 200 - 2 * x], -1) + noise).clip(0, 255).astype(np.uint8)


# --- arithmetic


@pytest.mark.parametrize("size", [(1, 1), (7, 12), (40, 33)])
def test_it_computes_what_the_core_does(size: tuple[int, int]) -> None:
    network, rng = random_network(), np.random.default_rng(size)
    mean = rng.uniform(-50, 250, (*size, 3)).astype(np.float32)
    variance = rng.exponential(30, mean.shape).astype(np.float32)
    core = network_of({name: tensor.numpy() for name, tensor in network.exported().items()}, PREVIEW, 1)
    with torch.no_grad():
        corrections = network.corrections(torch.from_numpy(_native.squares(mean, variance))[None])[0].numpy()
    found = (_native.corrected(core, mean, variance) - mean) / np.sqrt(variance)
    difference = np.abs(found - corrections[: size[0], : size[1]])
    assert np.abs(corrections).max() > 0.3
    assert difference.max() < 1 / 64 + 1e-3  # where sums in another order are rounded to another integer
    assert (difference > 1e-3).mean() < 0.01


def test_a_new_network_corrects_nothing() -> None:
    network = TrainablePreviewNetwork(shape_of(16, 1))
    rows = torch.full((2, 3, 4, network.shape.contract[0]), 7, dtype=torch.uint8)
    assert not network.corrections(rows).any()


def test_planes_become_pixels() -> None:
    planes = np.random.default_rng(0).uniform(0, 200, (5, 6, 3)).astype(np.float32)
    found = to_rgb(torch.from_numpy(planes)).numpy()
    np.testing.assert_array_equal((found.clip(0, 255) + 0.5).astype(np.uint8), _native.to_rgb(planes))


# --- states


def test_states_are_those_of_a_decoder(model_path: Path) -> None:
    """As far as it is coded, an encoder's bands say what a decoder's do."""
    model, pixels = find(model_path), picture()
    found = list(states_of(pixels, model, np.random.default_rng(5)))
    assert len(found) == 4
    assert {each.levels for each in found} <= {2, 5}
    errors = []
    for each in found:
        assert (each.pixels == pixels).all()
        assert (each.variance.astype(float) >= 0).all()
        colours = _native.to_rgb(each.mean.astype(np.float32))
        errors.append(float(((colours.astype(float) - pixels) ** 2).mean()))
    assert errors[-1] < errors[0] / 4  # later ones know more


def test_drawn_parts_lie_in_their_states(model_path: Path) -> None:
    model, pixels = find(model_path), picture()
    drawn = CodingStates(lambda: states_of(pixels, model, np.random.default_rng(0)), 8, 0).draw(5, 16, 4.0)
    for part in drawn:
        assert part.mean.shape == part.variance.shape == part.pixels.shape == (16, 16, 3)
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (16, 16, 3))
        assert (windows == part.pixels).all((2, 3, 4, 5)).any()


def test_states_are_made_as_they_are_used(model_path: Path) -> None:
    """A draw of half a state, each of which is used twice, takes a quarter of one."""
    model, pixels = find(model_path), picture(32, 32)
    states = CodingStates(lambda: states_of(pixels, model, np.random.default_rng(0)), 8, 0)
    states.draw(2, 16, 2.0)
    made = states.images
    for _ in range(64):
        states.draw(2, 16, 2.0)
    assert states.images - made == pytest.approx(64 / 4 / 4, abs=1)


# --- runs


def test_it_learns(settings: PreviewSettings, tmp_path: Path) -> None:
    """The networks of this model know nothing: what they leave open is easily seen."""
    folder = start(replace(settings, steps=60, muon_rate=0.03), tmp_path)
    assert records(folder)[-1]["held_out"]["mean"] > 0.3


def test_a_run_says_what_it_wins(whole: Path) -> None:
    last = records(whole)[-1]
    assert last["step"] == 12
    assert last["least"] <= last["held_out"]["mean"]
    assert {"2 levels, 8", "5 levels, 4"} <= set(last["held_out"])
    assert sorted(path.name for path in whole.iterdir()) == [run.LOG, state.FILE]


def test_equal_runs_are_equal(settings: PreviewSettings, whole: Path, tmp_path: Path) -> None:
    tensors, again = (state.read(folder).tensors for folder in (whole, start(settings, tmp_path / "again")))
    assert tensors.keys() == again.keys()
    assert all(torch.equal(tensors[key], again[key]) for key in tensors)


def test_a_run_goes_on(settings: PreviewSettings, tmp_path: Path) -> None:
    start(settings, tmp_path)
    start(replace(settings, steps=15), tmp_path, resume=True, chosen={"steps"})
    assert state.read(tmp_path).facts["step"] == 15
    with pytest.raises(TrainingError, match="was started with width=16, not 32"):
        start(replace(settings, width=32), tmp_path, resume=True, chosen={"width"})


def test_an_unknown_model_is_refused(settings: PreviewSettings, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model of that name"):
        start(replace(settings, model="nobody"), tmp_path)


@pytest.mark.parametrize("width", [8, 40, 128])
def test_a_width_that_the_core_cannot_compute_is_refused(settings: PreviewSettings, width: int, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="width="):
        start(replace(settings, width=width), tmp_path)


def test_what_is_won_is_the_psnr_of_previews() -> None:
    """Decibels of what `corrected` makes, but for half a grey level that rounding costs."""
    network, model, pixels = random_network(16, 1), find("photo"), picture(64, 64)
    (*_, last) = states_of(pixels, model, np.random.default_rng(2))
    core = network_of({name: tensor.numpy() for name, tensor in network.exported().items()}, PREVIEW, 1)
    mean, variance = last.mean.astype(np.float32), last.variance.astype(np.float32)

    def error(planes: Any) -> float:
        return float(((to_rgb(torch.from_numpy(planes)).numpy() - pixels) ** 2).mean())

    expected = 10 * np.log10((error(mean) + 0.3) / (error(_native.corrected(core, mean, variance)) + 0.3))
    won = gain(network, Examples.of([last], torch.device("cpu"))).item()
    assert won == pytest.approx(expected, abs=1e-3)


# --- models


@pytest.fixture(scope="module")
def model(whole: Path, model_path: Path) -> ContextModel:
    return parse(export([whole], "corrected", base=str(model_path)), "corrected")


def test_a_model_has_one_for_all_efforts(model: ContextModel) -> None:
    assert set(model.facts) == {f"{effort}.{role}" for effort in EFFORTS for role in (*ROLES, PREVIEW)}
    assert {model.facts[f"{effort}.{PREVIEW}"]["stored"] for effort in EFFORTS} == {f"1.{PREVIEW}"}
    assert len(model.networks(2, 5)) == len(find("photo").networks(2, 0)) + 4


def test_files_are_the_same_and_previews_are_not(model: ContextModel, model_path: Path) -> None:
    """The network is no part of what codes."""
    before, pixels = find(model_path), picture(64, 72)
    before_words, words = (encode_tiles(pixels[None], each, Coding(2, 5), lanes=True) for each in (before, model))
    assert before_words == words

    def preview(model: ContextModel) -> Any:
        data = ddpmcodec.encode(pixels, model=model, levels=5, webp=False)
        assert (np.asarray(ddpmcodec.decode(data, model=model)) == pixels).all()
        return np.asarray(ddpmcodec.decode(data[: len(data) // 4], model=model, partial=True))

    assert (preview(before) != preview(model)).any()


def test_a_trainer_without_images_to_evaluate_on_says_nothing(settings: PreviewSettings, gradients: Any) -> None:
    from ddpmcodec.training.data import crops_of

    trainer = PreviewTrainer(settings, crops_of([list(gradients)], 16, 0), compiled=False)
    assert trainer.evaluate() == {}
