"""The step lists of the efforts: valid, and dearer from one to the next."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ddpmcodec.container import MAX_STEPS, PROGRESSIVE
from ddpmcodec.presets import BUDGETS, PRESETS, groups, through_noise
from ddpmcodec.schedule import Step, step_pixels, validate_steps

EFFORTS = range(1, 10)


def test_there_is_a_list_for_every_effort_and_a_progressive_one() -> None:
    assert sorted(PRESETS) == [*EFFORTS, PROGRESSIVE]


@pytest.mark.parametrize("number", sorted(PRESETS))
def test_every_list_is_valid(number: int) -> None:
    validate_steps(PRESETS[number])
    assert len(PRESETS[number]) <= BUDGETS.get(number, 20) <= MAX_STEPS


def test_the_progressive_list_shows_all_pixels_through_noise_before_any_is_exact() -> None:
    seen, exact = np.zeros((16, 16), bool), False
    for step in PRESETS[PROGRESSIVE]:
        exact |= step.level == 0
        assert seen.all() or not exact
        seen |= step_pixels(step, 16)
    assert exact


def test_noise_falls_after_everything_has_appeared() -> None:
    steps = through_noise([9, 2.5], [0, 64])
    appeared = [Step(2304, 16, 0, 1), *(Step(2304, 16, 1 << i, 2 << i) for i in range(8))]
    assert steps == [*appeared, Step(640, 1, 0, 1), Step(0, 8, 0, 64)]


def test_network_calls_grow_from_about_eight_to_about_sixty_four() -> None:
    calls = [len(PRESETS[effort]) for effort in EFFORTS]
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
