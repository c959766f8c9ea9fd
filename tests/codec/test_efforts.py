"""Efforts: settings that differ, and how much work each is."""

from __future__ import annotations

import pytest

from ddpmcodec.codec.efforts import (
    DEFAULT_EFFORT,
    EFFORTS,
    LEARNING_PIXELS,
    check_effort,
    learns_in,
    products_per_pixel,
)
from ddpmcodec.format.header import MAX_EFFORT
from ddpmcodec.networks.context.shape import SHAPE


def test_all_efforts_differ_and_files_can_name_them() -> None:
    assert len(set(EFFORTS.values())) == len(EFFORTS)
    assert sorted(EFFORTS) == list(range(1, MAX_EFFORT + 1))
    assert check_effort(DEFAULT_EFFORT) in EFFORTS


def test_only_tiles_with_enough_to_teach_learn() -> None:
    assert learns_in(LEARNING_PIXELS, 1)
    assert not learns_in(LEARNING_PIXELS - 1, 1)


def test_work_of_a_pixel_grows_with_the_schedule() -> None:
    work = [products_per_pixel(effort, 512, 768, SHAPE) for effort in EFFORTS]
    assert 0.99 * SHAPE.products < work[0] < SHAPE.products  # every coefficient but the root once
    assert work[0] < work[1] < work[2] < len(EFFORTS[3]) * SHAPE.products
    assert products_per_pixel(1, 1, 1, SHAPE) == 0


@pytest.mark.parametrize("effort", EFFORTS)
def test_work_of_a_pixel_hardly_depends_on_the_size(effort: int) -> None:
    small, large = (products_per_pixel(effort, side, side, SHAPE) for side in (64, 2048))
    assert small == pytest.approx(large, rel=0.01)
