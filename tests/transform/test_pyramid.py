"""The S-transform pyramid: exact for every size, its geometry, its ranges and its gains."""

from __future__ import annotations

import numpy as np
import pytest

from ddpmcodec.transform import cells, pyramid
from ddpmcodec.transform.color import from_ycocg, to_ycocg

LARGEST = 40


def drawn(images: int, height: int, width: int, channels: int) -> np.ndarray:
    """Half of the images noise, half of them extremes: uint8."""
    rng = np.random.default_rng([height, width, channels])
    noise = rng.integers(0, 256, (images, height, width, channels), dtype=np.uint8)
    noise[::2] = np.where(noise[::2] > 127, 255, 0)
    return noise


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("height", range(1, LARGEST + 1))
def test_the_inverse_of_forward_is_the_identity_for_every_size(height: int, channels: int) -> None:
    for width in range(1, LARGEST + 1):
        pixels = drawn(2, height, width, channels)
        root, differences = pyramid.analyse(to_ycocg(pixels))
        found = pyramid.synthesise(root, differences, height, width)
        np.testing.assert_array_equal(from_ycocg(found), pixels)


@pytest.mark.parametrize("height", range(1, LARGEST + 1))
def test_bands_hold_all_that_the_root_does_not(height: int) -> None:
    for width in range(1, LARGEST + 1):
        geometry = pyramid.bands(height, width)
        assert 1 + sum(band.positions for band in geometry) == height * width
        assert [band.number for band in geometry] == list(range(1, len(geometry) + 1))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (5, 8), (16, 16), (31, 40)])
def test_differences_have_the_shapes_of_their_bands(height: int, width: int) -> None:
    root, differences = pyramid.analyse(to_ycocg(drawn(3, height, width, 3)))
    assert root.shape == (3, 1, 1, 3)
    for band, difference in zip(pyramid.bands(height, width), differences, strict=True):
        assert difference.shape == (3, band.height, band.width, 3)


def test_a_single_pixel_has_no_bands() -> None:
    assert pyramid.bands(1, 1) == []


@pytest.mark.parametrize("channels", [1, 3])
def test_differences_lie_in_the_ranges_of_what_is_unknown(channels: int) -> None:
    for seed in range(20):
        pixels = np.random.default_rng(seed).choice(np.array([0, 255], np.uint8), (2, 13, 18, channels))
        for difference in pyramid.analyse(to_ycocg(pixels))[1]:
            lo, hi = cells.unknown(difference.shape)
            assert ((lo <= difference) & (difference <= hi)).all()


def test_rows_are_halved_as_columns_are() -> None:
    """Of the transposed image the bands are the same, but for the direction that is halved first."""
    pixels = drawn(1, 1, 16, 1)
    columns = pyramid.analyse(to_ycocg(pixels))
    rows = pyramid.analyse(to_ycocg(pixels.transpose(0, 2, 1, 3)))
    np.testing.assert_array_equal(columns[0], rows[0])
    for a, b in zip(columns[1], rows[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_last_odd_column_passes_through() -> None:
    planes = np.array([[[[5], [9], [200]]]], np.int16)
    root, (fine, coarse) = pyramid.analyse(planes)
    assert fine.ravel().tolist() == [-4]
    assert coarse.ravel().tolist() == [7 - 200]
    assert root.ravel().tolist() == [(7 + 200) >> 1]


def test_turning_twice_changes_nothing() -> None:
    planes = drawn(2, 5, 8, 3)
    for band in pyramid.bands(5, 8):
        turned = pyramid.turned(planes, band)
        assert turned.shape == ((2, 8, 5, 3) if band.transposed else (2, 5, 8, 3))
        np.testing.assert_array_equal(pyramid.turned(turned, band), planes)


def test_white_noise_has_the_gains_that_cells_rely_on() -> None:
    """An orthonormal transform would have band n times 2^((n - 2) / 2): variances fall by two a band."""
    noise = np.random.default_rng(5).normal(0, 900, (1, 128, 128, 1)).astype(np.int16)
    for band, difference in zip(pyramid.bands(128, 128)[:6], pyramid.analyse(noise)[1][:6], strict=True):
        assert abs(difference.std() * 2 ** ((band.number - 2) / 2) / 900 - 1) < 0.1
