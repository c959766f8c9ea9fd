"""Training of a network of previews: its arithmetic, what it learns from, its runs, and the models that have it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import ddpmcodec
from ddpmcodec import _native
from ddpmcodec.codec.efforts import Coding, segments
from ddpmcodec.codec.passes import new_pass
from ddpmcodec.codec.passes import run as run_pass
from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.models.context import EFFORTS, PREVIEW, ROLES, ContextModel, network_of, parse
from ddpmcodec.models.registry import find
from ddpmcodec.training import context_run, run, state
from ddpmcodec.training.context_run import export
from ddpmcodec.training.context_trainer import ContextSettings
from ddpmcodec.training.preview_trainer import (
    CodingState,
    CodingStates,
    Examples,
    PreviewSettings,
    PreviewTrainer,
    TrainablePreviewNetwork,
    gain,
    shape_of,
    states_of,
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
    from native_testing import testing

    network, rng = random_network(), np.random.default_rng(size)
    mean = rng.uniform(-50, 250, (*size, 3)).astype(np.float32)
    variance = rng.exponential(30, mean.shape).astype(np.float32)
    core = network_of({name: tensor.numpy() for name, tensor in network.exported().items()}, PREVIEW, 1)
    with torch.no_grad():
        corrections = network.corrections(torch.from_numpy(_native.squares(mean, variance))[None])[0].numpy()
    found = (testing.corrected(core, mean, variance) - mean) / np.sqrt(variance)
    difference = np.abs(found - corrections[: size[0], : size[1]])
    assert np.abs(corrections).max() > 0.3
    assert difference.max() < 1 / 64 + 1e-3  # where sums in another order are rounded to another integer
    assert (difference > 1e-3).mean() < 0.01


def test_a_new_network_corrects_nothing() -> None:
    network = TrainablePreviewNetwork(shape_of(16, 1))
    rows = torch.full((2, 3, 4, network.shape.contract[0]), 7, dtype=torch.uint8)
    assert not network.corrections(rows).any()


def test_planes_become_pixels() -> None:
    from native_testing import testing

    planes = np.random.default_rng(0).uniform(0, 200, (5, 6, 3)).astype(np.float32)
    found = to_rgb(torch.from_numpy(planes)).numpy()
    np.testing.assert_array_equal((found.clip(0, 255) + 0.5).astype(np.uint8), testing.to_rgb(planes))


# --- states


def streams_of(pixels: NDArray[np.uint8], model: ContextModel, coding: Coding) -> list[tuple[int, list[bytes]]]:
    """State and words of each lane of a tile."""
    coder = new_pass(model, coding, (1, *pixels.shape), lanes=True)
    coder.encode(np.ascontiguousarray(pixels[None]))
    run_pass(coder, (1, *pixels.shape), coding, None, None)
    return [coder.stream(lane, 0) for lane in range(_native.LANES)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("levels", [2, 5])
def test_an_encoder_knows_what_a_decoder_does(model_path: Path, levels: int, channels: int) -> None:
    """After each segment of noise levels, and within it."""
    coding, pixels, model = Coding(1, levels), picture()[..., :channels], find(model_path)
    states, parts_of_lanes = zip(*streams_of(pixels, model, coding), strict=True)
    encoder, decoder = (new_pass(model, coding, (1, *pixels.shape), lanes=True) for _ in range(2))
    encoder.encode(pixels[None], for_previews=True)
    words = [np.frombuffer(b"".join(parts), "<u4").astype(np.uint32) for parts in parts_of_lanes]
    decoder.decode(states, words, for_previews=True)
    ends = [number for number, segment in enumerate(segments(levels, *pixels.shape[:2]), 1) if segment.level]
    for end in ends:
        for waves in (20, 1 << 30):
            known = []
            for coder in (encoder, decoder):
                coder.advance(waves, end)
                known.append(_native.estimate(coder))
            for of_encoder, of_decoder in zip(*known, strict=True):
                np.testing.assert_array_equal(of_encoder, of_decoder)
    assert encoder.segments_done == ends[-1]


@pytest.mark.parametrize("channels", [1, 3])
def test_states_know_more_and_more(model_path: Path, channels: int) -> None:
    from native_testing import testing

    pixels = picture()[..., :channels]
    found = list(states_of(pixels, find(model_path), np.random.default_rng(5)))
    assert len(found) == 4
    assert {each.levels for each in found} <= {2, 5}
    errors = []
    for each in found:
        assert each.pixels.shape == each.mean.shape == each.variance.shape == (*pixels.shape[:2], 3)
        assert (each.pixels == pixels).all()
        assert (each.variance.astype(float) >= 0).all()
        assert channels == 3 or not each.variance[..., 1:].any()  # the chroma of a grey image is known
        colours = testing.to_rgb(each.mean.astype(np.float32))
        errors.append(float(((colours.astype(float) - pixels) ** 2).mean()))
    assert errors[-1] < errors[0] / 4


def test_drawn_parts_lie_in_their_states() -> None:
    """All of them at one place."""
    planes = np.arange(40 * 56 * 3).reshape(40, 56, 3) % 251
    whole = CodingState(planes.astype(np.float16), planes.astype(np.float16) + 1, planes.astype(np.uint8), 2, 8)
    windows = np.lib.stride_tricks.sliding_window_view(planes, (16, 16, 3))
    for part in CodingStates(lambda: iter([whole]), 1 << 20, 0).draw(5, 16, 4.0):
        assert (windows == part.pixels).all((2, 3, 4, 5)).any()
        np.testing.assert_array_equal(part.mean, part.pixels)
        np.testing.assert_array_equal(part.variance, part.pixels + 1.0)
        assert (part.levels, part.level) == (2, 8)


def test_states_are_made_as_they_are_used() -> None:
    """Of states of 32x32 and 16x16, parts of 16x16 have a quarter and all; each state is used twice."""
    images = []

    def next_states() -> Iterator[CodingState]:
        side = 32 if len(images) % 2 else 16
        planes = np.zeros((side, side, 3))
        images.append(side)
        yield CodingState(planes.astype(np.float16), planes.astype(np.float16), planes.astype(np.uint8), 2, 8)

    states = CodingStates(next_states, 1 << 20, 0)
    states.draw(2, 16, 2.0)
    begun = len(images)
    for _ in range(64):
        states.draw(2, 16, 2.0)
    assert len(images) - begun == pytest.approx(64 * 2 * (0.25 + 1) / 2 / 2, rel=0.2)


def test_states_take_the_place_of_the_oldest() -> None:
    numbers = count()

    def next_states() -> Iterator[CodingState]:
        planes = np.full((8, 8, 3), next(numbers))
        yield CodingState(planes.astype(np.float16), planes.astype(np.float16), planes.astype(np.uint8), 2, 8)

    states = CodingStates(next_states, 4 * 64, 0)
    for _ in range(20):
        states.draw(1, 8, 1.0)
    kept = sorted(int(each.pixels[0, 0, 0]) for each in states.states)
    assert kept == list(range(kept[0], kept[0] + 4))
    assert kept[-1] == next(numbers) - 1


# --- runs


def test_it_learns(settings: PreviewSettings, tmp_path: Path) -> None:
    """The networks of this model know nothing: what they leave open is easily seen."""
    folder = start(replace(settings, steps=60, muon_rate=0.03), tmp_path)
    assert records(folder)[-1]["held_out"]["mean"] > 0.3


def test_a_run_says_what_it_wins(whole: Path) -> None:
    last = records(whole)[-1]
    assert last["step"] == 12
    assert last["least"] <= last["held_out"]["mean"]
    assert {"mean", "2/8", "5/4"} <= set(last["held_out"])
    assert sorted(path.name for path in whole.iterdir()) == [run.LOG, state.FILE]


def test_equal_runs_are_equal(settings: PreviewSettings, whole: Path, tmp_path: Path) -> None:
    tensors, again = (state.read(folder).tensors for folder in (whole, start(settings, tmp_path / "again")))
    assert tensors.keys() == again.keys()
    assert all(torch.equal(tensors[key], again[key]) for key in tensors)


def test_a_run_goes_on(settings: PreviewSettings, tmp_path: Path) -> None:
    start(settings, tmp_path)
    start(replace(settings, steps=15), tmp_path, resume=True, chosen={"steps"})
    assert state.read(tmp_path).facts["step"] == 15
    with pytest.raises(TrainingError, match="width=16, not 32"):
        start(replace(settings, width=32), tmp_path, resume=True, chosen={"width"})


def test_an_unknown_model_is_refused(settings: PreviewSettings, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model of that name"):
        start(replace(settings, model="nobody"), tmp_path)


@pytest.mark.parametrize("sizes", [{"width": 8}, {"width": 40}, {"width": 128}, {"depth": 9}])
def test_what_the_core_cannot_compute_is_refused(settings: PreviewSettings, sizes: dict[str, int]) -> None:
    with pytest.raises(TrainingError, match=f"{next(iter(sizes))}="):
        replace(settings, **sizes)


def test_images_of_several_sizes(settings: PreviewSettings, gradients: Any, tmp_path: Path) -> None:
    """Each set has crops of its own size, and parts are as large as the smallest."""
    larger = np.repeat(np.repeat(gradients[:9], 2, 1), 2, 2)
    np.save(tmp_path / "larger.npy", larger)
    both = replace(settings, data=(*settings.data, str(tmp_path / "larger.npy")), crop=32)
    assert records(start(both, tmp_path / "run"))[-1]["step"] == 12


def test_what_is_won_is_the_psnr_of_previews() -> None:
    """Decibels of what `corrected` makes, but for half a grey level that rounding costs."""
    from native_testing import testing

    network, model, pixels = random_network(16, 1), find("photo"), picture(64, 64)
    (*_, last) = states_of(pixels, model, np.random.default_rng(2))
    core = network_of({name: tensor.numpy() for name, tensor in network.exported().items()}, PREVIEW, 1)
    mean, variance = last.mean.astype(np.float32), last.variance.astype(np.float32)

    def error(planes: Any) -> float:
        return float(((to_rgb(torch.from_numpy(planes)).numpy() - pixels) ** 2).mean())

    expected = 10 * np.log10((error(mean) + 0.3) / (error(testing.corrected(core, mean, variance)) + 0.3))
    won = gain(network, Examples.of([last], torch.device("cpu"))).item()
    assert won == pytest.approx(expected, abs=1e-3)


# --- models


@pytest.fixture(scope="module")
def model(whole: Path, model_path: Path) -> ContextModel:
    return parse(export([whole], "corrected", base=str(model_path)), "corrected")


def test_a_model_has_one_for_all_efforts(model: ContextModel) -> None:
    assert set(model.facts) == {f"{effort}.{role}" for effort in EFFORTS for role in (*ROLES, PREVIEW)}
    assert {model.facts[f"{effort}.{PREVIEW}"].stored for effort in EFFORTS} == {f"1.{PREVIEW}"}
    assert len(model.networks(2, 5)) == len(find("photo").networks(2, 0)) + 4


def test_files_are_the_same_and_previews_are_not(model: ContextModel, model_path: Path) -> None:
    """The network is no part of what codes."""
    before, pixels = find(model_path), picture(64, 72)
    assert streams_of(pixels, before, Coding(2, 5)) == streams_of(pixels, model, Coding(2, 5))

    def preview(model: ContextModel) -> Any:
        data = ddpmcodec.encode(pixels, model=model, levels=5)
        assert (np.asarray(ddpmcodec.decode(data, model=model)) == pixels).all()
        return np.asarray(ddpmcodec.decode(data[: len(data) // 4], model=model, partial=True))

    assert (preview(before) != preview(model)).any()


@pytest.mark.parametrize("shape", [(1, 300, 3), (257, 2, 1), (64, 72, 1)])
def test_previews_of_other_images_are_corrected(model: ContextModel, shape: tuple[int, int, int]) -> None:
    """Narrow ones, and grey ones, whose channels stay equal."""
    pixels = np.resize(picture(64, 72), shape)
    data = ddpmcodec.encode(pixels.squeeze(2) if shape[2] == 1 else pixels, model=model, levels=2)
    shown = np.asarray(ddpmcodec.decode(data[: len(data) // 2], model=model, partial=True))
    assert shown.shape[:2] == shape[:2]
    assert (np.asarray(ddpmcodec.decode(data, model=model)) == pixels.squeeze()).all()


def test_a_run_of_another_kind_is_no_start(whole: Path, settings: PreviewSettings, tmp_path: Path) -> None:
    other = ContextSettings(settings.data, effort=1, start=str(whole), crop=16)
    with pytest.raises(TrainingError, match="network for previews"):
        context_run.train(other, tmp_path, lambda _: None, compiled=False)


def test_a_trainer_without_images_to_evaluate_on_says_nothing(settings: PreviewSettings, gradients: Any) -> None:
    from ddpmcodec.training.data import crops_of

    trainer = PreviewTrainer(settings, crops_of([list(gradients)], 16, 0), compiled=False)
    assert trainer.evaluate() == {}
