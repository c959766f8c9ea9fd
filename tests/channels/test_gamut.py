"""What a coarse pixel says of the two finer ones: what is left always holds the truth, and is as short as can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.channels import gamut
from ddpmcodec.transform import pyramid
from ddpmcodec.transform.color import from_ycocg, to_ycocg

UNKNOWN = np.int64(-510), np.int64(510)
levels = st.integers(0, 255) | st.sampled_from([0, 1, 254, 255])
colors = st.tuples(levels, levels, levels)


def planes_of(*pixels: tuple[int, int, int]) -> list[list[int]]:
    """(Y, Co, Cg) of each."""
    found: list[list[int]] = to_ycocg(np.array(pixels, np.uint8)[None, None])[0, 0].tolist()
    return found


def test_the_two_values_of_a_difference_are_those_of_the_pyramid() -> None:
    coarse, difference = (a.astype(np.int16) for a in np.meshgrid(np.arange(-9, 9), np.arange(-30, 31)))
    band = pyramid.bands(len(coarse), 2 * coarse.shape[1])[0]
    whole = pyramid.synthesise_band(*(np.repeat(a[None, :, :, None], 3, 3) for a in (coarse, difference)), band)
    pairs = [[gamut.pair(np.int64(c), np.int64(d)) for c, d in zip(*rows, strict=True)]
             for rows in zip(coarse, difference, strict=True)]  # fmt: skip
    np.testing.assert_array_equal(whole[0, ..., 0], np.array(pairs).reshape(len(coarse), -1))


@given(colors, colors)
def test_what_is_left_holds_the_truth(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    pixels = np.zeros((2, 3), np.int64)
    for channel, (a, b) in enumerate(zip(*planes_of(one, other), strict=True)):
        lo, hi = gamut.narrowed(UNKNOWN, channel, np.int64((a + b) >> 1), pixels, gamut.slack_of(1))
        assert lo <= a - b <= hi
        pixels[:, channel] = a, b


@pytest.mark.parametrize("seed", range(6))
def test_it_does_in_every_band_of_images_at_the_edges_of_the_gamut(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (1, 21, 34, 3))
    pixels = np.where(rng.random(pixels.shape) < rng.choice([0.3, 0.9, 1]), pixels // 128 * 255, pixels)
    planes = to_ycocg(pixels.astype(np.uint8))
    coarse, differences = pyramid.analyse(planes)
    for band in reversed(pyramid.bands(21, 34)):
        stored, difference, slack = (
            pyramid.turned(coarse, band),
            differences[band.number - 1],
            gamut.slack_of(band.number),
        )
        for y, x in np.ndindex(band.height, band.width):
            finer = np.zeros((2, 3), np.int64)
            for channel in range(3):
                value, mean = np.int64(difference[0, y, x, channel]), np.int64(stored[0, y, x, channel])
                lo, hi = gamut.narrowed(UNKNOWN, channel, mean, finer, slack)
                assert lo <= value <= hi
                finer[:, channel] = gamut.pair(mean, value)
        coarse = pyramid.synthesise_band(stored, difference, band)


@given(colors, colors)
def test_green_chroma_is_left_what_makes_colours(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    (y, co, cg), (v, do, dg) = planes_of(one, other)
    coarse, pixels = np.int64((cg + dg) >> 1), np.array([[y, co, 0], [v, do, 0]], np.int64)
    lo, hi = gamut.narrowed(UNKNOWN, 2, coarse, pixels, 0)
    values = np.arange(-510, 511)
    green = np.stack(gamut.pair.py_func(coarse, values))
    planes = np.stack([np.broadcast_to([[y], [v]], green.shape), np.broadcast_to([[co], [do]], green.shape), green], -1)
    rgb = from_ycocg(planes.astype(np.int16)[None])[0]
    possible = values[((rgb >= 0) & (rgb <= 255)).all((0, 2)) & (np.abs(green) <= 255).all(0)]
    assert (int(lo), int(hi)) == (possible[0], possible[-1])


def test_white_and_black_leave_nothing_to_say() -> None:
    nothing = np.zeros((2, 3), np.int64)
    assert gamut.narrowed(UNKNOWN, 0, np.int64(255), nothing, 0) == (0, 0)
    assert gamut.narrowed(UNKNOWN, 0, np.int64(0), nothing, 0) == (-1, 1)
    white = np.array([[255, 0, 0]] * 2, np.int64)
    assert gamut.narrowed(UNKNOWN, 2, np.int64(0), white, 0) == (0, 0)


@given(st.integers(-600, 600), st.integers(-600, 600), st.integers(-510, 510))
def test_damage_that_leaves_nothing_leaves_what_was_known(luma: int, orange: int, coarse: int) -> None:
    pixels = np.array([[luma, orange, 0], [-luma, orange, 0]], np.int64)
    for channel in range(3):
        known = np.int64(-3), np.int64(4)
        lo, hi = gamut.narrowed(known, channel, np.int64(coarse), pixels, 0)
        assert known[0] <= lo <= hi <= known[1]
