"""Rectangles of an image, and the tiles that they touch: of a tiled file nothing else is read or decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.arguments import check_pixels, whole_number
from ddpmcodec.codec.contents import planes_of, side_sections
from ddpmcodec.codec.file_decoder import Decoded, Wanted, decode_file, shows_mean_colour
from ddpmcodec.codec.reduced import decode_reduced, most_segments, reduced, reduced_mode, scale_of
from ddpmcodec.errors import ImageError
from ddpmcodec.format.alpha import alpha_varies
from ddpmcodec.format.ddpm import Sections
from ddpmcodec.format.header import Box
from ddpmcodec.images import to_image, to_planes

Edges: TypeAlias = Sequence[int]  # left, top, right, bottom


class Region(NamedTuple):
    """A rectangle of an image, in pixels; right and bottom are the first column and row behind it."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, width: int, height: int, box: Edges | None) -> Region:
        """The region of a box; None: all of the image. Raises ImageError where it is not inside, TypeError for what is
        no box."""
        if box is None:
            return cls(0, 0, width, height)
        edges = [whole_number("an edge of box", edge) for edge in box]
        if len(edges) != 4:
            raise TypeError(f"box must be (left, top, right, bottom), not {len(edges)} numbers")
        region = cls(*edges)
        if not (0 <= region.left < region.right <= width and 0 <= region.top < region.bottom <= height):
            raise ImageError(
                f"the box {region.left}, {region.top} to {region.right}, {region.bottom} is not inside of the image of"
                f" {width} x {height} pixels"
            )
        return region

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    def scaled(self, scale: int) -> Region:
        """All that this region touches in an image of 1/scale the size."""
        return Region(self.left // scale, self.top // scale, -(-self.right // scale), -(-self.bottom // scale))

    @property
    def box(self) -> Box:
        """Rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def moved(self, corner: tuple[int, int]) -> Region:
        """The same region, counted from another corner (column, row)."""
        left, top = corner
        return Region(self.left - left, self.top - top, self.right - left, self.bottom - top)

    def cut(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(plane[self.box])

    def aligned(self, scale: int, width: int, height: int) -> Region:
        """This region grown to whole blocks of scale x scale pixels, as far as the image has them."""
        left, top, right, bottom = (scale * edge for edge in self.scaled(scale))
        return Region(left, top, min(right, width), min(bottom, height))

    def part_of(self, file: Sections, segments: int | None = None) -> Sections:
        """The tiles of a tiled file that this region touches. segments: take only so many of each tile."""
        width, height = file.header.tile_size
        columns = range(self.left // width, -(-self.right // width))
        return file.part(columns, range(self.top // height, -(-self.bottom // height)), segments)


def decode_region(file: Sections, region: Region, scale: int, wanted: Wanted, max_pixels: int | None) -> Decoded:
    """A part of an image, or a small image, from the tiles and the segments that it needs. Raises ImageError where
    these have more than `max_pixels`, and what `decode` raises."""
    header, is_tiled = file.header, file.header.index is not None
    region = region.aligned(scale, header.width, header.height)
    needed = most_segments(header, scale) if scale > 1 else None
    if needed is not None and _alpha_varies(file):
        needed = None  # colours are weighted by their alpha
    part = region.part_of(file, needed) if is_tiled else file
    check_size(part, max_pixels)
    if not wanted.is_preview and needed is None:
        file.require_length()
    side = side_sections(file, wanted.partial or needed is not None, region.box)
    small = region.scaled(scale)
    if needed is None:
        decoded = decode_file(part, wanted, small.size)
        is_small = shows_mean_colour(part, decoded)
        area = Region.of(*small.size, None) if is_small else region.moved(part.corner)
    else:
        decoded = decode_reduced(part, scale, wanted)
        is_small, area = True, small.moved((part.corner[0] // scale, part.corner[1] // scale))
    colour, planes = area.cut(decoded.planes.colour), decoded.planes
    if is_tiled or needed is not None:  # then only colours were decoded
        planes = planes_of(header, colour, side)
    else:
        alpha = None if planes.alpha is None else area.cut(planes.alpha)
        planes = replace(planes, colour=colour, alpha=alpha, original=b"")
    if needed is not None:
        alpha = None if planes.alpha is None else planes.alpha[::scale, ::scale]
        planes = replace(planes, alpha=alpha)
    if is_small and scale > 1:
        planes = replace(planes, mode=reduced_mode(planes.mode))
    elif scale > 1:
        planes = reduced(planes, scale)
    return replace(
        decoded, planes=planes, exact=decoded.exact and scale == 1, damaged=decoded.damaged or bool(side.damaged),
        bytes_used=file.size - sum(map(len, file.chunks)) + sum(map(len, part.chunks)),
    )  # fmt: skip


def _alpha_varies(file: Sections) -> bool:
    header = file.header
    return header.has_alpha_section and alpha_varies(bytes(file.alpha), header.height, header.width)


def small_part(image: Image.Image, box: Edges | None, reduce: int) -> Image.Image:
    """A part, or a reduced image, of an image that is decoded already: what `decode_region` would give."""
    scale = scale_of(reduce)
    planes = to_planes(image)
    height, width, _ = planes.colour.shape
    region = Region.of(width, height, box).aligned(scale, width, height)
    alpha = None if planes.alpha is None else region.cut(planes.alpha)
    planes = replace(planes, colour=region.cut(planes.colour), alpha=alpha)
    return to_image(reduced(planes, scale) if scale > 1 else planes)


def check_size(file: Sections, max_pixels: int | None) -> None:
    """Raises ImageError for a file of more than `max_pixels`."""
    check_pixels("the header", file.header.width, file.header.height, max_pixels)
