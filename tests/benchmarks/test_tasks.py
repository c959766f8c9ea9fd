"""Units of a benchmark: consecutive images, a few at a time, and their values in order again."""

from __future__ import annotations

import numpy as np

from ddpmcodec.benchmarks._tasks import Task, groups


def test_groups_are_of_so_many_images_and_pixels_and_of_one_image_at_least() -> None:
    assert list(groups([1] * 5, 2, 100)) == [(0, 2), (2, 4), (4, 5)]
    assert list(groups([3, 3, 9, 1, 1], 10, 6)) == [(0, 2), (2, 3), (3, 5)]


def test_the_values_of_all_units_come_back_in_the_order_of_the_images() -> None:
    images = [np.full((2, 3, 3), number, np.uint8) for number in range(5)]
    task = Task("mean", 7, lambda group, first: {"mean": [float(x.mean()) for x in group], "first": [first]}, 2)
    other = Task("mean of others", 1, lambda group, _: {"mean": [-1.0 for _ in group]})
    units = [*other.units(images), *task.units(images)]
    assert [unit.key for unit in units[1:]] == ["mean: 0-2", "mean: 2-4", "mean: 4-5"]
    assert units[1].weight == 7 * 2 * 6
    assert task.collect({unit.key: unit.work() for unit in units}) == {"mean": [0, 1, 2, 3, 4], "first": [0, 2, 4]}
