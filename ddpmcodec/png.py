"""The chunks of PNG files and the size of their image data (PNG, third edition, sections 5 and 7). Pillow reads pixels
without looking at checksums, fills rows that are missing with zeros, and reads nothing after the end."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import dropwhile
from typing import NamedTuple

from ddpmcodec.errors import ImageError

START = b"\x89PNG\r\n\x1a\n"
END = b"IEND\xae\x42\x60\x82"
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type
# Of each pass: the column and row of its first pixel, and the steps to the next ones.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PIECE = 1 << 18  # bytes of memory for inflated data
FED = 1 << 16  # bytes that are inflated at a time


class Chunk(NamedTuple):
    """kind: its four letters. end: where it ends in the file."""

    kind: bytes
    content: memoryview
    checksum: int
    end: int

    @property
    def is_sound(self) -> bool:
        """Whether its checksum is that of its content."""
        return zlib.crc32(self.content, zlib.crc32(self.kind)) == self.checksum

    @property
    def name(self) -> str:
        """Its kind as errors show it."""
        return repr(self.kind.decode("latin-1"))

    @property
    def is_unknown(self) -> bool:
        """Whether an image with this chunk cannot be read by a program that does not know it."""
        return self.kind not in CRITICAL and not self.kind[0] & 0x20


def chunks(file: bytes) -> Iterator[Chunk]:
    """The chunks of a PNG file, up to IEND, as far as they are there."""
    view, at, kind = memoryview(file), len(START), b""
    while kind != b"IEND" and at + 12 <= len(file):
        length, kind = struct.unpack_from(">I4s", file, at)
        content, end = view[at + 8 : at + 8 + length], at + length + 12
        if end > len(file):
            return
        (checksum,) = struct.unpack_from(">I", file, end - 4)
        yield Chunk(kind, content, checksum, end)
        at = end


def check(file: bytes) -> None:
    """Check that a PNG file is complete, with valid checksums, and holds one image that its chunks describe.

    Raises:
        ImageError: if a chunk is missing, damaged or unknown, or belongs to an animation.
    """
    kinds = []
    for chunk in chunks(file):
        kinds.append(chunk.kind)
        if not chunk.is_sound:
            raise ImageError(
                f"the checksum of its chunk {chunk.name}, which ends at byte {chunk.end}, is wrong: the file is"
                " damaged, get it again"
            )
        if chunk.is_unknown:
            raise ImageError(f"its critical chunk {chunk.name} is unknown: convert it to another PNG first")
        if chunk.kind == b"fcTL" and chunk.content[4:20] != file[16:24] + bytes(8):
            raise ImageError("a frame of an animation that is smaller than the image: save each frame as an image")
    if kinds[-1:] != [b"IEND"]:
        raise ImageError("the image cannot be read (image file is truncated): the file is damaged or too large")
    if b"fdAT" in kinds or kinds.count(b"fcTL") > 1 or b"acTL" in dropwhile(lambda kind: kind != b"IDAT", kinds):
        raise ImageError("frames of an animation that its head does not declare: save each frame as an image")


def check_pixels(file: bytes) -> None:
    """Check that the image data of a PNG file inflate to all of its rows.

    Raises:
        ImageError: if rows are missing, or if the data cannot be inflated.
    """
    size = _size_of_rows(file)
    try:
        inflated, _ = _inflated(file, size)
    except zlib.error as error:
        raise ImageError(f"its image data cannot be inflated ({error}): the file is damaged, get it again") from error
    if inflated < size:
        raise ImageError(
            f"its image data must inflate to {size} bytes, got {inflated}: rows are missing, get the file again"
        )


def has_excess(file: bytes) -> bool:
    """Whether the image data of a PNG file hold more than its rows and a valid checksum of them."""
    try:
        return _inflated(file, _size_of_rows(file))[1]
    except zlib.error:
        return True


def _size_of_rows(file: bytes) -> int:
    """Return how many bytes the rows of all passes have, each with the byte of its filter."""
    width, height, depth, colour_type, _, _, interlaced = struct.unpack_from(">IIBBBBB", file, 16)
    size = 0
    for x, y, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-max(width - x, 0) // across), -(-max(height - y, 0) // down)
        if columns:
            size += rows * (1 + (columns * depth * SAMPLES[colour_type] + 7) // 8)
    return size


def _inflated(file: bytes, size: int) -> tuple[int, bool]:
    """Inflate image data, in little memory, and return how many bytes they make, and whether there are more than
    `size` bytes or data after the end of the zlib stream. Raises zlib.error."""
    inflater, count, fed = zlib.decompressobj(), 0, _image_data(file)
    for piece in fed:
        rest: bytes | memoryview = piece
        while rest:
            count += len(inflater.decompress(rest, PIECE))
            rest = inflater.unconsumed_tail
            if count > size:
                return count, True
        if inflater.eof:
            return count, bool(inflater.unused_data) or any(map(len, fed))
    count += len(inflater.flush())
    return count, count > size


def _image_data(file: bytes) -> Iterator[memoryview]:
    for chunk in chunks(file):
        if chunk.kind == b"IDAT":
            for start in range(0, len(chunk.content), FED):
                yield chunk.content[start : start + FED]


def end(file: bytes) -> int:
    """Return where a PNG file ends; its length if the end is missing."""
    return next((chunk.end for chunk in chunks(file) if chunk.kind == b"IEND"), len(file))
