"""Samples of 9 to 16 bits: how they are coded, and the image files that hold them.

Pillow has no colour images of more than 8 bits. Its readers give the high bytes of such samples, or, asked for the
other byte order, the low ones.
"""

from __future__ import annotations

import re
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec._native import SAMPLE_BITS, SCALINGS
from ddpmcodec.formats import png
from ddpmcodec.parallel import interruptible

Values = NDArray[np.uint16]
NONE, SHIFTED, REPEATED = SCALINGS
MOST_BITS = 16
OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
COLOUR_TYPES = {1: png.GREY, 2: png.GREY_ALPHA, 3: png.RGB, 4: png.RGBA}  # by channels
TUPLES = {2: b"GRAYSCALE_ALPHA", 4: b"RGB_ALPHA"}
PNM_HEAD = re.compile(rb"P([56])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")
FORMATS = ("PNG", "TIFF", "PPM")  # that can be written


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of an image, and how they are coded.

    Attributes:
        values: (H, W, C), with alpha as the last channel.
        source_bits: of a sample.
        bits: of a coded value, 8 or more.
        scaling: one of SCALINGS: how samples are made of coded values.
    """

    values: Values
    source_bits: int
    bits: int
    scaling: str

    @property
    def low_bits(self) -> int:
        return self.bits - SAMPLE_BITS

    def high(self) -> NDArray[np.uint8]:
        """The high eight bits of the coded values."""
        return (self._coded() >> self.low_bits).astype(np.uint8)

    def low(self) -> NDArray[np.uint8]:
        """The bits of the coded values below the high ones."""
        return (self._coded() & ((1 << self.low_bits) - 1)).astype(np.uint8)

    def _coded(self) -> Values:
        return self.values >> np.uint16(0 if self.scaling == NONE else self.source_bits - self.bits)

    def equals(self, other: Samples) -> bool:
        facts = (self.source_bits, self.bits, self.scaling), (other.source_bits, other.bits, other.scaling)
        return facts[0] == facts[1] and np.array_equal(self.values, other.values)


def samples_of(values: Values, source_bits: int = MOST_BITS) -> Samples:
    """Return samples (H, W, C) with the fewest bits that they can be coded in."""
    used = int(np.bitwise_or.reduce(values, axis=None))
    choices = [(max(used.bit_length(), SAMPLE_BITS), NONE)]
    if zeros := (used & -used).bit_length() - 1 if used else 0:
        choices.append((max(source_bits - zeros, SAMPLE_BITS), SHIFTED))
    repeated = (
        bits
        for bits in range(max(SAMPLE_BITS, (source_bits + 1) // 2), source_bits)
        if _repeats(values, source_bits, bits)
    )
    choices.extend((bits, REPEATED) for bits in list(repeated)[:1])
    bits, scaling = min(choices, key=lambda choice: choice[0])
    return Samples(values, source_bits, bits, scaling)


def _repeats(values: Values, source_bits: int, bits: int) -> bool:
    """Whether the high bits of all samples follow once more."""
    more = source_bits - bits

    def all_repeat(part: Values) -> bool:
        return bool((part & ((1 << more) - 1) == part >> (source_bits - more)).all())

    return all_repeat(values[:1]) and all_repeat(values)


# --- reading


def read_image(opened: Callable[[], Any]) -> Values | None:
    """Return the samples (H, W, C) of an image file of 16 bits a sample; None if Pillow does not give all of them.

    Parameters:
        opened: opens the image, without loading it.
    """
    image = opened()
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[..., None] if "transparency" not in image.info else None
    raws = {_raw_mode(tile) for tile in image.tile}
    raw = raws.pop() if len(raws) == 1 else None
    if raw is None or "transparency" in image.info or not re.fullmatch(r"(RGB|RGBA|LA);16[BLN]", raw):
        return None
    if raw == "LA;16B":
        return _grey_and_alpha(image)
    low = opened()
    low.tile = [_with_raw_mode(tile, raw[:-1] + OTHER_ORDER[raw[-1]]) for tile in low.tile]
    values: Values = np.asarray(image).astype(np.uint16) << 8 | np.asarray(low)
    return values


def _grey_and_alpha(image: Any) -> Values:
    """Read pixels as integers of 32 bits."""
    image._mode = "I"
    image.tile = [_with_raw_mode(tile, "I;32BS") for tile in image.tile]
    pixels = np.asarray(image).view(np.uint32)
    return np.stack([pixels >> 16, pixels & 0xFFFF], -1).astype(np.uint16)


def _raw_mode(tile: Any) -> str | None:
    given = tile[3]
    first = given if isinstance(given, str) else given and given[0]
    return first if isinstance(first, str) else None


def _with_raw_mode(tile: Any, raw: str) -> Any:
    given = tile[3]
    changed = raw if isinstance(given, str) else (raw, *given[1:])
    return type(tile)(*tile[:3], changed) if hasattr(tile, "_fields") else (*tile[:3], changed)


def read_pnm(data: bytes) -> tuple[Values, int] | None:
    """Return the samples (H, W, C) of a PGM or PPM file, and their bits; None unless the largest value is that of 9 to
    16 bits, and the file ends with the pixels."""
    head = PNM_HEAD.match(data)
    if head is None:
        return None
    width, height, largest = (int(number) for number in head.groups()[1:])
    bits, channels = largest.bit_length(), 3 if head[1] == b"6" else 1
    if (
        largest + 1 != 1 << bits
        or not SAMPLE_BITS < bits <= MOST_BITS
        or len(data) - head.end() != 2 * width * height * channels
    ):
        return None
    values = np.frombuffer(data, ">u2", offset=head.end()).astype(np.uint16).reshape(height, width, channels)
    return (values, bits) if values.max() <= largest else None


# --- writing


def file_of(samples: Samples, file_format: str, icc_profile: bytes = b"", exif: bytes = b"") -> bytes:
    """Return an image file of these samples.

    Parameters:
        file_format: one of FORMATS. A PNG and a TIFF have 16 bits a sample, a PGM, PPM or PAM as many as the image.
        icc_profile: left out of a PNM file.
        exif: kept in a PNG file alone.
    """
    writers = {"PNG": _png, "TIFF": _tiff, "PPM": _pnm}
    return interruptible(writers[file_format], samples, icc_profile, exif)


def _png(samples: Samples, icc_profile: bytes, exif: bytes) -> bytes:
    return png.file_of(samples.values, COLOUR_TYPES[samples.values.shape[2]], icc_profile, exif)


def _pnm(samples: Samples, icc_profile: bytes, exif: bytes) -> bytes:
    height, width, channels = samples.values.shape
    largest, pixels = (1 << samples.source_bits) - 1, samples.values.astype(">u2").tobytes()
    if channels in TUPLES:
        head = b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL %d\nTUPLTYPE %s\nENDHDR\n"
        return head % (width, height, channels, largest, TUPLES[channels]) + pixels
    return b"P%d\n%d %d\n%d\n" % (6 if channels == 3 else 5, width, height, largest) + pixels


def _tiff(samples: Samples, icc_profile: bytes, exif: bytes) -> bytes:
    """A baseline TIFF of one strip."""
    height, width, channels = samples.values.shape
    pixels = zlib.compress(samples.values.astype("<u2").tobytes(), 6)
    shorts = struct.pack
    tags: list[tuple[int, int, bytes]] = [  # tag, type, value; 1 byte, 3 of 2 bytes, 4 of 4 bytes, 7 any
        (256, 4, shorts("<I", width)),
        (257, 4, shorts("<I", height)),
        (258, 3, shorts("<H", MOST_BITS) * channels),
        (259, 3, shorts("<H", 8)),  # deflate
        (262, 3, shorts("<H", 2 if channels > 2 else 1)),
        (273, 4, shorts("<I", 8)),
        (277, 3, shorts("<H", channels)),
        (278, 4, shorts("<I", height)),
        (279, 4, shorts("<I", len(pixels))),
        (284, 3, shorts("<H", 1)),
    ]
    tags += [(338, 3, shorts("<H", 2))] if channels in TUPLES else []  # alpha that is not multiplied
    tags += [(34675, 7, icc_profile)] if icc_profile else []
    stream = BytesIO()
    directory = 8 + len(pixels) + len(pixels) % 2
    stream.write(b"II*\0" + struct.pack("<I", directory) + pixels + bytes(len(pixels) % 2))
    later, place = b"", directory + 2 + 12 * len(tags) + 4
    stream.write(struct.pack("<H", len(tags)))
    for tag, kind, value in tags:
        count = len(value) // {3: 2, 4: 4, 7: 1}[kind]
        held = value.ljust(4, b"\0")
        if len(value) > 4:
            held, later = struct.pack("<I", place + len(later)), later + value + bytes(len(value) % 2)
        stream.write(struct.pack("<HHI", tag, kind, count) + held)
    return stream.getvalue() + bytes(4) + later
