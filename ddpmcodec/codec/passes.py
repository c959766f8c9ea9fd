"""Codes tiles of one size as rANS streams, and back. The state that a decoder ends with is a checksum of the pixels, so
that damage is found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec.codec.efforts import Coding, Segment, learns_in, segments
from ddpmcodec.errors import ChecksumError
from ddpmcodec.format.header import WORD_BYTES
from ddpmcodec.format.streams import LANES, LEAST_STATE, Stream, stream_check
from ddpmcodec.models.context import ContextModel
from ddpmcodec.parallel import stop_if_abandoned, thread_count

Pixels = NDArray[np.uint8]
DAMAGED = "the data is damaged: it decodes to another image than was encoded; get the file again"
SHORT = "the pixel stream ends early, or is damaged: get the file again, or decode a preview with partial=True"
FIRST_POSITIONS = 1 << 13  # of a step's first call of the core, at most: other steps have other networks
CALL_SECONDS = 0.05  # of a call, about: Python sees Ctrl-C between calls, and each starts threads anew


class SegmentCost(NamedTuple):
    """What a segment of `images` images together took."""

    level: int  # orthonormal cell width after it, 0: exact
    band: int  # number of its finest band, 0: pixels
    bits: float  # ideal code length; from a decoder what it read, which is the same but for roundings
    seconds: float
    images: int
    share: float  # of all positions that are coded


Report = Callable[[SegmentCost], object]  # called after every segment


class Tile(NamedTuple):
    """The encoded streams of a tile: one, or its lanes. words: of each part of each segment, by stream."""

    states: list[int]
    words: list[list[bytes]]


def new_pass(
    model: ContextModel, coding: Coding, shape: tuple[int, ...], *, lanes: bool = False, shared: bool = False
) -> _native.Pass:
    """A pass over images of a shape [N, H, W, C], with a stream for each. lanes: for a single image, in `LANES`
    streams. shared: all images are in one stream, and weights and colours learn from them together."""
    images, height, width, channels = shape
    alone = images == 1 or shared
    return _native.Pass(
        model.networks(*coding), coding.levels, (images, height, width, channels),
        streams=LANES if lanes else 1 if shared else images,
        learns=alone and learns_in(images * height, width), threads=thread_count(),
    )  # fmt: skip


def run(coder: _native.Pass, shape: tuple[int, ...], coding: Coding, last: int | None, report: Report | None) -> None:
    """Takes a pass to the end, or through its first `last` segments, or as far as the words go."""
    images, height, width, _ = shape
    first_waves = max(1, FIRST_POSITIONS // max(1, images * min(height, -(-width // 4))))
    level, waves = None, first_waves
    schedule = segments(coding.levels, height, width)
    total = max(sum(segment.size for segment in schedule), 1)
    end = len(schedule) if last is None else min(last, len(schedule))
    while coder.segments_done < end and not coder.ended:
        segment = schedule[coder.segments_done]
        if segment.level != level:
            level, waves = segment.level, first_waves
        before, started = coder.bits() if report else 0.0, time.perf_counter()
        target = coder.segments_done + 1
        while coder.segments_done < target and not coder.ended:
            stop_if_abandoned()
            called = time.perf_counter()
            coder.advance(waves, target)
            took = time.perf_counter() - called
            if took > CALL_SECONDS:
                waves = max(waves // 2, 1)
            elif took < CALL_SECONDS / 2 and coder.segments_done < target:  # with all of its waves
                waves *= 2
        if report is not None:
            report(_cost(segment, coder.bits() - before, time.perf_counter() - started, images, total))


def _cost(segment: Segment, bits: float, seconds: float, images: int, total: int) -> SegmentCost:
    return SegmentCost(segment.level, segment.band, bits, seconds, images, segment.size / total)


def encode_tiles(
    pixels: Pixels, model: ContextModel, coding: Coding, *, lanes: bool, covered: Sequence[bytes] = (),
    report: Report | None = None,
) -> list[Tile]:  # fmt: skip
    """The streams of each image, uint8 [N, H, W, C]. The result does not depend on what else is in the batch.

    lanes: use `LANES` streams for each. covered: what the check of each stream covers in front of the pixels.
    """
    if len(pixels) > 1 and (lanes or learns_in(*pixels.shape[1:3])):  # each has streams and weights of its own
        singles = ((pixels[n : n + 1], covered[n : n + 1]) for n in range(len(pixels)))
        return [encode_tiles(tile, model, coding, lanes=lanes, covered=c, report=report)[0] for tile, c in singles]
    coder = new_pass(model, coding, pixels.shape, lanes=lanes)
    coder.encode(np.ascontiguousarray(pixels))
    run(coder, pixels.shape, coding, None, report)
    tiles = []
    for n, image in enumerate(pixels):
        check = stream_check(image.tobytes(), covered[n] if covered else b"")
        streams = [coder.stream(s, check) for s in (range(LANES) if lanes else (n,))]
        tiles.append(Tile([state for state, _ in streams], [words for _, words in streams]))
    return tiles


@dataclass(frozen=True)
class DecodedTile:
    """A tile as far as it was decoded. pixels: uint8 [H, W, C], where all of it was, and its check holds."""

    coder: _native.Pass | None  # None once it is shown: it takes fifty bytes a pixel
    pixels: Pixels | None
    segments_done: int
    words_used: int
    damaged: bool


def begin(coder: _native.Pass, streams: Sequence[Stream], for_previews: bool, is_cut: bool = False) -> None:
    """Gives a pass streams to decode. is_cut: words are known to be missing, so that nothing is decoded where the next
    one may be needed."""
    words = [np.frombuffer(stream.words, "<u4").astype(np.uint32) for stream in streams]
    coder.decode([stream.state for stream in streams], words, for_previews=for_previews, is_cut=is_cut)


class Extent(NamedTuple):
    """How far tiles are decoded. is_cut: whether words of these segments are missing. What a cut stream decodes to is
    certain."""

    last_segment: int | None = None
    is_cut: bool = False
    for_previews: bool = False


WHOLE = Extent()


def decode_tiles(
    streams: Sequence[Sequence[Stream]], shape: tuple[int, int, int], model: ContextModel, coding: Coding, *,
    covered: Sequence[bytes] = (), extent: Extent = WHOLE, report: Report | None = None,
) -> list[DecodedTile]:  # fmt: skip
    """Decodes tiles of one size (H, W, C) from their streams: each tile from its only one, or from its lanes. Tiles of
    a batch should be whole: one that is cut ends the others."""
    lanes = len(streams[0]) > 1
    step = 1 if lanes or learns_in(*shape[:2]) else len(streams)  # each has streams and weights of its own
    batches = (
        _Batch(streams[n : n + step], covered[n : n + step], shape, lanes, model, coding)
        for n in range(0, len(streams), step)
    )
    return [tile for batch in batches for tile in batch.decode(extent, report)]


@dataclass(frozen=True)
class _Batch:
    """Tiles of one size that one pass decodes."""

    streams: Sequence[Sequence[Stream]]
    covered: Sequence[bytes]
    shape: tuple[int, int, int]
    lanes: bool
    model: ContextModel
    coding: Coding

    def decode(self, extent: Extent, report: Report | None) -> list[DecodedTile]:
        size = (len(self.streams), *self.shape)
        coder = new_pass(self.model, self.coding, size, lanes=self.lanes)
        flat = [stream for tile_streams in self.streams for stream in tile_streams]
        begin(coder, flat, extent.for_previews, extent.is_cut)
        run(coder, size, self.coding, extent.last_segment, report)
        tiles = []
        for n, pixels in enumerate(self._sound_images(coder)):
            words_used, damaged = sum(map(coder.position, self._numbers(n))), coder.is_exact and pixels is None
            tiles.append(DecodedTile(coder, pixels, coder.segments_done, words_used, damaged))
        return tiles

    def _sound_images(self, coder: _native.Pass) -> list[Pixels | None]:
        def is_sound(n: int, image: Pixels) -> bool:
            covered = self.covered[n] if self.covered else b""
            return has_ended_well(coder, image, self._numbers(n), self.streams[n], covered)

        images: Pixels = coder.pixels()[0]
        return [image if coder.is_exact and is_sound(n, image) else None for n, image in enumerate(images)]

    def _numbers(self, n: int) -> range:
        """Of a tile's streams, in the pass."""
        return range(LANES) if self.lanes else range(n, n + 1)


def has_ended_well(
    coder: _native.Pass, pixels: Pixels, numbers: Sequence[int], streams: Sequence[Stream], covered: bytes
) -> bool:
    """Whether an image's streams end as they must where they decode to the pixels that were encoded: in state and
    length. numbers: of the streams in the pass."""
    expected = LEAST_STATE + stream_check(pixels.tobytes(), covered)
    return all(
        coder.state(number) == expected and WORD_BYTES * coder.position(number) == len(stream.words)
        for number, stream in zip(numbers, streams, strict=True)
    )


def whole_tiles(
    streams: Sequence[Sequence[Stream]], shape: tuple[int, int, int], model: ContextModel, coding: Coding, *,
    covered: Sequence[bytes] = (), report: Report | None = None,
) -> Pixels:  # fmt: skip
    """The images, uint8 [N, H, W, C], that whole streams decode to. Raises ChecksumError where one is damaged."""
    tiles = decode_tiles(streams, shape, model, coding, covered=covered, report=report)
    images = [tile.pixels for tile in tiles if tile.pixels is not None]
    if len(images) < len(tiles):
        raise ChecksumError(DAMAGED)
    return np.stack(images)
