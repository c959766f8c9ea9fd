"""Denoisers by name, and the levels they are asked at."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.format import model_file
from ddpmcodec.paper import pretrained
from ddpmcodec.paper.ddpm import PaperDenoiser
from ddpmcodec.paper.denoisers import accelerated, find_denoiser, levels_of
from ddpmcodec.paper.gaussian import GaussianModel, load_gaussian
from ddpmcodec.paper.schedule import ddpm_linear, respace
from ddpmcodec.paper.unet import UNet, UNetConfig


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network of the paper's kind, in a file."""
    torch.manual_seed(0)
    config = UNetConfig(channels=8, multipliers=(1, 1), attention=(), blocks=1, groups=4)
    path = tmp_path_factory.mktemp("paper") / "unet.safetensors"
    path.write_bytes(pretrained.export(PaperDenoiser(UNet(config), ddpm_linear(20, 1e-3, 0.3))))
    return path


@pytest.mark.parametrize("source", [None, models.GAUSSIAN])
def test_the_embedded_model_is_the_default(source: str | None) -> None:
    assert find_denoiser(source) is load_gaussian(source)


def test_an_exported_model_is_known_by_its_file(tiny_gaussian: Path) -> None:
    for source in (tiny_gaussian, str(tiny_gaussian)):
        found = find_denoiser(source)
        assert isinstance(found, GaussianModel)
        assert found.id == load_gaussian(tiny_gaussian).id


def test_a_checkpoint_of_the_papers_network_too(paper: Path) -> None:
    found = find_denoiser(str(paper))
    assert isinstance(found, PaperDenoiser)
    np.testing.assert_array_equal(found.levels, ddpm_linear(20, 1e-3, 0.3))


def test_a_model_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "codec").write_bytes(model_file.pack({"x": torch.zeros(2)}, "context", "codec", {}))
    with pytest.raises(ModelError, match=r"codec: a model of kind 'context'; one of kind 'gaussian' is needed here"):
        find_denoiser(tmp_path / "codec")


def test_what_is_neither_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file or folder"):
        find_denoiser(str(tmp_path / "missing.safetensors"))
    (tmp_path / "photo.png").write_bytes(b"not a network")
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path / 'photo.png'}: cannot read the network")):
        find_denoiser(tmp_path / "photo.png")
    with pytest.raises(ModelError, match=re.escape(str(tmp_path))):
        find_denoiser(tmp_path)


def test_an_exact_model_is_asked_at_levels_from_hardly_visible_to_all_noise(tiny_gaussian: Path) -> None:
    levels = levels_of(find_denoiser(tiny_gaussian), 9)
    assert (len(levels), levels[0], levels[-1]) == (9, 0.75, 1000)
    assert (levels * 1024 % 1 == 0).all()  # as the exact network counts them
    np.testing.assert_allclose(levels[1:] / levels[:-1], (1000 / 0.75) ** (1 / 8), rtol=1e-3)


def test_the_papers_network_is_asked_at_its_own_levels(paper: Path) -> None:
    found = find_denoiser(paper)
    np.testing.assert_array_equal(levels_of(found, 7), respace(ddpm_linear(20, 1e-3, 0.3), 7))
    for level in levels_of(found, 20):
        assert found(torch.zeros(1, 3, 4, 4), float(level)).mean.isfinite().all()
    with pytest.raises(ValueError, match="can keep 2 to 20 of 20 noise levels, not 21"):
        levels_of(found, 21)


def test_on_a_gpu_or_not_the_papers_network_is_asked_and_answers_where_the_latents_are(paper: Path) -> None:
    c_t = torch.linspace(-100, 100, 96).view(2, 3, 4, 4)
    denoiser = find_denoiser(paper)
    expected = denoiser(c_t, float(levels_of(denoiser, 20)[9]))
    found = accelerated(denoiser)(c_t, float(levels_of(denoiser, 20)[9]))
    for one, other in zip(found, expected, strict=True):
        assert one.device == c_t.device
        torch.testing.assert_close(one, other, rtol=1e-3, atol=0.05)  # a GPU's convolutions may round to TF32


def test_an_exact_network_stays_where_it_is(tiny_gaussian: Path) -> None:
    found = find_denoiser(tiny_gaussian)
    assert accelerated(found) is found
