"""Files in training that are made of random coefficients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.training.coefficients.order import VALUES
from ddpmcodec.training.coefficients.positions import Component, JpegFile

Planes = list[NDArray[np.int16]]  # values of components [rows, columns, 64]


def random_planes(covered: tuple[int, int], seed: int = 0, rows: int = 5, columns: int = 6) -> Planes:
    """Coefficients that are small at high frequencies. rows, columns: blocks of chroma."""
    rng, (across, down) = np.random.default_rng(seed), covered
    size = 40 / (1 + np.arange(VALUES)) * np.exp(rng.normal(0, 1, (rows * down, columns * across, 1)))
    luma = np.rint(rng.laplace(0, size)).astype(np.int16)
    return [luma, *(np.rint(rng.laplace(0, size[:rows, :columns] / 2)).astype(np.int16) for _ in range(2))]


def made(planes: Planes, covered: tuple[int, int], levels: int = 0, refined: int | None = None) -> JpegFile:
    """A file at its coarsest level or a finer one, with steps of all sizes."""
    steps = np.random.default_rng(1).integers(1, 40, VALUES).astype(np.uint16)
    components = [Component(values, steps + number, levels, refined) for number, values in enumerate(planes)]
    return JpegFile(components, covered)
