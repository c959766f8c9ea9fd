"""From pictures to a model, and to samples from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from PIL import Image

from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.training import gaussian_trainer, state

Ddpm = Callable[..., Any]  # conftest.Ddpm
pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = ("--steps", 2, "--width", 16, "--blocks", 1, 1, 1, "--hold-out", 2, "--batch", 4, "--no-compile")


@pytest.fixture(scope="module")
def trained(folder: Path, one_thread: None, ddpm_once: Ddpm) -> Any:
    return ddpm_once("train-gaussian", "--data", folder / "data", "--out", folder / "run", *SMALL)


def test_training_names_the_model(folder: Path, trained: Any) -> None:
    run_folder = folder / "run"
    assert (trained.code, trained.stdout) == (0, b""), trained.stderr
    assert f"{run_folder}: 2 steps, 8 images; " in trained.stderr
    assert sorted(path.name for path in run_folder.iterdir()) == [
        "gaussian.safetensors", "log.jsonl", "state.safetensors"
    ]  # fmt: skip
    assert find_denoiser(run_folder / "gaussian.safetensors").name == "gaussian"
    records = [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]
    assert records[0]["settings"]["architecture"] == {"width": 16, "inner_width": 32, "down": 1, "bottom": 1, "up": 1}
    assert records[-1]["step"] == 2


@pytest.mark.usefixtures("trained")
def test_the_model_draws_images(folder: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    model = folder / "run" / "gaussian.safetensors"
    ended = ddpm("sample", "-o", tmp_path / "x.png", "--model", model, "--count", 1, "--size", 8, "--levels", 2)
    assert ended.code == 0, ended.stderr
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (8, 8)


@pytest.mark.usefixtures("trained")
def test_a_resumed_run_compiles_only_if_it_did(folder: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    copytree(folder / "run", tmp_path / "run")
    ended = ddpm("train-gaussian", "--out", tmp_path / "run", "--resume", "--steps", 3)
    assert ended.code == 0, ended.stderr
    assert state.read(tmp_path / "run").facts["compiled"] is False


@pytest.mark.usefixtures("trained")
def test_a_resumed_run_may_go_by_hours_in_place_of_steps(folder: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    copytree(folder / "run", tmp_path / "run")
    ended = ddpm("train-gaussian", "--out", tmp_path / "run", "--resume", "--hours", 0.0005)
    assert ended.code == 0, ended.stderr
    facts = state.read(tmp_path / "run").facts
    assert (facts["settings"]["steps"], facts["step"] > 2) == (None, True)


# --- errors, in this process


@pytest.mark.parametrize(
    "wrong",
    [("--steps", 0), ("--hours", 0), ("--batch", 0), ("--crop", 2), ("--hold-out", -1), ("--blocks", 1, 0, 1)],
    ids=lambda wrong: wrong[0],
)
def test_impossible_numbers_are_wrong_usage(tmp_path: Path, ddpm: Ddpm, wrong: tuple[object, ...]) -> None:
    ended = ddpm("train-gaussian", "--data", tmp_path, "--out", tmp_path / "run", *wrong)
    assert ended.code == 2
    assert f"Invalid value for '{wrong[0]}'" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_crops_must_fit_the_network(folder: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    ended = ddpm("train-gaussian", "--data", folder / "data", "--out", tmp_path / "run", *SMALL, "--crop", 6)
    assert (ended.code, "6 pixels: --crop" in ended.stderr) == (1, True)


def test_an_interrupted_run_says_that_nothing_was_saved(
    folder: Path, tmp_path: Path, ddpm: Ddpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gaussian_trainer.GaussianTrainer, "update", interrupted)
    ended = ddpm("train-gaussian", "--data", folder / "data", "--out", tmp_path / "run", *SMALL)
    assert ended.code == 130
    assert f"{tmp_path / 'run'}: interrupted; nothing was saved" in ended.stderr
