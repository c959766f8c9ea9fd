"""Previews while the bytes of a file arrive, as from a socket.

Of a tiled file every segment is decoded once, when the last tile's chunk of it is there. A single stream, which belongs
to a small image, is decoded anew whenever there are twice as many bytes, and at its end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

import numpy as np
from PIL import Image

from ddpmcodec.arguments import DEFAULT_MAX_PIXELS, check_limits, check_pixels
from ddpmcodec.codec.contents import (
    model_for,
    planes_of,
    side_sections,
    steps_done,
    streams_of,
)
from ddpmcodec.codec.decoder import Decoded, decode_details
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import DAMAGED, Pixels, begin, has_ended_well, new_pass, run
from ddpmcodec.codec.previews import canvas, shown
from ddpmcodec.codec.regions import Edges, Region
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, TruncatedError, bytes_follow
from ddpmcodec.format.ddpm import MARK_BYTES, Sections, begun_mark, is_marked, split
from ddpmcodec.format.header import Box, Header
from ddpmcodec.format.header_bytes import parse_header
from ddpmcodec.format.streams import LANES, Stream
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import ModelSource, find
from ddpmcodec.parallel import run_all, thread_count

FIRST_BYTES = 32  # of a single stream that are worth a preview


class ProgressiveDecoder:
    """Takes the bytes of one .ddpm file as they arrive, and gives previews.

    Parameters:
        model: as in `decode`.
        box: as in `decode`: previews are of this part of the image.
        max_pixels: as in `decode`; `feed` raises ImageError.

    Raises ModelError where a model is named and missing.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> data = ddpmcodec.encode(np.random.default_rng(0).integers(0, 99, (24, 32), np.uint8))
    >>> decoder = ddpmcodec.ProgressiveDecoder()
    >>> previews = [decoder.feed(data[start : start + 100]) for start in range(0, len(data), 100)]
    >>> [preview.size for preview in previews if preview is not None][:2]
    [(32, 24), (32, 24)]
    >>> decoder.close() == ddpmcodec.decode(data), decoder.complete
    (True, True)
    """

    def __init__(
        self, *, model: ModelSource = None, box: Edges | None = None, max_pixels: int | None = DEFAULT_MAX_PIXELS
    ) -> None:
        check_limits(max_pixels=max_pixels)
        self._box = box
        self._model, self._max_pixels = find(model), max_pixels
        self._data = bytearray()
        self._source: _Source | None = None
        self._decoded: Decoded | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the image, once the header is there."""
        return (self._source.header.width, self._source.header.height) if self._source else None

    @property
    def complete(self) -> bool:
        """Whether all of the file has come, and is exactly what was encoded; or as much as there is of a lossy one."""
        return self._decoded is not None and (self._decoded.exact or self._decoded.lossy)

    def feed(self, data: bytes) -> Image.Image | None:
        """Takes the bytes that follow, any number of them.

        Returns:
            A preview where there is a better one than before, at the end of a large file the image; otherwise None.

        Raises:
            FormatError: not a .ddpm file, damaged (ChecksumError, CorruptError), or bytes follow its end. The preview
                before is then the best there is.
            ModelError: the model is missing, or is not the file's.
            TypeError: no bytes.
        """
        if self.complete and data:
            raise FormatError(bytes_follow(len(data), "image", len(self._data)))
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"feed() takes bytes, not {type(data).__name__}")
        self._data += data
        if self._source is None:
            try:
                header, start = parse_header(bytes(self._data))
            except TruncatedError:
                return None
            check_pixels("the header", header.width, header.height, self._max_pixels)
            region = Region.of(header.width, header.height, self._box)
            self._source = _source(header, start, self._model, region)
        if len(self._data) < self._source.wanted and not is_marked(bytes(self._data[-MARK_BYTES:])):
            return None
        file = split(bytes(self._data))
        if (file.size < self._source.wanted and not file.is_lossy) or (self.complete and not data):
            return None
        self._decoded = self._source.decode(file, bytes(self._data))
        return self._decoded.image

    def close(self) -> Image.Image:
        """The image, once all of it was fed. Raises TruncatedError before, or ChecksumError where it is damaged."""
        if self._decoded is None or not self.complete:
            split(bytes(self._data)).require_whole()
            raise ChecksumError(DAMAGED)  # as `feed` did
        return self._decoded.image


class _Source(Protocol):
    """A file whose bytes arrive, of one stream or of tiles. wanted: how many bytes give a better preview, or the
    image."""

    header: Header
    wanted: int

    def decode(self, file: Sections, data: bytes) -> Decoded:
        """What the data show. file: the same data, cut into sections. Raises FormatError."""


def _source(header: Header, start: int, model: ContextModel | None, region: Region) -> _Source:
    if header.index is None:
        return _Single(header, start, model, region)
    return _Tiled(header, start, model_for(header, model), region)


class _Single:
    """A file of one stream, or a stored one, whose prefixes show one colour."""

    def __init__(self, header: Header, start: int, model: ContextModel | None, region: Region) -> None:
        self.header, self.start, self.model, self.region = header, start, model, region
        payload = start + header.lengths_before
        self.whole = payload + header.payload_length + header.lengths_after
        self.wanted = start if header.stored else min(payload + FIRST_BYTES, self.whole)

    def decode(self, file: Sections, data: bytes) -> Decoded:
        self.wanted = self.whole if self.header.stored else min(2 * len(data), self.whole)
        decoded = self._decoded(data, partial=bool(file.missing))  # or lossy
        if decoded.damaged and (begun := begun_mark(data)) and len(data) - begun >= self.start:
            self.wanted = len(data) + 1  # the rest of the mark, which was decoded as words of the stream
            decoded = self._decoded(data[:-begun], partial=True)
        if decoded.damaged:
            raise ChecksumError(DAMAGED)
        return decoded

    def _decoded(self, data: bytes, partial: bool) -> Decoded:
        return decode_details(data, partial=partial, model=self.model, box=self.region, max_pixels=None)


class _Tiled:
    """A tiled file."""

    def __init__(self, header: Header, start: int, model: ContextModel, region: Region) -> None:
        self.header, self.model, self.region = header, model, region
        ends = list(accumulate(header.chunk_lengths, initial=start + header.lengths_before))
        self.ends = ends[header.tile_count :: header.tile_count]  # of the segments
        self.whole = ends[-1] + header.lengths_after
        self.wanted = self.ends[0]
        self.tiles: list[_ArrivingTile] = []

    def decode(self, file: Sections, data: bytes) -> Decoded:
        if file.is_lossy:  # with what there is of a segment
            return decode_details(data, model=self.model, box=self.region, max_pixels=None)
        arrived = bisect_right(self.ends, file.size)
        self.wanted = self.ends[arrived] if arrived < len(self.ends) else self.whole
        part = self.region.part_of(file)
        numbers = range(part.header.tile_count)
        sound = min(arrived, *map(part.segments_of_tile, numbers))
        if sound < arrived:
            if not begun_mark(data):
                raise ChecksumError(DAMAGED)
            self.wanted = file.size + 1  # which says more
        if sound and not self.tiles:
            self.tiles = [_ArrivingTile(part, number, self.model) for number in numbers]
        run_all(lambda tile: tile.advance(part, sound), self.tiles)
        return self._decoded(file, part, sound)

    def _decoded(self, file: Sections, part: Sections, segments: int) -> Decoded:
        header, pixels = self.header, canvas(part.header.height, part.header.width, part.header.channels)
        for tile in self.tiles:
            pixels[tile.box] = shown(tile.coder, threads=thread_count()) if tile.pixels is None else tile.pixels
        side, whole = side_sections(file, bool(file.missing), self.region.box), not file.missing
        colour = self.region.moved(part.corner).cut(pixels)
        planes = planes_of(header, colour, side)
        done = steps_done(header, segments)
        return Decoded.of(file, planes, exact=whole, damaged=bool(side.damaged), steps_done=done)


class SegmentedTile:
    """A tile that is decoded segment by segment, and can be shown after each. box: rows and columns that it has in the
    image. streams: its only one, or its lanes."""

    def __init__(self, header: Header, box: Box, streams: Sequence[Stream], model: ContextModel) -> None:
        rows, columns = self.box = box
        self.shape = (1, rows.stop - rows.start, columns.stop - columns.start, header.channels)
        self.coding = Coding.of(header)
        self.coder = new_pass(model, self.coding, self.shape, lanes=len(streams) > 1)
        begin(self.coder, streams, for_previews=True)

    def run(self, last: int) -> None:
        """Decodes the first `last` segments, or as far as the words go."""
        run(self.coder, self.shape, self.coding, last, None)


class _ArrivingTile(SegmentedTile):
    """A tile of a file whose bytes arrive. pixels: uint8 [H, W, C], once all segments are decoded."""

    def __init__(self, file: Sections, number: int, model: ContextModel) -> None:
        """file: holds the first segment of the tile, or more."""
        self.number, self.streams = number, _opened(file, number, 1)
        self.pixels: Pixels | None = None
        super().__init__(file.header, file.header.box(number), self.streams, model)

    def advance(self, file: Sections, arrived: int) -> None:
        """Decodes up to so many segments. Raises ChecksumError where they are damaged."""
        streams = _opened(file, self.number, arrived)
        for lane, (before, now) in enumerate(zip(self.streams, streams, strict=True)):
            self.coder.extend(lane, np.frombuffer(now.words[len(before.words) :], "<u4").astype(np.uint32))
        self.streams = streams
        self.run(arrived)
        if self.coder.is_exact and self.pixels is None:
            pixels = self.coder.pixels()[0][0]
            self.pixels = pixels if has_ended_well(self.coder, pixels, range(LANES), streams, b"") else None
        if self.coder.ended or (self.coder.is_exact and self.pixels is None):
            raise ChecksumError(DAMAGED)


def _opened(file: Sections, number: int, segments: int) -> list[Stream]:
    try:
        return streams_of(file, number, segments)
    except CorruptError as error:
        raise ChecksumError(DAMAGED) from error
