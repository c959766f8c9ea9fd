"""Finding models: embedded by name or id, or in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.format import model_file
from ddpmcodec.paper.gaussian import find_gaussian, load_gaussian


def test_names_and_ids_are_those_of_the_files(embedded: Path) -> None:
    assert models.names() == (models.GAUSSIAN, "other")
    assert {name: load_gaussian(name).id for name in models.names()} == models.ids()


def test_the_default_model_is_loaded_once(embedded: Path) -> None:
    assert load_gaussian() is load_gaussian(models.GAUSSIAN)
    assert load_gaussian().name == "tiny1"


def test_a_model_is_found_by_the_first_bytes_of_its_id(embedded: Path) -> None:
    assert find_gaussian(models.ids()["other"][:4]) is load_gaussian("other")


def other_kind(folder: Path) -> None:
    """A model of the codec among the embedded ones."""
    (folder / "codec.safetensors").write_bytes(model_file.pack({"x": torch.zeros(2)}, "context", "codec", {}))
    models.write_ids()


def test_an_unknown_id_is_refused_with_the_ids_of_gaussian_models(embedded: Path) -> None:
    known = ", ".join(f"{digest[:4].hex()} ({name})" for name, digest in models.ids().items())
    other_kind(embedded)
    for unknown in (b"\1\2\3\4", models.ids()["codec"][:4]):
        with pytest.raises(ModelError) as caught:
            find_gaussian(unknown)
        assert str(caught.value) == (
            f"the file was written with model {unknown.hex()}, and the embedded Gaussian models are {known}:"
            " decode with the model that wrote it (model=PATH)"
        )


def test_a_model_of_another_kind_is_refused(embedded: Path) -> None:
    other_kind(embedded)
    with pytest.raises(ModelError, match=r"a model of kind 'context'; one of kind 'gaussian' is needed here$"):
        load_gaussian("codec")


def test_a_path_is_loaded_from_disk(tiny_gaussian: Path) -> None:
    assert load_gaussian(tiny_gaussian).id == load_gaussian(str(tiny_gaussian)).id


def test_what_is_neither_a_name_nor_a_file_is_named(embedded: Path) -> None:
    with pytest.raises(ModelError, match=r"^nonsense: cannot read the model"):
        load_gaussian("nonsense")


def test_the_embedded_model_gives_every_known_answer() -> None:
    model = load_gaussian()
    assert model.name == "ddpm-cifar10"
    assert {(known.size, known.level) for known in model.known_answers} >= {(10, 2400), (33, 400_000)}
    assert [known.answer(model) for known in model.known_answers] == [known.sha256 for known in model.known_answers]
