"""Luma on the grid of chroma: the block that means of samples have."""

from __future__ import annotations

import numpy as np
import pytest
from coefficient_files import made, random_planes

from ddpmcodec.training.coefficients.order import COLUMNS, ROWS, VALUES
from ddpmcodec.training.coefficients.planes import GRIDS, on_grid


def basis() -> np.ndarray:
    """Samples of each coefficient by rank, [64, 8, 8], by the sum that defines them."""
    x = 2 * np.arange(8) + 1
    waves = np.cos(np.outer(np.arange(8), x) * np.pi / 16) * np.where(np.arange(8) == 0, 8**-0.5, 0.5)[:, None]
    return np.einsum("ky,kx->kyx", waves[ROWS], waves[COLUMNS])


@pytest.mark.parametrize("covered", GRIDS)
def test_luma_on_the_grid_is_the_mean_of_samples(covered: tuple[int, int]) -> None:
    (across, down), rng = covered, np.random.default_rng(0)
    luma = rng.normal(0, 50, (2 * down, 3 * across, VALUES)).astype(np.float32)
    samples = np.einsum("rck,kyx->rycx", luma, basis()).reshape(2, 8, down, 3, 8, across).mean((2, 5))
    expected = np.einsum("rycx,kyx->rck", samples, basis())
    np.testing.assert_allclose(on_grid(luma, across, down), expected, atol=0.51)


@pytest.mark.parametrize("covered", GRIDS)
def test_each_segment_knows_more_of_luma(covered: tuple[int, int]) -> None:
    planes = random_planes(covered)
    file = made(planes, covered)
    whole = planes[0].astype(np.float32) * file.components[0].steps
    rows, columns, _ = planes[1].shape
    last = file.luma_on_grid[-1].reshape(rows + 2, columns + 2, VALUES)[1:-1, 1:-1]
    np.testing.assert_array_equal(last, on_grid(whole, *covered))
