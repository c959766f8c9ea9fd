r"""The .ddpm container, version 1: a small header, then sections cut by the lengths it declares.

    header   2      magic DD 0A: a text-mode transfer changes its line end, a 7-bit one its first byte
             1      version << 6 | colour mode (index into MODES) | flags: 8 SQUARE, 16 TILED, 32 SECTIONS
             1      effort << 4 (1 to 3; 0 of a stored file) | number of noise levels (0, 2, 5) | flag: 8 EXTENDED
             1      bits a sample less 1 << 4 (7) | kind of the payload: 1 WebP, 2 JPEG, 3 JPEG by JPEG XL, where
                    EXTENDED; without it the payload is of kind 0, streams
             1      number of an embedded model; 0: the first 4 bytes of the sha256 of another one follow; in kind 0
             varint width, and, unless SQUARE, height (pixels)
             1, 3   mean colour, one byte per colour channel: the preview of a file cut early, in kinds 1 to 3
             1      orientation, where SECTIONS
             list   per section a tag (1 byte: type, 64 where it follows the payload, 128 where a reader must know it)
                    and its length (varint); then a byte 0; where SECTIONS
             varint tile width, tile height, length of the index, where TILED
             varint size of the payload, unless TILED: of a stream 5 * words + bytes of its state less 4, of a stored
                    file bytes
             2      CRC-16/CCITT of all of the above, little endian, unless plain
    index    where TILED: per chunk its length (varint) and CRC-16 (2 bytes); then the CRC-16 of these entries
    sections that precede the payload: alpha (alpha.py); a stored file carries its own
    payload  one rANS stream, or a file of another format, or the chunks of the index (streams.py)
    sections that follow the payload: metadata (sections.py)

The header states the length of every file. A plain file, which is neither tiled nor stored and has no sections, has no
CRC: the check of its stream covers the header. So a thumbnail takes at most 12 bytes and one bit beyond its ideal code
length.

A file that was made lossy on purpose is a prefix of one, and an end mark: what is there is all, and as it was written.
The mark is 2 bytes DD 45, then the CRC-32 of all bytes in front of it, little endian.

A chunk is one segment of one tile: the words of the tile's lanes that belong to one segment of the schedule. Chunks lie
segment-major: the first segments of all tiles, then all second ones, ...: a prefix of the file is uniformly coarse.

Varints are LEB128, canonical, at most 5 bytes. CRCs start at 0xFFFF and are 16 bits wide by construction, not a CRC-32
cut short: in the bytes they cover they find every single flipped bit and every burst of up to 16 bits. The header has
its CRC in front of the index and states the length of the index, so that damage to either is not mistaken for a file
that ends inside its index. Streams have checks of their own (24 bits); chunks have one each in the index, so that
damage costs the rest of one tile only.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ddpmcodec.content import Content, Part
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError, bytes_follow
from ddpmcodec.format.header import NAMES, UPRIGHT, Header
from ddpmcodec.format.header_bytes import crc16, pack_header, parse_header
from ddpmcodec.format.streams import Chunk

HEAD_BYTES = 1 << 12  # are read first of a view


@dataclass(frozen=True, kw_only=True)
class Sections:
    """A file cut into its parts. In a prefix the last part it reaches is short, and later ones are empty."""

    header: Header
    start: int  # bytes of header and index in front of the body
    alpha: bytes = b""
    skipped: int = 0  # bytes of sections of unknown types
    chunks: tuple[bytes, ...]  # the payload, or one chunk per (segment, tile), segment-major
    metadata: bytes = b""
    missing: int  # bytes that the header declares and the data does not have
    is_lossy: bool = False  # an end mark says that the data end here on purpose
    following: int = 0  # bytes behind the end, which are in no section
    corner: tuple[int, int] = (0, 0)  # of a part of an image: the column and row that it begins at

    @property
    def size(self) -> int:
        """Bytes of the data."""
        return self.start + len(self.alpha) + sum(map(len, self.chunks)) + len(self.metadata) + self.skipped

    @property
    def payload(self) -> bytes:
        """A single stream or WebP file, as far as it is there."""
        (payload,) = self.chunks if self.header.index is None else ()
        return bytes(payload)

    def tile_chunks(self, tile: int) -> tuple[Chunk, ...]:
        """The tile's whole, undamaged chunks in front of the first other one; if that is cut, its beginning, too."""
        numbers, whole = self._chunk_numbers(tile), self.segments_of_tile(tile)
        begun = [n for n in numbers[whole : whole + 1] if self._is_short(n) and self.chunks[n]]
        return tuple(Chunk(self.chunks[n], self.header.chunk_lengths[n]) for n in [*numbers[:whole], *begun])

    def segments_of_tile(self, tile: int) -> int:
        """How many segments of a tile are whole and undamaged, up to the first that is not. Without an index it is 1
        where the payload is as long as the header says, otherwise 0."""
        numbers, broken = self._chunk_numbers(tile), self._broken(tile)
        return len(numbers) if broken is None else numbers.index(broken)

    def tile_is_cut(self, tile: int) -> bool:
        """Whether the data ends before the tile does. False where damage ends it first."""
        broken = self._broken(tile)
        return broken is not None and self._is_short(broken)

    def tile_is_damaged(self, tile: int) -> bool:
        """Whether a chunk is all there and fails its CRC. A payload without an index has none: its stream checks it."""
        broken = self._broken(tile)
        return broken is not None and not self._is_short(broken)

    def part(self, columns: range, rows: range, segments: int | None = None) -> Sections:
        """The tiles in these columns and rows of a tiled file's grid, as a file that has neither alpha nor metadata.
        segments: take only so many of each tile. No other chunk is read."""
        header, index = self.header, self.header.index
        if index is None:
            raise ValueError("a file without an index has no parts")
        across = -(-header.width // index.tile_width)
        tiles = [row * across + column for row in rows for column in columns]
        numbers = [first + tile for first in range(0, len(self.chunks), header.tile_count) for tile in tiles]
        wanted = len(tiles) * (header.segments if segments is None else segments)
        chunks = tuple(bytes(self.chunks[number]) if n < wanted else b"" for n, number in enumerate(numbers))
        lengths, checks = (tuple(column[number] for number in numbers) for column in (index.lengths, index.checks))
        left, top = columns.start * index.tile_width, rows.start * index.tile_height
        header = replace(
            header, mode="RGB" if header.channels == 3 else "L", alpha_length=0, metadata_length=0, others=(),
            orientation=UPRIGHT,
            width=min(header.width, columns.stop * index.tile_width) - left,
            height=min(header.height, rows.stop * index.tile_height) - top,
            index=replace(index, lengths=lengths, checks=checks),
        )  # fmt: skip
        missing = sum(lengths) - sum(map(len, chunks))
        return replace(
            self, header=header, alpha=b"", skipped=0, chunks=chunks, metadata=b"", missing=missing, corner=(left, top)
        )

    def require_length(self) -> None:
        """Raises TruncatedError where bytes are missing."""
        if self.missing:
            raise TruncatedError(
                f"the file ends after {self.size} of {self.size + self.missing} bytes, inside {self._last_part()}:"
                " get the rest, or decode a preview with partial=True"
            )

    def require_whole(self) -> None:
        """Raises TruncatedError where bytes are missing, ChecksumError where a chunk is damaged. Without an index only
        missing bytes are found: alpha, metadata and single streams carry checks of their own."""
        self.require_length()
        self.require_undamaged()

    def require_undamaged(self) -> None:
        """Raises ChecksumError where a chunk that is all there is damaged."""
        broken = (self._broken(tile) for tile in range(self.header.tile_count) if self.tile_is_damaged(tile))
        damaged = [chunk for chunk in broken if chunk is not None]
        if damaged:
            raise ChecksumError(
                f"{len(damaged)} of {self.header.tile_count} tiles are damaged, the first in"
                f" {self._chunk_name(damaged[0])}: its checksum does not match;"
                " get the file again, or decode a preview with partial=True"
            )

    def _broken(self, tile: int) -> int | None:
        """The number of a tile's first chunk that is short or damaged."""
        if tile not in self._known:
            self._known[tile] = next(filter(self._is_broken, self._chunk_numbers(tile)), None)
        return self._known[tile]

    @cached_property
    def _known(self) -> dict[int, int | None]:
        """What `_broken` has found, by tile."""
        return {}

    def _chunk_numbers(self, tile: int) -> range:
        """The numbers of the tile's chunks among all chunks."""
        tiles = self.header.tile_count
        if not 0 <= tile < tiles:
            raise IndexError(f"tile {tile} of {tiles}")
        return range(tile, len(self.chunks), tiles)

    def _is_broken(self, number: int) -> bool:
        if self._is_short(number):
            return True
        index = self.header.index
        return index is not None and crc16(self.chunks[number]) != index.checks[number]

    def _is_short(self, number: int) -> bool:
        return len(self.chunks[number]) < self.header.chunk_lengths[number]

    def _last_part(self) -> str:
        """The name of the part that the data ends in."""
        if len(self.alpha) < self.header.alpha_length:
            return "the alpha section"
        short = next(filter(self._is_short, range(len(self.chunks))), None)
        if short is None and len(self.metadata) == self.header.metadata_length:
            return "a section of an unknown type"
        return "the metadata section" if short is None else self._chunk_name(short)

    def _chunk_name(self, number: int) -> str:
        if self.header.index is None:
            stored = self.header.stored
            return f"the {NAMES[stored]} payload" if stored else "the pixel stream"
        segment, tile = divmod(number, self.header.tile_count)
        (rows, columns), (left, top) = self.header.box(tile), self.corner
        return (
            f"segment {segment + 1} of {self.header.segments} of the tile at"
            f" columns {left + columns.start} to {left + columns.stop - 1},"
            f" rows {top + rows.start} to {top + rows.stop - 1}"
        )


def assemble(header: Header, alpha: bytes, payload: bytes | Sequence[bytes], metadata: bytes) -> bytes:
    """The whole file. `payload`: a single stream or WebP file, or for a header with an index all chunks, segment-major.

    Lengths and checks of `header` are filled in here; the size of a single stream's state, and the orientation where
    there is metadata, are the caller's. Raises FormatError where the format cannot express it.
    """
    chunks = (payload,) if isinstance(payload, bytes) else tuple(payload)
    if (header.index is None) != isinstance(payload, bytes):
        raise ValueError("a file without an index takes its payload as bytes, one with an index a list of chunks")
    lengths, checks = tuple(map(len, chunks)), tuple(map(crc16, chunks))
    header = replace(
        header,
        alpha_length=len(alpha),
        metadata_length=len(metadata),
        index=replace(header.index, lengths=lengths, checks=checks) if header.index else None,
    )
    header = replace(header, others=(), payload_length=0 if header.index else lengths[0])
    return b"".join([pack_header(header), alpha, *chunks, metadata])


def split(data: Content | Part, *, partial: bool = False) -> Sections:
    """Cut a file, or a prefix of one that holds the whole header, at the lengths its header declares. The parts of a
    view of a tiled file are views, too, which are read when they are used.

    Raises what parse_header raises, and FormatError when bytes follow the end; partial: they are counted, not refused.
    Missing bytes are counted, too, and chunks are not checked: `Sections.require_whole` does both. An end mark is no
    part of any section, and is looked for only where bytes are missing.
    """
    header, start = read_header(data)
    lengths = [header.alpha_length, header.lengths_before - header.alpha_length, *header.chunk_lengths]
    lengths += [header.metadata_length, header.lengths_after - header.metadata_length]
    end = start + sum(lengths)
    if header.index is None or len(data) < end:
        data = bytes(data)
    front = without_end_mark(data) if isinstance(data, bytes) and len(data) < end else None
    is_lossy = front is not None and len(front) >= start
    if front is not None and is_lossy:
        data = front
    if len(data) > end and not partial:
        raise FormatError(f"{bytes_follow(len(data) - end, 'image', end)}, or decode with partial=True")
    parts, position = list[Any](), start
    for length in lengths:
        parts.append(data[position : position + length])
        position += length
    alpha, before, *chunks, metadata, after = parts
    return Sections(
        header=header, start=start, alpha=alpha, skipped=len(before) + len(after), chunks=tuple(chunks),
        metadata=metadata, missing=max(0, end - len(data)), is_lossy=is_lossy, following=max(0, len(data) - end),
    )  # fmt: skip


def read_header(data: Content | Part) -> tuple[Header, int]:
    """`parse_header`, which of a view reads little more than the header and its index."""
    size = len(data) if isinstance(data, bytes) else HEAD_BYTES
    while True:
        try:
            return parse_header(bytes(data[:size]))
        except TruncatedError:
            if size >= len(data):
                raise
            size *= 4


# --- end marks

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
