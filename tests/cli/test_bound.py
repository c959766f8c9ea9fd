"""ddpmcodec bound: what the library computes, of the embedded denoiser or another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddpmcodec.benchmarks._bound import DenoiserChoice, bound_of
from ddpmcodec.paper.bound import evaluate
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.gaussian_model import GaussianModel
from ddpmcodec.paper.paper_denoiser import PaperDenoiser


@pytest.fixture
def images(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", noise)
    return tmp_path / "images.npy"


def pixels_of(images: Path, count: int) -> torch.Tensor:
    return torch.from_numpy(np.load(images)[:count]).permute(0, 3, 1, 2)


def test_it_is_the_librarys(ddpm: Any, images: Path, tiny_gaussian: Path) -> None:
    ended = ddpm("bound", images, "--model", tiny_gaussian, "--levels", 3, "--limit", 2, "--seed", 5, "--json")
    denoiser, generator = find_denoiser(tiny_gaussian), torch.Generator().manual_seed(5)
    assert isinstance(denoiser, GaussianModel)
    expected = evaluate(denoiser, pixels_of(images, 2), denoiser.coding_levels(3), generator, prior_std=64)
    assert json.loads(ended.stdout) == {"model": denoiser.id.hex(), "levels": 3, **expected.to_json()}


def test_of_the_papers_network_too(ddpm: Any, images: Path, tiny_unet: Path) -> None:
    ended = ddpm("bound", images, "--model", tiny_unet.parent, "--levels", 4, "--json")
    denoiser, generator = find_denoiser(tiny_unet), torch.Generator().manual_seed(0)
    assert isinstance(denoiser, PaperDenoiser)
    expected = evaluate(denoiser, pixels_of(images, 3), denoiser.coding_levels(4), generator, prior_std=127.5)
    assert json.loads(ended.stdout)["bits_per_dim"] == expected.total()._asdict()


@pytest.mark.parametrize("T", [3, 20])
@pytest.mark.parametrize("source", ["tiny_gaussian", "tiny_unet"])
def test_it_is_that_of_the_benchmarks(
    ddpm: Any, images: Path, source: str, T: int, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(source)
    ended = ddpm("bound", images, "--model", model, "--levels", T, "--json")
    expected = bound_of([*np.load(images)], DenoiserChoice(str(model), T), seed=0)
    assert json.loads(ended.stdout) == {"model": find_denoiser(model).id.hex(), "levels": T, **expected.to_json()}


def test_people_read_a_table(ddpm: Any, images: Path, tiny_gaussian: Path) -> None:
    lines = ddpm("bound", images, "--model", tiny_gaussian, "--levels", 30).stdout.decode().splitlines()
    headings = ["time T - t + 1", "noise level", "bits/dim", "bits per pixel", "RMSE, grey levels", "PSNR, dB"]
    assert re.split(r" {2,}", lines[0].strip()) == headings
    rows = [re.split(r" {2,}", line.strip()) for line in lines[1:-1]]
    assert [int(row[0]) for row in rows] == [1, 4, 7, 11, 14, 17, 20, 24, 27, 30, 31]
    rates = [float(row[2].split()[0]) for row in rows]
    assert rows[-1][4:] == ["0", "lossless"]
    assert rates == sorted(rates)
    assert lines[-1].startswith(f"bound: {rates[-1]:.4f} ± ")
    assert lines[-1].endswith(" bits/dim, 3 images, 30 noise levels")
    one = ddpm("bound", images, "--model", tiny_gaussian, "--levels", 2, "--limit", 1).stdout.decode()
    assert one.endswith(" bits/dim, 1 image, 2 noise levels\n")


def test_what_it_refuses(ddpm: Any, tmp_path: Path, tiny_unet: Path) -> None:
    folder = tmp_path / "sizes"
    folder.mkdir()
    for name, size in (("a.png", (8, 8)), ("b.png", (8, 9))):
        Image.new("RGB", size).save(folder / name)
    ended = ddpm("bound", folder)
    assert (ended.code, f"{folder}: image 2 has another size" in ended.stderr) == (1, True)
    ended = ddpm("bound", folder, "--limit", 1, "--model", tiny_unet.parent, "--levels", 21)
    assert ended.code == 2
    assert "--levels: can keep 2 to 20 " in ended.stderr
    assert ddpm("bound", tmp_path / "nowhere").code == 1
