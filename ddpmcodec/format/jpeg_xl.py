"""What the head of a JPEG XL file says of its size, which is checked before a library decodes it (ISO/IEC 18181)."""

from __future__ import annotations

from ddpmcodec.errors import FormatError

SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"  # of a container
CODESTREAM, PARTIAL = b"jxlc", b"jxlp"  # boxes: whole, and a part behind a number of four bytes
START = b"\xff\x0a"  # of a codestream
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height, by their numbers from 1 on
SIDE_BITS = (9, 13, 18, 30)
HEAD_BYTES = 12  # of a codestream, which hold its size


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of the pixels as they are stored, of a container. Raises FormatError."""
    head = _codestream(data)
    if head[:2] != START or len(head) < HEAD_BYTES:
        raise FormatError("no JPEG XL image")
    bits = _Bits(int.from_bytes(head[2:], "little"))
    small = bits.take(1)
    height = _side(bits, small)
    ratio = bits.take(3)
    if not ratio:
        return _side(bits, small), height
    across, down = RATIOS[ratio - 1]
    return height * across // down, height


class _Bits:
    """Numbers of so many bits, the low ones first."""

    def __init__(self, value: int) -> None:
        self.value = value

    def take(self, count: int) -> int:
        found = self.value & (1 << count) - 1
        self.value >>= count
        return found


def _side(bits: _Bits, small: int) -> int:
    return 8 * (bits.take(5) + 1) if small else bits.take(SIDE_BITS[bits.take(2)]) + 1


def _codestream(data: bytes) -> bytes:
    """Its first bytes. Raises FormatError."""
    if not data.startswith(SIGNATURE):
        raise FormatError("no JPEG XL container")
    place = 0
    while place + 8 <= len(data):
        length, kind, start = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8], place + 8
        if length == 1:  # it stands behind the kind
            length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if kind in (CODESTREAM, PARTIAL):
            start += 4 * (kind == PARTIAL)
            return data[start : start + HEAD_BYTES]
        if length < start - place:  # the last box, or nonsense
            break
        place += length
    raise FormatError("a JPEG XL container without an image")
