"""docs/format.md says enough: a decoder of pixels that is written from it alone finds those of golden files."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import colours
import ddpmcodec
import logistics
import mixtures
import networks
import pyramid
import repeats
import scales
import stages
from image_reader import Bad
from networks import Model, read_model
from pixel_reader import decode_pixels

GOLDEN = Path(__file__).parents[1] / "golden"
SMALL = ("bilevel", "column", "grey", "grey-alpha", "noise", "pixel")
OF_EFFORTS = tuple(f"{name}-{effort}" for name in SMALL for effort in (1, 2, 3))
FILES = {
    "v1": OF_EFFORTS,
    "v2": (*OF_EFFORTS, "photo-1", "alpha-1", "tiles-1", "alpha-2", "slopes-1"),
    "v3": ("photo-0", "grey-0", "alpha-0", "column-0", "noise-0", "tiles-0", "lanes-0", "learning-0", "repeats-0"),
}
# The other golden files take minutes: all are decoded with DDPMCODEC_ALL_GOLDEN.
if os.environ.get("DDPMCODEC_ALL_GOLDEN"):
    FILES = {
        folder: tuple(
            path.stem for path in sorted((GOLDEN / folder).glob("*-[0-3].ddpm")) if "graphics" not in path.stem
        )
        for folder in ("v1", "v2", "v3")
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
    y, x = np.mgrid[:32, :64]
    noise = np.random.Generator(np.random.Philox(7)).integers(0, 24, (32, 64, 3))
    pixels = np.clip((90 + 60 * np.sin(x / 6 + y / 9))[..., None] + noise, 0, 255).astype(np.uint8)
    return encoded(pixels, effort, levels), pixels


@cache
def repeated_file(effort: int, levels: int) -> tuple[bytes, NDArray[np.uint8]]:
    """Shapes of three colours, which repeat themselves."""
    y, x = np.mgrid[:24, :26]
    palette = np.array([[255, 255, 255], [20, 60, 200], [230, 40, 10]], np.uint8)
    pixels = palette[1 * ((x % 9 < 3) & (y % 7 < 4)) + ((x % 9 == 1) & (y % 7 == 2))]
    data = encoded(pixels, effort, levels)
    assert data[3] >> 7
    return data, pixels


def encoded(pixels: NDArray[np.uint8], effort: int, levels: int) -> bytes:
    model = GOLDEN / "v3" / "model.safetensors"
    return ddpmcodec.encode(pixels, model=model, effort=effort, levels=levels)


@pytest.mark.parametrize(("effort", "levels"), [(0, 0), (1, 0), (2, 1)])
def test_networks_learn(effort: int, levels: int) -> None:
    data, pixels = learning_file(effort, levels)
    assert np.array_equal(decode_pixels(data, model_of("v3")), pixels)


@pytest.mark.parametrize(("effort", "levels"), [(1, 0), (2, 1)])
def test_repeats_are_found(effort: int, levels: int) -> None:
    data, pixels = repeated_file(effort, levels)
    assert np.array_equal(decode_pixels(data, model_of("v3")), pixels)


FAST, NOISY, REPEATED, COLOURFUL = "fast", "noisy", "repeated", "colourful"
CHANGED: list[tuple[str, ModuleType, str, Any]] = [
    (FAST, logistics, "RECIPROCAL", [value + 1 for value in logistics.RECIPROCAL]),
    (FAST, scales, "FIRST_COUNT", 101),
    (FAST, scales, "CLASS_ENDS", (24, 48, 80, 120, 180, 300)),
    (FAST, stages, "NOT_SEEN", 90),
    (FAST, networks, "BETA_2", np.float32(0.997)),
    (FAST, networks, "RATES", {"direct": (0.07, 0.3, 0.15, 0.051)}),
    (NOISY, mixtures, "SIXTEENTHS", [value + 2**20 for value in logistics.SIXTEENTHS]),
    (NOISY, mixtures, "EIGHT_SCALES", [value - 1 for value in logistics.EIGHT_SCALES]),
    (NOISY, pyramid, "SHARES", (36, 7, 9)),
    (NOISY, stages, "NEAREST", ((0, -1), (-1, 0), (-1, 1))),
    (COLOURFUL, colours, "FIRST", 3 << 24),
    (REPEATED, repeats, "FIRST_WEIGHT", 16001),
    (REPEATED, repeats, "PACE", 7),
    (REPEATED, repeats, "MASS_BITS", 38),
    (REPEATED, repeats, "OFFSETS", ((-1, 0), *repeats.OFFSETS[1:])),
]


@pytest.mark.parametrize(("kind", "module", "name", "value"), CHANGED, ids=[name for _, _, name, _ in CHANGED])
def test_every_constant_counts(
    monkeypatch: pytest.MonkeyPatch, kind: str, module: ModuleType, name: str, value: Any
) -> None:
    noisy = GOLDEN / "v2" / "noise-2.ddpm"
    learning = {FAST: learning_file(0, 0), COLOURFUL: learning_file(1, 0), REPEATED: repeated_file(1, 0)}
    data = noisy.read_bytes() if kind == NOISY else learning[kind][0]
    monkeypatch.setattr(module, name, value)
    with pytest.raises((Bad, IndexError)):
        decode_pixels(data, model_of("v2" if kind == NOISY else "v3"))
