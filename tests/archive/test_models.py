"""Which network an archive needs: refused when it is another one, or computes otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ddpmcodec import archive
from ddpmcodec.archive_format import Index, assemble, describe, split
from ddpmcodec.archive_network import find_network
from ddpmcodec.errors import FormatError, ModelError
from ddpmcodec.networks import load_model, profile
from ddpmcodec.networks.ddpm import PaperDenoiser
from ddpmcodec.networks.model import Model
from ddpmcodec.networks.unet import UNet, UNetConfig
from pictures import crops, whole

pytestmark = pytest.mark.usefixtures("one_thread")


UNET = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4)


def test_an_archive_of_another_model_is_refused(data: bytes, make_tiny_model: Callable[[int], Path]) -> None:
    other = load_model(make_tiny_model(1))
    with pytest.raises(ModelError, match=rf"and the given model is {other.id[:4].hex()}: decode with the model"):
        archive.extract(data, model=other)
    with pytest.raises(ModelError, match="the file was written with model"):
        archive.extract(data)


def paper(seed: int) -> PaperDenoiser:
    torch.manual_seed(seed)
    unet = UNet(UNET)
    torch.nn.init.normal_(unet.conv_out.weight, std=0.05)
    return PaperDenoiser(unet)


@pytest.fixture(scope="module")
def denoiser() -> PaperDenoiser:
    return paper(0)


@pytest.fixture(scope="module")
def profiled(denoiser: PaperDenoiser) -> bytes:
    return archive.create(crops(7).items(), levels=6, model=denoiser, effort=1)


def test_the_papers_network_codes_under_a_profile(profiled: bytes, denoiser: PaperDenoiser) -> None:
    assert whole(crops(7), archive.extract(profiled, model=denoiser))
    facts = describe(profiled)
    assert facts["images_by_bits_back"] > 0
    assert np.allclose(facts["levels"], denoiser.levels[[0, 200, 400, 599, 799, 999]], rtol=1e-3)
    assert {"fingerprint", "network", "torch", "threads", "batch", "dtype", "processor"} == facts["profile"].keys()


def test_an_archive_without_a_stack_needs_the_model_of_its_files_alone(denoiser: PaperDenoiser) -> None:
    pictures = crops(2, 4, 4)
    found = archive.create(pictures.items(), levels=6, model=denoiser, effort=1)
    assert archive.read_index(found).model_id == load_model().id[:4]
    assert whole(pictures, archive.extract(found))
    assert whole(pictures, archive.extract(found, model=denoiser))


def test_all_levels_of_the_papers_schedule_are_its_default(denoiser: PaperDenoiser) -> None:
    assert len(find_network(denoiser).chain(None)) == 1000


def test_a_machine_that_computes_otherwise_is_refused(
    profiled: bytes, denoiser: PaperDenoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe_here = profile.NumericsProfile.describe
    monkeypatch.setattr(profile.NumericsProfile, "describe", lambda self: {**describe_here(self), "torch": "9.9"})
    assert whole(crops(7), archive.extract(profiled, model=denoiser))
    monkeypatch.setattr(profile.NumericsProfile, "fingerprint", lambda *arguments: "0" * 64)
    with pytest.raises(
        ModelError, match=f"torch was {re.escape(torch.__version__)}, and is 9.9: decode on the machine"
    ):
        archive.extract(profiled, model=denoiser)


def test_another_network_of_the_paper_is_refused(profiled: bytes, denoiser: PaperDenoiser, model: Model) -> None:
    with pytest.raises(ModelError, match=f"was written with model {denoiser.id[:4].hex()}, and the given model is"):
        archive.extract(profiled, model=paper(1))
    for nothing in (None, model):
        with pytest.raises(ModelError, match="the archive was written with a checkpoint of the paper's network"):
            archive.extract(profiled, model=nothing)


def test_a_profile_that_says_nonsense_is_refused(profiled: bytes, denoiser: PaperDenoiser) -> None:
    cut = split(profiled)
    for change in ({"threads": "two"}, {"fingerprint": 5}, {"batch": 0}):
        index = Index(**{**vars(cut.index), "profile": {**cut.index.profile, **change}})
        with pytest.raises(FormatError, match="numerics profile"):
            archive.extract(assemble(index, cut.values, cut.sections, cut.stacks), model=denoiser)
