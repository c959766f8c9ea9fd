"""Numbers of the .ddpm format, as docs/format.md states them: written again, so that a change of the core's shows."""

from __future__ import annotations

VERSION_SHIFT, SQUARE_FLAG, TILED_FLAG, SECTIONS_FLAG = 6, 8, 16, 32  # of the third byte of a header
EFFORT_SHIFT, REPEATS_FLAG, EXTENDED_FLAG = 4, 128, 8  # of the fourth
DEPTH_SHIFT = 4  # of the fifth, of an extended header
SCALING_SHIFT = 4  # of the sixth, of an extended header of pixels
UPRIGHT = 1  # as EXIF counts orientations
FRAME_TAG, RECIPE_TAG, LOW_BITS_TAG = 0x83, 0xC4, 0xC6
CODED_ALPHA_REPEATS = 8  # in the first byte of an alpha section
CRC16_BYTES = 2
MAX_CHUNKS, MAX_TILE_PIXELS = 1 << 20, 1 << 21
SEGMENTS_OF_LEVEL, SEGMENTS_OF_EXACT, SEGMENTS_OF_JPEG = 7, 8, 9
