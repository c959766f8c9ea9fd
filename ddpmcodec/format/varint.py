"""Variable-length integers (LEB128), and a reader that knows how many bytes it lacks."""

from __future__ import annotations

from ddpmcodec._native import MAX_VARINT_BYTES
from ddpmcodec.content import Content, Part
from ddpmcodec.errors import FormatError, TruncatedError

MAX_VARINT = (1 << 7 * MAX_VARINT_BYTES) - 1


def pack_varint(value: int) -> bytes:
    """LEB128: 7 bits per byte, low ones first; the high bit says that more follow. At most 5 bytes."""
    if not 0 <= value <= MAX_VARINT:
        raise ValueError(f"a varint holds 0 to {MAX_VARINT}, got {value}")
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    """Reads bytes front to back. Reading past the end raises TruncatedError with the number of bytes needed.

    `part` is what the data is called in errors; `least` bytes are needed in any case.
    """

    def __init__(self, data: Content | Part, part: str = "the header", least: int = 0) -> None:
        self.data = data
        self.part = part
        self.least = least
        self.position = 0

    def require(self, count: int) -> None:
        """Raises TruncatedError unless `count` more bytes are there."""
        needed = self.position + count
        if needed > len(self.data):
            raise TruncatedError(
                f"the data ends inside {self.part}, after {len(self.data)} bytes:"
                f" at least {max(needed, self.least)} are needed"
            )

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        self.require(count)
        self.position += count
        return bytes(self.data[self.position - count : self.position])  # of a view, too

    def varint(self) -> int:
        """The next varint. Raises FormatError when it is not canonical: every number has one encoding."""
        value = 0
        for position in range(MAX_VARINT_BYTES):
            byte = self.take(1)[0]
            value |= (byte & 127) << 7 * position
            if byte < 128:
                if position and not byte:
                    break
                return value
        raise FormatError(
            f"a number before byte {self.position} of {self.part} is longer than it needs to be: the data is damaged"
        )
