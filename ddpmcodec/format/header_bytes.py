"""Header and index of the .ddpm container as bytes. ddpm.py has the layout."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator

from ddpmcodec import _native
from ddpmcodec._native import (
    ALPHA_TAG,
    CRC16_BYTES,
    DEPTH_SHIFT,
    EFFORT_SHIFT,
    EXTENDED_FLAG,
    KINDS,
    MAGIC,
    METADATA_TAG,
    MODES,
    SAMPLE_BITS,
    SECTIONS_FLAG,
    SQUARE_FLAG,
    TILED_FLAG,
    VERSION,
    VERSION_SHIFT,
    WORD_BYTES,
    FileHeader,
)
from ddpmcodec.errors import FormatError
from ddpmcodec.format.header import Header, Index
from ddpmcodec.format.streams import pack_stream_size
from ddpmcodec.format.varint import pack_varint

# Of a header that was read: what it must have in common with the one that was written.
COMPARED = (
    "mode", "width", "height", "effort", "levels", "model_number", "model_id", "stored", "mean_colour", "orientation",
    "alpha_length", "metadata_length", "state_bytes", "is_plain", "tile_size",
)  # fmt: skip


def crc16(data: bytes) -> int:
    """CRC-16/CCITT from 0xFFFF."""
    return crc_hqx(data, 0xFFFF)


def pack_header(header: Header) -> bytes:
    """Return the bytes of header and index, with CRCs. Raises FormatError unless the core reads them as they are."""
    try:
        packed = _packed(header)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"no header can state this ({error})") from error
    if unlike := list(_unlike(_native.parse_header(packed), header, len(packed))):
        raise FormatError(f"a header of this kind of image has no place for its {', '.join(unlike)}")
    return packed


def _packed(header: Header) -> bytes:
    if header.index:
        index = _pack_index(header.index)
        grid = (header.index.tile_width, header.index.tile_height, len(index))
        return _with_crc(_start(header) + b"".join(map(pack_varint, grid))) + _with_crc(index)
    words = (header.payload_length - header.state_bytes) // WORD_BYTES
    size = header.payload_length if header.stored else pack_stream_size(header.state_bytes, words)
    packed = _start(header) + pack_varint(size)
    return packed if header.is_plain else _with_crc(packed)


def _unlike(found: FileHeader, header: Header, size: int) -> Iterator[str]:
    """Yield what was read otherwise than it was to be written. size: bytes of both."""
    yield from (name for name in COMPARED if getattr(found, name) != getattr(header, name))
    lengths = list(header.index.lengths) if header.index else []
    payload = header.payload_length + sum(lengths)
    if (found.size, found.payload_length, found.chunk_lengths) != (size, payload, lengths):
        yield "payload"


def covered_by_stream(header: Header) -> bytes:
    """Return the header bytes that the check of a single stream covers, before the colour samples.

    In a plain file these are all but the length, which is known only after the check. Other headers have a CRC.
    """
    return _start(header) if header.is_plain else b""


def _start(header: Header) -> bytes:
    """The header up to its sections."""
    flags = (
        SQUARE_FLAG * (header.width == header.height)
        | TILED_FLAG * bool(header.index)
        | SECTIONS_FLAG * header.has_sections
    )
    fields = [MAGIC, bytes([VERSION << VERSION_SHIFT | flags | MODES.index(header.mode)])]
    fields.append(bytes([header.effort << EFFORT_SHIFT | EXTENDED_FLAG * bool(header.stored) | header.levels]))
    if header.stored:
        fields.append(bytes([SAMPLE_BITS - 1 << DEPTH_SHIFT | KINDS.index(header.stored)]))
    else:
        fields.append(bytes([header.model_number]) + header.model_id)
    sides = (header.width,) if header.width == header.height else (header.width, header.height)
    return b"".join([*fields, *map(pack_varint, sides), header.mean_colour, _pack_sections(header)])


def _pack_sections(header: Header) -> bytes:
    if not header.has_sections:
        return b""
    known = [(ALPHA_TAG, header.alpha_length), (METADATA_TAG, header.metadata_length)]
    listed = (bytes([tag]) + pack_varint(length) for tag, length in known if length)
    return b"".join([bytes([header.orientation]), *listed, b"\0"])


def _pack_index(index: Index) -> bytes:
    entries = zip(index.lengths, index.checks, strict=True)
    return b"".join(pack_varint(length) + check.to_bytes(CRC16_BYTES, "little") for length, check in entries)


def _with_crc(data: bytes) -> bytes:
    return data + crc16(data).to_bytes(CRC16_BYTES, "little")
