"""ddpmcodec quality: what it can say without the trained Inception weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddpmcodec.paper import quality


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3)).astype(np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_missing_weights_are_4(ddpm: Any, folder: Path, tmp_path: Path) -> None:
    ended = ddpm("quality", folder, folder, "--inception", tmp_path / "inception.pth")
    assert (ended.code, ended.stdout) == (4, b"")
    assert f"{tmp_path / 'inception.pth'}: cannot read the weights" in ended.stderr
    assert "--inception" in ended.stderr


def test_the_weights_of_another_network_are_4(ddpm: Any, folder: Path, tmp_path: Path) -> None:
    torch.save({"fc.bias": torch.zeros(10)}, tmp_path / "other.pth")
    ended = ddpm("quality", folder, folder, "--inception", tmp_path / "other.pth")
    assert ended.code == 4
    assert "other.pth: not the weights of inception-v3-compat" in ended.stderr


def test_too_few_images_are_1(ddpm: Any, folder: Path, tmp_path: Path) -> None:
    torch.save({"fc.bias": torch.zeros(10)}, tmp_path / "weights.pth")
    (folder / "3.png").unlink()
    ended = ddpm("quality", folder, folder, "--inception", tmp_path / "weights.pth")
    assert ended.code == 1
    assert f"{folder}: 9 images" in ended.stderr


def test_figures_are_printed_as_text_and_as_json(ddpm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures themselves are those of the library (tests/paper/test_quality.py); here, how they are shown."""
    known = quality.Quality(5000, 2047, 3.17, 9.46, 0.11, 0.5, 1.0)
    monkeypatch.setattr(quality, "measure", lambda *_, **__: known)
    ended = ddpm("quality", "a", "b", "--inception", "c.pth")
    assert ended.code == 0
    lines = dict(line.split() for line in ended.stdout.decode().splitlines())
    assert lines == {
        "samples": "5000",
        "references": "2047",
        "fid": "3.17",
        "inception_score": "9.46",
        "inception_score_std": "0.11",
        "precision": "0.5",
        "recall": "1",
    }
    assert "fewer than 2048 images" in ended.stderr
    ended = ddpm("quality", "a", "b", "--inception", "c.pth", "--json", "-q")
    assert (json.loads(ended.stdout), ended.stderr) == (known._asdict(), "")
