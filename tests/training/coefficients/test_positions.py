"""What positions of JPEG files see: no more than a decoder knows, and the numbers of docs/experiments/jpeg.md."""

from __future__ import annotations

import math

import numpy as np
import pytest
from coefficient_files import Planes, made, random_planes
from numpy.typing import NDArray

from ddpmcodec.training.coefficients import order
from ddpmcodec.training.coefficients.order import COLUMNS, ROWS, VALUES
from ddpmcodec.training.coefficients.positions import (
    CHROMA_INPUTS,
    GRIDS,
    LUMA_INPUTS,
    OTHER_ENTRIES,
    OWN_ENTRIES,
    Group,
    JpegFile,
    Seen,
    on_grid,
    seen,
)

FIRST_FLAG = order.VALUES


def of_block(file: JpegFile, component: int, condition: int, row: int, column: int) -> Seen:
    """What one position sees."""
    block = (row + 1) * file.components[component].stride + column + 1
    return seen([Group(file, component, condition, np.array([block]))])


def with_other_unknowns(planes: Planes, component: int, condition: int, row: int, column: int) -> Planes:
    """Files that a decoder cannot tell apart before it decodes a position: all that it does not know is different."""
    segment, rank = int(order.SEGMENT_OF[condition]), int(order.RANK_OF[condition])
    changed = []
    for number, values in enumerate(planes):
        rows, columns, _ = values.shape
        is_before = np.arange(rows * columns).reshape(rows, columns) < row * columns + column
        ranks, flags = np.full((rows, columns), order.STARTS[segment]), np.full((rows, columns), segment - 1)
        if number < component:
            ranks[:], flags[:] = order.ENDS[segment], segment
        elif number == component:
            is_flag = bool(order.IS_FLAG[condition])
            ranks[:] = rank + (is_before & (not is_flag))
            flags = np.where(is_before, segment, segment - is_flag)
        changed.append(_changed(values, ranks, order.ENDED_FROM[np.maximum(flags, 0)]))
    return changed


def _changed(values: NDArray[np.int16], ranks: NDArray[np.int64], ended: NDArray[np.int64]) -> NDArray[np.int16]:
    """Other values from a rank on in each block, but for blocks that are known to have ended."""
    numbers = np.arange(order.VALUES)
    last = np.where(values != 0, numbers, -1).max(2)
    goes_on = (ended == 0) | (last >= ended)
    return np.where((numbers >= ranks[..., None]) & goes_on[..., None], values + 7 + (values == -7), values)


@pytest.mark.parametrize("covered", GRIDS)
@pytest.mark.parametrize("condition", [0, 1, 2, 4, 9, 12, 30, 50, 63, *range(FIRST_FLAG, order.CONDITIONS)])
@pytest.mark.parametrize("component", [0, 1, 2])
def test_a_position_sees_what_a_decoder_knows(covered: tuple[int, int], condition: int, component: int) -> None:
    planes = random_planes(covered, seed=condition)
    for row, column in [(2, 3), (0, 0), (4, 5)]:
        others = with_other_unknowns(planes, component, condition, row, column)
        one, other = (of_block(made(each, covered), component, condition, row, column) for each in (planes, others))
        assert one.rows.equal(other.rows)
        assert one.entries.equal(other.entries)


def within_cells(values: NDArray[np.int16], steps: NDArray[np.float32], refined: int) -> NDArray[np.int16]:
    """Other values in the same cells of the coarser level."""
    coarsest = order.coarsest_levels(steps)
    wide, narrow = (3 ** np.minimum(coarsest, level) for level in (refined + 1, refined))
    cells = np.sign(values) * ((np.abs(values) + wide // 2) // wide)
    return (cells * wide + np.where(values == cells * wide, narrow, 0) * (wide > narrow)).astype(np.int16)


@pytest.mark.parametrize("covered", GRIDS)
@pytest.mark.parametrize(("rank", "refined"), [(0, 0), (4, 1), (12, 0), (30, 2), (62, 1), (63, 0)])
@pytest.mark.parametrize("component", [0, 1, 2])
def test_finer_levels_see_cells_and_what_was_refined(
    covered: tuple[int, int], rank: int, refined: int, component: int
) -> None:
    planes = random_planes(covered, seed=rank)
    steps = [each.steps for each in made(planes, covered).components]
    for row, column in [(2, 3), (0, 0), (4, 5)]:
        others = list(planes)
        for number in range(component, 3):
            is_before = np.arange(planes[number][..., 0].size).reshape(planes[number].shape[:2])
            is_before = is_before < row * planes[component].shape[1] + column
            ranks = np.arange(order.VALUES)
            is_known = (ranks > rank) | (ranks == rank) & is_before[..., None] & (number == component)
            is_known &= number == component
            others[number] = np.where(is_known, planes[number], within_cells(planes[number], steps[number], refined))
        one, other = (
            of_block(made(each, covered, 3, refined), component, rank, row, column) for each in (planes, others)
        )
        assert one.rows.equal(other.rows)
        assert one.entries.equal(other.entries)
        assert one.cell.equal(other.cell)


def test_the_part_of_a_cell_is_coded() -> None:
    planes = random_planes((1, 1))
    fine, exact = made(planes, (1, 1), 1, 0), made(planes, (1, 1))
    coarsest = order.coarsest_levels(exact.components[0].steps, 1)
    for rank in range(order.VALUES):
        if not coarsest[rank]:
            assert not fine.components[0].counts[rank]
            continue
        position, value = of_block(fine, 0, rank, 2, 3), planes[0][2, 3, rank]
        assert position.cell.item() == 3 * np.rint(value / 3)
        assert position.value.item() == value - position.cell.item()


def test_what_is_coded() -> None:
    planes = random_planes((1, 1))
    file = made(planes, (1, 1))
    assert of_block(file, 0, 5, 2, 3).value.item() == planes[0][2, 3, 5]
    for number, segment in enumerate(order.FLAGGED):
        flag = of_block(file, 1, FIRST_FLAG + number, 1, 4)
        assert flag.value.item() == planes[1][1, 4, order.STARTS[segment] :].any()
        assert flag.is_flag.all()
    assert [of_block(file, number, 5, 0, 0).condition.item() for number in (1, 2)] == [5, order.CONDITIONS + 5]


def test_numbers_of_inputs() -> None:
    file = made(random_planes((2, 2)), (2, 2))
    luma, chroma = of_block(file, 0, 3, 1, 1), of_block(file, 2, 3, 1, 1)
    assert (luma.rows.shape[2], luma.entries.shape[2]) == (LUMA_INPUTS, OWN_ENTRIES)
    assert (chroma.rows.shape[2], chroma.entries.shape[2]) == (CHROMA_INPUTS, OWN_ENTRIES + OTHER_ENTRIES)


def test_inputs_of_a_corner() -> None:
    """Which blocks are inside, the step, the sampling, and which blocks go on: none is known to have ended."""
    file = made(random_planes((2, 1)), (2, 1))
    rows = of_block(file, 0, 1, 0, 0).rows[0, 0].tolist()
    inside = [0, 0, 0, 0, 16, 16, 0, 16, 16]
    assert rows[:9] == inside
    assert rows[9] == round(24 * (math.log(file.components[0].steps[1]) - 2.5))
    assert rows[16:19] == [0, 16, 0]
    assert rows[19:28] == [*inside[:4], 0, *inside[5:]]


def test_the_window_is_of_known_frequencies_in_steps() -> None:
    planes = random_planes((1, 1))
    file = made(planes, (1, 1))
    window = of_block(file, 0, 4, 2, 2).rows[0, 0, 28:53].reshape(5, 5)
    steps, own = file.components[0].steps, planes[0][2, 2]
    expected = np.zeros((5, 5))
    for rank in range(4):  # of rank 4, in row 1 and column 1
        size = round(24 * math.asinh(own[rank] * steps[rank] / steps[4]))
        expected[order.ROWS[rank] + 1, order.COLUMNS[rank] + 1] = np.clip(size, -127, 127)
    np.testing.assert_array_equal(window, expected)


@pytest.mark.parametrize("covered", GRIDS)
def test_positions_are_those_of_blocks_that_have_not_ended(covered: tuple[int, int]) -> None:
    planes = random_planes(covered)
    file = made(planes, covered)
    for condition in range(order.CONDITIONS):
        segment = order.SEGMENT_OF[condition] - order.IS_FLAG[condition]
        start = order.ENDED_FROM[segment]
        expected = planes[2][:, :, start:].any(2).sum() if start else planes[2][..., 0].size
        assert file.components[2].counts[condition] == expected == len(file.group(2, condition).blocks)


def test_groups_are_drawn_as_often_as_they_have_positions() -> None:
    file, rng = made(random_planes((2, 2)), (2, 2)), np.random.default_rng(0)
    drawn = [file.draw(True, 3, rng) for _ in range(3000)]
    assert {group.component for group in drawn} == {1, 2}
    counts = file.components[1].counts / sum(c.counts.sum() for c in file.components[1:])
    assert sum(g.component == 1 and g.condition == 0 for g in drawn) / 3000 == pytest.approx(counts[0], abs=0.01)


def basis() -> np.ndarray:
    """Samples of each coefficient by rank, [64, 8, 8], by the sum that defines them."""
    x = 2 * np.arange(8) + 1
    waves = np.cos(np.outer(np.arange(8), x) * np.pi / 16) * np.where(np.arange(8) == 0, 8**-0.5, 0.5)[:, None]
    return np.einsum("ky,kx->kyx", waves[ROWS], waves[COLUMNS])


@pytest.mark.parametrize("covered", GRIDS)
def test_luma_on_the_grid_is_the_mean_of_samples(covered: tuple[int, int]) -> None:
    (across, down), rng = covered, np.random.default_rng(0)
    luma = rng.normal(0, 50, (2 * down, 3 * across, VALUES)).astype(np.float32)
    samples = np.einsum("rck,kyx->rycx", luma, basis()).reshape(2, 8, down, 3, 8, across).mean((2, 5))
    expected = np.einsum("rycx,kyx->rck", samples, basis())
    np.testing.assert_allclose(on_grid(luma, across, down), expected, atol=0.51)


@pytest.mark.parametrize("covered", GRIDS)
def test_each_segment_knows_more_of_luma(covered: tuple[int, int]) -> None:
    planes = random_planes(covered)
    file = made(planes, covered)
    whole = planes[0].astype(np.float32) * file.components[0].steps
    rows, columns, _ = planes[1].shape
    last = file.luma_on_grid[-1].reshape(rows + 2, columns + 2, VALUES)[1:-1, 1:-1]
    np.testing.assert_array_equal(last, on_grid(whole, *covered))
