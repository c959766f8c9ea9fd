"""Our own files of the paper's U-Net: they come back as they were, and others are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from ddpmcodec.errors import ModelError
from ddpmcodec.paper import denoisers, schedule
from ddpmcodec.paper.denoisers import UNET_KEY
from ddpmcodec.paper.paper_denoiser import PaperDenoiser, Variance
from ddpmcodec.paper.unet import UNet, UNetConfig

CONFIG = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4, learned_variance=True)
Write = Callable[..., Path]


@pytest.fixture
def denoiser() -> PaperDenoiser:
    torch.manual_seed(5)
    unet = UNet(CONFIG)
    torch.nn.init.normal_(unet.conv_out.weight)
    return PaperDenoiser(unet, schedule.cosine(40), "learned")


@pytest.fixture
def own(denoiser: PaperDenoiser, tmp_path: Path) -> Write:
    """Our own file, its tensors or its facts changed."""

    def write(facts: Any = None, **tensors: torch.Tensor) -> Path:
        path = tmp_path / "own.safetensors"
        path.write_bytes(denoisers.export_checkpoint(denoiser))
        said = json.loads(metadata_of(path)) | (facts or {})
        path.write_bytes(save(load_file(path) | tensors, metadata={UNET_KEY: json.dumps(said)}))
        return path

    return write


def metadata_of(path: Path) -> str:
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    found: str = header["__metadata__"][UNET_KEY]
    return found


@pytest.mark.parametrize("variance", ["learned", "large"])
def test_our_own_come_back_as_they_were(denoiser: PaperDenoiser, tmp_path: Path, variance: Variance) -> None:
    exported = PaperDenoiser(denoiser.unet, denoiser.levels, variance)
    path = tmp_path / "own.safetensors"
    path.write_bytes(denoisers.export_checkpoint(exported, training={"images": 640}))
    found = denoisers.load_checkpoint(path)
    assert (found.id, found.variance) == (exported.id, variance)
    assert found.levels.tolist() == exported.levels.tolist()
    assert not found.unet.training
    assert json.loads(metadata_of(path))["training"] == {"images": 640}


def test_the_same_network_gives_the_same_file(denoiser: PaperDenoiser) -> None:
    assert denoisers.export_checkpoint(denoiser) == denoisers.export_checkpoint(denoiser)


@pytest.mark.parametrize(
    ("facts", "complaint"),
    [
        ({"format": 2}, "own.safetensors: format 2"),
        ({"config": {"channels": 64}}, r"conv_in.bias .*\[8\], .*\[64\]"),
        ({"config": 3}, "sizes"),
        ({"variance": ["large"]}, "large, small, learned"),
    ],
)
def test_descriptions_that_make_no_sense_are_refused(own: Write, facts: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        denoisers.load_checkpoint(own(facts))


@pytest.mark.parametrize(
    ("levels", "complaint"),
    [([2.0, 1.0], "increase"), ([[1.0]], "shape"), ([np.inf, np.inf], "finite")],
)
def test_levels_that_are_none_are_refused(own: Write, levels: list[Any], complaint: str) -> None:
    with pytest.raises(ModelError, match=f"own.safetensors: .*damaged .*{complaint}"):
        denoisers.load_checkpoint(own(levels=torch.tensor(levels, dtype=torch.float64)))


def test_a_file_without_a_part_of_its_description_is_refused(denoiser: PaperDenoiser, tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(save(dict(denoiser.unet.state_dict()), metadata={UNET_KEY: '{"format": 1}'}))
    with pytest.raises(ModelError, match=r"damaged .*'config'"):
        denoisers.load_checkpoint(path)


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (torch.full((8,), torch.nan), "conv_in.bias .*finite"),
        (torch.zeros(8, dtype=torch.int32), "conv_in.bias .*finite"),
        (torch.zeros(9), r"conv_in.bias .*\[9\], .*\[8\]"),
    ],
)
def test_tensors_that_the_network_cannot_take_are_named(own: Write, tensor: torch.Tensor, complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        denoisers.load_checkpoint(own(**{"conv_in.bias": tensor}))


def test_a_tensor_too_many_is_named(own: Write) -> None:
    with pytest.raises(ModelError, match=r"extra .*\[1\], .*None"):
        denoisers.load_checkpoint(own(extra=torch.zeros(1)))


def test_a_damaged_file_is_named(own: Write) -> None:
    path = own()
    data = path.read_bytes()
    for size in (0, 7, 100, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(ModelError, match=r"own.safetensors: cannot read the network"):
            denoisers.load_checkpoint(path)
