"""Runs of a context model: what a resumed one takes over, and that what is exported codes images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec.errors import TrainingError
from ddpmcodec.training import context_run as context_data
from ddpmcodec.training.context_run import Ahead, Source, held_out_batches, train
from ddpmcodec.training.context_trainer import ContextSettings, ContextTrainer
from ddpmcodec.training.data import crops_of
from ddpmcodec.training.run import saved_settings
from ddpmcodec.training.sizes import SIZES, Size
from ddpmcodec.training.trainable import Shape

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


def test_a_resumed_run_keeps_its_shapes(arrays: tuple[str, str], tmp_path: Path, by_steps: None) -> None:
    """Whatever an effort's sizes are by then."""
    settings, smaller = ContextSettings(arrays, hours=1.0, **SMALL), SIZES[1]._replace(direct=Size(16, 1, 2, 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIZES, 1, smaller)
        train(settings, tmp_path / "run", print, compiled=False)
    trainer, done = train(
        ContextSettings((), hours=2.0), tmp_path / "run", print, resume=True, chosen=["hours"], compiled=False
    )
    assert (done, trainer.step) == (True, 4)
    assert trainer.networks["direct"].shape == Shape("direct", 16, 1, 2)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"crop": 8}, "crop=16, not 8"),
        ({"effort": 3}, "effort=1, not 3"),
        ({"roles": ("direct", "last")}, "roles=direct, not direct, last"),
        ({"validate": "x"}, "validate=None, not x"),
        ({"data": ("y", "z")}, r"data=.*a.npy, .*b.npy, not y, z"),
    ],
)
def test_other_settings_are_refused(run: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        train(ContextSettings(**{"data": ()} | changed), run, print, resume=True, chosen=list(changed))


# --- export


def images(count: int, side: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def test_a_source_goes_on_where_another_one_ended() -> None:
    sources = [Source(crops_of([images(9, 16)], 16, 3), 3, 1 << 10) for _ in range(2)]
    first = [sources[0]() for _ in range(4)]
    sources[1].number = 2
    assert first[0].shape == (4, 16, 16, 3)
    assert np.array_equal(sources[1](), first[2])
    assert np.array_equal(sources[1](), first[3])


def test_some_images_are_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_data, "GREY_SHARE", 0.25)
    found = Source(crops_of([images(400, 8)], 8, 0), 0, 400 * 64)()
    grey = (found == found[..., :1]).all((1, 2, 3))
    assert 60 < grey.sum() < 140


def test_most_images_keep_their_colours() -> None:
    found = Source(crops_of([images(400, 8)], 8, 0), 0, 400 * 64)()
    assert 0 < (found == found[..., :1]).all((1, 2, 3)).sum() < 40


def test_held_out_images_of_one_size_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = held_out_batches([*images(2, 150), *images(3, 20), *images(1, 200)])
    assert [batch.shape for batch in batches] == [(3, 128, 128, 3), (3, 20, 20, 3)]
    monkeypatch.setattr(context_data, "HELD_OUT_PIXELS", 1000)
    assert [batch.shape for batch in held_out_batches(images(9, 20))] == [(3, 20, 20, 3)]


def test_threads_make_the_batches_of_their_source() -> None:
    source, other = (Source(crops_of([images(9, 16)], 16, 3), 3, 1 << 10) for _ in range(2))
    ahead = Ahead(source, threads=3)
    for _ in range(7):  # more than an epoch
        assert np.array_equal(ahead(), other())
    assert ahead.number == other.number
    ahead.number = other.number = 2
    assert np.array_equal(ahead(), other())
