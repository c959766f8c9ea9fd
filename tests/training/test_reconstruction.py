"""Training of the denoiser of previews, on states that the codec has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.reconstruction import Denoiser, denoised
from ddpmcodec.training import reconstruction
from ddpmcodec.training.reconstruction import STATES, loss, states
from ddpmcodec.transform.color import to_ycocg


def photo(count: int, side: int = 24) -> np.ndarray:
    with Image.open(Path(__file__).parents[2] / "docs" / "photo.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    return np.stack([pixels[20 * k : 20 * k + side, 50 * k : 50 * k + side] for k in range(count)])


def test_states_are_of_several_noise_levels(context_model: ContextModel) -> None:
    pixels = photo(3)
    found = states(pixels, context_model, np.random.default_rng(0))
    assert len(found) == STATES * len(pixels)
    for number, (mean, deviation, planes) in enumerate(found):
        assert mean.shape == deviation.shape == planes.shape == (24, 24, 3)
        np.testing.assert_array_equal(planes, to_ycocg(pixels)[number % 3])
    doubts = [float(deviation.mean()) for _, deviation, _ in found[::3]]
    assert max(doubts) > 3 * min(doubts)


def batch(context_model: ContextModel) -> list[torch.Tensor]:
    found = states(photo(3), context_model, np.random.default_rng(1))
    return [torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2) for part in zip(*found, strict=True)]


def test_without_denoising_the_loss_is_about_nothing(context_model: ContextModel) -> None:
    value = loss(Denoiser(), *batch(context_model))
    assert value.item() == pytest.approx(0, abs=1e-3)


def test_the_loss_falls_in_training(context_model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the network that a short run gives back, on states that it has seen."""
    monkeypatch.setattr(reconstruction, "CAPACITY", 40)
    log: list[dict[str, Any]] = []
    ticks = iter(np.linspace(0, 3600, 160).tolist() + [1e9] * 9)
    monkeypatch.setattr(reconstruction.time, "perf_counter", lambda: next(ticks))
    torch.manual_seed(0)
    network = reconstruction.train(context_model, lambda: photo(2), 1.0, log.append)
    assert log[0]["step"] == 100
    assert log[0]["decibel"] > 0.05
    assert loss(network, *batch(context_model)).item() < -0.03


def test_a_trained_network_is_one_that_previews_take(context_model: ContextModel) -> None:
    mean, deviation, _ = states(photo(1), context_model, np.random.default_rng(2))[0]
    for box, found in denoised(Denoiser(), mean, deviation):
        np.testing.assert_array_equal(found, mean[box])
