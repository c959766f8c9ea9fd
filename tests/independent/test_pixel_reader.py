"""docs/format.md says enough: a decoder of pixels that is written from it alone finds those of golden files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import ddpmcodec
import logistics
import networks
import pixel_reader
import scales
from image_reader import Bad
from networks import Model, read_model
from pixel_reader import decode_pixels

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = {
    "v3": ("photo-0", "grey-0", "alpha-0", "column-0", "noise-0", "tiles-0", "lanes-0", "learning-0"),
}


@cache
def model_of(folder: str) -> Model:
    return read_model(GOLDEN / folder / "model.safetensors")


def picture(folder: str, name: str) -> NDArray[np.uint8]:
    """Colours of the picture of a golden file, (height, width, channels)."""
    with Image.open(GOLDEN / folder / f"{name.rpartition('-')[0]}.png") as image:
        colours = "RGB" if image.mode.startswith("RGB") else "L"
        return np.atleast_3d(np.asarray(image.convert(colours)))


@pytest.mark.parametrize(("folder", "name"), [(folder, name) for folder, names in FILES.items() for name in names])
def test_pixels_of_golden_files_are_found(folder: str, name: str) -> None:
    data = (GOLDEN / folder / f"{name}.ddpm").read_bytes()
    assert np.array_equal(decode_pixels(data, model_of(folder)), picture(folder, name))


@cache
def learning_file(effort: int, levels: int) -> tuple[bytes, NDArray[np.uint8]]:
    """A small picture, just large enough that its networks learn."""
    y, x = np.mgrid[:45, :46]
    noise = np.random.Generator(np.random.Philox(7)).integers(0, 24, (45, 46, 3))
    pixels = np.clip((90 + 60 * np.sin(x / 6 + y / 9))[..., None] + noise, 0, 255).astype(np.uint8)
    model = GOLDEN / "v3" / "model.safetensors"
    return ddpmcodec.encode(pixels, model=model, effort=effort, levels=levels, webp=False), pixels


def test_networks_learn() -> None:
    data, pixels = learning_file(0, 0)
    assert np.array_equal(decode_pixels(data, model_of("v3")), pixels)


CHANGED: list[tuple[ModuleType, str, Any]] = [
    (logistics, "RECIPROCAL", [value + 1 for value in logistics.RECIPROCAL]),
    (scales, "FIRST_COUNT", 101),
    (scales, "CLASS_ENDS", (24, 48, 80, 120, 180, 300)),
    (pixel_reader, "NOT_SEEN", 90),
    (networks, "BETA_2", np.float32(0.997)),
    (networks, "RATES", {"direct": (0.07, 0.3, 0.15, 0.051)}),
]


@pytest.mark.parametrize(("module", "name", "value"), CHANGED, ids=[name for _, name, _ in CHANGED])
def test_every_constant_counts(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, value: Any) -> None:
    monkeypatch.setattr(module, name, value)
    with pytest.raises(Bad, match="check"):
        decode_pixels(learning_file(0, 0)[0], model_of("v3"))
