"""What an image's colours say of the values that would make them: counts, kinds, and weights that find the truth."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ddpmcodec.ans import reweighted
from ddpmcodec.ans.logistic import truncate
from ddpmcodec.ans.reweighted import ONE
from ddpmcodec.channels import colors
from ddpmcodec.channels.colors import CLASSES, JFIF, LEVELS, NOWHERE, PAIRS, REACH, TRIPLES, Colors
from ddpmcodec.transform.color import from_ycocg, to_ycocg

KNOWN = np.int64(-40), np.int64(40)


def show(found: Colors, one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    """Two pixels (Y, Co, Cg)."""
    colors.count(found, np.array([one, other], np.int64))


def classes(
    found: Colors, channel: int, coarse: int, mean: int, pixels: Sequence[tuple[int, int, int]] = ((0, 0, 0),) * 2
) -> list[tuple[int, int]]:
    """(larger, smaller) class of the two pixels, for each value that is weighed."""
    truncated, before = truncate(*KNOWN, np.int64(64 * mean), np.int64(50)), np.array(pixels, np.int64)
    window = colors.weigh(found, channel, np.int64(coarse), before, KNOWN, truncated)
    assert (window.first, window.values) == (mean - REACH, 2 * REACH + 1)
    return [divmod(int(kind), CLASSES) for kind in found.kinds]


@given(st.tuples(*[st.integers(-300, 300)] * 3))
def test_levels_are_those_of_the_colour_transform(planes: tuple[int, int, int]) -> None:
    levels = from_ycocg(np.array(planes, np.int16).reshape(1, 1, 1, 3)).reshape(3).tolist()
    assert list(colors._levels(*planes)) == levels
    for channel, level in enumerate(levels):
        inside = 0 <= level <= 255
        assert colors._level_place(level, channel) == (LEVELS + 256 * channel + level if inside else NOWHERE)


@pytest.mark.parametrize(("quality", "subsampling"), [(95, 0), (80, 2)])
def test_colours_from_ycbcr_are_those_that_jpeg_has(quality: int, subsampling: int) -> None:
    photo, data = Image.open(Path(__file__).parents[2] / "docs" / "photo.png").convert("RGB"), io.BytesIO()
    photo.crop((0, 0, 200, 150)).save(data, "JPEG", quality=quality, subsampling=subsampling)
    colours = np.unique(np.asarray(Image.open(data)).reshape(-1, 3), axis=0).astype(np.int64)
    inside = colours[((colours > 0) & (colours < 255)).all(1)]  # others may have been clipped
    assert len(inside) > 1000
    assert all(colors.is_from_ycbcr(*color) for color in inside)
    other = np.random.default_rng(1).integers(0, 256, (4000, 3))
    assert np.mean([colors.is_from_ycbcr(*color) for color in other]) == pytest.approx(0.236, abs=0.03)


@given(st.tuples(*[st.integers(-(1 << 15), 1 << 15)] * 3), st.integers(0, 2))
def test_places_of_damaged_pixels_stay_in_their_tables(pixel: tuple[int, int, int], channel: int) -> None:
    begins = (0, PAIRS, TRIPLES, LEVELS)
    row = colors._row(np.array(pixel, np.int64), channel)
    place = colors._place(row, np.int64(pixel[channel]), channel)
    assert place == NOWHERE or begins[channel] <= place < begins[channel + 1]


def test_classes_are_of_how_often_a_colour_was_there() -> None:
    found = colors.start(True)
    often, once = (90, 10, -4), (80, 10, -4)
    for _ in range(5):
        show(found, often, often)
    show(found, once, (70, 0, 0))
    # luma 90 (ten times) beside 80 (once): a difference of 10 about 85
    assert classes(found, 0, 85, 0)[REACH + 10] == (4, 2)
    # the same two as pixels of the position: their orange 10 and green -4 are what they were
    pixels = (90, 10, 0), (80, 10, 0)
    assert classes(found, 1, 10, 0, pixels)[REACH] == (4, 2)
    assert [size % JFIF for size in classes(found, 2, -4, 0, pixels)[REACH]] == [4, 2]
    # and another orange was never beside these lumas
    assert classes(found, 1, 10, 0, pixels)[REACH + 2] == (1, 1)


def test_a_level_that_was_never_there_is_a_class_of_its_own() -> None:
    found = colors.start(True)
    for red, green, blue in product((60, 63, 66), repeat=3):
        planes = tuple(to_ycocg(np.array([red, green, blue], np.uint8).reshape(1, 1, 1, 3)).reshape(3).tolist())
        if (red, green, blue) != (63, 60, 66):
            show(found, planes, planes)
    luma, orange, green = to_ycocg(np.array([63, 60, 66], np.uint8).reshape(1, 1, 1, 3)).reshape(3).tolist()
    kinds = classes(found, 2, green, 0, [(luma, orange, 0)] * 2)
    assert {size % JFIF for size in kinds[REACH]} == {1}  # a new triple of levels that are known
    assert kinds[REACH + 2] == (0, 0)  # its two pixels lie beside it


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_weights_are_observed_over_expected(share: float) -> None:
    """Values of which a half makes colours that are known, and is true as often as its distribution says, or less."""
    found, rng, pixels = colors.start(True), np.random.default_rng(3), np.zeros((2, 3), np.int64)
    for luma in range(0, 256, 2):
        show(found, (luma, 0, 0), (luma, 0, 0))
    known = np.int64(-30), np.int64(30)
    truncated = truncate(*known, np.int64(0), np.int64(64))
    freqs = np.diff([float(reweighted.mass_before(truncated, np.int64(x))) for x in range(-30, 32)])
    odd = np.arange(-30, 31) % 2 == 1  # one of its two pixels is odd
    freqs[odd] *= share
    for value in rng.choice(np.arange(-30, 31), 6000, p=freqs / freqs.sum()):
        window = colors.weigh(found, 0, np.int64(100), pixels, known, truncated)
        colors.learn(found, 0, np.int64(value), window, truncated)
    kinds = classes(found, 0, 100, 0)
    weights = {kind: int(found.weights[0, kind[0] * CLASSES + kind[1]]) for kind in kinds}
    both, one = max(weights), (3, 1)
    assert weights[one] / weights[both] == pytest.approx(share, rel=0.15)
    assert share < 1 or weights[both] == pytest.approx(ONE, rel=0.15)


def test_without_counts_there_is_nothing_to_use() -> None:
    assert not colors.are_used(colors.start(False))
    assert colors.are_used(colors.start(True))
