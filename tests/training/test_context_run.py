"""Runs of a context model: what a resumed one takes over, and that what is exported codes images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec import _native
from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.models.context import KIND, parse, tensors_of
from ddpmcodec.models.model_file import metadata
from ddpmcodec.training import context_run as context_data
from ddpmcodec.training import state
from ddpmcodec.training.context_run import BatchPrefetcher, Source, export, gathered, held_out_batches, train
from ddpmcodec.training.context_trainer import ContextSettings, ContextTrainer
from ddpmcodec.training.data import crops_of
from ddpmcodec.training.networks import SIZES, Size, networks_of
from ddpmcodec.training.run import saved_settings
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
    ahead = BatchPrefetcher(source, threads=3)
    for _ in range(7):  # more than an epoch
        assert np.array_equal(ahead(), other())
    assert ahead.number == other.number
    ahead.number = other.number = 2
    assert np.array_equal(ahead(), other())


# --- export: whose networks a model file has, and that it codes with them


def coded(content: bytes, effort: int, levels: int, images: np.ndarray) -> np.ndarray:
    """Encoded and decoded."""
    networks = parse(content, "exported").networks(effort, levels)
    layout: dict[str, Any] = {"streams": len(images), "learns": False, "threads": 1}
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


@pytest.mark.parametrize("levels", [0, 1, 2, 5])
def test_an_exported_model_codes_images(levels: int, run_folder: Path, model_path: Path, gradients: np.ndarray) -> None:
    content = export([run_folder], "mine", base=str(model_path))
    images = np.ascontiguousarray(gradients[:2])
    assert np.array_equal(coded(content, 1, levels, images), images)


def test_a_trained_network_takes_fewer_bits(run_folder: Path, model_path: Path, gradients: np.ndarray) -> None:
    sizes = []
    for content in (model_path.read_bytes(), export([run_folder], "mine", base=str(model_path))):
        layout: dict[str, Any] = {"streams": 1, "learns": False, "threads": 1}
        encoder = _native.Pass(parse(content, "m").networks(1, 0), 0, (1, 16, 16, 3), **layout)
        encoder.encode(np.ascontiguousarray(gradients[-1:]))
        encoder.advance(1 << 30, encoder.segments)
        sizes.append(encoder.bits())
    assert sizes[1] < sizes[0]


def test_networks_of_runs_replace_those_of_the_base(run_folder: Path, model_path: Path) -> None:
    content = gathered([run_folder], str(model_path)).packed("mine")
    assert parse(content, "mine").name == "mine"
    found, base = tensors_of(parse(content, "mine")), tensors_of(parse(model_path.read_bytes(), "base"))
    assert found.keys() == base.keys()  # though efforts 2 and 3 of the base have no tensors but those of effort 1
    changed = {key.rpartition(".")[0].rpartition(".")[0] for key in found if not np.array_equal(found[key], base[key])}
    assert changed == {"1.direct", "1.band1"}
    own = networks_of(state.read(run_folder), run_folder)["direct"].exported()
    assert all(np.array_equal(found[f"1.direct.{key}"], value.numpy()) for key, value in own.items())


def test_an_exported_model_says_how_it_was_made(run_folder: Path, model_path: Path) -> None:
    content = gathered([run_folder], str(model_path)).packed("mine")
    (made,) = metadata(content, "mine", KIND)["training"]["runs"]
    assert (made["efforts"], made["roles"], made["steps"]) == ([1], ["direct", "band1"], 30)


def test_the_same_runs_give_the_same_file(run_folder: Path, model_path: Path) -> None:
    first, second = (gathered([run_folder, run_folder], str(model_path)).packed("mine") for _ in range(2))
    assert first == second


def test_missing_networks_are_named(run_folder: Path) -> None:
    with pytest.raises(
        TrainingError,
        match=r"1.last, 1.band2, 1.band3, 2.direct, .*base=",
    ):
        gathered([run_folder], None)


def test_a_base_must_be_a_model(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "no.safetensors").write_bytes(b"no model")
    with pytest.raises(ModelError, match="not a ddpmcodec model"):
        gathered([run_folder], str(tmp_path / "no.safetensors"))
