"""Files taken apart and put together again with checksums that match, so that attacks reach what lies behind those."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ddpmcodec.errors import DdpmError
from ddpmcodec.format import ddpma
from ddpmcodec.format.block_frame import MARK
from ddpmcodec.format.ddpm import split
from ddpmcodec.format.head import pack_head
from ddpmcodec.format.header import (
    JPEG,
    JPEG_XL,
    MAGIC,
    METADATA,
    MODEL_ID_BYTES,
    MODES,
    SQUARE,
    STORED,
    STORED_KINDS,
    TILED,
)
from ddpmcodec.format.header_bytes import CHECKED, CRC16_BYTES, crc16
from ddpmcodec.format.model_file import seal
from ddpmcodec.format.sections import CRC32_BYTES, RAW_DEFLATE
from ddpmcodec.format.varint import MAX_VARINT, Reader, pack_varint

KIND_SHIFT = 4  # of the kind of a stored file in that byte


def deflate(data: bytes) -> bytes:
    return zlib.compress(data, level=1, wbits=RAW_DEFLATE)


def inflate(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=RAW_DEFLATE)


def crc32(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CRC32_BYTES, "little")


def with_crc16(data: bytes) -> bytes:
    return data + crc16(data).to_bytes(CRC16_BYTES, "little")


def is_jpeg(flags: int) -> bool:
    """Whether the byte of flags and kind says that a JPEG file is stored."""
    kind = flags >> KIND_SHIFT & 3
    return bool(flags & STORED) and kind < len(STORED_KINDS) and STORED_KINDS[kind] in (JPEG, JPEG_XL)


def varint(value: int) -> bytes:
    """Of any number: what does not fit is cut off."""
    return pack_varint(abs(value) & MAX_VARINT)


# --- one image


@dataclass
class FileParts:
    """A .ddpm file whose fields may say anything.

    kind: the byte of version, CHECKED and kind of pixels; flags: that with effort and levels. numbers: width, height,
    then tile width, tile height and segments, or the length of the payload, or of a plain file nothing. rows: of the
    alpha plane, differences; metadata: entries; neither is compressed.
    """

    kind: int
    flags: int
    numbers: list[int]
    identity: bytes  # the model's number, and id, or mean colour
    chunks: list[bytes]
    lengths: list[int] | None = None  # in the index; None: not tiled
    rows: bytes | None = None
    metadata: bytes | None = None  # entries
    orientation: int = 1
    junk: bytes = b""

    @property
    def mode(self) -> int:
        return self.kind % CHECKED % len(MODES)

    def pack(self) -> bytes:
        alpha = b"" if self.rows is None else self._alpha(self.rows)
        metadata = b"" if self.metadata is None else crc32(deflate(self.metadata)) + deflate(self.metadata)
        head = self._start()
        if self.rows is not None:
            head += varint(len(alpha))
        if self.metadata is not None:
            head += varint(len(metadata))
        if self.metadata is not None or is_jpeg(self.flags):
            head += bytes([self.orientation & 255])
        index = self._index()
        tail = [*self.numbers[2:], len(index)] if self.lengths is not None else self.numbers[2:]
        head += b"".join(map(varint, tail))
        head = with_crc16(head) if self.kind & CHECKED else head
        return b"".join([head, with_crc16(index) if index else b"", alpha, *self.chunks, metadata, self.junk])

    def _start(self) -> bytes:
        """Up to the sides, or the mean colour behind them."""
        sides = self.numbers[:1] if self.flags & SQUARE else self.numbers[:2]
        fields = [self.identity, b"".join(map(varint, sides))]
        return b"".join(
            [MAGIC, bytes([self.kind & 255, self.flags & 255]), *fields[:: -1 if self.flags & STORED else 1]]
        )

    def _index(self) -> bytes:
        checks = [crc16(chunk).to_bytes(CRC16_BYTES, "little") for chunk in self.chunks]
        return b"".join(varint(n) + check for n, check in zip(self.lengths or [], checks, strict=False))

    def _alpha(self, rows: bytes) -> bytes:
        width = max(self.numbers[0], 1)
        whole = np.frombuffer(rows[: len(rows) // width * width], np.uint8).reshape(-1, width)
        return deflate(rows) + crc32(np.cumsum(whole, 0, dtype=np.uint8).tobytes())


def file_parts(data: bytes) -> FileParts:
    """Of a valid file."""
    sections = split(data)
    header, index = sections.header, sections.header.index
    tail = [index.tile_width, index.tile_height, index.segments] if index else [header.payload_length]
    identity = header.mean_colour if header.stored else bytes([header.model_number]) + header.model_id
    return FileParts(
        data[2], data[3], [header.width, header.height, *([] if header.is_plain else tail)], identity,
        list(sections.chunks), list(index.lengths) if index else None,
        inflate(sections.alpha[:-CRC32_BYTES]) if header.has_alpha_section else None,
        inflate(sections.metadata[CRC32_BYTES:]) if header.metadata_length else None, header.orientation,
    )  # fmt: skip


def repaired_file(data: bytes) -> bytes:
    """Damaged bytes with the checksums of header and index made right, where these can be made out."""
    try:
        return _repaired_index(*_repaired_header(data))
    except (DdpmError, ValueError):
        return data


def _repaired_header(data: bytes) -> tuple[bytes, Reader, int]:
    """And a reader behind the header, and the length of the index."""
    reader = Reader(data)
    kind, flags = reader.take(4)[2:]
    stored, mode = bool(flags & STORED), kind % CHECKED % len(MODES)
    if not stored and not reader.take(1)[0]:
        reader.take(MODEL_ID_BYTES)
    for _ in range(1 if flags & SQUARE else 2):
        reader.varint()
    reader.take((3 if mode in (1, 3) else 1) * stored)
    if mode in (2, 3) and not stored:
        reader.varint()
    if flags & METADATA:
        reader.varint()
    if flags & METADATA or is_jpeg(flags):
        reader.take(1)
    if not kind & CHECKED:
        return data, reader, 0
    last = [reader.varint() for _ in range(4 if flags & TILED else 1)][-1]
    covered = data[: reader.position]
    reader.take(CRC16_BYTES)
    return with_crc16(covered) + data[reader.position :], reader, last if flags & TILED else 0


def _repaired_index(data: bytes, reader: Reader, length: int) -> bytes:
    if not length:
        return data
    start, entries = reader.position, reader.take(length)
    reader.take(CRC16_BYTES)
    return data[:start] + with_crc16(entries) + data[reader.position :]


# --- archives


@dataclass
class ArchiveParts:
    """An archive whose heads may say anything. head: inflated; copies: what the index has of it, where that differs."""

    heads: list[bytes]
    bodies: list[bytes]
    copies: dict[int, bytes] = field(default_factory=dict)
    count: int | None = None  # of blocks, as the index claims
    junk: bytes = b""

    def pack(self) -> bytes:
        packed = [deflate(head) for head in self.heads]
        index = varint(len(self.heads) if self.count is None else self.count)
        for number, (head, small) in enumerate(zip(self.heads, packed, strict=True)):
            copy = self.copies.get(number, head)
            index += pack_varint(len(small)) + pack_varint(len(copy)) + copy
        start = checked(ddpma.MAGIC + bytes([ddpma.VERSION]), deflate(index))
        blocks = [checked(MARK, head) + body for head, body in zip(packed, self.bodies, strict=True)]
        return b"".join([start, *blocks, self.junk])


def checked(start: bytes, content: bytes) -> bytes:
    start += pack_varint(len(content))
    return start + zlib.crc32(content, zlib.crc32(start)).to_bytes(CRC32_BYTES, "little") + content


def archive_parts(data: bytes) -> ArchiveParts:
    """Of a valid archive."""
    whole = ddpma.split(data)
    bodies = [b"".join([*parts.values, *parts.sections, *parts.streams]) for parts in whole.parts]
    heads = [pack_head(block) for block in whole.index.blocks]
    return ArchiveParts(heads, bodies)


def repaired_archive(data: bytes) -> bytes:
    """Damaged bytes with the checksums of the index, and of the heads that marks stand before, made right."""
    fixed, place = bytearray(data), 0
    for start, mark in ((0, ddpma.MAGIC + bytes([ddpma.VERSION])), *_marks(data)):
        try:
            reader = Reader(data[start:])
            reader.take(len(mark))
            length = reader.varint()
            covered, place = data[start : start + reader.position], start + reader.position
            content = data[place + CRC32_BYTES : place + CRC32_BYTES + length]
            fixed[place : place + CRC32_BYTES] = crc32(covered + content)
        except DdpmError:
            continue
    return bytes(fixed[: len(data)])


def _marks(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = data.find(MARK)
    while place >= 0:
        yield place, MARK
        place = data.find(MARK, place + 1)


# --- models


def model_header(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file as JSON, and what follows."""
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def pack_model(header: dict[str, Any], tensors: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


def sealed(data: bytes) -> bytes:
    """With a seal that holds, where the bytes can be sealed; otherwise as they are."""
    try:
        return seal(data)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return data
