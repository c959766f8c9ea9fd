"""Colours, the pyramid and its cells: every step back is exact, and what is known only grows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from native_testing import testing

SIZES = [(h, w) for h in range(1, 10) for w in range(1, 10)] + [(1, 33), (47, 2), (33, 47), (64, 48)]
UNIT = 1 << 16
LEVELS = (128, 64, 32, 16, 8)


def planes(height: int, width: int) -> Any:
    """Y, Co, Cg within their bounds."""
    rng = np.random.default_rng([height, width])
    drawn = rng.integers(-255, 256, (height, width, 3))
    drawn[..., 0] = np.abs(drawn[..., 0])
    return drawn.astype(np.int16)


# --- colours


def test_colours_come_back_exactly() -> None:
    levels = np.array([0, 1, 2, 63, 64, 127, 128, 200, 254, 255], np.uint8)
    pixels = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(10, 100, 3)
    found = testing.to_grb(testing.to_ycocg(pixels))
    np.testing.assert_array_equal(found, pixels[..., [1, 0, 2]])


def test_colours_are_brightness_and_two_differences() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    red, green, blue = np.moveaxis(pixels.astype(int), -1, 0)
    y, co, rest = np.moveaxis(testing.to_ycocg(pixels), -1, 0)
    assert np.abs(y - (red + 2 * green + blue) / 4).max() <= 1
    np.testing.assert_array_equal(co, red - blue)
    assert np.abs(rest - (green - (red + blue) / 2)).max() <= 0.5


def test_grey_has_no_colour() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    found = testing.to_ycocg(grey)
    np.testing.assert_array_equal(found[..., 0], grey[..., 0])
    assert (found[..., 1:] == 0).all()


# --- halving


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_images_of_any_size_come_back_exactly(height: int, width: int) -> None:
    image = planes(height, width)
    root, differences = testing.analysed(image)
    assert root.shape == (1, 1, 3)
    np.testing.assert_array_equal(testing.synthesised(root, differences, height, width), image)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_all_coefficients_are_as_many_as_pixels(height: int, width: int) -> None:
    bands = testing.bands_of(height, width)
    assert 1 + sum(rows * columns for _, _, rows, columns in bands) == height * width
    assert [number for number, *_ in bands] == list(range(1, len(bands) + 1))


def halved(image: Any) -> tuple[Any, Any]:
    """Means and differences of columns side by side; a last column alone stays."""
    even, odd = image[:, : image.shape[1] // 2 * 2 : 2], image[:, 1::2]
    return np.concatenate([(even + odd) >> 1, image[:, 2 * odd.shape[1] :]], 1), even - odd


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_columns_and_rows_are_halved_in_turn(height: int, width: int) -> None:
    image = planes(height, width).astype(int)
    root, found = testing.analysed(image.astype(np.int16))
    expected, turn = [], False
    while image.shape[:2] != (1, 1):
        if image.shape[0 if turn else 1] > 1:
            image, differences = halved(image.swapaxes(0, 1) if turn else image)
            image = image.swapaxes(0, 1) if turn else image
            expected.append(differences)
        turn = not turn
    np.testing.assert_array_equal(root, image)
    assert len(found) == len(expected)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other)


def test_extremes_do_not_overflow() -> None:
    image = np.zeros((8, 8, 3), np.int16)
    image[::2, ::2], image[1::2, 1::2] = (255, 255, 255), (0, -255, -255)
    root, differences = testing.analysed(image)
    assert max(np.abs(found).max() for found in differences) <= 510
    np.testing.assert_array_equal(testing.synthesised(root, differences, 8, 8), image)


# --- cells


@given(st.integers(-510, 510), st.integers(1, 20), st.integers(0, 2))
def test_cells_hold_their_value_and_lie_in_each_other(value: int, band: int, channel: int) -> None:
    known = (-510, 510)
    for level in (*LEVELS, 0):
        lo, hi = testing.cell_of(value, known, testing.cell_width(band, channel, level))
        assert known[0] <= lo <= value <= hi <= known[1]
        known = lo, hi
    assert known == (value, value)


@given(st.integers(1, 20), st.integers(0, 2), st.sampled_from(LEVELS))
def test_cells_tile_the_line_and_the_one_at_zero_is_twice_as_wide(band: int, channel: int, level: int) -> None:
    width = testing.cell_width(band, channel, level)
    cells = [testing.cell_of(value, (-510, 510), width) for value in range(-510, 511)]
    distinct = sorted(set(cells))
    assert [lo for lo, _ in distinct[1:]] == [hi + 1 for _, hi in distinct[:-1]]
    assert [(-hi, -lo) for lo, hi in reversed(distinct)] == distinct
    dead = next(hi for lo, hi in distinct if lo <= 0 <= hi)
    assert dead == min(-(-width // UNIT) - 1, 510)


@given(st.integers(1, 20), st.integers(0, 2), st.sampled_from(LEVELS))
def test_cells_of_a_level_are_as_wide_as_it_in_rgb(band: int, channel: int, level: int) -> None:
    """A difference of 1 is half a unit more or less in 2^band pixels, each of which counts 3, 1/2 or 3/4 in RGB."""
    length = (2**band / 4 * (3, 1 / 2, 3 / 4)[channel]) ** 0.5
    assert testing.cell_width(band, channel, level) / UNIT == pytest.approx(max(level / length, 1), rel=1e-3)


def test_no_cell_is_narrower_than_a_unit() -> None:
    assert {testing.cell_width(20, channel, 8) for channel in range(3)} == {UNIT}
    assert testing.cell_width(1, 0, 0) == UNIT


@given(st.integers(-510, 510), st.integers(-510, 510))
def test_estimates_lie_in_their_ranges(a: int, b: int) -> None:
    lo, hi = min(a, b), max(a, b)
    found = testing.estimate_of((lo, hi))
    assert lo <= found <= hi
    assert found == -testing.estimate_of((-hi, -lo))
    assert (found == 0) == (lo <= 0 <= hi)
