"""Files taken apart and put together again with checksums that match, so that attacks reach what lies behind those."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from file_sections import split
from written_files import crc16

from ddpmcodec._native import (
    ALPHA_TAG,
    ARCHIVE_MAGIC,
    ARCHIVE_VERSION,
    BLOCK_MARK,
    CODED_ALPHA,
    CRC16_BYTES,
    CRC32_BYTES,
    EXTENDED_FLAG,
    FRAME_TAG,
    KINDS,
    LEAST_STATE_BYTES,
    MAGIC,
    METADATA_TAG,
    MODEL_ID_BYTES,
    RECIPE_TAG,
    SECTIONS_FLAG,
    SQUARE_FLAG,
    STATE_SIZES,
    TILED_FLAG,
    WORD_BYTES,
)
from ddpmcodec.errors import DdpmError
from ddpmcodec.format import ddpma
from ddpmcodec.format.block import pack_block
from ddpmcodec.format.header import COEFFICIENTS
from ddpmcodec.format.model_file import seal
from ddpmcodec.format.sections import RAW_DEFLATE
from ddpmcodec.format.streams import pack_stream_size
from ddpmcodec.format.varint import MAX_VARINT, Reader, pack_varint

AFTER = 64  # of a tag: the section follows the payload
MODE_BITS, KIND_BITS = 7, 15


def deflate(data: bytes) -> bytes:
    return zlib.compress(data, level=1, wbits=RAW_DEFLATE)


def inflate(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=RAW_DEFLATE)


def crc32(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CRC32_BYTES, "little")


def with_crc16(data: bytes) -> bytes:
    return data + crc16(data).to_bytes(CRC16_BYTES, "little")


def varint(value: int) -> bytes:
    """Of any number: what does not fit is cut off."""
    return pack_varint(abs(value) & MAX_VARINT)


# --- one image


@dataclass
class FileParts:
    """A .ddpm file whose fields may say anything.

    version: the byte of version, flags and colour mode; coding: that of effort and levels; extension: that of the kind,
    which EXTENDED_FLAG adds. numbers: width, height, then tile width and tile height, or the size of the payload.
    rows: of a deflated alpha plane, differences; metadata: entries; neither is compressed. coded_alpha: the section of
    a coded plane. others: tags and bytes of more sections.
    """

    version: int
    coding: int
    extension: int
    numbers: list[int]
    identity: bytes  # the model's number, and id
    chunks: list[bytes]
    lengths: list[int] | None = None  # in the index; None: not tiled
    rows: bytes | None = None
    coded_alpha: bytes | None = None
    metadata: bytes | None = None  # entries
    others: list[tuple[int, bytes]] = field(default_factory=list)
    orientation: int = 1
    junk: bytes = b""

    @property
    def mode(self) -> int:
        return self.version & MODE_BITS

    @property
    def kind(self) -> str:
        """Of the payload: one of KINDS, also for a number that there is not."""
        kind = self.extension & KIND_BITS if self.coding & EXTENDED_FLAG else 0
        return KINDS[kind] if kind < len(KINDS) else ""

    def set_kind(self, kind: str) -> None:
        self.extension = self.extension & ~KIND_BITS | KINDS.index(kind)

    def fit(self, place: int, payload: bytes) -> None:
        """Put a payload or a chunk in its place, with the length that the file states for it; of a stream as much as
        has a state of the size that was stated, and words."""
        if self.lengths is not None:
            self.lengths[place] = len(payload)
        elif self.coding & EXTENDED_FLAG:
            self.numbers[-1] = len(payload)
        else:
            state_bytes = LEAST_STATE_BYTES + self.numbers[-1] % STATE_SIZES
            words = max(len(payload) - state_bytes, 0) // WORD_BYTES
            payload = payload[: state_bytes + WORD_BYTES * words]
            self.numbers[-1] = pack_stream_size(state_bytes, words)
        self.chunks[place] = payload

    def pack(self) -> bytes:
        sections = self._sections()
        header = self._start()
        if self.version & SECTIONS_FLAG:
            listed = (bytes([tag]) + varint(len(section)) for tag, section in sections)
            header += bytes([self.orientation & 255]) + b"".join(listed) + b"\0"
        index = self._index()
        header += b"".join(map(varint, [*self.numbers[2:], *([] if self.lengths is None else [len(index)])]))
        is_plain = not (self.version & (TILED_FLAG | SECTIONS_FLAG) or self.coding & EXTENDED_FLAG)
        header = header if is_plain else with_crc16(header)
        before = [section for tag, section in sections if not tag & AFTER]
        after = [section for tag, section in sections if tag & AFTER]
        return b"".join([header, with_crc16(index) if index else b"", *before, *self.chunks, *after, self.junk])

    def _sections(self) -> list[tuple[int, bytes]]:
        section = self.coded_alpha if self.rows is None else self._alpha(self.rows)
        alpha = [] if section is None else [(ALPHA_TAG, section)]
        deflated = None if self.metadata is None else deflate(self.metadata)
        metadata = [] if deflated is None else [(METADATA_TAG, crc32(deflated) + deflated)]
        return [*alpha, *metadata, *self.others]

    def _start(self) -> bytes:
        """Up to the sides."""
        sides = b"".join(map(varint, self.numbers[:1] if self.version & SQUARE_FLAG else self.numbers[:2]))
        extension = bytes([self.extension & 255]) if self.coding & EXTENDED_FLAG else b""
        return b"".join([MAGIC, bytes([self.version & 255, self.coding & 255]), extension, self.identity, sides])

    def _index(self) -> bytes:
        checks = [crc16(chunk).to_bytes(CRC16_BYTES, "little") for chunk in self.chunks]
        return b"".join(varint(n) + check for n, check in zip(self.lengths or [], checks, strict=False))

    def _alpha(self, rows: bytes) -> bytes:
        width = max(self.numbers[0], 1)
        whole = np.frombuffer(rows[: len(rows) // width * width], np.uint8).reshape(-1, width)
        return deflate(rows) + crc32(np.cumsum(whole, 0, dtype=np.uint8).tobytes())


def file_parts(data: bytes) -> FileParts:
    """Of a valid file without sections of unknown types."""
    sections = split(data)
    header = sections.header
    words = (header.payload_length - header.state_bytes) // WORD_BYTES
    tail = [] if header.is_tiled else [pack_stream_size(header.state_bytes, words)]
    if data[2] & TILED_FLAG:
        tail = [*header.tile_size]
    jpeg = [(tag, data[slice(*header.section(tag))]) for tag in (FRAME_TAG, RECIPE_TAG)]
    is_coded = bool(sections.alpha) and sections.alpha[0] & CODED_ALPHA == CODED_ALPHA
    identity = bytes([header.model_number]) + header.model_id
    return FileParts(
        data[2], data[3], data[4] if data[3] & EXTENDED_FLAG else 0x70, [header.width, header.height, *tail], identity,
        list(sections.chunks), list(header.chunk_lengths) if header.is_tiled else None,
        rows=inflate(sections.alpha[:-CRC32_BYTES]) if header.alpha_length and not is_coded else None,
        coded_alpha=sections.alpha if is_coded else None,
        metadata=inflate(sections.metadata[CRC32_BYTES:]) if header.metadata_length else None,
        orientation=header.orientation, others=jpeg if header.kind == COEFFICIENTS else [],
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
    version, coding = reader.take(4)[2:]
    kind = reader.take(1)[0] & KIND_BITS if coding & EXTENDED_FLAG else 0
    if coding & EXTENDED_FLAG and not kind:
        reader.take(1)
    if not reader.take(1)[0]:
        reader.take(MODEL_ID_BYTES)
    for _ in range(1 if version & SQUARE_FLAG else 2):
        reader.varint()
    if version & SECTIONS_FLAG:
        reader.take(1)
        while reader.take(1)[0]:
            reader.varint()
    last = [reader.varint() for _ in range(3 if version & TILED_FLAG else 1)][-1]
    if not (kind or version & (SECTIONS_FLAG | TILED_FLAG)):
        return data, reader, 0
    covered = data[: reader.position]
    reader.take(CRC16_BYTES)
    return with_crc16(covered) + data[reader.position :], reader, last if kind or version & TILED_FLAG else 0


def _repaired_index(data: bytes, reader: Reader, length: int) -> bytes:
    if not length:
        return data
    start, entries = reader.position, reader.take(length)
    reader.take(CRC16_BYTES)
    return data[:start] + with_crc16(entries) + data[reader.position :]


# --- archives


@dataclass
class ArchiveParts:
    """An archive whose headers may say anything. header: inflated; copies: those of the index, if they differ."""

    headers: list[bytes]
    bodies: list[bytes]
    copies: dict[int, bytes] = field(default_factory=dict)
    count: int | None = None  # of blocks, as the index claims
    junk: bytes = b""

    def pack(self) -> bytes:
        packed = [deflate(header) for header in self.headers]
        index = varint(len(self.headers) if self.count is None else self.count)
        for number, (header, small) in enumerate(zip(self.headers, packed, strict=True)):
            copy = self.copies.get(number, header)
            index += pack_varint(len(small)) + pack_varint(len(copy)) + copy
        start = checked(ARCHIVE_MAGIC + bytes([ARCHIVE_VERSION]), deflate(index))
        blocks = [checked(BLOCK_MARK, header) + body for header, body in zip(packed, self.bodies, strict=True)]
        return b"".join([start, *blocks, self.junk])


def checked(start: bytes, content: bytes) -> bytes:
    start += pack_varint(len(content))
    return start + zlib.crc32(content, zlib.crc32(start)).to_bytes(CRC32_BYTES, "little") + content


def archive_parts(data: bytes) -> ArchiveParts:
    """Of a valid archive."""
    whole = ddpma.split(data)
    bodies = [parts.body() for parts in whole.parts]
    headers = [pack_block(block) for block in whole.index.blocks]
    return ArchiveParts(headers, bodies)


def repaired_archive(data: bytes) -> bytes:
    """Damaged bytes with the checksums of the index, and of the headers that marks stand before, made right."""
    fixed, place = bytearray(data), 0
    for start, mark in ((0, ARCHIVE_MAGIC + bytes([ARCHIVE_VERSION])), *_marks(data)):
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
    place = data.find(BLOCK_MARK)
    while place >= 0:
        yield place, BLOCK_MARK
        place = data.find(BLOCK_MARK, place + 1)


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
