"""The mark that ends a file which was made lossy on purpose: it is a prefix of one, and as it was written."""

from __future__ import annotations

import zlib

from ddpmcodec._native import CRC32_BYTES, END_MARK, MARK_BYTES


def end_mark(data: bytes) -> bytes:
    """Return the mark that follows these data."""
    return END_MARK + zlib.crc32(data).to_bytes(CRC32_BYTES, "little")


def is_marked(end: bytes) -> bool:
    """Return whether the end of data looks like a mark: of other data, one in 65,536 does."""
    return end[-MARK_BYTES:].startswith(END_MARK)
