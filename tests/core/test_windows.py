"""What a position sees: its surroundings, and nothing that is coded in its wave or later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddpmcodec import _native as native
from native_testing import testing

ZERO, ONE = 128, 16
HEIGHT, WIDTH = 9, 11
PLACES = [(0, 0), (0, 4), (0, 10), (4, 0), (4, 5), (4, 8), (4, 10), (8, 0), (8, 10), (1, 1), (7, 3)]


def waves() -> Any:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return x + 4 * y


def pixels(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def planes(seed: int) -> Any:
    return testing.to_ycocg(pixels(seed))


def changed(values: Any, where: Any, seed: int) -> Any:
    """Other values at some places."""
    other = np.random.default_rng(seed).integers(0, 256, values.shape).astype(values.dtype)
    return np.where(where[..., None], other, values)


# --- nothing of what comes later


@pytest.mark.parametrize(("y", "x"), PLACES)
@pytest.mark.parametrize("after_levels", [False, True])
def test_a_pixel_sees_nothing_of_its_own_wave_or_later_ones(y: int, x: int, after_levels: bool) -> None:
    estimate = planes(5) if after_levels else None
    later = waves() >= x + 4 * y
    expected = testing.pixel_row(pixels(0), estimate, y, x)
    for seed in range(1, 4):
        found = testing.pixel_row(changed(pixels(0), later, seed), estimate, y, x)
        for own, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize(("y", "x"), PLACES)
def test_a_coefficient_sees_nothing_that_its_step_codes_later(y: int, x: int) -> None:
    """Of the step's own values those of waves before, of what was known before it those of its own wave and later."""
    later = waves() >= x + 4 * y
    expected = testing.band_row(planes(0), planes(1), planes(2), y, x)
    coded, known = changed(planes(1), later, 3), changed(planes(2), ~later, 4)
    np.testing.assert_array_equal(testing.band_row(planes(0), coded, known, y, x), expected)


@pytest.mark.parametrize(("y", "x"), [(4, 5), (5, 5)])
def test_a_position_sees_what_is_nearby(y: int, x: int) -> None:
    """The other way round: a change to any place of its window before it is seen."""
    expected = testing.pixel_row(pixels(0), None, y, x)[0]
    for dy in range(-3, 1):
        for dx in range(-3, 4 if dy else 0):
            other = pixels(0)
            other[y + dy, x + dx] ^= 128
            assert (testing.pixel_row(other, None, y, x)[0] != expected).any()


# --- rules that training shares


def test_rows_of_training_are_those_of_the_coder() -> None:
    image = pixels(0)
    found = native.pixel_positions(image[None], 0, [(0, 0, *image.shape[:2])])
    for place, row in enumerate(found["rows"]):
        expected, base = testing.pixel_row(image, None, *divmod(place, WIDTH))
        np.testing.assert_array_equal(row, expected)
        np.testing.assert_array_equal(found["base"][place], base)


# --- what inputs mean


def size_of(difference: Any) -> Any:
    """Small ones as they are, larger ones in quarters."""
    size = np.abs(difference)
    return np.sign(difference) * np.minimum(np.minimum(size, 64) + np.maximum(size - 64, 0) // 4, 127)


def seen(grb: Any) -> Any:
    """Green, red less green, blue less green, in half grey levels."""
    grb = grb.astype(int)
    return 2 * np.stack([grb[..., 0], grb[..., 1] - grb[..., 0], grb[..., 2] - grb[..., 0]], -1)


def middle(grb: Any) -> list[int]:
    """Green from mid-grey, red and blue from green in two grey levels; of an estimate it may be out of bounds."""
    green, red, blue = grb.astype(int)
    return [min(max(green, 0), 255), *(ZERO + min(max((other - green) >> 1, -128), 127) for other in (red, blue))]


def test_a_pixel_is_seen_from_the_one_before_it() -> None:
    image = pixels(0)
    grb = image[..., [1, 0, 2]]
    y, x = 4, 5
    row, base = testing.pixel_row(image, None, y, x)
    np.testing.assert_array_equal(base, grb[y, x - 1])
    window = seen(grb)[y - 3 : y + 1, x - 3 : x + 4].reshape(-1, 3)[:24]
    np.testing.assert_array_equal(row[:72], ZERO + size_of(window - seen(grb)[y, x - 1]).ravel())
    assert row[72:75].tolist() == middle(grb[y, x - 1])
    assert (row[75:84] == ZERO + ONE).all()


def test_the_first_pixel_is_seen_from_grey_and_those_at_the_left_from_above() -> None:
    assert testing.pixel_row(pixels(0), None, 0, 0)[1].tolist() == [128] * 3
    np.testing.assert_array_equal(testing.pixel_row(pixels(0), None, 4, 0)[1], pixels(0)[3, 0][[1, 0, 2]])


def test_edges_say_what_lies_outside() -> None:
    row = testing.pixel_row(pixels(0), None, 1, WIDTH - 2)[0]
    expected = [1, 0, 0, 1, 1, 1, 1, 0, 0]  # rows above, columns to the left, to the right
    assert row[75:84].tolist() == [ZERO + ONE * there for there in expected]
    window = row[:72].reshape(24, 3)
    assert (window[:14] == ZERO).all()


def test_after_levels_a_pixel_sees_what_the_estimate_missed_and_the_estimate() -> None:
    image, estimate = pixels(0), testing.to_grb(planes(5))
    y, x = 4, 5
    row, base = testing.pixel_row(image, planes(5), y, x)
    np.testing.assert_array_equal(base, estimate[y, x])
    missed = seen(image[..., [1, 0, 2]] - estimate)[y - 3 : y + 1, x - 3 : x + 4].reshape(-1, 3)[:24]
    np.testing.assert_array_equal(row[:72], ZERO + size_of(missed).ravel())
    around = seen(estimate)[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3) - seen(estimate)[y, x]
    of_estimate = row[72 : 72 + 147].reshape(49, 3)
    np.testing.assert_array_equal(np.delete(of_estimate, 24, 0), np.delete(ZERO + size_of(around), 24, 0))
    assert of_estimate[24].tolist() == middle(estimate[y, x])
    assert row[219:235].tolist() == [ZERO + ONE * (place == (y & 3) * 4 + (x & 3)) for place in range(16)]


@pytest.mark.parametrize(("level", "finer", "coarser"), [(32, False, True), (8, False, False), (4, True, False)])
def test_after_levels_a_pixel_is_told_whether_they_end_below_8(level: int, finer: bool, coarser: bool) -> None:
    row, _ = testing.pixel_row(pixels(0), planes(5), 4, 5, level)
    assert row[250:252].tolist() == [ZERO + ONE * finer, ZERO + ONE * coarser]
    np.testing.assert_array_equal(row[:250], testing.pixel_row(pixels(0), planes(5), 4, 5)[0][:250])


def test_after_levels_a_pixel_sees_exact_pixels_as_without() -> None:
    """And how far its pivot is from the estimate."""
    exact, estimate, y, x = pixels(0), testing.to_grb(planes(5)), 4, 5
    row, _ = testing.pixel_row(exact, planes(5), y, x, 32)
    alone, _ = testing.pixel_row(exact, None, y, x)
    np.testing.assert_array_equal(row[252:324], alone[:72])
    away = seen(exact[..., [1, 0, 2]])[y, x - 1] - seen(estimate)[y, x]
    assert row[324:327].tolist() == (ZERO + size_of(away)).tolist()


def test_rows_of_training_know_the_level() -> None:
    for level in (8, 4):
        found = native.pixel_positions(pixels(0)[None], level, [(0, 0, HEIGHT, WIDTH)])
        assert (found["rows"][:, 250] == ZERO + ONE * (level == 4)).all()


def test_a_coefficient_sees_the_coarse_image_and_its_own_band() -> None:
    coarse, coded, known = planes(0), planes(1), planes(2)
    y, x = 4, 5
    row = testing.band_row(coarse, coded, known, y, x)
    around = coarse.astype(int)[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3) - coarse[y, x]
    np.testing.assert_array_equal(np.delete(row[:147].reshape(49, 3), 24, 0), np.delete(ZERO + size_of(around), 24, 0))
    before = (np.arange(49) < 24)[:, None]
    own = [values.astype(int)[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3) for values in (coded, known)]
    np.testing.assert_array_equal(row[147:294], ZERO + size_of(np.where(before, *own)).ravel())


def test_the_coarse_image_goes_on_behind_its_edge_and_a_band_does_not() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 40, np.int16)
    row = testing.band_row(flat, flat, flat, 0, 0)
    outside = np.delete(row[:147].reshape(49, 3), 24, 0)
    assert (outside == ZERO).all()
    assert (row[147 : 147 + 63] == ZERO).all()
