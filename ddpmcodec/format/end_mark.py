"""The end mark of a file that was made lossy on purpose: what is there is all, and as it was written.

It stands behind a prefix of a file: 2 bytes DD 45, then the CRC-32 of all bytes in front of the mark, little endian.
"""

from __future__ import annotations

import zlib

MARK = b"\xddE"
MARK_BYTES = len(MARK) + 4


def end_mark(data: bytes) -> bytes:
    """The mark that follows these data."""
    return MARK + zlib.crc32(data).to_bytes(4, "little")


def is_marked(end: bytes) -> bool:
    """Whether the end of data looks like a mark: of other data, one in 65,536 does."""
    return end[-MARK_BYTES:].startswith(MARK)


def begun_mark(data: bytes) -> int:
    """How many bytes at the end of data are the beginning of a mark that fits what is in front of them; 0 for none."""
    fits = (size for size in reversed(range(1, MARK_BYTES)) if data.endswith(end_mark(data[:-size])[:size]))
    return next(fits, 0)


def without_end_mark(data: bytes) -> bytes | None:
    """The data in front of a mark; None where there is none that fits them."""
    front = data[:-MARK_BYTES]
    return front if is_marked(data) and data.endswith(end_mark(front)) else None
