"""Segments: as many for every size, and all there is to code in them."""

from __future__ import annotations

import pytest

from ddpmcodec import _native as native
from native_testing import testing

SIZES = [(1, 1), (1, 2), (1, 7), (5, 1), (2, 2), (33, 47), (512, 768), (1, 5000)]
COUNTS = {0: 8, 2: 22, 5: 43}
GROUPS = [9, 7, 5, 4, 3, 2, 1]  # the finest bands of a step's segments
PARTS = [1, 1, 1, 1, 1, 2, 4]  # of these


@pytest.mark.parametrize("levels", COUNTS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_there_are_as_many_segments_for_every_size(levels: int, height: int, width: int) -> None:
    found = native.segments(levels, height, width)
    assert len(found) == COUNTS[levels]
    assert [segment[:3] for segment in found] == [segment[:3] for segment in native.segments(levels, 64, 64)]


@pytest.mark.parametrize("levels", COUNTS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_steps_code_their_bands_and_the_last_one_all_pixels(levels: int, height: int, width: int) -> None:
    bands = {number: rows * columns for number, _, rows, columns in testing.bands_of(height, width)}
    found = native.segments(levels, height, width)
    for step in range(found[-1][0]):
        assert sum(segment[3] for segment in found if segment[0] == step) == sum(bands.values())
    assert sum(segment[3] for segment in found if not segment[1]) == width * height


@pytest.mark.parametrize("levels", COUNTS)
def test_levels_fall_to_exact_pixels_and_bands_to_the_finest(levels: int) -> None:
    found = native.segments(levels, 512, 768)
    by_step = [level for step, level, *_ in found]
    assert by_step == sorted(by_step, reverse=True)
    assert [segment[0] for segment in found] == sorted(segment[0] for segment in found)
    for step in range(found[-1][0]):
        assert [segment[2] for segment in found if segment[0] == step] == GROUPS
        assert [segment[4] for segment in found if segment[0] == step] == PARTS
    assert {segment[4] for segment in found if not segment[1]} == {2}


@pytest.mark.parametrize("levels", [3, 4, 6, -1])
def test_other_numbers_of_levels_are_refused(levels: int) -> None:
    with pytest.raises(ValueError, match=f"schedule of {levels}"):
        native.segments(levels, 8, 8)


@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, -1), (1 << 30, 1), (1, (1 << 28) + 1)])
def test_sides_that_no_image_has_are_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match="sides of an image"):
        native.segments(2, height, width)
