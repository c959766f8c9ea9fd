"""Reads .ddpm files without ddpmcodec: written from docs/format.md alone, to test that page.

It needs the standard library and numpy. What only a network can check (pixels), or a WebP decoder, is left out.
"""

from __future__ import annotations

import zlib
from binascii import crc_hqx
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MODES = ("L", "RGB", "LA", "RGBA", "1")
MAGIC = b"\xdd\n"
TILED, METADATA, WEBP = 1, 2, 4
SEGMENTS_OF_STEPS = {1: (5,), 2: (5, 5, 5), 3: (2, 4, 5, 5, 5, 5)}  # by effort
LOW, HIGH, PRECISION = 1 << 31, 1 << 63, 24


class Bad(Exception):
    """The data is not what docs/format.md says."""


def require(holds: bool, problem: str) -> None:
    if not holds:
        raise Bad(problem)


class Cursor:
    """Takes fields off bytes."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def take(self, count: int) -> bytes:
        require(self.at + count <= len(self.data), f"the data ends before byte {self.at + count}")
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def varint(self) -> int:
        value = 0
        for place in range(5):
            byte = self.integer(1)
            value |= (byte & 127) << 7 * place
            if byte < 128:
                require(byte > 0 or place == 0, "a varint is not canonical")
                return value
        raise Bad("a varint has more than five bytes")

    def column(self, count: int) -> list[int]:
        return [self.varint() for _ in range(count)]


def inflate(data: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj(-15)
    try:
        found = inflater.decompress(data, most + 1)
    except zlib.error as error:
        raise Bad(f"deflate: {error}") from error
    require(len(found) <= most, f"a section inflates to more than {most} bytes")
    require(inflater.eof and not inflater.unused_data, "a deflate stream does not end where its field does")
    return found


# --- one image


class Image(NamedTuple):
    """A file cut into its parts; of a prefix the last ones are short or empty."""

    mode: str
    width: int
    height: int
    webp: bool
    effort: int
    model_id: bytes
    mean_colour: bytes
    segments: int | None  # of a tile; None: not tiled
    tiles: int
    start: int  # bytes of header and index
    alpha_length: int
    metadata_length: int
    lengths: tuple[int, ...]  # of the chunks, or of the payload
    checks: tuple[int, ...]
    alpha: bytes
    chunks: tuple[bytes, ...]
    metadata: bytes
    missing: int

    @property
    def has_alpha(self) -> bool:
        return self.mode in ("LA", "RGBA")


def read_image(data: bytes) -> Image:
    cursor = Cursor(data)
    require(cursor.take(2) == MAGIC, "not a .ddpm file")
    version, mode = divmod(cursor.integer(1), 16)
    byte = cursor.integer(1)
    flags, effort = byte & ~48, byte >> 4 & 3
    require(version == 1 and mode < len(MODES), f"version {version}, mode {mode}")
    require(flags < 8 and not flags & TILED & (flags >> 2), f"flags {flags}")
    webp, has_alpha, channels = bool(flags & WEBP), mode in (2, 3), 3 if mode in (1, 3) else 1
    width, height = cursor.varint(), cursor.varint()
    require(0 < width * height <= 1 << 28 and (not webp or max(width, height) <= 16383), f"{width} x {height} pixels")
    mean = cursor.take(channels) if webp else b""
    model_id = b"" if webp else cursor.take(4)
    require(webp == (effort == 0), f"effort {effort}")
    alpha_length = cursor.varint() if has_alpha and not webp else 0
    metadata_length = cursor.varint() if flags & METADATA else 0
    require(metadata_length <= 1 << 24 and bool(metadata_length) == bool(flags & METADATA), "length of the metadata")
    if flags & TILED:
        tiles, segments, lengths, checks = read_index(cursor, width, height)
    else:
        tiles, segments, lengths, checks = 1, None, (cursor.varint(),), ()
        require(webp or width * height <= 1 << 21, "one stream of too many pixels")
        check_crc16(cursor, data[: cursor.at])
    require(segments in (None, sum(SEGMENTS_OF_STEPS.get(effort, ()))), f"{segments} segments at effort {effort}")
    parts = cut_parts(data, cursor.at, [alpha_length, *lengths, metadata_length])
    end = cursor.at + alpha_length + sum(lengths) + metadata_length
    require(len(data) <= end, f"{len(data) - end} bytes follow the end")
    return Image(
        MODES[mode], width, height, webp, effort, model_id, mean, segments, tiles, cursor.at, alpha_length,
        metadata_length, tuple(lengths), tuple(checks), parts[0], tuple(parts[1:-1]), parts[-1], end - len(data),
    )  # fmt: skip


def read_index(cursor: Cursor, width: int, height: int) -> tuple[int, int, Sequence[int], Sequence[int]]:
    tile_width, tile_height, segments, size = cursor.varint(), cursor.varint(), cursor.varint(), cursor.varint()
    require(1 <= tile_width <= width and 1 <= tile_height <= height, f"tiles of {tile_width} x {tile_height}")
    require(tile_width * tile_height <= 1 << 21 and 1 <= segments <= 255, "tiles too large, or too many segments")
    tiles = -(-width // tile_width) * -(-height // tile_height)
    require(tiles * segments <= 1 << 20, f"{tiles * segments} chunks")
    check_crc16(cursor, cursor.data[: cursor.at])
    entries = Cursor(cursor.take(size))
    pairs = [(entries.varint(), entries.integer(2)) for _ in range(tiles * segments)]
    require(entries.at == size, "the index holds more than its chunks")
    check_crc16(cursor, entries.data)
    return tiles, segments, [length for length, _ in pairs], [check for _, check in pairs]


def check_crc16(cursor: Cursor, covered: bytes) -> None:
    require(cursor.integer(2) == crc_hqx(covered, 0xFFFF), "the CRC-16 of header or index does not match")


def cut_parts(data: bytes, start: int, lengths: Sequence[int]) -> list[bytes]:
    ends = list(accumulate(lengths, initial=start))
    return [data[first:last] for first, last in pairwise(ends)]


def describe_image(image: Image, size: int) -> dict[str, Any]:
    return {
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
        "coding": "lossless WebP" if image.webp else "context model",
        "effort": image.effort or None,
        "steps": None if image.webp else len(SEGMENTS_OF_STEPS[image.effort]),
        "model_id": None if image.webp else image.model_id.hex(),
        "tiles": image.tiles,
        "segments": image.segments,
        "bytes": size,
        "missing_bytes": image.missing,
        "header_bytes": image.start,
        "alpha_bytes": image.alpha_length,
        "pixel_bytes": sum(map(len, image.chunks)),
        "metadata_bytes": image.metadata_length,
    }


def streams(image: Image) -> list[bytes]:
    """Of every tile, all of its chunks."""
    return [b"".join(image.chunks[tile :: image.tiles]) for tile in range(image.tiles)]


def check_image(image: Image) -> Iterator[str]:
    """All that is wrong with a file and can be found without a network."""
    if image.missing:
        yield f"{image.missing} bytes are missing"
        return
    for place, (chunk, check) in enumerate(zip(image.chunks, image.checks, strict=False)):
        if crc_hqx(chunk, 0xFFFF) != check:
            yield f"segment {place // image.tiles} of tile {place % image.tiles} is damaged"
    if image.webp:
        yield from problems(check_webp, image)
    else:
        for stream in streams(image):
            yield from problems(open_stream, stream)
    if image.has_alpha and not image.webp:
        yield from problems(read_alpha, image.alpha, image.width, image.height)
    yield from problems(read_metadata, image.metadata)


def problems(read: Callable[..., object], *arguments: object) -> Iterator[str]:
    try:
        read(*arguments)
    except Bad as error:
        yield str(error)


def check_webp(image: Image) -> None:
    """Its container; the pixels need a WebP decoder."""
    webp = image.chunks[0][4:]
    require(webp[:4] == b"RIFF" and webp[8:12] == b"WEBP", "the payload is no WebP file")
    require(int.from_bytes(webp[4:8], "little") + 8 == len(webp), "the WebP has another length")


def read_alpha(section: bytes, width: int, height: int) -> NDArray[np.uint8]:
    rows = inflate(section[:-4], width * height)
    require(len(rows) == width * height, "the alpha section holds too few pixels")
    plane = np.cumsum(np.frombuffer(rows, np.uint8).reshape(height, width), 0, dtype=np.uint8)
    require(zlib.crc32(plane.tobytes()) == int.from_bytes(section[-4:], "little"), "the alpha section is damaged")
    return plane


def read_metadata(section: bytes) -> dict[int, bytes]:
    """Values by kind: 1 ICC, 2 EXIF."""
    if not section:
        return {}
    require(zlib.crc32(section[4:]) == int.from_bytes(section[:4], "little"), "the metadata section is damaged")
    cursor, found = Cursor(inflate(section[4:], 1 << 24)), dict[int, bytes]()
    while cursor.at < len(cursor.data):
        kind = cursor.integer(1)
        require(kind in (1, 2) and kind not in found, f"metadata of kind {kind}")
        found[kind] = cursor.take(cursor.varint())
    return found


def end_of_step(image: Image, step: int) -> int:
    """Where in a tiled file its first steps end."""
    require(image.segments is not None, "the ends of steps of a single stream are not written down")
    chunks = image.tiles * sum(SEGMENTS_OF_STEPS[image.effort][:step])
    return image.start + image.alpha_length + sum(image.lengths[:chunks])


# --- rANS


def open_stream(stream: bytes) -> tuple[int, list[int]]:
    """State and words of a stream, in decoding order."""
    size = 5 + (len(stream) - 5) % 4
    require(len(stream) >= size, f"a stream of {len(stream)} bytes")
    state = int.from_bytes(stream[:size], "little")
    require(LOW <= state < HIGH and (size == 5 or stream[size - 1] > 0), "the first state of a stream is none")
    return state, np.frombuffer(stream[size:], "<u4").tolist()


def pop(state: int, words: Iterator[int], find: Callable[[int], tuple[int, int]]) -> int:
    """The state after a symbol. find: from the slot to the symbol's start and frequency."""
    slot = state % (1 << PRECISION)
    start, freq = find(slot)
    state = freq * (state >> PRECISION) + slot - start
    return state if state >= LOW else state << 32 | next(words)
