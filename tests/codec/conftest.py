"""Pictures, the tiny model, and the kinds of files that it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.models.context import ContextModel

Picture = Callable[..., Image.Image]
PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"


def make_picture(mode: str = "RGB", height: int = 20, width: int = 24) -> Image.Image:
    """A part of a photograph; its alpha has an edge and a slope."""
    with Image.open(PHOTO) as photo:
        crop = photo.convert("RGB").crop((120, 80, 120 + width, 80 + height))
    if mode in ("LA", "RGBA"):
        y, x = np.mgrid[:height, :width]
        crop.putalpha(Image.fromarray(np.where(x + y > 12, 255, 9 * y).astype(np.uint8)))
    return crop.convert(mode, dither=Image.Dither.NONE)


@pytest.fixture(scope="session")
def picture() -> Picture:
    return make_picture


@pytest.fixture(scope="session")
def model(context_model: ContextModel) -> ContextModel:
    return context_model


@pytest.fixture(scope="session")
def small(model: ContextModel) -> bytes:
    """A file of one stream: 6 x 5 pixels with alpha and metadata."""
    image = make_picture("RGBA", 5, 6)
    image.info.update(icc_profile=b"profile", exif=b"Exif\0\0MM")
    return codec.encode(image, model=model)


@pytest.fixture(scope="session")
def bare(model: ContextModel) -> bytes:
    """A file of a header and one stream, nothing else."""
    return codec.encode(make_picture("RGB", 5, 6), model=model)


@pytest.fixture(scope="session")
def tiled(model: ContextModel) -> bytes:
    """A file of chunks: 76 x 8 pixels in two tiles."""
    return codec.encode(make_picture("RGB", 8, 76), tile=64, model=model)


@pytest.fixture(params=["small", "bare", "tiled"])
def file(request: pytest.FixtureRequest) -> bytes:
    found: bytes = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session", params=[0, 2])
def learned(model: ContextModel, request: pytest.FixtureRequest) -> bytes:
    """A file of 64 x 48 pixels, whose coder learned colours: every third level, as where levels were stretched."""
    pixels = np.asarray(make_picture("RGB", 48, 64)) // 3 * 3
    return codec.encode(pixels, levels=request.param, model=model)
