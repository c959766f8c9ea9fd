"""A context model by what a user calls it: name, id or path."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from coefficients import model_bytes

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import find, find_context, is_denoiser, jpeg_written_with, short_id, written_with


def test_a_context_model_is_found_by_name_id_and_path() -> None:
    found = find("photo")
    assert isinstance(found, ContextModel)
    for source in (models.ids()["photo"].hex(), models.ids()["photo"][:4].hex(), found):
        assert find(source) is found


def test_an_embedded_model_stays_one_wherever_its_file_lies(tmp_path: Path) -> None:
    """Files name it by its number."""
    (copy := tmp_path / "kept.safetensors").write_bytes(models.path("photo").read_bytes())
    assert find(models.path("photo")) is find(copy) is find("photo")
    assert find(copy).number == models.NUMBERS["photo"]


def test_none_is_left_to_the_image_or_the_file() -> None:
    assert find(None) is None


def test_a_file_named_like_an_id_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name := models.ids()["photo"][:4].hex()).write_bytes(b"no model")
    with pytest.raises(ModelError, match="not a ddpmcodec model"):
        find(name)


def test_the_model_of_a_file_is_found_by_its_number(context_model: ContextModel) -> None:
    assert written_with(models.NUMBERS["cifar10"], b"", None) is find("cifar10")
    assert written_with(0, short_id(context_model), context_model) is context_model
    assert written_with(models.NUMBERS["cifar10"], b"", context_model) is find("cifar10")  # a model given is one more
    with pytest.raises(ModelError, match=r"written with .*embedded models"):
        written_with(0, short_id(context_model), None, "archive")
    for given in None, context_model:
        with pytest.raises(ModelError, match=r"number 99 .*newer"):
            written_with(99, b"", given)


def test_a_copy_stands_for_the_embedded_model_of_another_version() -> None:
    """Files name embedded models by number alone."""
    photo = find("photo")
    copy = ContextModel.parse(photo.file, "photo", known_id=b"of another version".ljust(32))
    assert written_with(photo.number, b"", copy) is copy
    assert written_with(models.NUMBERS["cifar10"], b"", copy) is find("cifar10")
    assert written_with(photo.number, b"", photo) is photo


def test_models_of_jpeg_coefficients_are_found_alike(tmp_path: Path) -> None:
    found, path = find("jpeg"), tmp_path / "own.safetensors"
    path.write_bytes(model_bytes())
    assert find(models.path("jpeg")) is find(models.ids()["jpeg"].hex()) is found
    assert jpeg_written_with(models.NUMBERS["jpeg"], b"", find("photo")) is found
    own = find(path)
    assert jpeg_written_with(0, short_id(own), own) is own
    assert pickle.loads(pickle.dumps(own)).id == own.id
    assert pickle.loads(pickle.dumps(found)) is found
    for given in None, found:
        with pytest.raises(ModelError, match=short_id(own).hex()):
            jpeg_written_with(0, short_id(own), given)
    with pytest.raises(ModelError, match="'photo'"):
        jpeg_written_with(models.NUMBERS["photo"], b"", None)
    with pytest.raises(ModelError, match="JPEG coefficients"):
        find_context(path)


def test_an_embedded_model_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    name, ids = models.THUMBNAIL, models.ids()
    monkeypatch.setattr(models, "names", lambda: (name,))
    monkeypatch.setattr(models, "ids", lambda: {name: ids[name]})
    with pytest.raises(ModelError, match=rf"embedded models are \w+ \({name}\): "):
        written_with(models.NUMBERS[models.PHOTO], b"", None)


@pytest.mark.parametrize("source", ["nonsense", "0123456789abcdef"])
def test_what_is_neither_a_name_nor_a_file_is_named(source: str) -> None:
    with pytest.raises(ModelError, match=f"^{source}: no model of that name"):
        find(source)


def test_what_a_model_is_for_is_told_by_its_file(tiny_gaussian: Path, context_path: Path, tmp_path: Path) -> None:
    assert [is_denoiser(source) for source in ("photo", context_path)] == [False, False]
    assert [is_denoiser(source) for source in (models.GAUSSIAN, tiny_gaussian, tmp_path)] == [True] * 3
    assert is_denoiser("hub:google/ddpm-cifar10-32")
    assert is_denoiser(tmp_path / "missing") is None
