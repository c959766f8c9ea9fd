"""Batches of tiles of one size to rANS streams and back. The coder's first state is a checksum of the pixels, so that
damage is found without spending a byte."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.ans.stream import STATE_LOW, WORD_BYTES, close_stream, encode_segments, open_stream, state_bytes
from ddpmcodec.channels import progressive
from ddpmcodec.channels.progressive import PyramidState, Segment
from ddpmcodec.codec.efforts import EFFORTS, learns_in
from ddpmcodec.coding_schedule import CodingStep
from ddpmcodec.errors import ChecksumError, CorruptError, FormatError
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.processor import require_rounding_to_nearest
from ddpmcodec.transform import color

Pixels = NDArray[np.uint8]
DAMAGED = "the data is damaged: it decodes to another image than was encoded; get the file again"


class SegmentCost(NamedTuple):
    """What a segment took: of `images` images together."""

    level: int  # orthonormal cell width after it, 0: exact
    band: int  # number of its finest band
    bits: float  # ideal code length; from a decoder what it read, which is the same but for roundings
    seconds: float
    images: int
    share: float  # of all positions that the schedule codes


Report = Callable[[SegmentCost], object]  # called after every segment


def checksum(pixels: Pixels) -> int:
    """31 bits of the CRC-32 of one image, uint8 [H, W, C]."""
    return zlib.crc32(np.ascontiguousarray(pixels).tobytes()) & (STATE_LOW - 1)


def _each_its_own(images: int) -> NDArray[np.int64]:
    return np.arange(images, dtype=np.int64)


class _Clock:
    """Calls a `Report` after each segment."""

    def __init__(self, report: Report | None, schedule: Sequence[CodingStep], shape: tuple[int, ...]) -> None:
        """shape: [N, H, W, C]."""
        images, height, width, _ = shape
        parts = progressive.segments(schedule, height, width)
        self.positions = max(sum(band.positions for part in parts for band in part.bands), 1)
        self.report, self.images, self.last = report, images, time.perf_counter()

    def segment_done(self, segment: Segment, bits: float) -> None:
        now = time.perf_counter()
        if self.report is not None:
            finest = segment.bands[-1].number if segment.bands else segment.step.finest
            share = sum(band.positions for band in segment.bands) / self.positions
            self.report(SegmentCost(segment.step.level, finest, bits, now - self.last, self.images, share))
        self.last = now


def encode_tiles(pixels: Pixels, model: ContextModel, effort: int, report: Report | None = None) -> list[list[bytes]]:
    """The stream of each image, uint8 [N, H, W, C], cut at the ends of its segments. The result does not depend on what
    else is in the batch. Raises ModelError where the processor does not round to nearest."""
    require_rounding_to_nearest()
    schedule, learns = EFFORTS[effort], learns_in(*pixels.shape[1:3])
    if learns and len(pixels) > 1:  # each has weights of its own
        return [encode_tiles(pixels[n : n + 1], model, effort, report)[0] for n in range(len(pixels))]
    clock = _Clock(report, schedule, pixels.shape)
    planes = color.to_ycocg(pixels)
    on_segment, streams = clock.segment_done if report else None, _each_its_own(len(pixels))
    symbols = progressive.encode(planes, model, schedule, streams, adapts=True, learns=learns, on_segment=on_segment)
    return [
        encode_segments(s.starts, s.freqs, s.ends, checksum(image)) for s, image in zip(symbols, pixels, strict=True)
    ]


class TileStream(NamedTuple):
    """Bytes of a tile's stream, which may have been cut after its state."""

    data: bytes
    length: int  # of the whole stream

    @property
    def has_state(self) -> bool:
        return len(self.data) >= state_bytes(self.length)


@dataclass(frozen=True)
class DecodedTile:
    """A tile as far as it was decoded. pixels: uint8 [H, W, C], where all of it was, and its checksum holds."""

    state: PyramidState | None  # of its batch; None once it is shown: it takes fifty bytes a pixel
    pixels: Pixels | None
    segments_done: int
    bytes_used: int
    damaged: bool


def decode_tiles(
    streams: Sequence[TileStream], shape: tuple[int, int, int], model: ContextModel, effort: int,
    *, last_segment: int | None = None, report: Report | None = None,
) -> list[DecodedTile]:  # fmt: skip
    """Decode streams that may be cut anywhere after their states, of tiles of one size (H, W, C).

    Tiles of a batch are whole: one that is cut ends the others. Raises CorruptError for what is no stream, and
    ModelError where the processor does not round to nearest.
    """
    require_rounding_to_nearest()
    schedule, learns = EFFORTS[effort], learns_in(*shape[:2])
    if learns and len(streams) > 1:
        return [decode_tiles([s], shape, model, effort, last_segment=last_segment, report=report)[0] for s in streams]
    clock = _Clock(report, schedule, (len(streams), *shape))
    opened = [_open(stream) for stream in streams]
    coder = progressive.decoder(_each_its_own(len(streams)), [int(s) for s, _ in opened], [w for _, w in opened])
    on_segment, images = clock.segment_done if report else None, (len(streams), *shape)
    decoded = progressive.decode(
        coder,
        images,
        model,
        schedule,
        adapts=True,
        learns=learns,
        last_segment=last_segment,
        on_segment=on_segment,
    )
    state = decoded.state
    pixels = color.from_ycocg(state.planes()) if state.is_exact else None
    found = []
    for n, (stream, (_, words)) in enumerate(zip(streams, opened, strict=True)):
        first = int(coder.limit[n]) - len(words)
        taken = int(coder.position[n]) - first
        image, damaged = None, False
        if pixels is not None:
            image = sound_pixels(pixels[n], int(coder.state[n]), taken, words)
            damaged = image is None
        used = state_bytes(stream.length) + WORD_BYTES * taken
        found.append(DecodedTile(state, image, decoded.segments_done, used, damaged))
    return found


def _open(stream: TileStream) -> tuple[np.uint64, NDArray[np.uint32]]:
    try:
        return open_stream(stream.data, stream.length)
    except FormatError as error:
        raise CorruptError(str(error)) from error


def sound_pixels(pixels: NDArray[np.int16], state: int, taken: int, words: NDArray[np.uint32]) -> Pixels | None:
    """Decoded pixels, unless something says that they are not what was encoded."""
    if pixels.min() < 0 or pixels.max() > 255:
        return None
    image = pixels.astype(np.uint8)
    try:
        return image if close_stream(state, taken, words) == checksum(image) else None
    except FormatError:
        return None


def whole_tiles(
    streams: Sequence[TileStream], shape: tuple[int, int, int], model: ContextModel, effort: int,
    report: Report | None = None,
) -> Pixels:  # fmt: skip
    """Images uint8 [N, H, W, C] of whole streams. Raises ChecksumError where one is damaged."""
    found = decode_tiles(streams, shape, model, effort, report=report)
    images = [tile.pixels for tile in found if tile.pixels is not None]
    if len(images) < len(found):
        raise ChecksumError(DAMAGED)
    return np.stack(images)
