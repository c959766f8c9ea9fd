"""Previews while the bytes of a file arrive, as from a socket.

Of a tiled file every segment is decoded once, when the last tile's chunk of it is there. A single stream, which belongs
to a small image, is decoded anew whenever there are twice as many bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.ans.stream import PRECISION, WORD_BYTES, open_stream, state_bytes
from ddpmcodec.arguments import DEFAULT_MAX_PIXELS, check_limits, check_pixels
from ddpmcodec.channels import progressive
from ddpmcodec.codec.batching import ModelSource, given_model
from ddpmcodec.codec.contents import check_segments, model_of, side_sections, steps_done, steps_of
from ddpmcodec.codec.decoder import Decoded, decode_details
from ddpmcodec.codec.efforts import EFFORTS, learns_in
from ddpmcodec.codec.preview import Canvas
from ddpmcodec.codec.tiles import DAMAGED, Pixels, sound_pixels
from ddpmcodec.errors import ChecksumError, CorruptError, TruncatedError
from ddpmcodec.format.ddpm import Box, Header, Sections, parse_header, split
from ddpmcodec.images import Planes
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.parallel import run_all
from ddpmcodec.processor import require_rounding_to_nearest
from ddpmcodec.transform import color

MAX_STREAM_OVERHEAD = 16  # bytes: the state, and words that are filled in part
FIRST_BYTES = 32  # of a single stream that are worth a preview


class ProgressiveDecoder:
    """Takes the bytes of one .ddpm file as they arrive, and gives previews.

    Parameters:
        model: as of `decode`.
        denoise: previews by the model's denoiser, where it has one.
        max_pixels: as of `decode`; `feed` raises ImageError.

    Raises ModelError where a model is named and missing.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> data = ddpmcodec.encode(np.random.default_rng(0).integers(0, 99, (24, 32), np.uint8))
    >>> decoder = ddpmcodec.ProgressiveDecoder()
    >>> previews = [decoder.feed(data[start : start + 100]) for start in range(0, len(data), 100)]
    >>> [preview.size for preview in previews if preview is not None][:2]
    [(32, 24), (32, 24)]
    >>> decoder.complete, previews[-1] == decoder.close() == ddpmcodec.decode(data)
    (True, True)
    """

    def __init__(
        self, *, model: ModelSource = None, denoise: bool = True, max_pixels: int | None = DEFAULT_MAX_PIXELS
    ) -> None:
        check_limits(max_pixels=max_pixels)
        self._model, self._denoise, self._max_pixels = given_model(model), denoise, max_pixels
        self._data = bytearray()
        self._source: _Source | None = None
        self._decoded: Decoded | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height, once the header is there."""
        return (self._source.header.width, self._source.header.height) if self._source else None

    @property
    def complete(self) -> bool:
        """Whether all of the file has come, and is exactly what was encoded."""
        return self._decoded is not None and self._decoded.exact

    def feed(self, data: bytes) -> Image.Image | None:
        """Takes the bytes that follow, any number of them.

        Returns:
            A preview where there is a better one than before, at the end the image; otherwise None.

        Raises:
            FormatError: not a .ddpm file, damaged (ChecksumError, CorruptError), or bytes follow its end. The preview
                before is then the best there is.
            ModelError: the model is missing, or is not the file's.
        """
        self._data += data
        if self._source is None:
            try:
                header, start = parse_header(bytes(self._data))
            except TruncatedError:
                return None
            check_pixels("the header", header.width, header.height, self._max_pixels)
            self._source = _source(header, start, self._model, self._denoise)
        if len(self._data) < self._source.wanted or (self.complete and not data):
            return None
        self._decoded = self._source.decode(split(bytes(self._data)), bytes(self._data))
        return self._decoded.image

    def close(self) -> Image.Image:
        """The image, once all of it was fed. Raises TruncatedError before."""
        if self._decoded is None or not self._decoded.exact:
            split(bytes(self._data)).require_whole()
            raise ChecksumError(DAMAGED)  # as `feed` did
        return self._decoded.image


class _Source(Protocol):
    """A file of one kind. wanted: bytes at which there is a better preview, or the image."""

    header: Header
    wanted: int

    def decode(self, file: Sections, data: bytes) -> Decoded:
        """What the data show. file: the same, cut. Raises FormatError."""


def _source(header: Header, start: int, model: ContextModel | None, denoise: bool) -> _Source:
    if header.index is None:
        return _Single(header, start, model, denoise)
    check_segments(header)
    return _Tiled(header, start, model_of(header, model), denoise)


class _Single:
    """A file of one stream, or of WebP: in a prefix of that there is one colour to see."""

    def __init__(self, header: Header, start: int, model: ContextModel | None, denoise: bool) -> None:
        self.header, self.model, self.denoise = header, model, denoise
        self.whole = start + header.alpha_length + header.payload_length + header.metadata_length
        self.wanted = start if header.webp else min(start + header.alpha_length + FIRST_BYTES, self.whole)

    def decode(self, file: Sections, data: bytes) -> Decoded:
        self.wanted = self.whole if self.header.webp else min(2 * len(data), self.whole)
        partial = bool(file.missing)
        decoded = decode_details(data, partial=partial, model=self.model, denoise=self.denoise, max_pixels=None)
        if decoded.damaged:
            raise ChecksumError(DAMAGED)
        return decoded


class _Tiled:
    """A file of chunks."""

    def __init__(self, header: Header, start: int, model: ContextModel, denoise: bool) -> None:
        self.header, self.model, self.denoise = header, model, denoise
        ends = list(accumulate(header.chunk_lengths, initial=start + header.alpha_length))
        self.ends = ends[header.tile_count :: header.tile_count]  # of the segments
        self.whole = ends[-1] + header.metadata_length
        self.wanted = self.ends[0]
        self.tiles: list[_Tile] = []

    def decode(self, file: Sections, data: bytes) -> Decoded:
        arrived = bisect_right(self.ends, len(data))
        self.wanted = self.ends[arrived] if arrived < len(self.ends) else self.whole
        numbers = range(self.header.tile_count)
        if any(file.segments_of_tile(number) < arrived for number in numbers):
            raise ChecksumError(DAMAGED)
        self.tiles = self.tiles or [_Tile(file, number, self.model) for number in numbers]
        run_all(lambda tile: tile.advance(file, arrived), self.tiles)
        return self._decoded(file, arrived)

    def _decoded(self, file: Sections, segments: int) -> Decoded:
        header, canvas = self.header, Canvas(self.header.height, self.header.width, self.header.channels)
        for tile in self.tiles:
            canvas.place(tile.box, tile.coding_pass.state, tile.pixels)
        pixels = canvas.pixels(self.model if self.denoise else None)
        side, whole = side_sections(file, bool(file.missing)), not file.missing
        planes = Planes(header.mode, pixels, side.alpha, side.icc, side.exif)
        return Decoded(planes, whole, side.damaged, steps_done(header, segments), steps_of(header), file.size)


class _Tile:
    """A tile whose segments are decoded as they arrive. pixels: uint8 [H, W, C], once all of them are."""

    def __init__(self, file: Sections, number: int, model: ContextModel) -> None:
        """Of a file that holds the first segment."""
        self.number, self.length, self.box = number, file.stream_length(number), file.header.boxes()[number]
        self.done = 0
        self.pixels: Pixels | None = None
        state, _ = self._opened(file)
        self.coding_pass = _coding_pass(file.header, self.box, model)
        if self.length > (most := MAX_STREAM_OVERHEAD + self.coding_pass.most_symbols * PRECISION // 8):
            raise CorruptError(f"tile {number} claims {self.length} bytes where {most} are the most; get it again")
        # Memory that is taken when words arrive: what an index claims costs nothing.
        words = np.zeros((self.length - state_bytes(self.length)) // WORD_BYTES, np.uint32)
        self.coder = progressive.decoder(np.zeros(1, np.int64), [int(state)], [words[:0]])._replace(words=words)
        self.segments = self.coding_pass.run(self.coder)

    def advance(self, file: Sections, arrived: int) -> None:
        """Decodes up to so many segments. Raises ChecksumError where they are damaged."""
        require_rounding_to_nearest()
        _, words = self._opened(file)
        self.coder.words[: len(words)] = words
        self.coder.limit[0] = len(words)
        for _ in range(self.done, arrived):
            next(self.segments)
        self.done = arrived
        whole = arrived == len(self.coding_pass.segments)
        if whole and self.pixels is None:
            self.pixels = self._checked(words)
        if self.coder.ended.any() or (whole and self.pixels is None):
            raise ChecksumError(DAMAGED)

    def _opened(self, file: Sections) -> tuple[np.uint64, NDArray[np.uint32]]:
        return open_stream(file.tile_stream(self.number), self.length)

    def _checked(self, words: NDArray[np.uint32]) -> Pixels | None:
        state = self.coding_pass.state
        if not state.is_exact:
            return None
        pixels = color.from_ycocg(state.planes())[0]
        return sound_pixels(pixels, int(self.coder.state[0]), int(self.coder.position[0]), words)


def _coding_pass(header: Header, box: Box, model: ContextModel) -> progressive.CodingPass:
    rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    schedule, shape = EFFORTS[header.effort], (1, height, width, header.channels)
    return progressive.CodingPass(model, schedule, shape, adapts=True, learns=learns_in(height, width))
