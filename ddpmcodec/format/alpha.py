"""The alpha section of a file: raw deflate of the plane, each row less the one above; then the CRC-32 of the plane."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.errors import ChecksumError, CorruptError
from ddpmcodec.format.header import Box
from ddpmcodec.format.sections import CRC32_BYTES, deflate, inflate_to

OPAQUE = 255


def pack_alpha(plane: NDArray[np.uint8]) -> bytes:
    """Alpha plane (H, W), losslessly."""
    above = np.zeros_like(plane)
    above[1:] = plane[:-1]
    return deflate((plane - above).tobytes()) + zlib.crc32(plane.tobytes()).to_bytes(CRC32_BYTES, "little")


def unpack_alpha(section: bytes, height: int, width: int, part: Box | None = None) -> NDArray[np.uint8]:
    """The plane (H, W), or a part of it, which is all that is kept in memory. Raises CorruptError or ChecksumError when
    the section is not one of that size, undamaged."""
    plane = _Plane(height, width, part)
    ended = inflate_to(plane.write, section[:-CRC32_BYTES], height * width)
    if not ended or plane.row != height:
        raise CorruptError("the alpha section does not hold as many pixels as the image: the data is damaged")
    if plane.check != int.from_bytes(section[-CRC32_BYTES:], "little"):
        raise ChecksumError("the alpha section decodes to other pixels than were encoded: the data is damaged")
    return plane.part


def preview_alpha(cut_section: bytes, height: int, width: int, part: Box | None = None) -> NDArray[np.uint8]:
    """The plane (H, W), or a part of it, as far as a section cut short holds it; opaque in the rows that are missing.
    Raises CorruptError for bytes that no deflate stream has."""
    plane = _Plane(height, width, part)
    inflate_to(plane.write, cut_section, height * width)
    return plane.part


def alpha_varies(section: bytes, height: int, width: int) -> bool:
    """Whether the plane (H, W), as far as it is there, has several values; False for what is no plane."""
    nothing = slice(0, 0)
    plane = _Plane(height, width, (nothing, nothing))
    try:
        inflate_to(plane.write, section, height * width)
    except CorruptError:
        return False
    return plane.lowest < plane.highest


class _Plane:
    """Takes the bytes of a plane (H, W) as they are inflated. part: what is kept of it, opaque where nothing came yet;
    row: how many have come; check: CRC-32 of these; lowest, highest: of their values."""

    def __init__(self, height: int, width: int, part: Box | None) -> None:
        rows, self._columns = part or (slice(0, height), slice(0, width))
        self._first, self._above = rows.start, np.zeros(width, np.uint8)
        self._rest = b""  # of a row
        self.part = np.full((rows.stop - rows.start, self._columns.stop - self._columns.start), OPAQUE, np.uint8)
        self.row = self.check = self.highest = 0
        self.lowest = OPAQUE

    def write(self, data: bytes) -> None:
        data, width = self._rest + data, len(self._above)
        count = len(data) // width
        self._rest = data[count * width :]
        if not count:
            return
        rows = np.cumsum(np.frombuffer(data, np.uint8, count * width).reshape(count, width), axis=0, dtype=np.uint8)
        rows += self._above
        self._above, self.check = rows[-1], zlib.crc32(rows.tobytes(), self.check)
        self.lowest, self.highest = min(self.lowest, int(rows.min())), max(self.highest, int(rows.max()))
        begin, end = (min(max(row - self._first, 0), len(self.part)) for row in (self.row, self.row + count))
        skipped = begin + self._first - self.row
        self.part[begin:end] = rows[skipped : skipped + end - begin, self._columns]
        self.row += count
