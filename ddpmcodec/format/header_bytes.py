"""Header and index of the .ddpm container as bytes. ddpm.py has the layout."""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import replace

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.header import (
    ALPHA_TAG,
    ARCHIVE_MAGIC,
    CRITICAL,
    EXTENDED,
    KINDS,
    MAGIC,
    METADATA_TAG,
    MODEL_ID_BYTES,
    MODES,
    SAMPLE_BITS,
    SECTIONS,
    SQUARE,
    TILED,
    TYPE_BITS,
    VERSION,
    WORD_BYTES,
    Header,
    Index,
    check_coding,
    check_header,
    check_may_have_tiles,
    check_sections,
    check_size,
    check_tiles,
)
from ddpmcodec.format.streams import pack_stream_size, parse_stream_size
from ddpmcodec.format.varint import MAX_VARINT_BYTES, Reader, pack_varint

VERSION_SHIFT = 6  # in its byte, above the flags
MODE_BITS = 7
EFFORT_SHIFT, LEVELS_BITS = 4, 7  # in the byte of effort and levels
SAMPLE_SHIFT, KIND_BITS = 4, 15  # in the byte that EXTENDED adds
SMALLEST_HEADER = 7  # bytes: a short stream of a small square image
CRC16_BYTES = 2
NEWER = "the data is damaged, or a newer ddpmcodec is needed"


def crc16(data: bytes) -> int:
    """CRC-16/CCITT from 0xFFFF."""
    return crc_hqx(data, 0xFFFF)


# --- writing


def pack_header(header: Header) -> bytes:
    """The bytes of header and index, CRCs included. Raises FormatError where the format cannot express it."""
    check_header(header)
    if header.index:
        index = _pack_index(header.index)
        grid = (header.index.tile_width, header.index.tile_height, len(index))
        return _with_crc(_start(header) + b"".join(map(pack_varint, grid))) + _with_crc(index)
    words = (header.payload_length - header.state_bytes) // WORD_BYTES
    size = header.payload_length if header.stored else pack_stream_size(header.state_bytes, words)
    packed = _start(header) + pack_varint(size)
    return packed if header.is_plain else _with_crc(packed)


def covered_by_stream(header: Header) -> bytes:
    """Return the header bytes that the check of a single stream covers, before the colour samples.

    In a plain file these are all but the length, which is known only after the check. Other headers have a CRC.
    """
    return _start(header) if header.is_plain else b""


def _start(header: Header) -> bytes:
    """The header up to its sections."""
    flags = SQUARE * (header.width == header.height) | TILED * bool(header.index) | SECTIONS * header.has_sections
    fields = [MAGIC, bytes([VERSION << VERSION_SHIFT | flags | MODES.index(header.mode)])]
    fields.append(bytes([header.effort << EFFORT_SHIFT | EXTENDED * bool(header.stored) | header.levels]))
    if header.stored:
        fields.append(bytes([SAMPLE_BITS - 1 << SAMPLE_SHIFT | KINDS.index(header.stored)]))
    else:
        fields.append(bytes([header.model_number]) + header.model_id)
    sides = (header.width,) if header.width == header.height else (header.width, header.height)
    return b"".join([*fields, *map(pack_varint, sides), header.mean_colour, _pack_sections(header)])


def _pack_sections(header: Header) -> bytes:
    if not header.has_sections:
        return b""
    known = [(ALPHA_TAG, header.alpha_length), (METADATA_TAG, header.metadata_length)]
    listed = (bytes([tag]) + pack_varint(length) for tag, length in [*known, *header.others] if length)
    return b"".join([bytes([header.orientation]), *listed, b"\0"])


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
    mode, flags = _parse_version(reader.take(1)[0])
    header = _parse_coding(reader, Header(mode, 0, 0))
    if flags & TILED:
        check_may_have_tiles(header.stored)
    if not header.stored:
        number = reader.take(1)[0]
        header = replace(header, model_number=number, model_id=b"" if number else reader.take(MODEL_ID_BYTES))
    header = _parse_size(reader, header, bool(flags & SQUARE))
    header = replace(header, mean_colour=reader.take(header.channels) if header.stored else b"")
    check_coding(header)
    if flags & SECTIONS:
        header = _parse_sections(reader, header)
    check_sections(header)
    if header.has_sections != bool(flags & SECTIONS):
        raise FormatError("the header lists no sections: the data is damaged")
    if flags & TILED:
        return _parse_index(reader, header), reader.position
    check_tiles(header)
    header = _parse_payload(reader, header)
    if not header.is_plain:
        _check_crc(reader, reader.read_since(0))
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


def _parse_version(byte: int) -> tuple[str, int]:
    """The colour mode, and the flags."""
    if (version := byte >> VERSION_SHIFT) != VERSION:
        raise FormatError(f"format version {version} (this program reads {VERSION}): a newer ddpmcodec is needed")
    if (mode := byte & MODE_BITS) >= len(MODES):
        raise FormatError(f"unknown colour mode {mode}: {NEWER}")
    return MODES[mode], byte & (SQUARE | TILED | SECTIONS)


def _parse_coding(reader: Reader, header: Header) -> Header:
    """The header with effort and levels, and the kind of its payload."""
    byte = reader.take(1)[0]
    header = replace(header, effort=byte >> EFFORT_SHIFT, levels=byte & LEVELS_BITS)
    if not byte & EXTENDED:
        return header
    extension = reader.take(1)[0]
    kind, bits = extension & KIND_BITS, (extension >> SAMPLE_SHIFT) + 1
    if kind >= len(KINDS) or bits != SAMPLE_BITS:
        raise FormatError(f"unknown payload {kind} of {bits} bits a sample: {NEWER}")
    if not kind:
        raise FormatError(f"the header states {bits} bits a sample, which it should leave out: the data is damaged")
    return replace(header, stored=KINDS[kind])


def _parse_size(reader: Reader, header: Header, square: bool) -> Header:
    width = reader.varint()
    height = width if square else reader.varint()
    if width == height and not square:
        raise FormatError(f"the header says twice that a side has {width} pixels: the data is damaged")
    header = replace(header, width=width, height=height)
    check_size(header)
    return header


def _parse_sections(reader: Reader, header: Header) -> Header:
    """The header with its orientation and the lengths of its sections."""
    header, last = replace(header, orientation=reader.take(1)[0]), 0
    while tag := reader.take(1)[0]:
        length = reader.varint()
        if not last < tag & TYPE_BITS or not length:
            raise FormatError(f"a section of type {tag & TYPE_BITS} is empty or out of order: the data is damaged")
        last = tag & TYPE_BITS
        header = _with_section(header, tag, length)
    return header


def _with_section(header: Header, tag: int, length: int) -> Header:
    if tag == ALPHA_TAG:
        return replace(header, alpha_length=length)
    if tag == METADATA_TAG:
        return replace(header, metadata_length=length)
    if tag & CRITICAL or tag & TYPE_BITS in (ALPHA_TAG & TYPE_BITS, METADATA_TAG & TYPE_BITS):
        raise FormatError(f"unknown section {tag}: {NEWER}")
    return replace(header, others=(*header.others, (tag, length)))


def _parse_payload(reader: Reader, header: Header) -> Header:
    """The header of a file without an index, with the length of its payload."""
    size = reader.varint()
    if header.stored:
        return replace(header, payload_length=size)
    state_bytes, words = parse_stream_size(size)
    return replace(header, payload_length=state_bytes + WORD_BYTES * words, state_bytes=state_bytes)


def _parse_index(reader: Reader, header: Header) -> Header:
    """The header with the grid and the index of a tiled file."""
    index = Index(reader.varint(), reader.varint())
    header = replace(header, index=index)
    check_tiles(header)
    chunks, length = header.tile_count * header.segments, reader.varint()
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


def _check_crc(reader: Reader, covered: bytes) -> None:
    if int.from_bytes(reader.take(CRC16_BYTES), "little") != crc16(covered):
        raise FormatError("the header is damaged: its checksum does not match; get the file again")
