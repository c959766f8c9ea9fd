"""Points of rate-distortion curves, image by image: real prefixes of files, and files of lossy baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import NamedTuple

import numpy as np

from ddpmcodec import codec
from ddpmcodec.ans.stream import WORD_BYTES, open_stream, state_bytes
from ddpmcodec.channels import progressive
from ddpmcodec.channels.band_coder import Coder
from ddpmcodec.channels.progressive import PyramidState, Segment
from ddpmcodec.codec.efforts import EFFORTS
from ddpmcodec.codec.preview import Canvas
from ddpmcodec.errors import ChecksumError
from ddpmcodec.format.ddpm import Sections, split
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.transform import color

from ._baselines import Baseline
from ._data import Pixels
from ._distortion import distortion
from ._lossless import is_webp
from ._lossy_baselines import Sweep
from ._tasks import Found

Point = list[float | None]  # bytes, squared error, SSIM, MS-SSIM
DIGITS = 6


class Place(NamedTuple):
    """An operating point of our files, the same in images of all sizes: a segment, whole or half of it."""

    step: int  # number of its step, from 1 on
    level: int  # orthonormal cell width after the step
    band: int  # number of its finest band
    whole: bool
    ends_step: bool


def places(effort: int) -> list[Place]:
    """The end of every segment of a schedule, and before it the middle of those with half of a step's positions."""
    found = []
    for step, band, ends in _segments(effort):
        level = EFFORTS[effort].schedule[step - 1].level
        if band == 1:
            found.append(Place(step, level, band, False, False))
        found.append(Place(step, level, band, True, ends))
    return found


def _segments(effort: int) -> list[tuple[int, int, bool]]:
    """(number of the step, number of the finest band, whether the step ends) of every segment."""
    schedule = EFFORTS[effort].schedule
    large = progressive.segments(schedule, 64, 64)  # as many, and of the same bands, for every size
    found = []
    for segment, after in zip(large, [*large[1:], None], strict=True):
        ends = after is None or after.step is not segment.step
        found.append((schedule.index(segment.step) + 1, segment.bands[-1].number, ends))
    return found


def previews(images: Sequence[Pixels], model: ContextModel, effort: int) -> Found:
    """{coded, points, plain}: for each image whether the context model coded it, and not WebP, whose files have no
    points; the points of its file, cut at `places`; and of every step the squared error without the denoiser.

    Raises ChecksumError where a whole file is not the image.
    """
    found: Found = {"coded": [], "points": [], "plain": []}
    for image, data in zip(images, codec.encode_many(images, effort=effort, model=model, verify=False), strict=True):
        coded = not is_webp(data)
        points, plain = _of_file(data, image, model, effort) if coded else ([], [])
        found["coded"].append(coded)
        found["points"].append(points)
        found["plain"].append(plain)
    return found


def _of_file(data: bytes, image: Pixels, model: ContextModel, effort: int) -> tuple[list[Point], list[float | None]]:
    points: list[Point] = []
    plain: list[float | None] = []
    before = split(data).start
    ends = [place for place in places(effort) if place.whole]
    for place, (end, middle) in zip(ends, prefixes(data, model), strict=True):
        if place.band == 1:
            points.append(
                _middle(data, before, end.bytes, image, model) if middle is None else _look(middle, image, model)
            )
        points.append(_look(end, image, model))
        if place.ends_step:
            plain.append(_rounded(distortion(end.canvas.pixels(None), image, similarity=False).squared_error))
        before = end.bytes
    if points[-1][1] != 0:
        raise ChecksumError("a file does not decode to its image: a defect, please report it with the image")
    return points, plain


def _look(prefix: Prefix, image: Pixels, model: ContextModel) -> Point:
    return _point(prefix.bytes, prefix.canvas.pixels(model), image)


def _middle(data: bytes, first: int, last: int, image: Pixels, model: ContextModel) -> Point:
    """Of a single stream, which cannot go on after it was cut: decoded on its own."""
    size = (first + last) // 2
    return _point(size, np.asarray(codec.decode_details(data, max_bytes=size, model=model).image), image)


def _point(size: int, shown: Pixels, image: Pixels) -> Point:
    return [size, *map(_rounded, distortion(shown, image))]


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


# --- decoding a file once, and looking at it after every segment


class Prefix(NamedTuple):
    """bytes: of the file, as many as canvas needs, which is what is known from them."""

    bytes: int
    canvas: Canvas


def prefixes(data: bytes, model: ContextModel) -> Iterator[tuple[Prefix, Prefix | None]]:
    """The prefixes that end with each segment of all tiles, and, where there are several, with that of half of them."""
    file = split(data)
    header, boxes = file.header, file.header.boxes()
    tiles = [_Tile(file, number, model) for number in range(len(boxes))]
    half = len(tiles) // 2
    canvas = Canvas(header.height, header.width, header.channels)
    for number, _ in enumerate(zip(*(tile.segments() for tile in tiles), strict=True)):
        middle = None
        canvas = deepcopy(canvas)
        for k, (tile, box) in enumerate(zip(tiles, boxes, strict=True)):
            if half and k == half:
                middle = Prefix(_bytes_needed(file, number * len(tiles) + half, tiles[0]), deepcopy(canvas))
            canvas.place(box, tile.state, tile.pixels())
        yield Prefix(_bytes_needed(file, (number + 1) * len(tiles), tiles[0]), canvas), middle


class _Tile:
    """A tile of a whole file that is decoded segment by segment."""

    def __init__(self, file: Sections, number: int, model: ContextModel) -> None:
        rows, columns = file.header.boxes()[number]
        height, width = rows.stop - rows.start, columns.stop - columns.start
        effort = EFFORTS[file.header.effort]
        state, words = open_stream(file.tile_stream(number))
        self.coder: Coder = progressive.decoder(np.zeros(1, np.int64), [int(state)], [words])
        self.coding_pass = progressive.CodingPass(
            model,
            effort.schedule,
            (1, height, width, file.header.channels),
            adapts=True,
            learns=effort.learns_in(height, width),
        )

    @property
    def state(self) -> PyramidState:
        return self.coding_pass.state

    def segments(self) -> Iterator[Segment]:
        return self.coding_pass.run(self.coder)

    def pixels(self) -> Pixels | None:
        """Once all is exact."""
        return color.from_ycocg(self.state.planes())[0].astype(np.uint8) if self.state.is_exact else None


def _bytes_needed(file: Sections, chunks: int, first: _Tile) -> int:
    """For so many chunks of a file with an index; for what is decoded of a single stream."""
    start, index = file.start + len(file.alpha), file.header.index
    if index is None:
        return start + state_bytes(file.header.payload_length) + WORD_BYTES * int(first.coder.position[0])
    return start + sum(index.lengths[:chunks])


# --- baselines


def of_sweep(images: Sequence[Pixels], sweep: Sweep) -> Found:
    """{points}: for each image the points of a codec at each of its qualities."""
    return {"points": [[_of_baseline(image, each) for each in sweep.baselines] for image in images]}


def _of_baseline(image: Pixels, baseline: Baseline) -> Point:
    data = baseline.encode(image)
    return _point(len(data), baseline.decode(data), image)
