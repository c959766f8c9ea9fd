"""Efforts and noise levels: what there is to choose, the segments of each, and how much work each is."""

from __future__ import annotations

from typing import Any

import pytest

from ddpmcodec._native import LEVELS, MAX_EFFORT
from ddpmcodec.codec.efforts import Coding, check_coding, macs_per_pixel, segments
from ddpmcodec.format.header import DEFAULT_EFFORT, DEFAULT_LEVELS, Header
from ddpmcodec.models.context import EFFORTS, ContextModel


def test_files_can_name_all_efforts_and_levels() -> None:
    assert tuple(range(1, MAX_EFFORT + 1)) == EFFORTS
    assert check_coding(DEFAULT_EFFORT, DEFAULT_LEVELS) == Coding()
    assert DEFAULT_LEVELS in LEVELS
    assert Coding.of(Header("L", 3, 3, 3, 5, 1)) == Coding(3, 5)


@pytest.mark.parametrize("levels", LEVELS)
def test_a_coding_has_a_step_for_each_level_and_one_to_exact_pixels(levels: int) -> None:
    found = segments(levels, 64, 64)
    assert Coding(levels=levels).steps == levels + 1 == len({segment.step for segment in found})
    assert [segment.level == 0 for segment in found] == [segment.step == levels for segment in found]


@pytest.mark.parametrize(("effort", "levels"), [(0, 2), (4, 2), (-1, 2), (2, 1), (2, -1), (2, 6)])
def test_others_are_refused(effort: int, levels: int) -> None:
    with pytest.raises(ValueError, match=r"effort|levels"):
        check_coding(effort, levels)


@pytest.mark.parametrize("wrong", ["2", None, 2.0, True])
def test_they_are_whole_numbers(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"effort .*{wrong!r}"):
        check_coding(wrong, 2)
    with pytest.raises(TypeError, match=f"levels .*{wrong!r}"):
        check_coding(2, wrong)


def test_work_of_a_pixel_grows_with_the_levels(context_model: ContextModel) -> None:
    direct, *work = (macs_per_pixel(context_model, Coding(2, levels)) for levels in LEVELS)
    assert direct == context_model.macs(2, "direct")
    assert context_model.macs(2, "last") < work[0] < work[1]
