"""JPEG files that come back byte for byte, in no more bytes than they had, and a header.

A file that the networks of coefficients do not take, as one with arithmetic coding, is stored as it is: the payload is
the CRC-32 of the JPEG file, its length (varint), and the file.
"""

from __future__ import annotations

import zlib
from io import BytesIO

from ddpmcodec._native import CRC32_BYTES, Container
from ddpmcodec.codec import coefficients
from ddpmcodec.errors import CorruptError, FormatError, ImageError
from ddpmcodec.format.header import COEFFICIENTS, JPEG
from ddpmcodec.format.varint import Reader, pack_varint
from ddpmcodec.images import Planes, claimed_shape, load_image, shown_mode, shown_planes

MAX_LENGTH = 1 << 30  # bytes of a JPEG file


def can_store(jpeg: bytes) -> bool:
    """Whether a JPEG file is stored as such: of a larger one, pixels are coded."""
    return len(jpeg) <= MAX_LENGTH


def pack(jpeg: bytes) -> bytes:
    """The payload of a JPEG file that is stored as it is."""
    return zlib.crc32(jpeg).to_bytes(CRC32_BYTES, "little") + pack_varint(len(jpeg)) + jpeg


def length_of(file: Container) -> int | None:
    """How many bytes the JPEG file has that was encoded; None if there is none, or the place is cut that says it."""
    if file.header.kind == COEFFICIENTS:
        return coefficients.length_of(file)
    if file.header.kind != JPEG:
        return None
    try:
        reader = Reader(file.bytes(*file.header.payload), "the payload")
        reader.take(CRC32_BYTES)
        return reader.varint()
    except FormatError:
        return None


def planes_of(jpeg: bytes, expected: tuple[str, int, int]) -> Planes:
    """The image of a JPEG file by this machine's decoder. expected: mode, width and height. Raises CorruptError."""
    pixels = expected[1] * expected[2]  # which were allowed
    shape = claimed_shape(BytesIO(jpeg), ("JPEG",), pixels)  # before there are many pixels, or those of another format
    if shape is None:
        raise CorruptError("the JPEG inside the file is none: get the file again")
    width, height, mode = shape
    if (shown_mode(mode), width, height) != expected:
        raise CorruptError(f"the JPEG inside the file is {width} x {height} {mode}: get the file again")
    try:
        return shown_planes(load_image(jpeg, "the JPEG inside the file", max_pixels=pixels))
    except ImageError as error:
        raise CorruptError(f"{error}; get the file again") from error
