"""From pictures to a model, by a process of its own, and to samples from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec.models.registry import DENOISER, find
from ddpmcodec.training import gaussian_trainer

Ddpm = Callable[..., Any]  # conftest.Ddpm
SMALL = ("--steps", 2, "--width", 16, "--blocks", 1, 1, 1, "--hold-out", 2, "--batch", 4, "--no-compile")


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command line, on one thread."""
    command = [sys.executable, "-m", "ddpmcodec.cli", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of 32 x 32 pixels."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "data").mkdir()
    y, x = np.mgrid[:32, :32]
    for i in range(6):
        pixels = np.stack([7 * x + i, 5 * y + 9 * i, 100 + x + y], -1).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "data" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> subprocess.CompletedProcess[str]:
    return process("train-gaussian", "--data", folder / "data", "--out", folder / "run", *SMALL)


def test_training_names_the_model(folder: Path, trained: subprocess.CompletedProcess[str]) -> None:
    run_folder = folder / "run"
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout == ""
    assert trained.stderr.endswith(
        f"ddpmcodec: {run_folder}: 2 steps, 8 images; the model is {run_folder / 'gaussian.safetensors'}\n"
    )
    assert sorted(path.name for path in run_folder.iterdir()) == [
        "gaussian.safetensors", "log.jsonl", "state.safetensors"
    ]  # fmt: skip
    assert find(run_folder / "gaussian.safetensors", DENOISER).name == "gaussian"
    records = [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]
    assert records[0]["settings"]["architecture"] == {
        "width": 16,
        "inner_width": 32,
        "down": 1,
        "bottom": 1,
        "up": 1,
    }
    assert records[-1]["step"] == 2


@pytest.mark.usefixtures("trained")
def test_the_model_draws_images(folder: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    model = folder / "run" / "gaussian.safetensors"
    ended = ddpm("sample", "-o", tmp_path / "x.png", "--model", model, "--count", 1, "--size", 8, "--levels", 2)
    assert ended.code == 0, ended.stderr
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (8, 8)


# --- errors, in this process


def test_missing_data_are_named(tmp_path: Path, ddpm: Ddpm) -> None:
    ended = ddpm("train-gaussian", "--data", tmp_path / "no", "--out", tmp_path / "run", *SMALL)
    assert (ended.code, ended.stdout) == (1, b"")
    assert ended.stderr == (
        f"ddpmcodec: {tmp_path / 'no'}: no such file or folder; point --data at images, an array or a CIFAR-10 root\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("trained")
def test_an_existing_run_is_kept(folder: Path, ddpm: Ddpm) -> None:
    ended = ddpm("train-gaussian", "--data", folder / "data", "--out", folder / "run", *SMALL)
    assert ended.code == 1
    assert ended.stderr == (
        f"ddpmcodec: {folder / 'run'}: holds a training run already; go on with --resume, or choose another folder\n"
    )


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


def test_what_is_no_training_state_is_named(folder: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    (tmp_path / "state.safetensors").write_text("no state")
    ended = ddpm("train-gaussian", "--data", folder / "data", "--out", tmp_path, *SMALL, "--resume")
    assert ended.code == 1
    assert ended.stderr.startswith(f"ddpmcodec: {tmp_path / 'state.safetensors'}: not the state of such a run (")


def test_an_interrupted_run_says_that_nothing_was_saved(
    folder: Path, tmp_path: Path, ddpm: Ddpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gaussian_trainer.GaussianTrainer, "update", interrupted)
    ended = ddpm("train-gaussian", "--data", folder / "data", "--out", tmp_path / "run", *SMALL)
    assert ended.code == 130
    assert ended.stderr.endswith(f"ddpmcodec: {tmp_path / 'run'}: interrupted; nothing was saved yet\n")
