"""From pictures to a model whose previews are corrected."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec.models.context import PREVIEW, tensors_of
from ddpmcodec.models.registry import find

Ddpm = Callable[..., Any]  # conftest.Ddpm
pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = ("--steps", 2, "--width", 16, "--depth", 1, "--crop", 16, "--hold-out", 2, "--batch", 2, "--no-compile")


@pytest.fixture(scope="module")
def trained(folder: Path, one_thread: None, ddpm_once: Ddpm) -> Any:
    return ddpm_once("train-preview", "--data", folder / "data", "--out", folder / "run", *SMALL)


def test_training_says_what_comes_next(folder: Path, trained: Any) -> None:
    run = folder / "run"
    assert (trained.code, trained.stdout) == (0, b""), trained.stderr
    assert " dB on held-out images\n" in trained.stderr
    assert trained.stderr.endswith(f"; next: ddpmcodec export {run} -o MODEL.safetensors --base photo\n")
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert (records[0]["settings"]["width"], records[-1]["step"]) == (16, 2)


@pytest.mark.usefixtures("trained")
def test_export_puts_it_into_a_model(folder: Path, tmp_path: Path, ddpm: Ddpm) -> None:
    path = tmp_path / "own.safetensors"
    ended = ddpm("export", folder / "run", "-o", path, "--base", "photo")
    assert ended.code == 0, ended.stderr
    photo, own = tensors_of(find("photo")), tensors_of(find(path))
    assert own[f"2.{PREVIEW}.stem.weight"].shape == (16, 224)
    others = [key for key in photo if f".{PREVIEW}." not in key]
    assert all(np.array_equal(own[key], photo[key]) for key in others)


@pytest.mark.usefixtures("trained")
def test_a_run_goes_on(folder: Path, ddpm: Ddpm) -> None:
    ended = ddpm("train-preview", "--out", folder / "run", "--resume", "--steps", 3)
    assert ended.code == 0, ended.stderr
    assert f"{folder / 'run'}: 3 steps, " in ended.stderr


def test_hours_or_steps(folder: Path, ddpm: Ddpm) -> None:
    ended = ddpm("train-preview", "--data", folder / "data", "--out", folder / "x", "--steps", 2, "--hours", 1)
    assert ended.code == 2
    assert "--steps takes the place of --hours" in ended.stderr


@pytest.mark.parametrize(("width", "code"), [(20, 1), (8, 2)])
def test_a_width_is_a_multiple_of_16(folder: Path, ddpm: Ddpm, width: int, code: int) -> None:
    ended = ddpm("train-preview", "--data", folder / "data", "--out", folder / "x", "--width", width)
    assert (ended.code, (folder / "x").exists()) == (code, False)
    assert "--width" in ended.stderr
