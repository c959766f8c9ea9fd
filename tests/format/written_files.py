r"""The .ddpm container, version 1: a small header, then sections cut by the lengths it declares.

    header   2      magic DD 0A: a text-mode transfer changes its line end, a 7-bit one its first byte
             1      version << 6 | colour mode (index into MODES) | flags: 8 SQUARE, 16 TILED, 32 SECTIONS
             1      effort << 4 (0 to 3) | number of noise levels (0, 1, 2, 5) | flags: 8 EXTENDED,
                    64 REPEATS
             1      bits of a coded value less 1 << 4 (7) | kind of the payload: 1 JPEG coefficients, if EXTENDED;
                    without it the payload is of kind 0, pixels
             1      scaling << 4 | bits of a sample less 1, if EXTENDED and of kind 0
             1      number of an embedded model; 0: the first 4 bytes of the sha256 of another one follow
             varint width, and, unless SQUARE, height (pixels)
             1      orientation, where SECTIONS
             list   per section a tag (1 byte: type, 64 where it follows the payload, 128 where a reader must know it)
                    and its length (varint); then a byte 0; where SECTIONS
             varint tile width, tile height, if TILED
             varint length of the index, if TILED or of kind 1; otherwise size of the stream: 5 * words + bytes of its
                    state less 4
             2      CRC-16/CCITT of all of the above, little endian, unless plain
    index    if TILED or of kind 1: per chunk its length (varint) and CRC-16 (2 bytes); then the CRC-16 of these entries
    sections that precede the payload: alpha (sections.py), or the frame of a JPEG
    payload  one rANS stream, or the chunks of the index (tiles.py)
    sections that follow the payload: metadata, a file that is kept whole and low bits (sections.py), or the recipe of a
             JPEG

The header states the length of every file. A plain file, which is one stream of pixels and has no sections, has no CRC:
the check of its stream covers the header. So a thumbnail takes at most 12 bytes and one bit beyond its ideal code
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

from binascii import crc_hqx
from collections.abc import Iterator, Sequence
from dataclasses import replace

from written_headers import COEFFICIENTS, PIXELS, Header, Index

from ddpmcodec import _native
from ddpmcodec._native import (
    ALPHA_TAG,
    CODED_ALPHA,
    CODED_ALPHA_REPEATS,
    CRC16_BYTES,
    DEPTH_SHIFT,
    EFFORT_SHIFT,
    EXTENDED_FLAG,
    FRAME_TAG,
    KEPT_TAG,
    KINDS,
    LOW_BITS_TAG,
    MAGIC,
    METADATA_TAG,
    MODES,
    RECIPE_TAG,
    REPEATS_FLAG,
    SCALING_SHIFT,
    SCALINGS,
    SECTIONS_FLAG,
    SQUARE_FLAG,
    TILED_FLAG,
    VERSION,
    VERSION_SHIFT,
    WORD_BYTES,
    FileHeader,
)
from ddpmcodec.errors import FormatError
from ddpmcodec.format.streams import pack_stream_size
from ddpmcodec.format.varint import pack_varint

# --- header and index

# Of a header that was read: what it must have in common with the one that was written.
COMPARED = (
    "mode", "width", "height", "effort", "levels", "model_number", "model_id", "kind", "repeats",
    "orientation", "alpha_length", "metadata_length", "frame_length", "recipe_length", "kept_length",
    "low_bits_length", "bits", "source_bits", "scaling", "state_bytes",
    "is_plain", "tile_size",
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
        numbers = [*(header.tile_size if header.has_grid else ()), len(index)]
        return _with_crc(_start(header) + b"".join(map(pack_varint, numbers))) + _with_crc(index)
    words = (header.payload_length - header.state_bytes) // WORD_BYTES
    packed = _start(header) + pack_varint(pack_stream_size(header.state_bytes, words))
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


def pack_coded_alpha(header: Header, file: bytes) -> bytes:
    """Return the alpha section of a coded plane.

    Parameters:
        header: of the file of the plane as grey levels, without sections; all but repeats is that of its image.
        file: its bytes.
    """
    tile = b"".join(map(pack_varint, header.tile_size)) if header.has_grid else b""
    first = CODED_ALPHA | CODED_ALPHA_REPEATS * header.repeats
    return bytes([first]) + file[len(_start(header) + tile) :]


def _start(header: Header) -> bytes:
    """The header up to its sections."""
    flags = (
        SQUARE_FLAG * (header.width == header.height)
        | TILED_FLAG * header.has_grid
        | SECTIONS_FLAG * header.has_sections
    )
    fields = [MAGIC, bytes([VERSION << VERSION_SHIFT | flags | MODES.index(header.mode)])]
    flags = EXTENDED_FLAG * header.is_extended | REPEATS_FLAG * header.repeats
    fields.append(bytes([header.effort << EFFORT_SHIFT | flags | header.levels]))
    if header.is_extended:
        fields.append(bytes([header.bits - 1 << DEPTH_SHIFT | KINDS.index(header.kind)]))
    if header.is_extended and header.kind == PIXELS:
        fields.append(bytes([SCALINGS.index(header.scaling) << SCALING_SHIFT | header.source_bits - 1]))
    fields.append(bytes([header.model_number]) + header.model_id)
    sides = (header.width,) if header.width == header.height else (header.width, header.height)
    return b"".join([*fields, *map(pack_varint, sides), _pack_sections(header)])


def _pack_sections(header: Header) -> bytes:
    if not header.has_sections:
        return b""
    known = [
        (ALPHA_TAG, header.alpha_length),
        (METADATA_TAG, header.metadata_length),
        (FRAME_TAG, header.frame_length),
        (RECIPE_TAG, header.recipe_length),
        (KEPT_TAG, header.kept_length),
        (LOW_BITS_TAG, header.low_bits_length),
    ]
    listed = (bytes([tag]) + pack_varint(length) for tag, length in known if length)
    return b"".join([bytes([header.orientation]), *listed, b"\0"])


def _pack_index(index: Index) -> bytes:
    entries = zip(index.lengths, index.checks, strict=True)
    return b"".join(pack_varint(length) + check.to_bytes(CRC16_BYTES, "little") for length, check in entries)


def _with_crc(data: bytes) -> bytes:
    return data + crc16(data).to_bytes(CRC16_BYTES, "little")


# --- the whole file


def assemble(
    header: Header, before: bytes, payload: bytes | Sequence[bytes], after: bytes, kept: bytes = b"",
    low_bits: bytes = b"",
) -> bytes:  # fmt: skip
    """The whole file. `payload`: a single stream, or for a header with an index all chunks, segment-major.

    before: the section before the payload, alpha or the frame of a JPEG; after: metadata, or its recipe; or nothing.
    kept: the section of a file that is kept whole. low_bits: that of low bits.

    Lengths and checks of `header` are filled in here; the size of a single stream's state, and the orientation where
    there is metadata, are the caller's. Raises FormatError where the format cannot express it.
    """
    chunks = (payload,) if isinstance(payload, bytes) else tuple(payload)
    if (header.index is None) != isinstance(payload, bytes):
        raise ValueError("a file without an index takes its payload as bytes, one with an index a list of chunks")
    lengths, checks = tuple(map(len, chunks)), tuple(map(crc16, chunks))
    if header.kind == COEFFICIENTS:
        header = replace(header, frame_length=len(before), recipe_length=len(after))
    else:
        header = replace(header, alpha_length=len(before), metadata_length=len(after), kept_length=len(kept))
        header = replace(header, low_bits_length=len(low_bits))
    index = replace(header.index, lengths=lengths, checks=checks) if header.index else None
    header = replace(header, index=index, payload_length=0 if index else lengths[0])
    return b"".join([pack_header(header), before, *chunks, after, kept, low_bits])
