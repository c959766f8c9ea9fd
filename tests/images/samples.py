"""Pictures of every mode, their files, and metadata, for tests of what is read and written."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

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
    bodies = [(kind + data, len(data)) for kind, data in chunks]
    made = [struct.pack(">I", size) + body + struct.pack(">I", zlib.crc32(body)) for body, size in bodies]
    return whole[:33] + b"".join(made) + whole[33:]
