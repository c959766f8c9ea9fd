"""Rectangles of an image, and parts of images that are decoded already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from PIL import Image

from ddpmcodec import _native
from ddpmcodec.arguments import whole_number
from ddpmcodec.errors import ImageError
from ddpmcodec.format.sections import NO_METADATA
from ddpmcodec.images import to_image, to_planes

Edges: TypeAlias = Sequence[int]  # left, top, right, bottom
SCALES: tuple[int, ...] = _native.REDUCTIONS


class Region(NamedTuple):
    """A rectangle of an image, in pixels; right and bottom are the first column and row outside."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, width: int, height: int, box: Edges | None) -> Region:
        """Return the region of a box; None: all of the image. Raises ImageError if it is not inside of the image,
        TypeError for what is not a box."""
        return cls(0, 0, width, height) if box is None else edges_of(box)._inside(width, height)

    def _inside(self, width: int, height: int) -> Region:
        if not (0 <= self.left < self.right <= width and 0 <= self.top < self.bottom <= height):
            raise ImageError(
                f"the box {self.left}, {self.top} to {self.right}, {self.bottom} is not inside of the image of"
                f" {width} x {height} pixels"
            )
        return self


def edges_of(box: Edges) -> Region:
    """Return a box as a region. Raises TypeError unless it is four whole numbers."""
    edges = [whole_number("an edge of box", edge) for edge in box]
    if len(edges) != 4:
        raise TypeError(f"box must be (left, top, right, bottom), not {len(edges)} numbers")
    return Region(*edges)


def scale_of(reduce: int) -> int:
    """Return the argument of that name. Raises TypeError unless it is a whole number, ValueError unless it is one of
    SCALES."""
    scale = whole_number("reduce", reduce)
    if scale not in SCALES:
        raise ValueError(f"reduce must be {', '.join(map(str, SCALES))}, not {scale}")
    return scale


def small_part(image: Image.Image, box: Edges | None, reduce: int) -> Image.Image:
    """Return a part, or a reduced image, of an image that is decoded already, as the decoder makes it of a file."""
    scale, planes = scale_of(reduce), to_planes(image)
    height, width, _ = planes.colour.shape
    left, top, right, bottom = Region.of(width, height, box)
    rows = slice(top // scale * scale, -(-bottom // scale) * scale)
    columns = slice(left // scale * scale, -(-right // scale) * scale)
    alpha = None if planes.alpha is None else planes.alpha[rows, columns]
    part = replace(planes, colour=planes.colour[rows, columns], alpha=alpha)
    if scale == 1:
        return to_image(part)
    mode = "L" if part.mode == "1" else part.mode
    small = to_planes(to_image(replace(part, mode=mode, metadata=NO_METADATA)).reduce(scale))
    return to_image(replace(part, mode=small.mode, colour=small.colour, alpha=small.alpha))
