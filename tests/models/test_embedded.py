"""The models of the package are those that its list names; other files in their place are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.models.model_file import seal
from ddpmcodec.paper.denoisers import find_denoiser


def test_the_list_names_every_model_and_its_id() -> None:
    """After a model is replaced: `models.write_ids()`."""
    found = {name: hashlib.sha256(models.path(name).read_bytes()).digest() for name in models.names()}
    assert found == models.ids()
    assert found.keys() >= {models.THUMBNAIL, models.PHOTO, models.GAUSSIAN}


def test_every_model_is_as_it_was_sealed() -> None:
    """Those that are found by name are compared with the list alone."""
    assert all(seal(data) == data for data in map(models.read, models.names()))


def test_a_damaged_model_is_refused(embedded: Path) -> None:
    data = bytearray(models.read("other"))
    data[-1] ^= 1
    models.path("other").write_bytes(data)
    with pytest.raises(ModelError, match=r"other.safetensors: .*damaged"):
        find_denoiser("other")
    find_denoiser(models.GAUSSIAN)


def test_a_model_that_is_not_listed_is_refused_until_it_is(embedded: Path) -> None:
    models.path("new").write_bytes(models.path("other").read_bytes())
    models.names.cache_clear()
    models.ids.cache_clear()
    with pytest.raises(ModelError, match="write_ids"):
        find_denoiser("new")
    models.write_ids()
    assert find_denoiser("new").id == models.ids()["other"]


def test_a_model_that_is_gone_is_named(embedded: Path) -> None:
    models.path("other").unlink()
    with pytest.raises(ModelError, match=r"other.safetensors: cannot be read"):
        find_denoiser("other")


def test_writing_the_list_again_changes_nothing(embedded: Path) -> None:
    before = {path.name: path.read_bytes() for path in embedded.iterdir()}
    models.write_ids()
    assert {path.name: path.read_bytes() for path in embedded.iterdir()} == before
