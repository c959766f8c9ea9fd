"""What an image's colours say of the values that would make them: counts, kinds, and weights that find the truth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.ans import reweighted
from ddpmcodec.ans.logistic import truncate
from ddpmcodec.ans.reweighted import ONE
from ddpmcodec.channels import colors
from ddpmcodec.channels.colors import CLASSES, LEVELS, NOWHERE, PAIRS, REACH, TRIPLES, Colors
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
    window = colors.weigh(found, channel, np.int64(coarse), before, KNOWN, np.int64(64 * mean), truncated)
    assert (window.first, window.values) == (mean - REACH, 2 * REACH + 1)
    return [divmod(int(kind), CLASSES) for kind in found.kinds]


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_levels_are_those_of_the_colour_transform(pixel: tuple[int, int, int]) -> None:
    planes = to_ycocg(np.array(pixel, np.uint8).reshape(1, 1, 1, 3)).reshape(3).tolist()
    assert [place - LEVELS for place in colors._level_places(*planes)] == [
        256 * k + level for k, level in enumerate(pixel)
    ]


@given(st.tuples(*[st.integers(-300, 300)] * 3))
def test_what_is_no_colour_is_counted_nowhere(planes: tuple[int, int, int]) -> None:
    pixels = from_ycocg(np.array(planes, np.int16).reshape(1, 1, 1, 3))
    is_color = bool(((pixels >= 0) & (pixels < 256)).all())
    places = colors._level_places(*map(np.int64, planes))
    assert all((place != NOWHERE) == is_color and LEVELS <= place <= NOWHERE for place in places)


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
    assert classes(found, 1, 10, 0, pixels)[REACH] == classes(found, 2, -4, 0, pixels)[REACH] == (4, 2)
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
    assert kinds[REACH] == (1, 1)  # a new triple of levels that are known
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
        window = colors.weigh(found, 0, np.int64(100), pixels, known, np.int64(0), truncated)
        colors.learn(found, 0, np.int64(value), window, truncated)
    kinds = classes(found, 0, 100, 0)
    weights = {kind: int(found.weights[0, kind[0] * CLASSES + kind[1]]) for kind in kinds}
    both, one = max(weights), (3, 1)
    assert weights[one] / weights[both] == pytest.approx(share, rel=0.15)
    assert share < 1 or weights[both] == pytest.approx(ONE, rel=0.15)


def test_without_counts_there_is_nothing_to_use() -> None:
    assert not colors.are_used(colors.start(False))
    assert colors.are_used(colors.start(True))
