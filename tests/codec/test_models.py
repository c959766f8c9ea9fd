"""The model of a file: found, refused when it is another one, and never a pickle or a download."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ddpmcodec import codec, models
from ddpmcodec.errors import ModelError
from ddpmcodec.models import context, registry
from ddpmcodec.models.context import ContextModel

Picture = Callable[..., Image.Image]


def test_another_model_is_refused_naming_both(model: ContextModel, other_model: Path, bare: bytes) -> None:
    other = registry.find(other_model)
    with pytest.raises(ModelError) as found:
        codec.decode(bare, model=other_model)
    assert all(used.id[:4].hex() in str(found.value) for used in (model, other))
    assert "'other'" in str(found.value)
    assert found.value.exit_code == 4


@pytest.mark.parametrize("options", [{"partial": True}, {"step": 1}, {"max_bytes": 40}])
def test_a_preview_needs_its_model_too(other_model: Path, bare: bytes, options: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="'other'"):
        codec.decode(bare, model=other_model, **options)


def test_a_model_that_is_not_embedded_is_asked_for_by_id(model: ContextModel, bare: bytes) -> None:
    with pytest.raises(ModelError) as found:
        codec.decode(bare)
    text = f"the file was written with model {model.id[:4].hex()}, and the embedded models are "
    assert str(found.value).startswith(text)
    for name in models.CONTEXT_MODELS:
        assert f"{models.ids()[name][:4].hex()} ({name})" in str(found.value)


def test_two_models_in_one_call_are_distinguished(picture: Picture, model: ContextModel, other_model: Path) -> None:
    files = [codec.encode(picture("L", 4, 4), model=chosen) for chosen in (model, other_model)]
    with pytest.raises(ModelError, match="'tiny'"):
        codec.decode_many(files, model=model)


@pytest.fixture
def embedded(context_path: Path, other_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that comes with the tiny model under two names, and so two ids."""
    (tmp_path / f"{models.THUMBNAIL}.safetensors").write_bytes(context_path.read_bytes())
    (tmp_path / f"{models.PHOTO}.safetensors").write_bytes(other_model.read_bytes())
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    caches = (models.names, models.ids, context.embedded)
    for cached in caches:
        cached.cache_clear()
    models.write_ids()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("embedded")
def test_images_larger_than_thumbnails_have_the_model_for_photographs() -> None:
    """Flat ones that are not larger suit none better."""
    images = [Image.new("RGB", size, "red") for size in ((64, 64), (65, 64), (9, 9))]
    files = codec.encode_many(images, effort=1)
    assert [codec.info(file)["model"] for file in files] == [models.THUMBNAIL, models.PHOTO, models.THUMBNAIL]
    assert files[1] == codec.encode(images[1], effort=1)
    by_name = codec.encode(images[1], effort=1, model=models.THUMBNAIL)
    assert codec.info(by_name)["model"] == models.THUMBNAIL
    assert codec.decode_many(files) == images


def test_a_missing_model_is_an_error(picture: Picture, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as found:
        codec.encode(picture(), model=tmp_path / "no.safetensors")
    assert str(found.value).startswith(f"{tmp_path / 'no.safetensors'}: no model of that name")
    assert str(found.value).endswith(", ".join(models.names()))
    with pytest.raises(ModelError, match="unheard"):
        codec.encode(picture(), model="unheard")


def test_a_pickle_is_not_loaded(tmp_path: Path, bare: bytes) -> None:
    class Opened:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path.joinpath("opened").touch, ())

    (tmp_path / "model.pt").write_bytes(pickle.dumps(Opened()))
    with pytest.raises(ModelError, match=r"model\.pt: not a ddpmcodec model"):
        codec.decode(bare, model=tmp_path / "model.pt")
    assert not (tmp_path / "opened").exists()


def test_neither_coding_nor_loading_opens_a_connection(
    picture: Picture, context_path: Path, bare: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocked(*_: Any, **__: Any) -> Any:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", blocked)
    assert codec.decode(bare, model=context_path) == picture("RGB", 5, 6)
    assert codec.encode(picture("RGB", 5, 6), model=context_path) == bare


@pytest.mark.parametrize("name", [models.THUMBNAIL, models.PHOTO])
def test_embedded_models_are_whole_and_their_networks_compute_what_they_must(name: str, picture: Picture) -> None:
    found = registry.find(name)
    assert found.id == models.ids()[name]
    assert models.path(name).stat().st_size <= 12_000_000
    image = picture("RGB", 16, 16)
    assert codec.decode(codec.encode(image, model=name)) == image
