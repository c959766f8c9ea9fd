"""The model of a file: found, refused when it is another one, and never a pickle or a download."""

from __future__ import annotations

import json
import pickle
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from ddpmcodec import codec, models
from ddpmcodec.errors import ModelError
from ddpmcodec.networks import load_model
from ddpmcodec.networks.model import Model

Picture = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def other_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network under another name, and so with another id."""
    with safe_open(tiny_model, framework="np") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = json.loads(file.metadata()["ddpmcodec"])
    path = tmp_path_factory.mktemp("models") / "other.safetensors"
    save_file(tensors, path, {"ddpmcodec": json.dumps(metadata | {"name": "other"})})
    return path


def test_another_model_is_refused_naming_both(model: Model, other_model: Path, bare: bytes) -> None:
    other = load_model(other_model)
    with pytest.raises(ModelError) as found:
        codec.decode(bare, model=other_model)
    assert str(found.value) == (
        f"the file was written with model {model.id[:4].hex()}, and the given model 'other' is {other.id[:4].hex()}:"
        " decode with the model that wrote it (--model PATH)"
    )


def test_a_model_that_is_not_embedded_is_asked_for_by_id(model: Model, bare: bytes) -> None:
    with pytest.raises(ModelError, match=model.id[:4].hex()):
        codec.decode(bare)


@pytest.mark.usefixtures("embedded")
def test_the_size_of_an_image_picks_the_model() -> None:
    images = [Image.new("RGB", size, "red") for size in ((64, 64), (65, 64), (9, 9))]
    files = codec.encode_many(images, effort=1)
    thumbnails, photographs = load_model(models.DEFAULT), load_model(models.PHOTO)
    used = [thumbnails, photographs, thumbnails]
    assert [codec.info(file)["model"] for file in files] == [model.name for model in used]
    assert files[1] == codec.encode(images[1], effort=1)
    assert codec.info(codec.encode(images[1], effort=1, model=models.DEFAULT))["model"] == thumbnails.name
    assert [codec.decode(file).size for file in files] == [image.size for image in images]


def test_a_missing_model_is_an_error(picture: Picture, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.safetensors"):
        codec.encode(picture(), model=tmp_path / "no.safetensors")


def test_a_pickle_is_not_loaded(tmp_path: Path, bare: bytes) -> None:
    class Opened:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path.joinpath("opened").touch, ())

    (tmp_path / "model.pt").write_bytes(pickle.dumps(Opened()))
    with pytest.raises(ModelError, match=r"model\.pt"):
        codec.decode(bare, model=tmp_path / "model.pt")
    assert not (tmp_path / "opened").exists()


def test_an_effort_that_the_model_does_not_have_is_an_error(picture: Picture, model: Model) -> None:
    limited = replace(model, presets={1: model.presets[1], 3: model.presets[3]})
    with pytest.raises(ModelError, match=f"model '{model.name}' has no effort 7: it has 1, 3"):
        codec.encode(picture(), model=limited)


def test_decoding_opens_no_connection(
    picture: Picture, model: Model, bare: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocked(*_: Any, **__: Any) -> Any:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", blocked)
    assert codec.decode(bare, model=model) == picture("RGB", 5, 6)
