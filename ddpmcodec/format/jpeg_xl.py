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
    """Width and height of the pixels that a container holds, as they are stored. Raises FormatError."""
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
    """Reads numbers of so many bits, low bits first."""

    def __init__(self, value: int) -> None:
        self.value = value

    def take(self, count: int) -> int:
        number = self.value & (1 << count) - 1
        self.value >>= count
        return number


def _side(bits: _Bits, small: int) -> int:
    return 8 * (bits.take(5) + 1) if small else bits.take(SIDE_BITS[bits.take(2)]) + 1


def _codestream(data: bytes) -> bytes:
    """The first bytes of the codestream in a container. Raises FormatError."""
    if not data.startswith(SIGNATURE):
        raise FormatError("no JPEG XL container")
    position = 0
    while position + 8 <= len(data):
        length, start = int.from_bytes(data[position : position + 4], "big"), position + 8
        box_type = data[position + 4 : start]
        if length == 1:  # it stands behind the type
            length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if box_type in (CODESTREAM, PARTIAL):
            start += 4 * (box_type == PARTIAL)
            return data[start : start + HEAD_BYTES]
        if length < start - position:  # the last box, or nonsense
            break
        position += length
    raise FormatError("a JPEG XL container without an image")
