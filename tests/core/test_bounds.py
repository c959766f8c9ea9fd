"""What noise levels and the pixels before it leave of a pixel: what is there, and no more than what can be."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ddpmcodec import _native as native
from native_testing import testing

BOXES = [
    ((10, 12), (-3, 2), (5, 9)),
    ((0, 0), (0, 0), (0, 0)),
    ((-4, 3), (7, 7), (-6, -2)),
    ((100, 101), (-20, 13), (1, 1)),
]


def image(height: int, width: int, noise: int = 9) -> Any:
    y, x = np.mgrid[:height, :width]
    drawn = np.random.default_rng([height, width]).integers(0, noise, (height, width, 3))
    return (drawn + (60 + 3 * y + 2 * x)[..., None]).clip(0, 255).astype(np.uint8)


def positions_of(pixels: Any, level: int = 8) -> Any:
    """Of all pixels, after noise levels."""
    return native.pixel_positions(pixels[None], level, [(0, 0, *pixels.shape[:2])])


# --- of Y, Co, Cg to green, red, blue


@pytest.mark.parametrize("box", BOXES)
def test_bounds_of_a_channel_are_those_of_all_colours_in_the_box(box: Any) -> None:
    """Against all of them, one by one: green; red of each green; blue of each green and red."""
    colours = np.array(list(itertools.product(*(range(lo, hi + 1) for lo, hi in box))), np.int16)
    grb = testing.to_grb(colours[None])[0]
    assert testing.bounds(box, 0) == (grb[:, 0].min(), grb[:, 0].max())
    for green in np.unique(grb[:, 0]):
        red = grb[grb[:, 0] == green]
        assert testing.bounds(box, 1, green) == (red[:, 1].min(), red[:, 1].max())
        for one in np.unique(red[:, 1]):
            blue = red[red[:, 1] == one][:, 2]
            assert testing.bounds(box, 2, green, one) == (blue.min(), blue.max())


def test_where_nothing_is_left_nothing_is_said() -> None:
    """As a damaged file may have it: a green that no colour of the box has."""
    assert testing.bounds(BOXES[0], 1, 200) == testing.bounds([(-2048, 2047)] * 3, 1, 200)


# --- of blocks


@pytest.mark.parametrize("level", [8, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 8), (8, 1), (2, 2), (3, 5), (8, 8), (9, 12)])
def test_bounds_hold_what_is_there(size: tuple[int, int], level: int) -> None:
    found = positions_of(image(*size), level)
    assert (found["lo"] <= found["new_lo"]).all()
    assert (found["new_lo"] <= found["hi"]).all()


def test_three_pixels_of_a_block_are_bounded() -> None:
    """The first is not; the last, which has two that bound it, most of all."""
    found = positions_of(image(16, 16))
    left = (found["hi"] - found["lo"]).reshape(8, 2, 8, 2, 3)
    assert (left[:, 0, :, 0, 0] == 255).all()
    widths = left[..., 2].mean((0, 2))
    assert widths[1, 1] < widths[0, 1] < 64
    assert widths[1, 0] < 64


def test_a_single_last_column_is_not_bounded() -> None:
    left = positions_of(image(6, 7))
    assert (left["hi"] - left["lo"]).reshape(6, 7, 3)[:, 6].min() == 255


def test_pixels_see_their_bounds() -> None:
    """From the estimate, in half grey levels; far away where there are none."""
    rows = positions_of(image(16, 16))["rows"].reshape(16, 16, -1)[..., 244:250]
    assert (rows[0, 0] == [1, 255] * 3).all()
    assert (rows[1::2, 1::2, 0::2] <= 128).mean() > 0.9
    assert (rows[1::2, 1::2, 1::2] >= 128).mean() > 0.9
