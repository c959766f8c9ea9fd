"""YCoCg-R: exact, within its bounds, and its weights of squared errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.codec.previews import RGB_WEIGHTS, to_ycocg


def from_ycocg(planes: NDArray[np.int16]) -> NDArray[np.int64]:
    """The inverse, by the standard's steps."""
    y, co, cg = np.moveaxis(planes.astype(np.int64), -1, 0)
    middle = y - (cg >> 1)
    blue = middle - (co >> 1)
    return np.stack([blue + co, cg + middle, blue], -1)


def test_every_corner_and_many_colours_come_back() -> None:
    steps = np.array([*range(0, 256, 17), 1, 127, 128, 254], np.uint8)
    pixels = np.stack(np.meshgrid(steps, steps, steps), -1)
    planes = to_ycocg(pixels)
    np.testing.assert_array_equal(from_ycocg(planes), pixels)
    assert (planes.min(axis=(0, 1, 2)) >= [0, -255, -255]).all()
    assert (planes.max(axis=(0, 1, 2)) <= 255).all()


def test_grey_stays_as_it_is() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(to_ycocg(grey), grey)


def test_grey_in_colour_has_no_chroma() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    np.testing.assert_array_equal(to_ycocg(grey), [[v, 0, 0] for v in range(256)])


def test_a_squared_error_counts_by_its_weight() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 190, (4000, 3), dtype=np.uint8)
    planes = to_ycocg(pixels)
    for channel, weight in enumerate(RGB_WEIGHTS):
        moved = planes.copy()
        moved[:, channel] += rng.choice([-32, 32], len(moved)).astype(np.int16)
        error = ((from_ycocg(moved) - pixels.astype(np.int64)) ** 2).sum(1).mean()
        assert abs(error / 32**2 - weight) < 0.02 * weight
