"""The step lists of the efforts: valid, and dearer from one to the next."""

from __future__ import annotations

import itertools

import pytest

from ddpmcodec.container import MAX_STEPS
from ddpmcodec.presets import BUDGETS, PRESETS, groups
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


def test_groups_become_exact_at_once() -> None:
    assert groups([0, 1, 4, 64]) == [Step(0, 8, 0, 1), Step(0, 8, 1, 4), Step(0, 8, 4, 64)]


def test_groups_go_through_a_noise_level_first() -> None:
    assert groups([32, 48, 64], 6.5) == [
        Step(1664, 8, 32, 48),
        Step(0, 8, 32, 48),
        Step(1664, 8, 48, 64),
        Step(0, 8, 48, 64),
    ]
