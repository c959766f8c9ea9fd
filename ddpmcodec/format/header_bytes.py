"""Header and index of the .ddpm container as bytes. ddpm.py has the layout."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.header import (
    ARCHIVE_MAGIC,
    LEAST_STATE_BYTES,
    LEVELS,
    MAGIC,
    METADATA,
    MODEL_ID_BYTES,
    MODES,
    MOST_STATE_BYTES,
    SQUARE,
    STORED,
    STORED_KINDS,
    TILED,
    VERSION,
    Header,
    Index,
    check_coding,
    check_header,
    check_may_have_metadata,
    check_may_have_tiles,
    check_metadata,
    check_size,
    check_tiles,
)
from ddpmcodec.format.streams import WORD_BYTES
from ddpmcodec.format.varint import MAX_VARINT_BYTES, Reader, pack_varint

VERSION_SHIFT = 6  # in its byte
CHECKED = 32  # in the same byte: a CRC ends the header; below it the colour mode and the size of the state
EFFORT_SHIFT, LEVELS_SHIFT = 6, 4  # in the byte of the flags
SMALLEST_HEADER = 6  # bytes: a single stream of a small square image, and nothing beside it
CRC16_BYTES = 2


def crc16(data: bytes) -> int:
    """CRC-16/CCITT from 0xFFFF."""
    return crc_hqx(data, 0xFFFF)


# --- writing


def pack_header(header: Header) -> bytes:
    """The bytes of header and index, CRCs included. Raises FormatError where the format cannot express it."""
    check_header(header)
    _check_payload(header)
    index = _pack_index(header.index) if header.index else b""
    out = bytearray(MAGIC)
    out += bytes([_version_and_mode(header), _coding_and_flags(header)])
    if not header.stored:
        out += bytes([header.model_number]) + header.model_id
    for value in (header.width,) if header.width == header.height else (header.width, header.height):
        out += pack_varint(value)
    out += header.mean_colour
    for value in _declared(header, len(index)):
        out += pack_varint(value)
    if header.is_plain:
        return bytes(out)
    return _with_crc(bytes(out)) + (_with_crc(index) if index else b"")


def covered_by_stream(header: Header) -> bytes:
    """What the check of a single stream covers of the header, in front of the colour samples.

    Of a plain file all of it, as if the state had the least number of bytes, which is known only after the check. Other
    headers have a CRC of their own.
    """
    return pack_header(replace(header, state_bytes=LEAST_STATE_BYTES)) if header.is_plain else b""


def _version_and_mode(header: Header) -> int:
    """One byte: version, whether a CRC ends the header, colour mode, size of the state."""
    mode = MODES.index(header.mode) + len(MODES) * (header.state_bytes - LEAST_STATE_BYTES)
    return VERSION << VERSION_SHIFT | CHECKED * (not header.is_plain) | mode


def _coding_and_flags(header: Header) -> int:
    """One byte: effort, levels or the format of a stored file, flags."""
    flags = TILED * bool(header.index) | METADATA * bool(header.metadata_length) | STORED * bool(header.stored)
    flags |= SQUARE * (header.width == header.height)
    code = STORED_KINDS.index(header.stored) if header.stored else LEVELS.index(header.levels)
    return header.effort << EFFORT_SHIFT | code << LEVELS_SHIFT | flags


def _declared(header: Header, index_length: int) -> Iterator[int]:
    if header.has_alpha_section:
        yield header.alpha_length
    if header.metadata_length:
        yield header.metadata_length
    if header.metadata_length or header.is_jpeg:
        yield header.orientation
    if header.index:
        yield from (header.index.tile_width, header.index.tile_height, header.index.segments, index_length)
    elif not header.is_plain:
        yield header.payload_length


def _pack_index(index: Index) -> bytes:
    entries = zip(index.lengths, index.checks, strict=True)
    return b"".join(pack_varint(length) + check.to_bytes(CRC16_BYTES, "little") for length, check in entries)


def _with_crc(data: bytes) -> bytes:
    return data + crc16(data).to_bytes(CRC16_BYTES, "little")


# --- reading


def parse_header(data: bytes) -> tuple[Header, int]:
    """The header with its index, and the length of both in bytes.

    Raises TruncatedError when the data ends inside them (with the least number of bytes that would do), FormatError
    when it is not a header of this version, is damaged, or claims sizes over the limits. Nothing is allocated by a
    claim: every field is checked as it is read, and the index is parsed when all of it is there. Damage to the header
    of a plain file may give another header: the check of its stream finds it.
    """
    reader = Reader(data, "the header", SMALLEST_HEADER)
    _parse_magic(reader)
    version = _parse_version(reader.take(1)[0])
    coding = _parse_coding(reader.take(1)[0])
    stored, flags = coding.stored, coding.flags
    header = Header(version.mode, 0, 0, coding.effort, coding.levels, stored=stored, state_bytes=version.state_bytes)
    if not stored:
        number = reader.take(1)[0]
        header = replace(header, model_number=number, model_id=b"" if number else reader.take(MODEL_ID_BYTES))
    header = _parse_size(reader, header, bool(flags & SQUARE))
    header = replace(header, mean_colour=reader.take(header.channels) if stored else b"")
    check_coding(header)
    header = replace(header, alpha_length=reader.varint() if header.has_alpha_section else 0)
    if flags & METADATA or header.is_jpeg:
        length = reader.varint() if flags & METADATA else 0
        header = replace(header, metadata_length=length, orientation=reader.take(1)[0])
        check_metadata(header)
    if version.has_crc == (header.is_plain and not flags & TILED):
        raise FormatError("the header has a checksum and nothing that calls for one, or the reverse: it is damaged")
    if flags & TILED:
        return _parse_index(reader, header), reader.position
    check_tiles(header)
    if version.has_crc:
        header = replace(header, payload_length=reader.varint())
        _check_crc(reader, reader.read_since(0))
        _check_payload(header)
    return header, reader.position


def _parse_magic(reader: Reader) -> None:
    if bytes(reader.data[: len(ARCHIVE_MAGIC)]) == ARCHIVE_MAGIC:
        raise FormatError("an archive, and no .ddpm file: use the commands of `ddpmcodec archive`")
    magic = bytes(reader.data[: len(MAGIC)])
    if magic != MAGIC[: len(magic)]:
        raise FormatError(
            f"not a ddpmcodec file: it starts with {magic.hex(' ')}, not {MAGIC.hex(' ')}; give a .ddpm file"
        )
    reader.take(len(MAGIC))


class _Version(NamedTuple):
    """What the byte of the version says beside it. mode: of the colours. has_crc: at the end of the header."""

    mode: str
    state_bytes: int
    has_crc: bool


def _parse_version(byte: int) -> _Version:
    if (version := byte >> VERSION_SHIFT) != VERSION:
        raise FormatError(f"format version {version} (this program reads {VERSION}): a newer ddpmcodec is needed")
    state, mode = divmod(byte % CHECKED, len(MODES))
    if state + LEAST_STATE_BYTES > MOST_STATE_BYTES:
        raise FormatError(f"unknown colour mode {byte % CHECKED}: it is damaged, or a newer ddpmcodec is needed")
    return _Version(MODES[mode], state + LEAST_STATE_BYTES, bool(byte & CHECKED))


class _CodingAndFlags(NamedTuple):
    """What the byte of the flags says. stored: the format of a stored file."""

    effort: int
    levels: int
    stored: str
    flags: int


def _parse_coding(byte: int) -> _CodingAndFlags:
    effort, code = byte >> EFFORT_SHIFT, byte >> LEVELS_SHIFT & 3
    flags = byte & (TILED | METADATA | STORED | SQUARE)
    if code >= len(LEVELS):
        what = "payload" if flags & STORED else "noise levels"
        raise FormatError(f"unknown {what} {code}: the data is damaged, or a newer ddpmcodec is needed")
    stored = STORED_KINDS[code] if flags & STORED else ""
    if flags & TILED:
        check_may_have_tiles(stored)
    if flags & METADATA:
        check_may_have_metadata(stored)
    return _CodingAndFlags(effort, 0 if stored else LEVELS[code], stored, flags)


def _parse_size(reader: Reader, header: Header, square: bool) -> Header:
    width = reader.varint()
    height = width if square else reader.varint()
    if width == height and not square:
        raise FormatError(f"the header says twice that a side has {width} pixels: the data is damaged")
    header = replace(header, width=width, height=height)
    check_size(header)
    return header


def _parse_index(reader: Reader, header: Header) -> Header:
    """The header with the grid and the index of a tiled file."""
    index = Index(reader.varint(), reader.varint(), reader.varint())
    header = replace(header, index=index)
    check_tiles(header)
    chunks, length = header.tile_count * index.segments, reader.varint()
    if not (1 + CRC16_BYTES) * chunks <= length <= (MAX_VARINT_BYTES + CRC16_BYTES) * chunks:
        raise FormatError(f"the header claims an index of {length} bytes for {chunks} chunks: the data is damaged")
    _check_crc(reader, reader.read_since(0))
    reader.require(length + CRC16_BYTES)
    packed_entries = reader.take(length)
    _check_crc(reader, packed_entries)
    entries = Reader(packed_entries, "the index")
    try:
        pairs = [(entries.varint(), int.from_bytes(entries.take(CRC16_BYTES), "little")) for _ in range(chunks)]
    except TruncatedError as error:
        raise FormatError(f"the index holds fewer than {chunks} chunks: the data is damaged") from error
    if entries.position != length:
        raise FormatError(f"the index holds more than {chunks} chunks: the data is damaged")
    lengths, checks = zip(*pairs, strict=True)
    return replace(header, index=replace(index, lengths=lengths, checks=checks))


def _check_payload(header: Header) -> None:
    """A single stream whose length is stated is a state and whole words."""
    if header.is_plain or header.stored or header.index:
        return
    words = header.payload_length - header.state_bytes
    if words < 0 or words % WORD_BYTES:
        raise FormatError(
            f"the header claims a stream of {header.payload_length} bytes, {header.state_bytes} of them its state,"
            " which does not end with a word: the data is damaged"
        )


def _check_crc(reader: Reader, covered: bytes) -> None:
    if int.from_bytes(reader.take(CRC16_BYTES), "little") != crc16(covered):
        raise FormatError("the header is damaged: its checksum does not match; get the file again")
