"""The header of the .ddpm container as values, and the limits that a decoder relies on.

header_bytes.py has its bytes, ddpm.py the layout.
"""

from __future__ import annotations

from dataclasses import dataclass

from ddpmcodec.errors import FormatError

MAGIC = b"\xdd\n"
ARCHIVE_MAGIC = b"\xddA\r\n"
VERSION = 1
MODES = ("L", "RGB", "LA", "RGBA", "1")
ALPHA_MODES = ("LA", "RGBA")
JPEG_MODES = MODES[:2]
LEVELS = (0, 2, 5)  # how many noise levels a file can have
SEGMENTS_OF_LEVEL, SEGMENTS_OF_EXACT = 7, 8  # of the steps of a tile: to a noise level, and to exact pixels
SQUARE, TILED, SECTIONS = 8, 16, 32  # flags in the byte of the version
EXTENDED = 8  # flag in the byte of the effort
WEBP, JPEG, JPEG_XL = STORED_KINDS = ("webp", "jpeg", "jxl")  # files that a payload can be, in place of streams
KINDS = ("", *STORED_KINDS)  # of payloads, by number
SAMPLE_BITS = 8
ALPHA_TAG, METADATA_TAG = 0x81, 0x42  # of sections
TYPE_BITS, AFTER, CRITICAL = 63, 64, 128  # of a tag; AFTER: the section follows the payload
MODEL_ID_BYTES = 4
MAX_MODEL_NUMBER = 255
LEAST_STATE_BYTES, MOST_STATE_BYTES = 4, 8
WORD_BYTES = 4
MAX_EFFORT = 3
DEFAULT_EFFORT, DEFAULT_LEVELS = 2, 2  # what encoders take where nobody chooses
UPRIGHT, MAX_ORIENTATION = 1, 8  # as EXIF counts orientations

MAX_PIXELS = 1 << 28  # of an image
MAX_TILE_PIXELS = 1 << 21  # of one independently coded stream: bounds the memory of a decoder
MAX_CHUNKS = 1 << 20
MAX_METADATA = 1 << 24  # bytes, before and after compression
MAX_WEBP_SIDE = 16383  # pixels, of that format
NAMES = {WEBP: "WebP", JPEG: "JPEG", JPEG_XL: "JPEG XL"}
# What information calls them, for people.
CODINGS = {"": "context model", WEBP: "lossless WebP", JPEG: "JPEG as it was", JPEG_XL: "JPEG, by JPEG XL"}
MAX_SIDES = {WEBP: MAX_WEBP_SIDE, JPEG: 65535, JPEG_XL: 65535}

Box = tuple[slice, slice]  # rows, columns


def channels_of(mode: str) -> int:
    """Colour channels of a mode: 1 or 3."""
    return 3 if mode.startswith("RGB") else 1


@dataclass(frozen=True)
class Index:
    """How a large image is cut: a grid of tiles, and the length in bytes and CRC-16 of each chunk, segment-major."""

    tile_width: int
    tile_height: int
    lengths: tuple[int, ...] = ()
    checks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Header:
    """The facts that precede the pixels of a file.

    Attributes:
        effort, levels: of the streams, 0 in a stored file; levels is one of LEVELS.
        model_number: of an embedded model; 0: `model_id` names another one. A stored file has neither.
        stored: one of STORED_KINDS if the payload is a file of another format; otherwise empty.
        mean_colour: of a stored file, one byte a colour channel.
        orientation: as EXIF counts them, 1 unless the file has sections or is a JPEG.
        alpha_length, metadata_length: bytes of these sections; 0: the file has none.
        others: tag and length of each section of an unknown type, which a reader skips.
        payload_length: bytes of the payload of a file without an index.
        state_bytes: of the rANS state that a single stream begins with.
        index: the grid and the chunks of a tiled file.
    """

    mode: str
    width: int
    height: int
    effort: int = 0
    levels: int = 0
    model_number: int = 0
    model_id: bytes = b""
    stored: str = ""
    mean_colour: bytes = b""
    orientation: int = UPRIGHT
    alpha_length: int = 0
    metadata_length: int = 0
    others: tuple[tuple[int, int], ...] = ()
    payload_length: int = 0
    state_bytes: int = LEAST_STATE_BYTES
    index: Index | None = None

    @property
    def has_alpha(self) -> bool:
        return self.mode in ALPHA_MODES

    @property
    def has_alpha_section(self) -> bool:
        return self.has_alpha and not self.stored

    @property
    def is_jpeg(self) -> bool:
        """Whether the payload is a JPEG file, or is made of one."""
        return self.stored in (JPEG, JPEG_XL)

    @property
    def channels(self) -> int:
        """Colour channels: 1 or 3."""
        return channels_of(self.mode)

    @property
    def has_sections(self) -> bool:
        """Whether the header lists sections, or states how a JPEG is turned."""
        turned = self.is_jpeg and self.orientation != UPRIGHT
        return bool(self.has_alpha_section or self.metadata_length or self.others or turned)

    @property
    def is_plain(self) -> bool:
        """Whether it is neither tiled nor stored and has no sections: the check of its stream covers the header."""
        return not (self.index or self.stored or self.has_sections)

    @property
    def segments(self) -> int:
        """Segments of a tile, or of a single stream."""
        return SEGMENTS_OF_EXACT + SEGMENTS_OF_LEVEL * self.levels

    @property
    def lengths_before(self) -> int:
        """Bytes of the sections that precede the payload."""
        return self.alpha_length + sum(length for tag, length in self.others if not tag & AFTER)

    @property
    def lengths_after(self) -> int:
        """Bytes of the sections that follow the payload."""
        return self.metadata_length + sum(length for tag, length in self.others if tag & AFTER)

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
        """Bytes of each chunk of the index; without one, of the payload."""
        return self.index.lengths if self.index else (self.payload_length,)

    def box(self, tile: int) -> Box:
        """Rows and columns of a tile: they are numbered in coding order, row by row of the grid."""
        width, height = self.tile_size
        row, column = divmod(tile, -(-self.width // width))
        top, left = row * height, column * width
        return slice(top, min(top + height, self.height)), slice(left, min(left + width, self.width))

    def boxes(self) -> list[Box]:
        """Rows and columns of all tiles, in coding order."""
        return [self.box(tile) for tile in range(self.tile_count)]


# --- limits


def check_header(header: Header) -> None:
    """Raises FormatError unless `parse_header`, which calls the other checks as it reads, would give the header
    back."""
    if header.mode not in MODES:
        raise FormatError(f"unknown colour mode {header.mode!r} (one of {', '.join(MODES)} is possible)")
    if header.stored not in KINDS:
        raise FormatError(f"unknown payload {header.stored!r} (one of {', '.join(STORED_KINDS)} is possible)")
    check_size(header)
    check_coding(header)
    check_sections(header)
    _check_others(header)
    check_tiles(header)
    _check_payload(header)
    if header.index:
        _check_index(header, header.index)


def check_size(header: Header) -> None:
    width, height = header.width, header.height
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
        raise FormatError(f"the header claims {width} x {height} pixels (1 to {MAX_PIXELS} pixels are possible)")
    if header.stored and max(width, height) > MAX_SIDES[header.stored]:
        raise FormatError(
            f"the header claims a {NAMES[header.stored]} payload of {width} x {height} pixels"
            f" (sides of 1 to {MAX_SIDES[header.stored]} are possible)"
        )


def check_coding(header: Header) -> None:
    """Checks what the header says beside the size."""
    colours = header.channels if header.stored else 0
    if len(header.mean_colour) != colours:
        raise FormatError(f"a mean colour of {len(header.mean_colour)} bytes, where the format has {colours}")
    least, most = (0, 0) if header.stored else (1, MAX_EFFORT)
    if not least <= header.effort <= most:
        raise FormatError(f"the header claims effort {header.effort} ({least} to {most} are possible)")
    levels = LEVELS[:1] if header.stored else LEVELS
    if header.levels not in levels:
        possible = ", ".join(map(str, levels))
        raise FormatError(f"the header claims {header.levels} noise levels ({possible} are possible)")
    check_model(header.model_number, header.model_id, has_model=not header.stored)
    if header.is_jpeg and header.mode not in JPEG_MODES:
        raise FormatError(f"the header claims a JPEG of mode {header.mode} ({' and '.join(JPEG_MODES)} are possible)")


def check_model(number: int, model_id: bytes, has_model: bool = True) -> None:
    """Raises FormatError unless either the number or the id says which model it is; where there is none, neither
    may."""
    expected = MODEL_ID_BYTES if has_model and not number else 0
    if not 0 <= number <= (MAX_MODEL_NUMBER if has_model else 0) or len(model_id) != expected:
        raise FormatError(
            f"a model of number {number} with an id of {len(model_id)} bytes, where the format has {expected}"
            f" (numbers of 1 to {MAX_MODEL_NUMBER} are possible, or 0 and an id)"
        )


def check_sections(header: Header) -> None:
    """Check alpha, metadata and orientation. Raises FormatError if the format has no such sections."""
    if header.alpha_length and not header.has_alpha_section:
        raise FormatError(f"an alpha section of {header.alpha_length} bytes where the format has none")
    if header.has_alpha_section and header.alpha_length < 1:
        raise FormatError(f"the header claims mode {header.mode} without an alpha section: the data is damaged")
    if header.is_jpeg and header.metadata_length:
        raise FormatError("the header claims metadata beside a JPEG, which has its own: the data is damaged")
    if not 0 <= header.metadata_length <= MAX_METADATA:
        raise FormatError(
            f"the header claims {header.metadata_length} bytes of metadata (1 to {MAX_METADATA} are possible)"
        )
    most = MAX_ORIENTATION if header.has_sections else UPRIGHT
    if not UPRIGHT <= header.orientation <= most:
        raise FormatError(f"the header claims orientation {header.orientation} ({UPRIGHT} to {most} are possible)")


def _check_others(header: Header) -> None:
    """Raises FormatError unless a reader skips these sections."""
    known = {tag & TYPE_BITS for tag in (ALPHA_TAG, METADATA_TAG)}
    types = [tag & TYPE_BITS for tag, _ in header.others]
    skipped = all(0 < tag < CRITICAL and length > 0 for tag, length in header.others)
    if not skipped or types != sorted({*types} - known - {0}):
        raise FormatError(f"sections {header.others} of unknown types, which a reader would not skip")


def check_may_have_tiles(stored: str) -> None:
    if stored:
        raise FormatError(f"the header claims a {NAMES[stored]} payload in tiles: the data is damaged")


def check_tiles(header: Header) -> None:
    """Checks that tiles fit the image and a decoder's memory, which does not concern a stored file."""
    (width, height), index = header.tile_size, header.index
    if not header.stored and not (
        0 < width <= header.width and 0 < height <= header.height and width * height <= MAX_TILE_PIXELS
    ):
        raise FormatError(
            f"the header claims tiles of {width} x {height} pixels for an image of {header.width} x {header.height}"
            f" (1 to {MAX_TILE_PIXELS} pixels are possible)"
        )
    if index:
        check_may_have_tiles(header.stored)
    if index and header.tile_count * header.segments > MAX_CHUNKS:
        raise FormatError(
            f"the header claims {header.tile_count * header.segments} chunks (1 to {MAX_CHUNKS} are possible)"
        )


def _check_payload(header: Header) -> None:
    """Check the length of the payload, and of the state that a single stream begins with."""
    has_state = not (header.stored or header.index)
    most = MOST_STATE_BYTES if has_state else LEAST_STATE_BYTES
    if not LEAST_STATE_BYTES <= header.state_bytes <= most:
        raise FormatError(
            f"the header claims a state of {header.state_bytes} bytes ({LEAST_STATE_BYTES} to {most} are possible)"
        )
    words = header.payload_length - header.state_bytes
    if has_state and (words < 0 or words % WORD_BYTES):
        raise FormatError(
            f"the header claims a stream of {header.payload_length} bytes, {header.state_bytes} of them its state,"
            " which does not end with a word: the data is damaged"
        )


def _check_index(header: Header, index: Index) -> None:
    chunks = header.tile_count * header.segments
    if len(index.lengths) != chunks or len(index.checks) != chunks or header.payload_length:
        raise FormatError(
            f"an index of {len(index.lengths)} lengths and {len(index.checks)} checks and a payload of"
            f" {header.payload_length} bytes, where there are {header.tile_count} tiles of {header.segments} segments"
        )
