"""How a block of an archive begins, and the search for blocks where the index cannot tell where they lie."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from ddpmcodec.content import Content
from ddpmcodec.errors import FormatError
from ddpmcodec.format.archive_limits import Totals
from ddpmcodec.format.block import Block
from ddpmcodec.format.head import parse_head
from ddpmcodec.format.sections import CRC32_BYTES, inflate
from ddpmcodec.format.varint import Reader, pack_varint

MARK = b"\xddB\r\n"
MAX_HEAD = 1 << 22  # bytes, before compression
SEARCHED = 8  # times the data: what a search for blocks reads, at most


def checked(start: bytes, content: bytes) -> bytes:
    """Start, length of the content, CRC-32 of all three, content."""
    start += pack_varint(len(content))
    return start + zlib.crc32(content, zlib.crc32(start)).to_bytes(CRC32_BYTES, "little") + content


def read_checked(reader: Reader, start: int) -> bytes | None:
    """What `checked` wrote at `start`, read from behind its first bytes; None where its check does not match."""
    length = reader.varint()
    covered = reader.read_since(start)
    check, content = int.from_bytes(reader.take(CRC32_BYTES), "little"), reader.take(length)
    return content if zlib.crc32(content, zlib.crc32(covered)) == check else None


def _deflated_head(data: Content, start: int) -> tuple[bytes, int] | None:
    """The head of the block that begins there, deflated, and its end; None where there is none, or it is damaged."""
    reader = Reader(data, "a block")
    reader.position = start
    try:
        content = read_checked(reader, start) if reader.take(len(MARK)) == MARK else None
    except FormatError:
        return None
    return None if content is None else (content, reader.position)


def _claimed(data: Content, start: int) -> int:
    """How many bytes the head claims that would begin there; at most those that are there."""
    reader = Reader(data, "a block")
    reader.position = start + len(MARK)
    try:
        return min(reader.varint(), len(data) - start)
    except FormatError:
        return 0


def has_head(data: Content, start: int, head: bytes) -> bool:
    """Whether a block with this head, as it is before deflate, begins there."""
    packed_head = _deflated_head(data, start)
    try:
        return packed_head is not None and inflate(packed_head[0], MAX_HEAD) == (head, True)
    except FormatError:
        return False


class FoundBlock(NamedTuple):
    """A block whose head is undamaged, and where its body begins."""

    block: Block
    body: int


def _block_at(data: Content, start: int, totals: Totals) -> FoundBlock | None:
    """The block that begins there, counted in the totals; None if there is none, or it is damaged. Raises FormatError
    if it is one too many."""
    if (packed_head := _deflated_head(data, start)) is None:
        return None
    try:
        head, ended = inflate(packed_head[0], MAX_HEAD)
        block = parse_head(head) if ended else None
    except FormatError:
        block = None
    if block is None:  # under a checksum that holds: it was forged, and may have taken as much as the largest head
        totals.add_bytes(MAX_HEAD)
        return None
    totals.add_bytes(len(head))
    totals.add(block)
    return FoundBlock(block, packed_head[1])


def find_blocks(data: Content) -> list[FoundBlock]:
    """All blocks whose heads are undamaged, wherever they lie; of those with the same images the first.

    What a mark claims to be a head is read to its end. Of data that is all marks no more is read than `SEARCHED`.

    Raises:
        FormatError: if all heads together, also those that are not kept, have more than an index may have.
    """
    found, numbers, totals, start = list[FoundBlock](), set[int](), Totals(), data.find(MARK)
    left = SEARCHED * len(data)
    while start >= 0 and left >= 0:
        left -= _claimed(data, start)
        here = _block_at(data, start, totals)
        new_numbers = {entry.number for entry in here.block.entries} if here else set[int]()
        if here is not None and numbers.isdisjoint(new_numbers):
            numbers |= new_numbers
            found.append(here)
        start = data.find(MARK, here.body if here else start + 1)
    return found
