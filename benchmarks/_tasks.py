"""What is measured image by image, in units of a few images that are kept when a run is interrupted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ._data import Pixels
from ._work import Unit

GROUP_PIXELS = 1 << 18  # of the images of a unit: 256 of 32x32
BASELINE_COST = 2.0  # time a pixel of another codec, as of `_ours.cost`

Found = dict[str, list[Any]]  # a value for each image, or for each file


class Task(NamedTuple):
    """Something measured on all images, group by group of consecutive ones.

    cost: time a pixel, relative to other tasks. measure: of a group and the number of its first image.
    """

    name: str
    cost: float
    measure: Callable[[Sequence[Pixels], int], Found]
    most_images: int = sys.maxsize
    most_pixels: int = GROUP_PIXELS

    def units(self, images: Sequence[Pixels]) -> Iterator[Unit]:
        for first, last in groups([image[..., 0].size for image in images], self.most_images, self.most_pixels):
            yield self._unit(images[first:last], first)

    def _unit(self, group: Sequence[Pixels], first: int) -> Unit:
        weight = self.cost * sum(image[..., 0].size for image in group)
        return Unit(f"{self.name}: {first}-{first + len(group)}", weight, lambda: self.measure(group, first))

    def collect(self, found: Mapping[str, Found]) -> Found:
        """The values of all units of this task, in their order."""
        mine = [values for key, values in found.items() if key.startswith(f"{self.name}: ")]
        return {name: [value for values in mine for value in values[name]] for name in mine[0]}


def groups(pixels: Sequence[int], most_images: int, most_pixels: int) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of consecutive images of these sizes: so many of them and of their pixels, but one at least."""
    first, total = 0, 0
    for number, size in enumerate(pixels):
        if number > first and (number - first == most_images or total + size > most_pixels):
            yield first, number
            first, total = number, 0
        total += size
    yield first, len(pixels)
