"""Training of the denoiser of previews, on states that the codec has."""

from __future__ import annotations

import time
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddpmcodec import _native
from ddpmcodec.codec.previews import to_ycocg
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import find
from ddpmcodec.training import preview_denoiser as reconstruction
from ddpmcodec.training.preview_denoiser import STATES, Denoiser, loss, states


@pytest.fixture(scope="module")
def model(model_path: Path) -> ContextModel:
    return find(model_path)


def photo(count: int, side: int = 24) -> np.ndarray:
    with Image.open(Path(__file__).parents[2] / "docs" / "photo.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    return np.stack([pixels[20 * k : 20 * k + side, 50 * k : 50 * k + side] for k in range(count)])


def test_states_are_of_several_noise_levels(model: ContextModel) -> None:
    pixels = photo(3)
    found = states(pixels, model, np.random.default_rng(0))
    assert len(found) == STATES * len(pixels)
    for number, (mean, deviation, planes) in enumerate(found):
        assert mean.shape == deviation.shape == planes.shape == (24, 24, 3)
        np.testing.assert_array_equal(planes, to_ycocg(pixels)[number % 3])
    doubts = [float(deviation.mean()) for _, deviation, _ in found[::3]]
    assert max(doubts) > 3 * min(doubts)
    errors = [float(np.abs(mean - planes).mean()) for mean, _, planes in found[::3]]
    assert errors[-1] < errors[0]


def batch(model: ContextModel) -> list[torch.Tensor]:
    found = states(photo(3), model, np.random.default_rng(1))
    return [torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2) for part in zip(*found, strict=True)]


def test_without_denoising_the_loss_is_about_nothing(model: ContextModel) -> None:
    assert loss(Denoiser(), *batch(model)).item() == pytest.approx(0, abs=1e-3)


def test_the_loss_falls_in_training(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the network that a short run gives back, on states that it has seen."""
    monkeypatch.setattr(reconstruction, "CAPACITY", 40)
    log: list[dict[str, Any]] = []
    ticks = iter(np.linspace(0, 3600, 160).tolist() + [1e9] * 9)
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    torch.manual_seed(0)
    network = reconstruction.train(model, lambda: photo(2), 1.0, log.append)
    assert log[0]["step"] == 100
    assert log[0]["decibel"] > 0.05
    assert loss(network, *batch(model)).item() < -0.03


@pytest.mark.parametrize("shape", [(24, 24), (7, 9)], ids=str)
def test_a_trained_denoiser_is_the_same_in_the_core(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    network = Denoiser()
    torch.nn.init.normal_(network.leave.weight, std=0.05)
    rng = np.random.default_rng(0)
    mean = rng.uniform(0, 255, (*shape, 3)).astype(np.float32)
    deviation = rng.uniform(0, 20, (*shape, 3)).astype(np.float32)
    core = _native.Denoiser({key: value.numpy() for key, value in network.state_dict().items()})
    found = core.denoise(mean, deviation, mean.mean((0, 1), dtype=np.float64).astype(np.float32))
    planes = [torch.from_numpy(part).permute(2, 0, 1)[None] for part in (mean, deviation)]
    with torch.no_grad():
        expected = network(*planes)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_crops_may_be_of_several_sizes(model: ContextModel) -> None:
    """As those of two data sets are."""
    batches = cycle([photo(3), photo(3, 16)])
    records: list[dict[str, Any]] = []
    ticks = iter([*np.linspace(0, 3600, 40).tolist(), 1e9])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction, "CAPACITY", 24)
        patch.setattr(time, "perf_counter", lambda: next(ticks))
        network = reconstruction.train(model, lambda: next(batches), 1.0, records.append)
    assert all(bool(parameter.isfinite().all()) for parameter in network.parameters())
