"""Training of the denoiser of previews, on states that the codec has."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddpmcodec.channels.progressive import BandRanges
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.reconstruction import Denoiser, denoised
from ddpmcodec.training import reconstruction
from ddpmcodec.training.reconstruction import STATES, cut, loss, states
from ddpmcodec.transform.color import to_ycocg
from ddpmcodec.transform.pyramid import Band


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


def test_a_band_is_cut_between_waves() -> None:
    """Positions with x + 4 y below a wave are as after the step, the rest as before it."""
    before, after = (BandRanges(1, Band(1, False, 3, 5, 5), 3) for _ in range(2))
    after.lo[:] = after.hi[:] = 7
    after.mean[:], after.scale[:] = 64, 40
    for share in (0.0, 0.4, 1.0):
        found = cut(before, after, share)
        done = np.add.outer(4 * np.arange(3), np.arange(5)) < share * (5 + 4 * 2)
        for name in ("lo", "hi", "mean", "scale"):
            expected = np.where(done[None, ..., None], getattr(after, name), getattr(before, name))
            np.testing.assert_array_equal(getattr(found, name), expected)
    assert (before.lo < before.hi).all()


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


def test_crops_may_be_of_several_sizes(context_model: ContextModel) -> None:
    """As those of two data sets are."""
    batches = cycle([photo(3), photo(3, 16)])
    records: list[dict[str, Any]] = []
    ticks = iter([*np.linspace(0, 3600, 40).tolist(), 1e9])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction, "CAPACITY", 24)
        patch.setattr(reconstruction.time, "perf_counter", lambda: next(ticks))
        network = reconstruction.train(context_model, lambda: next(batches), 1.0, records.append)
    assert network.state_dict().keys() == Denoiser().state_dict().keys()
    assert all(bool(parameter.isfinite().all()) for parameter in network.parameters())
