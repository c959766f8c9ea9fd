"""Decodes files that are cut into their sections: whole, many at a time, or as far as they are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.codec import graphics, originals
from ddpmcodec.codec.batching import BATCH_PIXELS, Progress, batches, reporting
from ddpmcodec.codec.contents import (
    Side,
    check_segments,
    end_of_segment,
    is_cut,
    model_for,
    planes_of,
    require_step,
    segments_of_steps,
    side_sections,
    steps_done,
    steps_of,
    streams_of,
)
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import DAMAGED, SHORT, DecodedTile, Report, decode_tiles, whole_tiles
from ddpmcodec.codec.previews import canvas, shown
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, TruncatedError
from ddpmcodec.format.ddpm import Sections
from ddpmcodec.format.header import Box, Header
from ddpmcodec.format.header_bytes import covered_by_stream
from ddpmcodec.format.sections import preview_alpha
from ddpmcodec.format.streams import WORD_BYTES
from ddpmcodec.images import Planes, to_image
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import run_all, side_by_side, thread_count


@dataclass(frozen=True)
class Decoded:
    """A decoded image, and how much of it the data held."""

    planes: Planes
    exact: bool  # all of the file was there and its checks passed
    damaged: bool  # a check failed: some of it is not what was encoded, or is left out
    steps_done: int  # steps that every pixel has been through
    steps: int
    bytes_used: int  # of the data, up to the last byte that was needed
    lossy: bool = False  # the file says that it was cut on purpose

    @property
    def image(self) -> Image.Image:
        return to_image(self.planes)


class Wanted(NamedTuple):
    """What is to be decoded of a file. given: the model, where it is not embedded. partial, step: as in `decode`."""

    given: ContextModel | None = None
    partial: bool = False
    step: int | None = None
    progress: Progress | None = None
    report: Report | None = None

    @property
    def is_preview(self) -> bool:
        return self.partial or self.step is not None


class _Tile(NamedTuple):
    """A part of one of the files that is decoded on its own."""

    file: int
    number: int
    box: Box
    model: ContextModel


def decode_files(
    files: Sequence[Sections], given: ContextModel | None, progress: Progress | None, report: Report | None = None
) -> list[Decoded]:
    """Decodes whole files. Raises TruncatedError, ChecksumError or CorruptError for the first that is not whole."""
    for file in files:
        file.require_whole()
        check_segments(file.header)
    sides = [side_sections(file, False) for file in files]  # before the network runs: damage is reported at once
    colours = [_canvas(file.header) for file in files]
    tiles = []
    for n, file in enumerate(files):
        if file.header.stored:
            colours[n], sides[n] = _stored(file, sides[n])
            if progress is not None:
                progress(file.header.width * file.header.height)
        else:
            model = model_for(file.header, given)
            tiles += [_Tile(n, number, box, model) for number, box in enumerate(file.header.boxes())]

    def decode_batch(batch: list[int]) -> None:
        first = tiles[batch[0]]
        shape = colours[first.file][first.box].shape
        streams = [streams_of(files[tiles[i].file], tiles[i].number) for i in batch]
        covered = [covered_by_stream(files[tiles[i].file].header) for i in batch]
        reported = reporting(progress, shape[0] * shape[1], report)
        coding, size = Coding.of(files[first.file].header), (shape[0], shape[1], shape[2])
        images = whole_tiles(streams, size, first.model, coding, covered=covered, report=reported)
        for i, pixels in zip(batch, images, strict=True):
            colours[tiles[i].file][tiles[i].box] = pixels

    keys = [_key(tile, files[tile.file].header, colours[tile.file]) for tile in tiles]
    run_all(decode_batch, batches(keys), side_by_side(max([BATCH_PIXELS, *(pixels for pixels, _ in keys)])))
    return [
        Decoded(
            Planes(file.header.mode, colour, side.alpha, side.metadata, side.original), True, False,
            steps_of(file.header), steps_of(file.header), file.size,
        )
        for file, colour, side in zip(files, colours, sides, strict=True)
    ]  # fmt: skip


def _canvas(header: Header) -> NDArray[np.uint8]:
    return np.empty((header.height, header.width, header.channels), np.uint8)


def _key(tile: _Tile, header: Header, colour: NDArray[np.uint8]) -> tuple[int, tuple[object, ...]]:
    height, width, channels = colour[tile.box].shape
    return height * width, (height, width, channels, Coding.of(header), tile.model.id, header.index is None)


def decode_file(file: Sections, wanted: Wanted) -> Decoded:
    """Decodes a file whole, or as far as it is there, or as far as is wanted."""
    if wanted.is_preview:
        return _preview(file, wanted)
    return decode_files([file], wanted.given, wanted.progress, wanted.report)[0]


def _preview(file: Sections, wanted: Wanted) -> Decoded:
    given, partial, step, progress, report = wanted
    header = file.header
    check_segments(header)
    if not partial:
        require_step(file, step or 0)
    side = side_sections(file, partial)
    if header.stored:
        return _stored_preview(file, side, partial)
    model, steps, coding = model_for(header, given), steps_of(header), Coding.of(header)
    last = None if step is None else segments_of_steps(header, step)
    pixels = canvas(header.height, header.width, header.channels)

    def decode_tile(numbered: tuple[int, Box]) -> DecodedTile | None:
        number, box = numbered
        rows, columns = box
        shape = rows.stop - rows.start, columns.stop - columns.start, header.channels
        if last == 0:
            return None
        try:
            streams = streams_of(file, number)
        except TruncatedError:
            return None
        except CorruptError:
            if not partial:
                raise
            return None
        (tile,) = decode_tiles(
            [streams], shape, model, coding, covered=[covered_by_stream(header)], last_segment=last, for_previews=True,
            is_cut=is_cut(file, number), report=reporting(progress, shape[0] * shape[1], report),
        )  # fmt: skip
        if tile.pixels is not None:
            pixels[box] = tile.pixels
        elif tile.coder is not None:
            pixels[box] = shown(tile.coder, threads=thread_count())
        return replace(tile, coder=None)

    boxes = header.boxes()
    width, height = header.tile_size
    tiles = run_all(decode_tile, list(enumerate(boxes)), side_by_side(width * height))
    exact = all(tile is not None and tile.pixels is not None for tile in tiles)
    done = min(steps_done(header, tile.segments_done) if tile else 0 for tile in tiles)
    unfinished = [last != 0 and (tile is None or (tile.pixels is None and last is None)) for tile in tiles]
    damaged = side.damaged or any(
        file.tile_is_damaged(n) or (tile is not None and tile.damaged) or (unfinished[n] and _is_all_there(file, n))
        for n, tile in enumerate(tiles)
    )
    if not partial and (damaged or done < min(step or 0, steps)):
        file.require_whole()
        raise TruncatedError(SHORT) if header.is_plain and not damaged else ChecksumError(DAMAGED)
    bytes_used = file.size if exact else _bytes_used(file, step, tiles)
    whole = exact and not damaged and not file.missing and not file.ends_in_a_word
    return Decoded(planes_of(header, pixels, side), whole, damaged, done, steps, bytes_used, file.is_lossy)


def _is_all_there(file: Sections, tile: int) -> bool:
    """Whether all of a tile is there, as lengths say; False for a plain file, which has none."""
    return not file.header.is_plain and not file.tile_is_cut(tile) and not file.tile_is_damaged(tile)


def _stored(file: Sections, side: Side) -> tuple[NDArray[np.uint8], Side]:
    """The colours of a whole file of another format, and all that is beside them."""
    if file.header.is_jpeg:
        jpeg = originals.unpack(file.payload, file.header)
        planes = originals.planes_of(jpeg, file.header)
        return planes.colour, Side(None, planes.metadata, False, jpeg)
    colour, alpha = graphics.unpack(file.payload, file.header)
    return colour, side._replace(alpha=alpha)


def _stored_preview(file: Sections, side: Side, partial: bool) -> Decoded:
    header = file.header
    colour, exact, damaged = graphics.flat(header), False, side.damaged
    if len(file.payload) == header.payload_length:
        try:
            colour, side = _stored(file, side)
            exact = True
        except FormatError:
            if not partial:
                raise
            damaged = True
    if header.has_alpha and not exact:
        side = side._replace(alpha=preview_alpha(b"", header.height, header.width))
    whole = exact and not file.missing and not damaged
    return Decoded(planes_of(header, colour, side), whole, damaged, int(exact), 1, file.size, file.is_lossy)


def _bytes_used(file: Sections, step: int | None, tiles: Sequence[DecodedTile | None]) -> int:
    header = file.header
    if header.index is None:
        stream = header.state_bytes + WORD_BYTES * tiles[0].words_used if tiles[0] else 0
        return min(file.size, end_of_segment(file, 0) + stream)
    return file.size if step is None else min(file.size, end_of_segment(file, segments_of_steps(header, step)))
