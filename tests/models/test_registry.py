"""A model by what a user calls it: name, id, path, or the folder of a checkpoint, and the role it is for."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.format import model_file
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import CODEC, DENOISER, find, role_of, written_with
from ddpmcodec.paper import checkpoints
from ddpmcodec.paper.gaussian.model import GaussianModel
from ddpmcodec.paper.schedule import ddpm_linear
from ddpmcodec.paper.unet import PaperDenoiser, UNet, UNetConfig


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network of the paper's kind, in a file."""
    torch.manual_seed(0)
    config = UNetConfig(channels=8, multipliers=(1, 1), attention=(), blocks=1, groups=4)
    path = tmp_path_factory.mktemp("paper") / "unet.safetensors"
    path.write_bytes(checkpoints.export(PaperDenoiser(UNet(config), ddpm_linear(20, 1e-3, 0.3))))
    return path


def other_kind(folder: Path) -> None:
    """A model of the codec among the embedded ones."""
    (folder / "codec.safetensors").write_bytes(model_file.pack({"x": torch.zeros(2)}, "context", "codec", {}))
    models.write_ids()


# --- context models


def test_a_context_model_is_found_by_name_id_and_path() -> None:
    found = find("photo")
    assert isinstance(found, ContextModel)
    for source in (models.ids()["photo"].hex(), models.ids()["photo"][:4].hex(), found):
        assert find(source) is found
    by_path = find(models.path("photo"))
    assert by_path.id == found.id
    assert (found.number, by_path.number) == (models.NUMBERS["photo"], 0)  # files name embedded models by number


def test_none_is_left_to_the_image_or_the_file() -> None:
    assert find(None) is None


def test_a_file_named_like_an_id_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name := models.ids()["photo"][:4].hex()).write_bytes(b"no model")
    with pytest.raises(ModelError, match="not a ddpmcodec model"):
        find(name)


def test_the_model_of_a_file_is_found_by_its_number(context_model: ContextModel) -> None:
    assert written_with(models.NUMBERS["cifar10"], b"", None) is find("cifar10")
    assert written_with(0, context_model.short_id, context_model) is context_model
    with pytest.raises(ModelError, match=r"the archive was written with model .* and the embedded models are"):
        written_with(0, context_model.short_id, None, "archive")


@pytest.mark.parametrize("source", ["nonsense", "0123456789abcdef"])
def test_what_is_neither_a_name_nor_a_file_is_named(source: str) -> None:
    with pytest.raises(ModelError, match=f"^{source}: no model of that name, and no file .*; embedded models: "):
        find(source)


# --- denoisers


def test_the_embedded_denoiser_is_the_default_and_loaded_once(embedded: Path) -> None:
    assert find(None, DENOISER) is find(models.GAUSSIAN, DENOISER)
    assert find(None, DENOISER).name == "tiny1"
    assert {name: find(name, DENOISER).id for name in models.names()} == models.ids()


def test_a_denoiser_is_found_by_the_first_bytes_of_its_id(embedded: Path) -> None:
    assert find(models.ids()["other"][:4], DENOISER) is find("other", DENOISER)


def test_an_unknown_id_is_refused_with_the_ids_of_models_of_that_kind(embedded: Path) -> None:
    known = ", ".join(f"{digest[:4].hex()} ({name})" for name, digest in models.ids().items())
    other_kind(embedded)
    for unknown in (b"\1\2\3\4", models.ids()["codec"][:4]):
        with pytest.raises(ModelError) as caught:
            find(unknown, DENOISER)
        assert str(caught.value) == (
            f"the file was written with model {unknown.hex()}, and the embedded models of its kind are {known}:"
            " decode with the model that wrote it (model=PATH)"
        )


def test_a_denoiser_in_a_file_is_known_by_it(tiny_gaussian: Path) -> None:
    for source in (tiny_gaussian, str(tiny_gaussian)):
        found = find(source, DENOISER)
        assert isinstance(found, GaussianModel)
        assert found.name == "tiny0"


def test_a_checkpoint_of_the_papers_network_too(checkpoint: Path) -> None:
    found = find(str(checkpoint), DENOISER)
    assert isinstance(found, PaperDenoiser)
    np.testing.assert_array_equal(found.levels, ddpm_linear(20, 1e-3, 0.3))


def test_a_model_for_another_role_is_an_error(embedded: Path, tiny_gaussian: Path) -> None:
    other_kind(embedded)
    for source in ("codec", embedded / "codec.safetensors"):
        with pytest.raises(ModelError, match=r"a model of kind 'context'; one of kind 'gaussian' is needed here$"):
            find(source, DENOISER)
    with pytest.raises(ModelError, match=r"a model of kind 'gaussian'; one of kind 'context' is needed here$"):
        find(tiny_gaussian)


def test_what_is_no_checkpoint_either_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file or folder"):
        find(str(tmp_path / "missing.safetensors"), DENOISER)
    (tmp_path / "photo.png").write_bytes(b"not a network")
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path / 'photo.png'}: cannot read the network")):
        find(tmp_path / "photo.png", DENOISER)
    with pytest.raises(ModelError, match=re.escape(str(tmp_path))):
        find(tmp_path, DENOISER)


def test_the_role_of_a_model_is_told_by_its_file(tiny_gaussian: Path, context_path: Path, tmp_path: Path) -> None:
    assert [role_of(source) for source in ("photo", context_path)] == [CODEC, CODEC]
    assert [role_of(source) for source in (models.GAUSSIAN, tiny_gaussian, tmp_path)] == [DENOISER] * 3
    assert role_of("hub:google/ddpm-cifar10-32") == DENOISER
    assert role_of(tmp_path / "missing") is None


def test_the_embedded_denoiser_gives_every_known_answer() -> None:
    model = find(None, DENOISER)
    assert model.name == "ddpm-cifar10"
    assert {(known.size, known.level) for known in model.known_answers} >= {(10, 2400), (33, 400_000)}
    assert [known.answer(model) for known in model.known_answers] == [known.sha256 for known in model.known_answers]
