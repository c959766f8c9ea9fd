"""Header and index of the .ddpm container: their values, their bytes, and the limits that a decoder relies on.

ddpm.py has the layout.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.format.varint import MAX_VARINT_BYTES, Reader, pack_varint

MAGIC = b"\xdd\n"
ARCHIVE_MAGIC = b"\xddA\r\n"
VERSION = 1
MODES = ("L", "RGB", "LA", "RGBA", "1")
TILED, METADATA, WEBP = 1, 2, 4
EFFORT_SHIFT = 4  # of the effort, in the byte of the flags
SMALLEST_HEADER = 10  # bytes: a small WebP file in grey
MODEL_ID_BYTES = 4
CRC16_BYTES = 2
MAX_EFFORT = 3

MAX_PIXELS = 1 << 28  # of an image
MAX_TILE_PIXELS = 1 << 21  # of one independently coded stream: bounds the memory of a decoder
MAX_SEGMENTS = 255
MAX_CHUNKS = 1 << 20
MAX_METADATA = 1 << 24  # bytes, before and after compression
MAX_WEBP_SIDE = 16383  # pixels, of that format

Box = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True)
class Index:
    """How a large image is cut: a grid of tiles, and the length in bytes and CRC-16 of each chunk, segment-major."""

    tile_width: int
    tile_height: int
    segments: int  # per tile
    lengths: tuple[int, ...] = ()
    checks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Header:
    """What stands in front of the pixels. Lengths are in bytes.

    A WebP payload has a `mean_colour` (1 or 3 bytes) and neither `effort`, `model_id` nor `index`. A tiled file has an
    `index` in place of the `payload_length`.
    """

    mode: str
    width: int
    height: int
    effort: int = 0
    model_id: bytes = b""
    webp: bool = False
    mean_colour: bytes = b""
    alpha_length: int = 0
    metadata_length: int = 0
    payload_length: int = 0
    index: Index | None = None

    @property
    def has_alpha(self) -> bool:
        return self.mode in ("LA", "RGBA")

    @property
    def has_alpha_section(self) -> bool:
        return self.has_alpha and not self.webp

    @property
    def channels(self) -> int:
        """Colour channels: 1 or 3."""
        return 3 if self.mode.startswith("RGB") else 1

    @property
    def flags(self) -> int:
        """The byte of the flags, with the effort."""
        flags = TILED * bool(self.index) | METADATA * bool(self.metadata_length) | WEBP * self.webp
        return flags | self.effort << EFFORT_SHIFT

    @property
    def tile_size(self) -> tuple[int, int]:
        """Width and height; without an index the image is the only tile."""
        return (self.index.tile_width, self.index.tile_height) if self.index else (self.width, self.height)

    @property
    def tile_count(self) -> int:
        tile_width, tile_height = self.tile_size
        return -(-self.width // tile_width) * -(-self.height // tile_height)

    @property
    def chunk_lengths(self) -> tuple[int, ...]:
        """Of the payload, or of the chunks of the index."""
        return self.index.lengths if self.index else (self.payload_length,)

    def boxes(self) -> list[Box]:
        """Rows and columns of the tiles in coding order, row by row of the grid."""
        tile_width, tile_height = self.tile_size
        tops, lefts = range(0, self.height, tile_height), range(0, self.width, tile_width)
        return [
            (slice(top, min(top + tile_height, self.height)), slice(left, min(left + tile_width, self.width)))
            for top in tops
            for left in lefts
        ]


def crc16(data: bytes) -> int:
    """CRC-16/CCITT from 0xFFFF."""
    return crc_hqx(data, 0xFFFF)


# --- writing


def pack_header(header: Header) -> bytes:
    """The bytes of header and index, CRCs included. Raises FormatError where the format cannot express it."""
    _check(header)
    index = _pack_index(header.index) if header.index else b""
    out = bytearray(MAGIC)
    out += bytes([VERSION << 4 | MODES.index(header.mode), header.flags])
    out += pack_varint(header.width) + pack_varint(header.height)
    out += header.mean_colour if header.webp else header.model_id
    for value in _declared_lengths(header, len(index)):
        out += pack_varint(value)
    return _with_crc(bytes(out)) + (_with_crc(index) if index else b"")


def _declared_lengths(header: Header, index_length: int) -> Iterator[int]:
    if header.has_alpha_section:
        yield header.alpha_length
    if header.metadata_length:
        yield header.metadata_length
    if header.index:
        yield from (header.index.tile_width, header.index.tile_height, header.index.segments, index_length)
    else:
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
    claim: every field is checked as it is read, and the index is parsed when all of it is there.
    """
    reader = Reader(data, "the header", SMALLEST_HEADER)
    mode, flags, effort = _parse_start(reader)
    header = Header(mode, reader.varint(), reader.varint(), effort, webp=bool(flags & WEBP))
    _check_size(header)
    if header.webp:
        header = replace(header, mean_colour=reader.take(header.channels))
    else:
        header = replace(header, model_id=reader.take(MODEL_ID_BYTES))
    _check_coding(header)
    header = replace(header, alpha_length=reader.varint() if header.has_alpha_section else 0)
    if flags & METADATA:
        header = replace(header, metadata_length=reader.varint())
        _check_metadata(header)
    if flags & TILED:
        header = _parse_index(reader, header)
    else:
        _check_tiles(header)
        header = replace(header, payload_length=reader.varint())
        _check_crc(reader, data[: reader.position])
    return header, reader.position


def _parse_start(reader: Reader) -> tuple[str, int, int]:
    """Colour mode, flags and effort."""
    if reader.data.startswith(ARCHIVE_MAGIC):
        raise FormatError("an archive, and no .ddpm file: `ddpmcodec archive list` says what is in it")
    magic = reader.data[: len(MAGIC)]
    if magic != MAGIC[: len(magic)]:
        raise FormatError(
            f"not a ddpmcodec file: it starts with {magic.hex(' ')}, not {MAGIC.hex(' ')}; give a .ddpm file"
        )
    reader.take(len(MAGIC))
    version, mode = divmod(reader.take(1)[0], 16)
    if version != VERSION:
        raise FormatError(f"format version {version} (this program reads {VERSION}): a newer ddpmcodec is needed")
    if mode >= len(MODES):
        raise FormatError(f"unknown colour mode {mode} (this program reads 0 to {len(MODES) - 1})")
    byte = reader.take(1)[0]
    effort = byte >> EFFORT_SHIFT & MAX_EFFORT
    flags = byte & ~(MAX_EFFORT << EFFORT_SHIFT)
    if unknown := flags & ~(TILED | METADATA | WEBP):
        raise FormatError(f"unknown flags {unknown:#04x}: a newer ddpmcodec is needed")
    if flags & TILED and flags & WEBP:
        raise FormatError("the header claims a WebP payload in tiles: the data is damaged")
    return MODES[mode], flags, effort


def _parse_index(reader: Reader, header: Header) -> Header:
    """The header with the grid and the index of a tiled file."""
    index = Index(reader.varint(), reader.varint(), reader.varint())
    header = replace(header, index=index)
    _check_tiles(header)
    chunks, length = header.tile_count * index.segments, reader.varint()
    if not (1 + CRC16_BYTES) * chunks <= length <= (MAX_VARINT_BYTES + CRC16_BYTES) * chunks:
        raise FormatError(f"the header claims an index of {length} bytes for {chunks} chunks: the data is damaged")
    _check_crc(reader, reader.data[: reader.position])
    reader.require(length + CRC16_BYTES)
    entries = Reader(reader.take(length), "the index")
    _check_crc(reader, entries.data)
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


# --- limits


def _check(header: Header) -> None:
    """Raises FormatError unless parse_header would give the header back."""
    if header.mode not in MODES:
        raise FormatError(f"unknown colour mode {header.mode!r} (one of {', '.join(MODES)} is possible)")
    _check_size(header)
    _check_coding(header)
    if header.metadata_length:
        _check_metadata(header)
    if header.alpha_length and not header.has_alpha_section:
        raise FormatError(f"an alpha section of {header.alpha_length} bytes where the format has none")
    _check_tiles(header)
    if header.index:
        _check_index(header, header.index)


def _check_size(header: Header) -> None:
    width, height = header.width, header.height
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
        raise FormatError(f"the header claims {width} x {height} pixels (1 to {MAX_PIXELS} pixels are possible)")
    if header.webp and max(width, height) > MAX_WEBP_SIDE:
        raise FormatError(
            f"the header claims a WebP payload of {width} x {height} pixels"
            f" (sides of 1 to {MAX_WEBP_SIDE} are possible)"
        )


def _check_coding(header: Header) -> None:
    """What stands between the size and the lengths."""
    colours, model_id = (header.channels, 0) if header.webp else (0, MODEL_ID_BYTES)
    if len(header.mean_colour) != colours or len(header.model_id) != model_id:
        raise FormatError(
            f"a mean colour of {len(header.mean_colour)} bytes and a model id of {len(header.model_id)}, where the"
            f" format has {colours} and {model_id}"
        )
    least, most = (0, 0) if header.webp else (1, MAX_EFFORT)
    if not least <= header.effort <= most:
        raise FormatError(f"the header claims effort {header.effort} ({least} to {most} are possible)")


def _check_metadata(header: Header) -> None:
    if not 1 <= header.metadata_length <= MAX_METADATA:
        raise FormatError(
            f"the header claims {header.metadata_length} bytes of metadata (1 to {MAX_METADATA} are possible)"
        )


def _check_tiles(header: Header) -> None:
    """Tiles that fit the image and a decoder's memory, which is no concern of a WebP file."""
    (width, height), index = header.tile_size, header.index
    if not header.webp and not (
        0 < width <= header.width and 0 < height <= header.height and width * height <= MAX_TILE_PIXELS
    ):
        raise FormatError(
            f"the header claims tiles of {width} x {height} pixels for an image of {header.width} x {header.height}"
            f" (1 to {MAX_TILE_PIXELS} pixels are possible)"
        )
    if index and header.webp:
        raise FormatError("the header claims a WebP payload in tiles: the data is damaged")
    if index and not 1 <= index.segments <= MAX_SEGMENTS:
        raise FormatError(f"the header claims {index.segments} segments per tile (1 to {MAX_SEGMENTS} are possible)")
    if index and header.tile_count * index.segments > MAX_CHUNKS:
        raise FormatError(
            f"the header claims {header.tile_count * index.segments} chunks (1 to {MAX_CHUNKS} are possible)"
        )


def _check_index(header: Header, index: Index) -> None:
    chunks = header.tile_count * index.segments
    if len(index.lengths) != chunks or len(index.checks) != chunks or header.payload_length:
        raise FormatError(
            f"an index of {len(index.lengths)} lengths and {len(index.checks)} checks and a payload of"
            f" {header.payload_length} bytes, where there are {header.tile_count} tiles of {index.segments} segments"
        )
