"""Pictures of every mode, their files, and metadata, for tests of what is read and written."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

from ddpmcodec.formats import png

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/>\xc3\xa9</x:xmpmeta>'
LINEAR = (b"gAMA", struct.pack(">I", 100000))


def noise(*shape: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(7)).integers(0, 256, shape, dtype=np.uint8)


def picture(mode: str) -> Image.Image:
    """24 x 20 pixels that use the mode fully."""
    bands = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
    if mode == "1":
        return Image.fromarray(noise(20, 24) > 127)
    return Image.fromarray(noise(20, 24, bands[mode]).squeeze(2) if mode == "L" else noise(20, 24, bands[mode]))


def exif() -> bytes:
    found = Image.Exif()
    found[ExifTags.Base.Make] = "Maker"
    found[ExifTags.Base.Orientation] = 1
    found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 200
    return found.tobytes()


def stored(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def described(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with these chunks behind its head."""
    whole = stored(picture("RGB"), "PNG")
    return whole[:33] + b"".join(chunk(*each) for each in chunks) + whole[33:]


def bmp_with_profile(place: bytes, profile: bytes, gap: int = 0) -> bytes:
    """A BMP of 12 x 8 pixels with the head that names an ICC profile (BITMAPV5HEADER).

    Parameters:
        place: the bytes that say whether the profile is in the file.
        gap: bytes between the pixels and the profile.
    """
    pixels, size = b"abc" * 96, len(profile)
    head = struct.pack("<IiiHHIIiiII", 124, 12, 8, 1, 24, 0, len(pixels), 0, 0, 0, 0) + bytes(16) + place + bytes(52)
    head += struct.pack("<II", 124 + len(pixels) + gap, size) + bytes(4)
    content = head + pixels + bytes(gap) + profile
    return b"BM" + struct.pack("<IHHI", 14 + len(content), 0, 0, 14 + 124) + content


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_head(width: int, height: int, depth: int, colour_type: int, *, interlaced: bool = False) -> tuple[bytes, bytes]:
    """The chunk that begins a PNG."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks and its end."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in (*chunks, (b"IEND", b"")))


# Layouts of PNG files: bits a sample, colour type. A colour that is transparent, by colour type.
KEYS = {0: b"\0\1", 2: b"\0\1\0\2\0\3", 3: b"\xff\x80\0"}
LAYOUTS = [(1, 0), (2, 0), (4, 0), (8, 0), (8, 2), (2, 3), (4, 3), (8, 3), (8, 4), (8, 6)]
PLAIN_PALETTE = (b"PLTE", bytes(range(3)) + bytes(range(60, 69)))


def stored_as(depth: int, colour_type: int, *, interlaced: bool = False, chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of 13 x 9 pixels, whose samples are below 2 to the power of 2 in each, filtered by nothing."""
    samples = np.random.default_rng(depth).integers(0, min(4, 1 << depth), (9, 13, png.SAMPLES[colour_type]), np.uint8)
    rows = b""
    for x, y, across, down in png.ADAM7 if interlaced else [(0, 0, 1, 1)]:
        for row in samples[y::down, x::across]:
            bits = "".join(f"{sample:0{depth}b}" for sample in row.ravel())
            packed = bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))
            rows += b"\0" + packed if packed else b""
    head = png_head(13, 9, depth, colour_type, interlaced=interlaced)
    return png_of(head, *chunks, (b"IDAT", zlib.compress(rows)), (b"tEXt", b"Software\0at the end"))
