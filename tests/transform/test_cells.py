"""Nested cells: ranges around values, and that smaller levels lie inside larger ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ddpmcodec.coding_schedule import SCHEDULES
from ddpmcodec.transform import cells, color

LEVELS = (128, 64, 32, 16, 8, 4, 2, 1, cells.EXACT)
BANDS = range(1, 25)
VALUES = np.stack([np.arange(-510, 511)] * 3, -1)


def ranges_of(band: int, level: int) -> tuple[np.ndarray, np.ndarray]:
    return cells.cells_of(VALUES, cells.cell_widths(band, level, 3))


@pytest.mark.parametrize("band", BANDS)
def test_a_value_lies_in_its_cell(band: int) -> None:
    for level in LEVELS:
        lo, hi = ranges_of(band, level)
        assert lo.dtype == hi.dtype == np.int16
        assert ((lo <= VALUES) & (hi >= VALUES)).all()


@pytest.mark.parametrize("band", BANDS)
def test_all_values_of_a_cell_have_the_same_cell(band: int) -> None:
    for level in LEVELS:
        lo, hi = ranges_of(band, level)
        for end in (lo, hi):  # the ends of a cell may lie outside of what bands hold: only those inside are checked
            inside = (end >= -510) & (end <= 510)
            for c in range(3):
                at = end[inside[:, c], c].astype(int) + 510
                np.testing.assert_array_equal(lo[at, c], lo[inside[:, c], c])
                np.testing.assert_array_equal(hi[at, c], hi[inside[:, c], c])


@pytest.mark.parametrize("band", BANDS)
def test_cells_of_a_smaller_level_lie_inside_those_of_a_larger_one(band: int) -> None:
    lo, hi = ranges_of(band, LEVELS[0])
    for level in LEVELS[1:]:
        inner_lo, inner_hi = ranges_of(band, level)
        assert ((lo <= inner_lo) & (inner_hi <= hi)).all()
        lo, hi = inner_lo, inner_hi


@pytest.mark.parametrize("band", BANDS)
def test_the_range_of_an_exact_coefficient_is_one_integer(band: int) -> None:
    lo, hi = ranges_of(band, cells.EXACT)
    np.testing.assert_array_equal(lo, VALUES)
    np.testing.assert_array_equal(hi, VALUES)


@pytest.mark.parametrize("level", LEVELS)
def test_the_dead_zone_has_both_signs(level: int) -> None:
    lo, hi = cells.cells_of(np.zeros((1, 3), int), cells.cell_widths(1, level, 3))
    np.testing.assert_array_equal(lo, -hi)
    assert (hi > 0).all() == (level > 1)


@pytest.mark.parametrize("level", LEVELS)
def test_cells_are_symmetric(level: int) -> None:
    lo, hi = ranges_of(2, level)
    np.testing.assert_array_equal(lo, -hi[::-1])


@pytest.mark.parametrize("channel", range(3))
@pytest.mark.parametrize("band", BANDS)
def test_a_width_is_a_level_over_its_gains(band: int, channel: int) -> None:
    gain = 2 ** ((band - 2) / 2) * color.RGB_WEIGHTS[channel] ** 0.5
    for level in (1, 4, 128):
        width = cells.cell_width(band, channel, level) / 2**cells.FRACTION
        assert width == pytest.approx(level / gain, abs=level / 2**cells.FRACTION)


def test_widths_double_exactly() -> None:
    for band in BANDS:
        assert all(cells.cell_width(band, 1, 2 * n) == 2 * cells.cell_width(band, 1, n) for n in (1, 2, 4, 32))


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_levels_of_a_schedule_nest_and_end_exactly(name: str) -> None:
    levels = [step.level for step in SCHEDULES[name]]
    assert levels[-1] == cells.EXACT
    ratios = [a / b for a, b in pairwise(levels[:-1])]
    assert all(ratio >= 2 and ratio.is_integer() and int(ratio).bit_count() == 1 for ratio in ratios)
    assert SCHEDULES[name][-1].finest == 1


# --- what is unknown, and estimates


def test_unknown_ranges_hold_all_differences() -> None:
    lo, hi = cells.unknown((2, 3, 4, 3))
    assert (lo[..., 0] == -255).all()
    assert (hi[..., 0] == 255).all()
    assert (lo[..., 1:] == -510).all()
    assert (hi[..., 1:] == 510).all()
    assert cells.unknown((1, 1, 1, 1))[1].item() == 255


@pytest.mark.parametrize("level", LEVELS)
def test_an_estimate_lies_in_its_range_nearer_to_zero(level: int) -> None:
    lo, hi = ranges_of(1, level)
    found = cells.estimates(lo, hi)
    assert ((lo <= found) & (found <= hi)).all()
    assert (np.abs(found) <= np.abs((lo + hi) / 2)).all()
    assert (found[(lo <= 0) & (hi >= 0)] == 0).all()


def test_the_estimate_of_one_integer_is_that_integer() -> None:
    values = np.arange(-510, 511).astype(np.int16)
    np.testing.assert_array_equal(cells.estimates(values, values), values)


@pytest.mark.parametrize("level", LEVELS)
def test_a_cell_is_known_from_its_estimate(level: int) -> None:
    """So that what is predicted from estimates sees all that is known."""
    widths = cells.cell_widths(3, level, 3)
    lo, hi = cells.cells_of(VALUES, widths)
    again = cells.cells_of(cells.estimates(lo, hi), widths)
    np.testing.assert_array_equal(again[0], lo)
    np.testing.assert_array_equal(again[1], hi)
