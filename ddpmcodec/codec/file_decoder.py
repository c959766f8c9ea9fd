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
from ddpmcodec.codec.passes import DAMAGED, DecodedTile, Extent, Report, decode_tiles, whole_tiles
from ddpmcodec.codec.previews import canvas, shown
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, TruncatedError
from ddpmcodec.format.alpha import preview_alpha
from ddpmcodec.format.ddpm import Sections
from ddpmcodec.format.header import WORD_BYTES, Box, Header
from ddpmcodec.format.header_bytes import covered_by_stream
from ddpmcodec.images import Planes, to_image
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import run_all, side_by_side, thread_count


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded image, and how much of it the data held."""

    planes: Planes
    exact: bool  # all of the file was there and its checks passed
    damaged: bool  # a check failed: some of it is not what was encoded, or is left out
    steps_done: int  # steps that every pixel has been through
    steps: int
    bytes_used: int  # of the data, up to the last byte that was needed
    lossy: bool  # the file says that it was cut on purpose
    following: int  # bytes behind its end, which are ignored
    left_out: tuple[str, ...] = ()  # alpha, metadata: damaged, where the colours are exact

    @classmethod
    def of(
        cls, file: Sections, planes: Planes, *, exact: bool = False, damaged: bool = False,
        steps_done: int | None = None, bytes_used: int | None = None, left_out: tuple[str, ...] = (),
    ) -> Decoded:  # fmt: skip
        """What a file decoded to. steps_done, bytes_used: all unless given."""
        steps = steps_of(file.header)
        return cls(
            planes=planes,
            exact=exact,
            damaged=damaged,
            steps_done=steps if steps_done is None else steps_done,
            steps=steps,
            bytes_used=file.size if bytes_used is None else bytes_used,
            lossy=file.is_lossy,
            following=file.following,
            left_out=left_out,
        )

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

    def with_model_of(self, header: Header) -> Wanted:
        """The same, given the model that a file was written with. Raises ModelError where it is missing."""
        return self._replace(given=model_for(header, self.given))

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
        Decoded.of(file, Planes(file.header.mode, colour, side.alpha, side.metadata, side.original), exact=True)
        for file, colour, side in zip(files, colours, sides, strict=True)
    ]


def _canvas(header: Header) -> NDArray[np.uint8]:
    return np.empty((header.height, header.width, header.channels), np.uint8)


def _key(tile: _Tile, header: Header, colour: NDArray[np.uint8]) -> tuple[int, tuple[object, ...]]:
    height, width, channels = colour[tile.box].shape
    return height * width, (height, width, channels, Coding.of(header), tile.model.id, header.index is None)


def decode_file(file: Sections, wanted: Wanted, flat_size: tuple[int, int] | None = None) -> Decoded:
    """Decode a file whole, or as far as it is there, or as far as is wanted.

    Parameters:
        flat_size: width and height of a picture that shows the mean colour alone (`shows_mean_colour`), in pixels;
            None: those of the image.
    """
    if wanted.is_preview:
        return _preview(file, wanted, flat_size or (file.header.width, file.header.height))
    return decode_files([file], wanted.given, wanted.progress, wanted.report)[0]


def shows_mean_colour(file: Sections, decoded: Decoded) -> bool:
    """Whether nothing was decoded of a stored file, so that its picture has one colour."""
    return bool(file.header.stored) and not decoded.steps_done


def _preview(file: Sections, wanted: Wanted, flat_size: tuple[int, int]) -> Decoded:
    header, partial, step = file.header, wanted.partial, wanted.step
    if not partial:
        require_step(file, step or 0)
    side = side_sections(file, partial)
    if header.stored:
        return _stored_preview(file, side, partial, flat_size)
    wanted = wanted.with_model_of(header)
    last = None if step is None else segments_of_steps(header, step)
    pixels = canvas(header.height, header.width, header.channels)

    def decode(numbered: tuple[int, Box]) -> DecodedTile | None:
        """Decodes a tile to its place; None where nothing of it can be."""
        number, box = numbered
        if last == 0:
            return None
        try:
            tile = decode_tile(file, number, box, wanted, last)
        except TruncatedError:
            return None
        except CorruptError:
            if not partial:
                raise
            return None
        if tile.pixels is not None:
            pixels[box] = tile.pixels
        elif tile.coder is not None:
            pixels[box] = shown(tile.coder, threads=thread_count())
        return replace(tile, coder=None)

    width, height = header.tile_size
    tiles = run_all(decode, list(enumerate(header.boxes())), side_by_side(width * height))
    return _judged(file, planes_of(header, pixels, side), side, tiles, wanted)


def decode_tile(file: Sections, number: int, box: Box, wanted: Wanted, last: int | None) -> DecodedTile:
    """Decodes a tile for a preview, as far as it is there, or its first `last` segments. box: rows and columns that it
    has in the image. Raises TruncatedError where nothing of it is there, CorruptError for what is no stream."""
    header, (rows, columns) = file.header, box
    shape = rows.stop - rows.start, columns.stop - columns.start, header.channels
    (tile,) = decode_tiles(
        [streams_of(file, number, last)], shape, model_for(header, wanted.given), Coding.of(header),
        covered=[covered_by_stream(header)], extent=Extent(last, is_cut(file, number, last), for_previews=True),
        report=reporting(wanted.progress, shape[0] * shape[1], wanted.report),
    )  # fmt: skip
    return tile


def _judged(file: Sections, planes: Planes, side: Side, tiles: Sequence[DecodedTile | None], wanted: Wanted) -> Decoded:
    """What the tiles of a preview, which are None where nothing is there, come to. Raises TruncatedError or
    ChecksumError where that is less than is wanted."""
    header, step = file.header, wanted.step
    exact = all(tile is not None and tile.pixels is not None for tile in tiles)
    done = min(steps_done(header, tile.segments_done) if tile else 0 for tile in tiles)
    colours_damaged = any(_is_damaged(file, n, tile, step) for n, tile in enumerate(tiles))
    damaged = bool(side.damaged) or colours_damaged
    if not wanted.partial and (damaged or done < min(step or 0, steps_of(header))):
        file.require_whole()
        raise ChecksumError(DAMAGED)
    return Decoded.of(
        file,
        planes,
        exact=exact and not damaged and not file.missing,
        damaged=damaged,
        steps_done=done,
        bytes_used=None if exact else _bytes_used(file, step, tiles),
        left_out=side.damaged if exact and not colours_damaged else (),
    )


def _is_damaged(file: Sections, number: int, tile: DecodedTile | None, step: int | None) -> bool:
    """Also where a tile is all there, as lengths say, and does not come to its end."""
    if file.tile_is_damaged(number) or (tile is not None and tile.damaged):
        return True
    is_unfinished = step != 0 and (tile is None or (tile.pixels is None and step is None))
    return is_unfinished and not file.tile_is_cut(number)


def _stored(file: Sections, side: Side) -> tuple[NDArray[np.uint8], Side]:
    """The colours of a whole file of another format, and all that is beside them."""
    if file.header.is_jpeg:
        jpeg = originals.unpack(file.payload, file.header)
        planes = originals.planes_of(jpeg, file.header)
        return planes.colour, Side(None, planes.metadata, original=jpeg)
    colour, alpha = graphics.unpack(file.payload, file.header)
    return colour, side._replace(alpha=alpha)


def _stored_preview(file: Sections, side: Side, partial: bool, flat_size: tuple[int, int]) -> Decoded:
    header = file.header
    colour, damaged = None, bool(side.damaged)
    if len(file.payload) == header.payload_length:
        try:
            colour, side = _stored(file, side)
        except FormatError:
            if not partial:
                raise
            damaged = True
    exact = colour is not None
    if colour is None:
        width, height = flat_size
        colour = graphics.flat(header, height, width)
        if header.has_alpha:
            side = side._replace(alpha=preview_alpha(b"", height, width))
    whole = exact and not file.missing and not damaged
    planes = planes_of(header, colour, side)
    left_out = side.damaged if exact else ()
    return Decoded.of(file, planes, exact=whole, damaged=damaged, steps_done=int(exact), left_out=left_out)


def _bytes_used(file: Sections, step: int | None, tiles: Sequence[DecodedTile | None]) -> int:
    header = file.header
    if header.index is None:
        stream = header.state_bytes + WORD_BYTES * tiles[0].words_used if tiles[0] else 0
        return min(file.size, end_of_segment(file, 0) + stream)
    return file.size if step is None else min(file.size, end_of_segment(file, segments_of_steps(header, step)))
