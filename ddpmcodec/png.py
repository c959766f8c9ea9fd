"""The chunks of PNG files (PNG, third edition, section 5). Pillow reads pixels without looking at their checksums, and
nothing behind them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ddpmcodec.errors import ImageError

START = b"\x89PNG\r\n\x1a\n"
END = b"IEND\xae\x42\x60\x82"


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
    """Raises ImageError unless a PNG file is there to its end, with the checksums of all its chunks."""
    kind = b""
    for chunk in chunks(file):
        kind = chunk.kind
        if not chunk.is_sound:
            raise ImageError(
                f"the checksum of its chunk {kind.decode('latin-1')!r}, which ends at byte {chunk.end}, is wrong: the"
                " file is damaged, get it again"
            )
    if kind != b"IEND":
        raise ImageError("the image cannot be read (image file is truncated): the file is damaged or too large")


def following(file: bytes) -> int:
    """How many bytes there are behind the end of a PNG file; 0 of other files."""
    if not file.startswith(START):
        return 0
    ends = [chunk.end for chunk in chunks(file) if chunk.kind == b"IEND"]
    return len(file) - ends[0] if ends else 0
