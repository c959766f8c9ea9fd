"""The header of the .ddpm container as values, for those who write it. `_native.FileHeader` is one that was read.

ddpm.py has its bytes and the layout.
"""

from __future__ import annotations

from dataclasses import dataclass

from ddpmcodec._native import (
    ALPHA_MODES,
    KINDS,
    LEAST_STATE_BYTES,
    SAMPLE_BITS,
    SCALINGS,
    SEGMENTS_OF_EXACT,
    SEGMENTS_OF_JPEG,
    SEGMENTS_OF_LEVEL,
    UPRIGHT,
)

PIXELS, COEFFICIENTS = KINDS  # of payloads
DEFAULT_EFFORT, DEFAULT_LEVELS = 2, 1  # of encoders
LEAST_SIDE, MOST_SIDE, SIDE_STEP = 64, 1024, 16  # pixels, of square tiles that a caller asks for
# What information calls payloads, for people.
CODINGS = {PIXELS: "context model", COEFFICIENTS: "JPEG coefficients"}
KEPT_WHOLE = "kept whole"  # of files whose payload is a preview

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
        effort, levels: of the streams; levels is one of LEVELS.
        model_number: of an embedded model; 0: `model_id` names another one.
        kind: of the payload, one of KINDS.
        orientation: as EXIF counts them, 1 unless the file has sections or is a JPEG.
        bits: of a coded value. source_bits: of a sample. scaling: one of SCALINGS, of values to samples.
        alpha_length, metadata_length, frame_length, recipe_length, kept_length, low_bits_length: bytes of these
            sections; 0: the file has none.
        payload_length: bytes of the payload of a file without an index.
        state_bytes: of the rANS state that a single stream begins with.
        repeats: whether exact pixels are first sought among repeats.
        index: the grid and the chunks of a tiled file, and of JPEG coefficients.
    """

    mode: str
    width: int
    height: int
    effort: int = 0
    levels: int = 0
    model_number: int = 0
    model_id: bytes = b""
    kind: str = PIXELS
    orientation: int = UPRIGHT
    alpha_length: int = 0
    metadata_length: int = 0
    frame_length: int = 0
    recipe_length: int = 0
    kept_length: int = 0
    payload_length: int = 0
    state_bytes: int = LEAST_STATE_BYTES
    repeats: bool = False
    index: Index | None = None
    bits: int = SAMPLE_BITS
    source_bits: int = SAMPLE_BITS
    scaling: str = SCALINGS[0]
    low_bits_length: int = 0

    @property
    def has_alpha(self) -> bool:
        return self.mode in ALPHA_MODES

    @property
    def has_alpha_section(self) -> bool:
        return self.has_alpha and self.kind == PIXELS

    @property
    def is_extended(self) -> bool:
        """Whether it states the kind of the payload, or the bits of samples."""
        return self.kind != PIXELS or self.source_bits != SAMPLE_BITS

    @property
    def channels(self) -> int:
        """Colour channels: 1 or 3."""
        return channels_of(self.mode)

    @property
    def has_sections(self) -> bool:
        """Whether the header lists sections."""
        listed = self.metadata_length or self.frame_length or self.kept_length or self.low_bits_length
        return bool(self.has_alpha_section or listed)

    @property
    def is_plain(self) -> bool:
        """Whether it is one stream of pixels and has no sections: the check of its stream covers the header."""
        return self.kind == PIXELS and not (self.index or self.has_sections)

    @property
    def segments(self) -> int:
        """Segments of a tile, or of a single stream."""
        if self.kind == COEFFICIENTS:
            return SEGMENTS_OF_JPEG + self.levels
        return SEGMENTS_OF_EXACT + SEGMENTS_OF_LEVEL * self.levels

    @property
    def has_grid(self) -> bool:
        """Whether it states the size of tiles. A single tile of JPEG coefficients is the image."""
        is_image = self.tile_size == (self.width, self.height)
        return self.index is not None and not (self.kind == COEFFICIENTS and is_image)

    @property
    def tile_size(self) -> tuple[int, int]:
        """Width and height; without an index the image is the only tile."""
        return (self.index.tile_width, self.index.tile_height) if self.index else (self.width, self.height)

    @property
    def tile_count(self) -> int:
        tile_width, tile_height = self.tile_size
        return -(-self.width // tile_width) * -(-self.height // tile_height)

    def box(self, tile: int) -> Box:
        """Rows and columns of a tile: they are numbered in coding order, row by row of the grid."""
        width, height = self.tile_size
        row, column = divmod(tile, -(-self.width // width))
        top, left = row * height, column * width
        return slice(top, min(top + height, self.height)), slice(left, min(left + width, self.width))

    def boxes(self) -> list[Box]:
        """Rows and columns of all tiles, in coding order."""
        return [self.box(tile) for tile in range(self.tile_count)]
