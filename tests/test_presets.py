"""The step lists of the efforts: valid, and dearer from one to the next."""

from __future__ import annotations

import itertools

import pytest

from ddpmcodec.container import MAX_STEPS
from ddpmcodec.presets import BUDGETS, PRESETS, geometric, groups, lattice, noise
from ddpmcodec.schedule import Step, validate_steps


def test_there_is_a_list_for_every_effort() -> None:
    assert sorted(PRESETS) == list(range(1, 10))


@pytest.mark.parametrize("effort", sorted(PRESETS))
def test_every_list_is_valid(effort: int) -> None:
    validate_steps(PRESETS[effort])
    assert len(PRESETS[effort]) <= BUDGETS[effort] <= MAX_STEPS


def test_network_calls_grow_from_about_eight_to_about_sixty_four() -> None:
    calls = [len(PRESETS[effort]) for effort in sorted(PRESETS)]
    assert all(a < b for a, b in itertools.pairwise(calls))
    assert 7 <= calls[0] <= 9
    assert 48 <= calls[-1] <= 64


def test_noise_steps_move_all_pixels() -> None:
    assert noise([40, 6.3]) == [Step(10240, 1, 0, 1), Step(1613, 1, 0, 1)]


def test_lattice_steps_cover_the_cell() -> None:
    assert lattice(2, 1, 2) == [Step(0, 2, 0, 1), Step(0, 2, 1, 2), Step(0, 2, 2, 4)]
    validate_steps(lattice(8, 1, 4, 16, 17))


def test_groups_go_through_noise_levels_one_after_another() -> None:
    assert groups(2, 1, levels=[10, 2]) == [
        Step(level, 2, first, last) for first, last in ((0, 1), (1, 4)) for level in (2560, 512, 0)
    ]


def test_geometric_levels_have_one_ratio() -> None:
    assert geometric(40, 10, 3) == pytest.approx([40, 20, 10])
    assert geometric(40, 10, 1) == [40]
