"""Runs of a context model: what a resumed one takes over, and that what is exported codes images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec import _native
from ddpmcodec.errors import TrainingError
from ddpmcodec.models.context import parse
from ddpmcodec.training import reconstruction
from ddpmcodec.training.context_run import export, train
from ddpmcodec.training.context_trainer import ContextSettings, ContextTrainer
from ddpmcodec.training.run import saved_settings

SMALL: dict[str, Any] = {"effort": 1, "roles": ("direct",), "hold_out": 4, "crop": 16, "batch": 4, "seed": 2}


@pytest.fixture
def arrays(tmp_path: Path) -> tuple[str, str]:
    """Ten images of 16 x 16 pixels, and three of 12 x 12."""
    for name, (count, side) in {"a": (10, 16), "b": (3, 12)}.items():
        pixels = np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
        np.save(tmp_path / f"{name}.npy", pixels)
    return str(tmp_path / "a.npy"), str(tmp_path / "b.npy")


@pytest.fixture
def by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of two steps an hour, however slow the machine is."""
    monkeypatch.setattr(ContextTrainer, "progress", lambda self: min(1.0, self.step / (2 * self.settings.hours)))


@pytest.fixture
def run(arrays: tuple[str, str], tmp_path: Path, by_steps: None) -> Path:
    settings = ContextSettings(arrays, hours=1.0, **SMALL)
    train(settings, tmp_path / "run", print, compiled=False)
    return tmp_path / "run"


def test_a_resumed_run_keeps_its_settings(run: Path, arrays: tuple[str, str]) -> None:
    saved = saved_settings(run, ContextSettings)
    assert saved == ContextSettings(arrays, hours=1.0, **SMALL)
    trainer, done = train(ContextSettings((), hours=2.0), run, print, resume=True, chosen=["hours"], compiled=False)
    assert done
    assert (trainer.settings.batch, trainer.step) == (4, 4)
    assert saved_settings(run, ContextSettings).hours == 2.0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"crop": 8}, "--crop 16, not 8: leave --crop out"),
        ({"effort": 3}, "--effort 1, not 3"),
        ({"roles": ("direct", "last")}, "--roles direct, not direct, last"),
        ({"validate": "x"}, "--validate None, not x"),
        ({"data": ("y", "z")}, r"--data .*a.npy, .*b.npy, not y, z"),
    ],
)
def test_other_settings_are_refused(run: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        train(ContextSettings(**{"data": ()} | changed), run, print, resume=True, chosen=list(changed))


# --- export


def coded(content: bytes, effort: int, levels: int, images: np.ndarray) -> np.ndarray:
    """Encoded and decoded."""
    networks = parse(content, "exported").networks(effort, levels)
    layout: dict[str, Any] = {"streams": len(images), "shared": False, "learns": False, "threads": 1}
    encoder, decoder = (_native.Pass(networks, levels, images.shape, **layout) for _ in range(2))
    encoder.encode(images)
    encoder.advance(1 << 30, encoder.segments)
    streams = [encoder.stream(number, 0) for number in range(len(images))]
    words = [np.frombuffer(b"".join(own), np.uint32) for _, own in streams]
    decoder.decode([own for own, _ in streams], words)
    decoder.advance(1 << 30, decoder.segments)
    assert decoder.is_exact
    pixels, _ = decoder.pixels()
    return pixels


@pytest.mark.parametrize("levels", [0, 2, 5])
def test_an_exported_model_codes_images(levels: int, run_folder: Path, model_path: Path, gradients: np.ndarray) -> None:
    content = export([run_folder], "mine", print, base=str(model_path))
    images = np.ascontiguousarray(gradients[:2])
    assert np.array_equal(coded(content, 1, levels, images), images)


def test_a_trained_network_takes_fewer_bits(run_folder: Path, model_path: Path, gradients: np.ndarray) -> None:
    sizes = []
    for content in (model_path.read_bytes(), export([run_folder], "mine", print, base=str(model_path))):
        layout: dict[str, Any] = {"streams": 1, "shared": False, "learns": False, "threads": 1}
        encoder = _native.Pass(parse(content, "m").networks(1, 0), 0, (1, 16, 16, 3), **layout)
        encoder.encode(np.ascontiguousarray(gradients[-1:]))
        encoder.advance(1 << 30, encoder.segments)
        sizes.append(encoder.bits())
    assert sizes[1] < sizes[0]


def test_a_denoiser_is_trained_on_request(run_folder: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconstruction, "CAPACITY", 40)
    content = export([run_folder], "mine", print, base=str(model_path), denoiser_hours=1e-4)
    assert parse(model_path.read_bytes(), "begun").denoiser is None
    assert parse(content, "mine").denoiser is not None
