"""A denoiser of the paper's system by what a user calls it: name, id, path, or the folder of a checkpoint."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.models import model_file, registry
from ddpmcodec.models.registry import find
from ddpmcodec.paper.denoisers import find_denoiser, written_with
from ddpmcodec.paper.gaussian_model import GaussianModel
from ddpmcodec.paper.paper_denoiser import PaperDenoiser
from ddpmcodec.paper.schedule import ddpm_linear


def other_kind(folder: Path) -> None:
    """A model of the codec among the embedded ones."""
    (folder / "codec.safetensors").write_bytes(model_file.pack({"x": np.zeros(2)}, "context", "codec", {}))
    models.write_ids()


def test_the_embedded_denoiser_is_the_default_and_loaded_once(embedded: Path) -> None:
    assert find_denoiser(None) is find_denoiser(models.GAUSSIAN)
    assert find_denoiser(None).name == "tiny1"
    assert {name: find_denoiser(name).id for name in models.names()} == models.ids()


def test_a_denoiser_is_found_by_the_first_bytes_of_its_id(embedded: Path) -> None:
    assert written_with(models.ids()["other"][:4]) is find_denoiser("other")


def test_an_unknown_id_is_refused_with_the_ids_of_models_of_that_kind(embedded: Path) -> None:
    known = ", ".join(f"{digest[:4].hex()} ({name})" for name, digest in models.ids().items())
    other_kind(embedded)
    for unknown in (b"\1\2\3\4", models.ids()["codec"][:4]):
        with pytest.raises(ModelError) as caught:
            written_with(unknown)
        assert unknown.hex() in str(caught.value)
        assert f"embedded models of its kind are {known}:" in str(caught.value)


def test_a_denoiser_in_a_file_is_known_by_it(tiny_gaussian: Path) -> None:
    for source in (tiny_gaussian, str(tiny_gaussian)):
        found = find_denoiser(source)
        assert isinstance(found, GaussianModel)
        assert found.name == "tiny0"


def test_a_checkpoint_of_the_papers_network_too(tiny_unet: Path) -> None:
    found = find_denoiser(str(tiny_unet))
    assert isinstance(found, PaperDenoiser)
    np.testing.assert_array_equal(found.levels, ddpm_linear(20, 1e-3, 0.3))


def test_the_folder_of_a_run_too(tiny_unet: Path) -> None:
    assert find_denoiser(tiny_unet.parent).id == find_denoiser(tiny_unet).id


def test_its_file_says_what_it_is(tiny_unet: Path) -> None:
    assert registry.is_denoiser(tiny_unet)


def test_a_model_for_another_role_is_an_error(embedded: Path, tiny_gaussian: Path) -> None:
    other_kind(embedded)
    for source in ("codec", embedded / "codec.safetensors"):
        with pytest.raises(ModelError, match=r"'context'.*'gaussian'"):
            find_denoiser(source)
    with pytest.raises(ModelError, match=r"'gaussian'.*'context'"):
        find(tiny_gaussian)


def test_what_is_no_checkpoint_either_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        find_denoiser(str(tmp_path / "missing.safetensors"))
    (tmp_path / "photo.png").write_bytes(b"not a network")
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path / 'photo.png'}: cannot read")):
        find_denoiser(tmp_path / "photo.png")
    with pytest.raises(ModelError, match=re.escape(str(tmp_path))):
        find_denoiser(tmp_path)


def test_the_embedded_denoiser_gives_every_known_answer() -> None:
    model = find_denoiser(None)
    assert model.name == "ddpm-cifar10"
    assert {(known.size, known.level) for known in model.known_answers} >= {(10, 2400), (33, 400_000)}
    assert [known.answer(model) for known in model.known_answers] == [known.sha256 for known in model.known_answers]
