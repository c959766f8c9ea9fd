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
TILED, METADATA, STORED, SQUARE = 1, 2, 4, 8  # flags
WEBP, JPEG, JPEG_XL = STORED_KINDS = ("webp", "jpeg", "jxl")  # files that a payload can be, in place of streams
MODEL_ID_BYTES = 4
MAX_MODEL_NUMBER = 255
LEAST_STATE_BYTES, MOST_STATE_BYTES = 4, 8
MAX_EFFORT = 3
DEFAULT_EFFORT, DEFAULT_LEVELS = 2, 2  # what encoders take where nobody chooses
UPRIGHT, MAX_ORIENTATION = 1, 8  # as EXIF counts orientations

MAX_PIXELS = 1 << 28  # of an image
MAX_TILE_PIXELS = 1 << 21  # of one independently coded stream: bounds the memory of a decoder
MAX_SEGMENTS = 255
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
    segments: int  # per tile
    lengths: tuple[int, ...] = ()
    checks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Header:
    """What stands in front of the pixels. Lengths are in bytes.

    model_number: of an embedded model; 0: `model_id` says which. state_bytes: of the rANS state that a single stream
    begins with. orientation: as EXIF counts them, of a file with metadata, and of a JPEG, which has its own inside.

    stored: one of STORED_KINDS where the payload is a file of another format. It has a `mean_colour` (1 or 3 bytes) and
    neither `effort`, `levels`, a model nor `index`. A tiled file has an `index` in place of the `payload_length`, and a
    plain one has neither.
    """

    mode: str
    width: int
    height: int
    effort: int = 0
    levels: int = 0  # one of LEVELS
    model_number: int = 0
    model_id: bytes = b""
    stored: str = ""
    mean_colour: bytes = b""
    state_bytes: int = LEAST_STATE_BYTES
    orientation: int = UPRIGHT
    alpha_length: int = 0
    metadata_length: int = 0
    payload_length: int = 0
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
    def is_plain(self) -> bool:
        """Whether it is a single stream and nothing beside it: its payload is the rest of the file, and checks the
        header."""
        return not (self.index or self.stored or self.has_alpha or self.metadata_length)

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
    if header.stored not in ("", *STORED_KINDS):
        raise FormatError(f"unknown payload {header.stored!r} (one of {', '.join(STORED_KINDS)} is possible)")
    check_size(header)
    check_coding(header)
    if header.metadata_length or header.is_jpeg:
        check_metadata(header)
    elif header.orientation != UPRIGHT:
        raise FormatError(f"orientation {header.orientation} of a file without metadata, where the format has none")
    if header.alpha_length and not header.has_alpha_section:
        raise FormatError(f"an alpha section of {header.alpha_length} bytes where the format has none")
    if header.is_plain and header.payload_length:
        raise FormatError(f"a payload of {header.payload_length} bytes where the format states no length")
    check_tiles(header)
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


def check_metadata(header: Header) -> None:
    """Checks metadata and orientation; of a JPEG, which holds its own metadata, the orientation alone."""
    if header.metadata_length:
        check_may_have_metadata(header.stored)
    if not header.is_jpeg and not 1 <= header.metadata_length <= MAX_METADATA:
        raise FormatError(
            f"the header claims {header.metadata_length} bytes of metadata (1 to {MAX_METADATA} are possible)"
        )
    if not UPRIGHT <= header.orientation <= MAX_ORIENTATION:
        raise FormatError(
            f"the header claims orientation {header.orientation} ({UPRIGHT} to {MAX_ORIENTATION} are possible)"
        )


def check_may_have_metadata(stored: str) -> None:
    if stored in (JPEG, JPEG_XL):
        raise FormatError("the header claims metadata beside a JPEG, which has its own: the data is damaged")


def check_may_have_tiles(stored: str) -> None:
    if stored:
        raise FormatError(f"the header claims a {NAMES[stored]} payload in tiles: the data is damaged")


def check_tiles(header: Header) -> None:
    """Checks that tiles fit the image and a decoder's memory, which does not concern a stored file."""
    _check_state(header)
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
    if index and not 1 <= index.segments <= MAX_SEGMENTS:
        raise FormatError(f"the header claims {index.segments} segments per tile (1 to {MAX_SEGMENTS} are possible)")
    if index and header.tile_count * index.segments > MAX_CHUNKS:
        raise FormatError(
            f"the header claims {header.tile_count * index.segments} chunks (1 to {MAX_CHUNKS} are possible)"
        )


def _check_state(header: Header) -> None:
    most = LEAST_STATE_BYTES if header.stored or header.index else MOST_STATE_BYTES
    if not LEAST_STATE_BYTES <= header.state_bytes <= most:
        raise FormatError(
            f"the header claims a state of {header.state_bytes} bytes ({LEAST_STATE_BYTES} to {most} are possible)"
        )


def _check_index(header: Header, index: Index) -> None:
    chunks = header.tile_count * index.segments
    if len(index.lengths) != chunks or len(index.checks) != chunks or header.payload_length:
        raise FormatError(
            f"an index of {len(index.lengths)} lengths and {len(index.checks)} checks and a payload of"
            f" {header.payload_length} bytes, where there are {header.tile_count} tiles of {index.segments} segments"
        )
