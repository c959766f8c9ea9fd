"""Pictures, a tiny model, and the three kinds of files that it writes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec, container
from ddpmcodec.networks.model import Model

Picture = Callable[..., Image.Image]
Smooth = Callable[..., np.ndarray]


def smooth_array(height: int = 20, width: int = 24) -> np.ndarray:
    """A picture with edges and slopes, uint8 (H, W, 4)."""
    y, x = np.mgrid[:height, :width]
    planes = [5 * x + 3 * y, 200 - 4 * y, np.where(x > y, 60, 190), np.where(x + y > 12, 255, 9 * y)]
    return np.stack(planes, axis=2).astype(np.uint8)


def make_picture(mode: str = "RGB", height: int = 20, width: int = 24) -> Image.Image:
    return Image.fromarray(smooth_array(height, width)).convert(mode, dither=Image.Dither.NONE)


@pytest.fixture(scope="session")
def smooth() -> Smooth:
    return smooth_array


@pytest.fixture(scope="session")
def picture() -> Picture:
    return make_picture


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images over 128 pixels are cut into groups of at most 128, as large ones are into far larger ones."""
    monkeypatch.setattr(container, "SINGLE_STREAM_PIXELS", 128)
    monkeypatch.setattr(container, "GROUP_PIXELS", 128)


@pytest.fixture(scope="session")
def small(model: Model) -> bytes:
    """A file of one stream: 6 x 5 pixels with alpha and metadata."""
    image = make_picture("RGBA", 5, 6)
    image.info.update(icc_profile=b"profile", exif=b"Exif\0\0MM")
    return codec.encode(image, effort=1, model=model)


@pytest.fixture(scope="session")
def bare(model: Model) -> bytes:
    """A file of a header and one stream, nothing else."""
    return codec.encode(make_picture("RGB", 5, 6), effort=1, model=model)


@pytest.fixture(scope="session")
def chunked(model: Model) -> bytes:
    """A file of chunks: 12 x 8 pixels in two groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(container, "SINGLE_STREAM_PIXELS", 64)
        patch.setattr(container, "GROUP_PIXELS", 64)
        return codec.encode(make_picture("RGB", 8, 12), effort=1, model=model)


@pytest.fixture(params=["small", "bare", "chunked"])
def file(request: pytest.FixtureRequest) -> bytes:
    found: bytes = request.getfixturevalue(request.param)
    return found
