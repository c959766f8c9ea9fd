r"""The .ddpm container, version 1: a small checked header, then sections cut by the lengths it declares.

    header   4      magic DD 50 0D 0A: a text-mode transfer changes its line end, a 7-bit one its first byte
             1      version << 4 | colour mode (index into MODES)
             1      flags: 1 CHUNKED, 2 METADATA; any other bit is refused
             varint width, height (pixels)
             1      effort: which list of steps of the model, 1 to 9, or 10: the progressive one
             4      model id: the first bytes of the sha256 of the exported model
             varint length of the alpha section, where the mode has alpha
             varint length of the metadata section and, unless CHUNKED, of the pixel stream, where METADATA
             varint tile width, tile height, number of steps, then one length per chunk, where CHUNKED
             2      CRC-16/CCITT of all of the above, little endian
    alpha    raw deflate of the plane, each row less the one above; then the CRC-32 of the plane
    pixels   one stream, or the chunks of an index: all groups of step 1, all groups of step 2, ... (a prefix of the
             file is uniformly coarse)
    metadata CRC-32 of the rest, then deflate of (kind byte, varint length, bytes) entries

Varints are LEB128, canonical, at most 5 bytes. The pixel streams carry their own checks (channels/uniform.py), so the
header of a 32 x 32 RGB image is 15 bytes long. The CRC is 16 bits wide by construction, not a CRC-32 cut short: it
finds every single flipped bit and every burst of up to 16 bits.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ddpmcodec.errors import FormatError, TruncatedError

MAGIC = b"\xddP\r\n"
VERSION = 1
MODES = ("L", "RGB", "LA", "RGBA", "1")
CHUNKED, METADATA = 1, 2
SMALLEST_HEADER = 15  # bytes
MODEL_ID_BYTES = 4
PROGRESSIVE = 10  # in the place of an effort, 1 to 9: the step list that is made for previews

MAX_PIXELS = 1 << 28  # of an image
MAX_GROUP_PIXELS = 1 << 21  # of one independently coded group: bounds the memory of a decoder
MAX_STEPS = 255
MAX_CHUNKS = 1 << 20
MAX_METADATA = 1 << 24  # bytes, before and after compression

SINGLE_STREAM_PIXELS = 1 << 16  # images up to this size are one stream
GROUP_PIXELS = 1 << 18  # larger ones are cut into groups of at most this size

Box = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True)
class Index:
    """How a large image is cut: a grid of groups of pixels, and the bytes of each (step, group) chunk, step-major."""

    tile_width: int
    tile_height: int
    steps: int
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True)
class Header:
    """What stands in front of the pixels. Lengths are bytes; `stream_length` None means up to the end of the file."""

    mode: str
    width: int
    height: int
    effort: int
    model_id: bytes
    alpha_length: int = 0
    metadata_length: int = 0
    stream_length: int | None = None
    index: Index | None = None

    @property
    def has_alpha(self) -> bool:
        return self.mode in ("LA", "RGBA")

    @property
    def channels(self) -> int:
        """Colour channels that the pixel streams carry: 1 or 3 (alpha has its own section)."""
        return 3 if self.mode.startswith("RGB") else 1

    @property
    def flags(self) -> int:
        return (CHUNKED if self.index else 0) | (METADATA if self.metadata_length else 0)

    def boxes(self) -> list[Box]:
        """The groups of pixels in coding order, row by row of the grid."""
        tile_width, tile_height = self._tile()
        tops, lefts = range(0, self.height, tile_height), range(0, self.width, tile_width)
        return [
            (slice(top, min(top + tile_height, self.height)), slice(left, min(left + tile_width, self.width)))
            for top in tops
            for left in lefts
        ]

    def group_count(self) -> int:
        tile_width, tile_height = self._tile()
        return -(-self.width // tile_width) * -(-self.height // tile_height)

    def _tile(self) -> tuple[int, int]:
        return (self.index.tile_width, self.index.tile_height) if self.index else (self.width, self.height)


@dataclass(frozen=True)
class Sections:
    """A file cut into its parts; when it is a prefix, the last part it reaches is short and later ones are empty."""

    header: Header
    start: int  # bytes of header in front of the body
    alpha: bytes
    chunks: tuple[bytes, ...]  # one stream, or one chunk per (step, group), step-major
    metadata: bytes
    missing: int  # bytes that the header promises and the data does not have

    @property
    def size(self) -> int:
        """Bytes of the data."""
        return self.start + len(self.alpha) + sum(map(len, self.chunks)) + len(self.metadata)

    def group_chunks(self, group: int) -> list[bytes]:
        """The chunks of one group, step by step, up to and with the first one that is cut."""
        if self.header.index is None:
            return list(self.chunks)
        lengths = self.header.index.lengths[group :: self.header.group_count()]
        found: list[bytes] = []
        for chunk, length in zip(self.chunks[group :: self.header.group_count()], lengths, strict=True):
            found.append(chunk)
            if len(chunk) < length:
                break
        return found

    def ends_whole(self, group: int) -> bool:
        """Whether the last of the group's chunks is known to be all there: a lone stream may not say how long it is."""
        if self.header.index is None:
            return len(self.chunks[0]) == self.header.stream_length
        chunks, lengths = self.group_chunks(group), self.header.index.lengths[group :: self.header.group_count()]
        return len(chunks[-1]) == lengths[len(chunks) - 1]


def plan_index(width: int, height: int, steps: int) -> Index | None:
    """The grid for an image of this size (None: one stream): tiles of at most GROUP_PIXELS with sides a multiple of 8,
    chosen so that the lines between tiles, where the model loses sight of its neighbours, are as short as possible."""
    if width * height <= SINGLE_STREAM_PIXELS:
        return None
    most = min(-(-width // 8), 2 * -(-width * height // GROUP_PIXELS))
    tiles = (_tile_of_columns(width, height, columns) for columns in range(1, most + 1))
    best = min(filter(None, tiles), key=lambda tile: (_inner_edges(width, height, tile), tile))
    return Index(*best, steps)


def _tile_of_columns(width: int, height: int, columns: int) -> tuple[int, int] | None:
    tile_width = _even_cut(width, columns)
    tallest = GROUP_PIXELS // tile_width
    if tallest >= height:
        return tile_width, height
    if tallest < 8:
        return None
    return tile_width, _even_cut(height, -(-height // (tallest // 8 * 8)))


def _even_cut(length: int, parts: int) -> int:
    """The size of a part when `length` is cut in `parts`, rounded up to a multiple of 8."""
    return min(length, -(-length // parts) + 7 & ~7)


def _inner_edges(width: int, height: int, tile: tuple[int, int]) -> int:
    columns, rows = -(-width // tile[0]), -(-height // tile[1])
    return (columns - 1) * height + (rows - 1) * width


def assemble(header: Header, alpha: bytes, chunks: Sequence[bytes], metadata: bytes) -> bytes:
    """The whole file. `header` gives the grid; the lengths of the sections are filled in here."""
    lengths = tuple(map(len, chunks))
    header = replace(
        header,
        alpha_length=len(alpha),
        metadata_length=len(metadata),
        stream_length=lengths[0] if metadata and not header.index else None,
        index=replace(header.index, lengths=lengths) if header.index else None,
    )
    return b"".join([pack_header(header), alpha, *chunks, metadata])


def pack_header(header: Header) -> bytes:
    """The header's bytes, checksum included. Raises FormatError where the format cannot express it."""
    _check_sizes(header)
    out = bytearray(MAGIC)
    out += bytes([VERSION << 4 | MODES.index(header.mode), header.flags])
    out += pack_varint(header.width) + pack_varint(header.height)
    out += bytes([header.effort]) + header.model_id
    for value in _declared_lengths(header):
        out += pack_varint(value)
    return bytes(out) + crc_hqx(bytes(out), 0xFFFF).to_bytes(2, "little")


def _declared_lengths(header: Header) -> Iterator[int]:
    if header.has_alpha:
        yield header.alpha_length
    if header.metadata_length:
        yield header.metadata_length
        if header.stream_length is not None:
            yield header.stream_length
    if header.index:
        yield from (header.index.tile_width, header.index.tile_height, header.index.steps)
        yield from header.index.lengths


def parse_header(data: bytes) -> tuple[Header, int]:
    """The header and its length in bytes.

    Raises TruncatedError when the data ends inside it (with the least number of bytes that would do), FormatError when
    it is not a header of this version, is damaged, or claims sizes over the limits. Allocates nothing by those claims.
    """
    reader = Reader(data)
    mode, flags = _parse_start(reader)
    header = Header(mode, reader.varint(), reader.varint(), reader.take(1)[0], reader.take(MODEL_ID_BYTES))
    if not flags & CHUNKED:
        _check_sizes(header)
    alpha_length = reader.varint() if header.has_alpha else 0
    metadata_length = reader.varint() if flags & METADATA else 0
    stream_length = reader.varint() if flags == METADATA else None
    index = _parse_index(reader, header) if flags & CHUNKED else None
    covered = reader.position
    if int.from_bytes(reader.take(2), "little") != crc_hqx(data[:covered], 0xFFFF):
        raise FormatError("the header is damaged: its checksum does not match; get the file again")
    header = replace(
        header,
        alpha_length=alpha_length,
        metadata_length=metadata_length,
        stream_length=stream_length,
        index=index,
    )
    if header.flags != flags or metadata_length > MAX_METADATA:
        raise FormatError(f"the header claims {metadata_length} bytes of metadata (1 to {MAX_METADATA} are possible)")
    return header, reader.position


def _parse_start(reader: Reader) -> tuple[str, int]:
    """Colour mode and flags."""
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
    flags = reader.take(1)[0]
    if flags & ~(CHUNKED | METADATA):
        raise FormatError(f"unknown flags {flags & ~(CHUNKED | METADATA):#04x}: a newer ddpmcodec is needed")
    return MODES[mode], flags


def _parse_index(reader: Reader, header: Header) -> Index:
    index = Index(reader.varint(), reader.varint(), reader.varint())
    header = replace(header, index=index)
    _check_sizes(header)
    chunks = header.group_count() * index.steps
    if not 1 <= chunks <= MAX_CHUNKS:
        raise FormatError(f"the header claims {chunks} chunks (1 to {MAX_CHUNKS} are possible)")
    reader.require(chunks + 2)
    return replace(index, lengths=tuple(reader.varint() for _ in range(chunks)))


def _check_sizes(header: Header) -> None:
    width, height = header.width, header.height
    if not (width and height and width * height <= MAX_PIXELS):
        raise FormatError(f"the header claims {width} x {height} pixels (1 to {MAX_PIXELS} pixels are possible)")
    if not 1 <= header.effort <= PROGRESSIVE:
        raise FormatError(f"the header claims effort {header.effort} (1 to {PROGRESSIVE} are possible)")
    tile_width, tile_height = header._tile()
    if not (0 < tile_width <= width and 0 < tile_height <= height and tile_width * tile_height <= MAX_GROUP_PIXELS):
        raise FormatError(
            f"the header claims groups of {tile_width} x {tile_height} pixels for an image of {width} x {height}"
            f" (up to {MAX_GROUP_PIXELS} pixels are possible)"
        )
    if header.index and not 1 <= header.index.steps <= MAX_STEPS:
        raise FormatError(f"the header claims {header.index.steps} steps (1 to {MAX_STEPS} are possible)")


def split(data: bytes) -> Sections:
    """Cut a file, or a prefix of one that holds the whole header, at the lengths its header declares.

    Raises what parse_header raises, and FormatError when bytes follow the end. Missing bytes are counted, not refused.
    """
    header, start = parse_header(data)
    lengths = _section_lengths(header, len(data) - start)
    end = start + sum(lengths)
    if len(data) > end:
        raise FormatError(f"{len(data) - end} bytes follow the end of the image (at byte {end}): cut them off")
    parts, position = [], start
    for length in lengths:
        parts.append(data[position : position + length])
        position += length
    return Sections(header, start, parts[0], tuple(parts[1:-1]), parts[-1], end - len(data))


def _section_lengths(header: Header, body: int) -> list[int]:
    """Alpha, every pixel chunk, metadata; a lone stream without a declared length takes what is left of the body."""
    if header.index:
        pixels = list(header.index.lengths)
    elif header.stream_length is not None:
        pixels = [header.stream_length]
    else:
        pixels = [max(0, body - header.alpha_length)]
    return [header.alpha_length, *pixels, header.metadata_length]


def pack_varint(value: int) -> bytes:
    """LEB128: 7 bits a byte, low ones first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    """Reads bytes front to back; reading past the end raises TruncatedError with the number of bytes needed."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def require(self, count: int) -> None:
        """Raises TruncatedError unless `count` more bytes are there."""
        needed = self.position + count
        if needed > len(self.data):
            raise TruncatedError(
                f"the data ends inside the header, after {len(self.data)} bytes:"
                f" at least {max(needed, SMALLEST_HEADER)} are needed"
            )

    def take(self, count: int) -> bytes:
        self.require(count)
        self.position += count
        return self.data[self.position - count : self.position]

    def varint(self) -> int:
        value = 0
        for place in range(5):
            byte = self.take(1)[0]
            value |= (byte & 127) << 7 * place
            if byte < 128:
                if place and not byte:
                    break
                return value
        raise FormatError(f"a number at byte {self.position - 1} is longer than it needs to be: the data is damaged")
