"""A model of JPEG coefficients of one's own: files name it, and need it."""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from jpegs import encoded, jpeg_of, photo
from safetensors.numpy import load

from ddpmcodec import archive, codec, models
from ddpmcodec.codec.stream_decoder import ProgressiveDecoder
from ddpmcodec.errors import ModelError
from ddpmcodec.models import jpeg, registry

JPEG = jpeg_of(quality=88)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded networks under another name, and so another id."""
    path = tmp_path_factory.mktemp("models") / "own.safetensors"
    path.write_bytes(jpeg.pack(load(models.read(models.JPEG)), "own"))
    return path


@pytest.fixture(scope="module")
def data(own: Path) -> bytes:
    return encoded(JPEG, model=own)


def test_a_file_names_its_model_and_comes_back_with_it(own: Path, data: bytes) -> None:
    facts, short = codec.info(data), registry.short_id(registry.find(own)).hex()
    assert (facts["coding"], facts["model"], facts["model_id"]) == ("JPEG coefficients", None, short)
    assert codec.decode_original(data, model=own) == JPEG
    assert np.array_equal(codec.decode(data, model=own, as_array=True), codec.decode(encoded(JPEG), as_array=True))
    decoder = ProgressiveDecoder(model=own)
    decoder.feed(data)
    assert decoder.close() == codec.decode(data, model=own)
    assert codec.truncate(data, psnr=25, model=own)


@pytest.mark.parametrize("given", [None, "photo", "jpeg"])
def test_without_its_model_nothing_is_decoded(data: bytes, given: str | None) -> None:
    for read in (codec.decode, codec.decode_original):
        with pytest.raises(ModelError, match=r"written with model [0-9a-f]{8}") as found:
            read(data, model=given)
        assert found.value.exit_code == 4


def test_a_model_codes_the_files_that_it_is_for(own: Path) -> None:
    image = photo().crop((0, 0, 90, 80))
    files = codec.encode_many([image, BytesIO(JPEG)], model=own)
    assert [codec.info(file)["model"] for file in files] == ["photo", None]
    assert files[0] == codec.encode(image)
    assert codec.info(encoded(JPEG, model="photo"))["model"] == "jpeg"
    assert codec.encode(image, model="jpeg") == files[0]


def test_archives_hold_files_of_such_a_model(own: Path, tmp_path: Path) -> None:
    thumbnails = [(f"{n}.png", photo().crop((n, 0, n + 30, 30))) for n in range(3)]
    data = archive.create([("a.jpg", BytesIO(JPEG)), *thumbnails], model=own)
    restored = dict(archive.extract(data, model=own, original=True))
    assert restored.pop("a.jpg") == JPEG
    assert [*restored] == [name for name, _ in thumbnails]
    with pytest.raises(ModelError):
        dict(archive.extract(data))
    (path := tmp_path / "a.ddpma").write_bytes(data)
    with archive.open(path, model=own) as images, pickle.loads(pickle.dumps(images)) as again:
        assert again["a.jpg"] == codec.decode(encoded(JPEG))
