"""Read PBM, PGM, PPM, PAM, and PNG without palettes and interlacing; write PAM. Standard library only."""

from __future__ import annotations

import math
import re
import struct
import zlib
from typing import NamedTuple

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type


class Raster(NamedTuple):
    """An image. samples: row by row, channels interleaved; of more than 8 bits two bytes each, the high one first."""

    width: int
    height: int
    channels: int
    bits: int
    samples: bytes

    def as_grey(self) -> Raster:
        """The image with one channel (and alpha) in place of three equal ones; unchanged if they are not equal."""
        size, colours = (self.bits + 7) // 8, self.channels // 3 * 3
        step = self.channels * size
        planes = [_plane(self.samples, step, start, size) for start in range(0, step, size)]
        if colours != 3 or not planes[0] == planes[1] == planes[2]:
            return self
        grey = planes[:1] + planes[3:]
        samples = bytearray(len(planes[0]) * len(grey))
        for channel, plane in enumerate(grey):
            for byte in range(size):
                samples[channel * size + byte :: len(grey) * size] = plane[byte::size]
        return self._replace(channels=len(grey), samples=bytes(samples))

    def pam(self) -> bytes:
        """The image as a PAM file. One of 0 and 255 alone is black and white."""
        is_bilevel = self.channels == 1 and not set(self.samples) - {0, 255}
        kind = (
            "BLACKANDWHITE" if is_bilevel else ("GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA")[self.channels - 1]
        )
        facts = {"WIDTH": self.width, "HEIGHT": self.height, "DEPTH": self.channels}
        facts |= {"MAXVAL": 1 if is_bilevel else (1 << self.bits) - 1, "TUPLTYPE": kind}
        head = "P7\n" + "".join(f"{key} {value}\n" for key, value in facts.items()) + "ENDHDR\n"
        samples = bytes(value & 1 for value in self.samples) if is_bilevel else self.samples
        return head.encode() + samples

    def psnr(self, other: Raster) -> float:
        """Decibels between two images of 8 bits. Infinite for equal ones, or if nothing can be compared."""
        if len(self.samples) != len(other.samples):
            return -math.inf
        error = sum((a - b) ** 2 for a, b in zip(self.samples, other.samples, strict=True))
        return math.inf if error == 0 else 10 * math.log10(255**2 * len(self.samples) / error)


def read(file: bytes) -> Raster:
    """Return the picture in a file. Raises ValueError if it is none of these formats or not whole."""
    try:
        raster = _read_png(file) if file.startswith(PNG_MAGIC) else _read_netpbm(file)
    except (IndexError, KeyError, struct.error, zlib.error) as error:
        raise ValueError(f"the picture is damaged: {error}") from error
    size = raster.width * raster.height * raster.channels * (2 if raster.bits > 8 else 1)
    if len(raster.samples) != size:
        raise ValueError(f"the picture has {len(raster.samples)} bytes of samples in place of {size}")
    return raster


def _plane(samples: bytes, step: int, start: int, size: int) -> bytes:
    plane = bytearray(len(samples) // step * size)
    for byte in range(size):
        plane[byte::size] = samples[start + byte :: step]
    return bytes(plane)


def _read_netpbm(file: bytes) -> Raster:
    if file.startswith(b"P7"):
        header, _, samples = file.partition(b"ENDHDR\n")
        facts = dict(line.split(None, 1) for line in header.splitlines()[1:] if b" " in line)
        width, height, channels, most = (int(facts[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
        return _widened(Raster(width, height, channels, most.bit_length(), samples))
    fields = re.match(rb"P([456])\s+(?:#.*\n\s*)*(\d+)\s+(\d+)\s", file)
    if fields is None:
        raise ValueError(f"the picture begins with {file[:8]!r}: write PBM, PGM, PPM, PAM or PNG")
    kind, width, height = (int(field) for field in fields.groups())
    if kind == 4:
        rows = _unpacked(file[fields.end() :], width, height)
        return Raster(width, height, 1, 8, bytes(255 - value for value in rows))
    most_field = re.match(rb"(\d+)\s", file[fields.end() :])
    if most_field is None:
        raise ValueError("the picture has no largest value")
    samples = file[fields.end() + most_field.end() :]
    return Raster(width, height, 1 if kind == 5 else 3, int(most_field[1]).bit_length(), samples)


def _widened(raster: Raster) -> Raster:
    """The image with samples of 8 bits in place of one."""
    return (
        raster if raster.bits > 1 else raster._replace(bits=8, samples=bytes(255 * value for value in raster.samples))
    )


def _unpacked(packed: bytes, width: int, height: int) -> bytes:
    """Samples of one bit as 0 and 255."""
    row = (width + 7) // 8
    return bytes(255 * (packed[y * row + x // 8] >> (7 - x % 8) & 1) for y in range(height) for x in range(width))


def _read_png(file: bytes) -> Raster:
    chunks, position, header = [], len(PNG_MAGIC), b""
    while position < len(file):
        (length,), kind = struct.unpack_from(">I", file, position), file[position + 4 : position + 8]
        body, position = file[position + 8 : position + 8 + length], position + 12 + length
        header = body if kind == b"IHDR" else header
        chunks += [body] if kind == b"IDAT" else []
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if interlaced or bits not in (1, 8, 16):
        raise ValueError(f"a PNG of {bits} bits or interlaced is not read")
    channels = PNG_CHANNELS[colour]
    rows = _unfiltered(
        zlib.decompress(b"".join(chunks)), (width * channels * bits + 7) // 8, max(1, channels * bits // 8)
    )
    return Raster(width, height, channels, max(bits, 8), _unpacked(rows, width, height) if bits == 1 else rows)


def _unfiltered(data: bytes, row: int, step: int) -> bytes:
    """Samples without the filters of rows. step: bytes of a pixel."""
    above, out = bytes(row), bytearray()
    for start in range(0, len(data), row + 1):
        kind, line = data[start], bytearray(data[start + 1 : start + 1 + row])
        for i, value in enumerate(line):
            left, corner = (line[i - step], above[i - step]) if i >= step else (0, 0)
            line[i] = value + (0, left, above[i], (left + above[i]) // 2, _paeth(left, above[i], corner))[kind] & 255
        out += line
        above = bytes(line)
    return bytes(out)


def _paeth(left: int, above: int, corner: int) -> int:
    estimate = left + above - corner
    return min((left, above, corner), key=lambda value: abs(estimate - value))
