"""Finding models: embedded by name or id, or in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.networks import default_model, find_model, load_model


def test_names_and_ids_are_those_of_the_files(embedded: Path) -> None:
    assert models.names() == (models.DEFAULT, models.PHOTO)
    assert {name: load_model(name).id for name in models.names()} == models.ids()


def test_the_default_model_is_loaded_once(embedded: Path) -> None:
    assert load_model() is load_model(models.DEFAULT)
    assert load_model().name == "tiny1"


def test_photographs_and_thumbnails_have_models_of_their_own(embedded: Path) -> None:
    assert default_model(64 * 64) is load_model(models.DEFAULT)
    assert default_model(64 * 65) is load_model(models.PHOTO)


def test_where_there_is_one_model_it_is_for_every_size(embedded: Path) -> None:
    models.path(models.PHOTO).unlink()
    models.names.cache_clear()
    assert default_model(1 << 20) is load_model(models.DEFAULT)


def test_a_model_is_found_by_the_first_bytes_of_its_id(embedded: Path) -> None:
    assert find_model(models.ids()[models.PHOTO][:4]) is load_model(models.PHOTO)


def test_an_unknown_id_is_told_with_the_known_ones(embedded: Path) -> None:
    known = ", ".join(f"{digest[:4].hex()} ({name})" for name, digest in models.ids().items())
    with pytest.raises(ModelError) as caught:
        find_model(b"\1\2\3\4")
    assert str(caught.value) == (
        f"the file was written with model 01020304, and the embedded models are {known}:"
        " decode with the model that wrote it (--model PATH)"
    )


def test_a_path_is_loaded_from_disk(tiny_model: Path) -> None:
    assert load_model(tiny_model).id == load_model(str(tiny_model)).id


def test_what_is_neither_a_name_nor_a_file_is_named(embedded: Path) -> None:
    with pytest.raises(ModelError, match=r"^nonsense: cannot read the model"):
        load_model("nonsense")
