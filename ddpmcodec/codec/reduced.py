"""Images of 1/2, 1/4, 1/8 or 1/16 of the size: where there are noise levels, from coarse bands alone.

The mean of scale x scale pixels has 1/scale of the error of each coefficient. So decoding ends at the first noise level
that is fine enough, and in its step at the bands that the small image has.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec.arguments import whole_number
from ddpmcodec.codec.efforts import CELLS, noise_of, segments
from ddpmcodec.codec.file_decoder import Decoded, Wanted, decode_tile
from ddpmcodec.codec.passes import DAMAGED, SHORT
from ddpmcodec.codec.previews import GREY, PLANES, to_colours
from ddpmcodec.errors import ChecksumError, CorruptError, TruncatedError
from ddpmcodec.format.ddpm import Sections
from ddpmcodec.format.header import Box, Header
from ddpmcodec.format.sections import NO_METADATA
from ddpmcodec.images import Planes, to_image, to_planes
from ddpmcodec.parallel import run_all, side_by_side, thread_count

SCALES = (1, 2, 4, 8, 16)
LACK = np.float32(0.25)  # grey levels: halving rounds down, (a + b) >> 1
ERROR = 2.5  # grey levels, standard deviation: what a pixel may lack (40 dB)


def scale_of(reduce: int) -> int:
    """The argument of that name, checked. Raises TypeError unless it is a whole number, ValueError unless it is one of
    SCALES."""
    scale = whole_number("reduce", reduce)
    if scale not in SCALES:
        raise ValueError(f"reduce must be {', '.join(map(str, SCALES))}, not {scale}")
    return scale


def step_for(levels: int, scale: int) -> int:
    """The first step that is good enough at 1/scale of the size. Without noise levels it is the only one, to exact
    pixels."""
    return next(step for step, cell in enumerate(CELLS[levels], start=1) if noise_of(cell) <= ERROR * scale)


def most_segments(header: Header, scale: int) -> int | None:
    """How many segments the tiles of a file need; None where all of them are needed."""
    if header.stored or step_for(header.levels, scale) == len(CELLS[header.levels]):
        return None
    sizes = {tuple(side.stop - side.start for side in box) for box in header.boxes()}
    return max(segments_for(header, height, width, scale) for height, width in sizes)


def segments_for(header: Header, height: int, width: int, scale: int) -> int:
    """How many segments a tile of this size needs, of a file with noise levels."""
    step = step_for(header.levels, scale)
    finest = _finest(height, width, scale)
    schedule = segments(header.levels, height, width)
    coarser = sum(
        segment.step + 1 < step or (segment.step + 1 == step and segment.band > finest) for segment in schedule
    )
    return min(coarser + 1, sum(segment.step < step for segment in schedule))


def _finest(height: int, width: int, scale: int) -> int:
    """The number of the finest band that an image of 1/scale the size has: bands halve columns and rows in turn, as
    long as there are several."""
    halvings = scale.bit_length() - 1
    halved = [min(halvings, max(side - 1, 0).bit_length()) for side in (height, width)]
    return sum(halved) + 1


class _Shares(NamedTuple):
    """How many pixels of the image each of some means shares with a pixel of the small image, of which these are
    neighbours from `first` on."""

    first: int
    pixels: NDArray[np.float32]


class ReducedCanvas:
    """A small image that is put together from tiles, whose edges need not lie where those of its pixels do. corner:
    column and row of the tiles' first pixel in the image."""

    def __init__(self, height: int, width: int, channels: int, scale: int, corner: tuple[int, int]) -> None:
        self.channels, self.scale, (self.left, self.top) = channels, scale, corner
        self.first = self.top // scale, self.left // scale  # row and column of the small image
        rows, columns = -(-(self.top + height) // scale), -(-(self.left + width) // scale)
        self.sum = np.zeros((rows - self.first[0], columns - self.first[1], PLANES), np.float32)
        self.weight = np.zeros(self.sum.shape[:2], np.float32)
        self.lock = threading.Lock()

    def place(self, box: Box, mean: NDArray[np.float32]) -> None:
        """Adds the means of a tile, float32 [H / scale, W / scale, 3], with sizes rounded up. Any thread may call
        it."""
        rows = self._shares(box[0], self.top, self.first[0], mean.shape[0])
        columns = self._shares(box[1], self.left, self.first[1], mean.shape[1])
        with self.lock:
            for down, across in product(rows, columns):
                weight = np.outer(down.pixels, across.pixels)
                place = slice(down.first, down.first + len(weight)), slice(across.first, across.first + weight.shape[1])
                self.sum[place] += weight[..., None] * mean[: weight.shape[0], : weight.shape[1]]
                self.weight[place] += weight

    def pixels(self) -> NDArray[np.uint8]:
        """The small image, uint8 [H, W, C], grey where there is nothing."""
        mean = np.zeros_like(self.sum)
        mean[..., 0] = GREY
        np.divide(self.sum, self.weight[..., None], out=mean, where=self.weight[..., None] > 0)
        return to_colours(mean, self.channels)

    def _shares(self, side: slice, offset: int, first: int, count: int) -> list[_Shares]:
        """What means of a tile share along one direction with pixels of the small image: each with the one that it
        begins in, and, where its edges lie between theirs, with the next one."""
        starts = side.start + offset + self.scale * np.arange(count)
        ends = np.minimum(starts + self.scale, side.stop + offset)
        borders = (starts // self.scale + 1) * self.scale
        place = int(starts[0]) // self.scale - first
        near, far = np.minimum(ends, borders) - starts, ends - borders
        shares = [_Shares(place, near.astype(np.float32))]
        if reaching := int((far > 0).sum()):  # all but perhaps the last, which is shorter
            shares.append(_Shares(place + 1, far[:reaching].astype(np.float32)))
        return shares


def decode_reduced(file: Sections, scale: int, wanted: Wanted) -> Decoded:
    """The colours of an image of 1/scale the size, from coarse bands. Of a part of an image they begin at the pixel of
    the small image that its corner is in. Raises TruncatedError, ChecksumError or CorruptError."""
    header, wanted = file.header, wanted.with_model_of(file.header)
    canvas = ReducedCanvas(header.height, header.width, header.channels, scale, file.corner)

    def decode(numbered: tuple[int, Box]) -> bool:
        """Decodes a tile. Whether all segments that it needs are there."""
        number, box = numbered
        height, width = (side.stop - side.start for side in box)
        last = segments_for(header, height, width, scale)
        if header.index and file.segments_of_tile(number) < last and not wanted.partial:
            raise ChecksumError(DAMAGED) if file.tile_is_damaged(number) else TruncatedError(SHORT)
        try:
            tile = decode_tile(file, number, box, wanted, last)
        except (TruncatedError, CorruptError):
            if not wanted.partial:
                raise
            return False
        assert tile.coder is not None
        mean = _native.reduced(tile.coder, scale.bit_length() - 1, threads=thread_count())
        canvas.place(box, mean + LACK * (_finest(height, width, scale) - 1))
        return tile.segments_done >= last

    width, height = header.tile_size
    complete = run_all(decode, list(enumerate(header.boxes())), side_by_side(width * height))
    if not (all(complete) or wanted.partial):
        raise TruncatedError(SHORT)
    damaged = any(file.tile_is_damaged(number) for number in range(header.tile_count))
    planes = Planes(header.mode, canvas.pixels(), None)
    done = step_for(header.levels, scale) if all(complete) else 0
    return Decoded.of(file, planes, damaged=damaged, steps_done=done)


def reduced(planes: Planes, scale: int) -> Planes:
    """Means of scale x scale pixels, of which transparent ones have no say; grey for bilevel ones."""
    image = to_image(replace(planes, mode=reduced_mode(planes.mode), metadata=NO_METADATA))
    small = to_planes(image.reduce(scale))
    return replace(planes, mode=small.mode, colour=small.colour, alpha=small.alpha)


def reduced_mode(mode: str) -> str:
    """The mode of a reduced image: grey for a bilevel one."""
    return "L" if mode == "1" else mode
