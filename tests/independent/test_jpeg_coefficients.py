"""docs/format.md says enough: a decoder that is written from it alone restores JPEG files from their coefficients."""

from __future__ import annotations

import io
import os
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ddpmcodec
import jpeg_coefficients
import logistics
import mixtures
from image_reader import Bad
from jpeg_coefficients import decode_jpeg
from networks import Model, read_model

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
# The others take a minute: they are decoded with DDPMCODEC_ALL_GOLDEN.
NAMES = ("grey", "baseline", "progressive", "levels") if os.environ.get("DDPMCODEC_ALL_GOLDEN") else ("grey",)


@cache
def model() -> Model:
    return read_model(Path(ddpmcodec.__file__).parent / "models" / "jpeg.safetensors")


@pytest.mark.parametrize("name", NAMES)
def test_golden_files_are_restored(name: str) -> None:
    path = GOLDEN / f"jpeg-{name}.ddpm"
    assert decode_jpeg(path.read_bytes(), model()) == path.with_suffix(".jpg").read_bytes()


@cache
def small(mode: str, quality: int, sampling: int, effort: int) -> tuple[bytes, bytes]:
    """A JPEG file, and how the library codes it."""
    y, x = np.mgrid[:26, :38]
    noise = np.random.Generator(np.random.Philox(3)).integers(0, 40, (26, 38, 3))
    pixels = np.clip((100 + 70 * np.sin(x / 5 + y / 7))[..., None] + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, "JPEG", quality=quality, subsampling=sampling, optimize=True)
    return out.getvalue(), ddpmcodec.encode(io.BytesIO(out.getvalue()), effort=effort)


SHAPES = [("RGB", 60, 2, 1), ("RGB", 60, 1, 2), ("RGB", 50, 0, 1), ("CMYK", 40, 2, 1), ("RGB", 97, 2, 1)]


@pytest.mark.parametrize(("mode", "quality", "sampling", "effort"), SHAPES)
def test_files_of_all_shapes_are_restored(mode: str, quality: int, sampling: int, effort: int) -> None:
    jpeg, data = small(mode, quality, sampling, effort)
    assert decode_jpeg(data, model()) == jpeg


CHANGED: list[tuple[ModuleType, str, Any]] = [
    (jpeg_coefficients, "STEP_RANKS", (0, 1, 5, 14, 27, 41)),
    (jpeg_coefficients, "ASINH", [size + 1 for size in jpeg_coefficients.ASINH]),
    (jpeg_coefficients, "HALVES", jpeg_coefficients.HALVES[::-1]),
    (jpeg_coefficients, "LEAST_LEARNED", 4),
    (jpeg_coefficients, "LEAST_MAGNITUDE", np.float32(0.03)),
    (jpeg_coefficients, "SKIP_RATE", np.float32(0.31)),
    (mixtures, "SIXTEENTHS", [value + 2**20 for value in logistics.SIXTEENTHS]),
]


@pytest.mark.parametrize(("module", "name", "value"), CHANGED, ids=[name for _, name, _ in CHANGED])
def test_every_constant_counts(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, value: Any) -> None:
    data = small("RGB", 60, 2, 1)[1]
    monkeypatch.setattr(module, name, value)
    with pytest.raises((Bad, IndexError)):
        decode_jpeg(data, model())
