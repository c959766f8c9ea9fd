"""Runs of a context model: what a resumed one takes over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec.errors import TrainingError
from ddpmcodec.training.context_run import train
from ddpmcodec.training.context_trainer import ContextSettings, ContextTrainer
from ddpmcodec.training.run import saved_settings

SMALL = {"width": 32, "depth": 1, "hold_out": 4, "crop": 16, "batch": 4, "seed": 2}


@pytest.fixture
def arrays(tmp_path: Path) -> tuple[str, str]:
    """Ten images of 16 x 16 pixels, and three of 12 x 12."""
    for name, (count, side) in {"a": (10, 16), "b": (3, 12)}.items():
        pixels = np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
        np.save(tmp_path / f"{name}.npy", pixels)
    return str(tmp_path / "a.npy"), str(tmp_path / "b.npy")


@pytest.fixture(autouse=True)
def by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of two steps an hour, however slow the machine is."""
    monkeypatch.setattr(ContextTrainer, "progress", lambda self: min(1.0, self.step / (2 * self.settings.hours)))


@pytest.fixture
def run(arrays: tuple[str, str], tmp_path: Path) -> Path:
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
        ({"validate": "x"}, "--validate None, not x"),
        ({"hold_out": 1}, "--hold-out 4, not 1"),
        ({"data": ("y", "z")}, r"--data .*a.npy, .*b.npy, not y, z"),
    ],
)
def test_other_settings_are_refused(run: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        train(ContextSettings(**{"data": ()} | changed), run, print, resume=True, chosen=list(changed))
