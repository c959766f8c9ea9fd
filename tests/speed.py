"""How long coding takes, measured by pytest-benchmark when it is asked for (`pytest tests/speed.py`): not a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import ddpmcodec

pytest.importorskip("pytest_benchmark", reason="pip install pytest-benchmark")

PHOTO = Path(__file__).parents[1] / "docs" / "photo.png"
CODINGS = pytest.mark.parametrize(("effort", "levels"), [(1, 0), (1, 2), (2, 0), (2, 2)])


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.asarray(Image.open(PHOTO).convert("RGB"))[:256, :256]


@CODINGS
def test_encode(benchmark: Any, pixels: NDArray[np.uint8], effort: int, levels: int) -> None:
    data = benchmark(ddpmcodec.encode, pixels, effort=effort, levels=levels, verify=False)
    assert len(data) < pixels.size


@CODINGS
def test_decode(benchmark: Any, pixels: NDArray[np.uint8], effort: int, levels: int) -> None:
    data = ddpmcodec.encode(pixels, effort=effort, levels=levels, verify=False)
    assert np.array_equal(benchmark(ddpmcodec.decode, data, as_array=True), pixels)
