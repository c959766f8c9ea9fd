"""A thumbnail is coded by the embedded model that suits it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import ddpmcodec
from ddpmcodec import models
from ddpmcodec.codec.suited import suited, suited_together

Pixels = NDArray[np.uint8]

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"


def smooth(side: int = 32) -> Pixels:
    """A few random colours, enlarged."""
    drawn = np.random.default_rng(0).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(drawn).resize((side, side), Image.Resampling.BICUBIC))


def reduced(side: int = 32) -> Pixels:
    """A square of a photograph, made smaller."""
    square = Image.open(PHOTO).convert("RGB").crop((0, 0, 256, 256))
    return np.asarray(square.resize((side, side), Image.Resampling.BOX))


@pytest.mark.parametrize(("image", "name"), [(smooth(), "cifar10"), (reduced(), "photo"), (reduced(64), "photo")])
def test_it_is_the_model_that_takes_clearly_fewer_bytes(image: Pixels, name: str) -> None:
    data = ddpmcodec.encode(image, levels=0, webp=False)
    assert ddpmcodec.info(data)["model"] == suited([image])[0].name == name
    assert data == ddpmcodec.encode(image, levels=0, webp=False, model=name)
    other = next(other for other in models.NUMBERS if other != name)
    assert len(data) < len(ddpmcodec.encode(image, levels=0, webp=False, model=other))
    assert np.array_equal(ddpmcodec.decode(data, as_array=True), image)


def test_images_that_are_coded_together_have_models_of_their_own() -> None:
    images = [smooth(), reduced(), smooth()]
    files = ddpmcodec.encode_many(images, webp=False)
    assert [ddpmcodec.info(data)["model"] for data in files] == ["cifar10", "photo", "cifar10"]
    assert files == [ddpmcodec.encode(image, webp=False) for image in images]


def test_one_model_for_several_images_is_by_the_sum_of_their_bytes() -> None:
    assert suited_together([]).name == suited_together([smooth(), smooth()]).name == "cifar10"
    assert suited_together([smooth(8), reduced(64), reduced()]).name == "photo"


def test_larger_images_are_photographs() -> None:
    assert ddpmcodec.info(ddpmcodec.encode(smooth(65), webp=False))["model"] == "photo"


def test_without_the_model_of_photographs_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "names", lambda: (models.DEFAULT,))
    assert [suited([reduced()])[0].name, suited_together([reduced()]).name] == [models.DEFAULT] * 2
