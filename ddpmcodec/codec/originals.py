"""JPEG files that come back byte for byte, in no more bytes than they had, and a header.

A file that the networks of coefficients do not take, as one with arithmetic coding, is stored as it is: the payload is
the CRC-32 of the JPEG file, its length (varint), and the file.
"""

from __future__ import annotations

import zlib
from io import BytesIO

from ddpmcodec._native import CRC32_BYTES, Container, FileHeader
from ddpmcodec.arguments import DEFAULT_MAX_PIXELS, check_limits, check_pixels
from ddpmcodec.content import File, bytes_of
from ddpmcodec.errors import (
    ChecksumError,
    CorruptError,
    FormatError,
    ImageError,
    OutputError,
    TruncatedError,
    bytes_follow,
)
from ddpmcodec.format.varint import Reader, pack_varint
from ddpmcodec.images import Planes, claimed_shape, load_image, to_planes

MAX_LENGTH = 1 << 30  # bytes of a JPEG file


def can_store(jpeg: bytes) -> bool:
    """Whether a JPEG file is stored as such: of a larger one, pixels are coded."""
    return len(jpeg) <= MAX_LENGTH


def pack(jpeg: bytes) -> bytes:
    """The payload of a JPEG file that is stored as it is."""
    return zlib.crc32(jpeg).to_bytes(CRC32_BYTES, "little") + pack_varint(len(jpeg)) + jpeg


def decode_original(data: File, *, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> bytes:
    """The JPEG file that was encoded, byte for byte.

    Parameters:
        data: a .ddpm file, as `decode` takes it, for which `info` gives `original_bytes`.
        max_pixels: as in `decode`.

    Raises:
        OutputError: the file holds no JPEG, but pixels.
        TruncatedError, ChecksumError, CorruptError: bytes are missing, or damaged. FormatError: not a .ddpm file.
        ImageError: more than `max_pixels`.
        TypeError, ValueError: an argument of another type; a negative limit.

    >>> import io
    >>> import ddpmcodec
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.linear_gradient("L").save(file, "JPEG")
    >>> data = ddpmcodec.encode(io.BytesIO(file.getvalue()))
    >>> ddpmcodec.decode_original(data) == file.getvalue()
    True
    """
    check_limits(max_pixels=max_pixels)
    file = Container(bytes_of(data))
    check_pixels("the header", file.header.width, file.header.height, max_pixels)
    if not file.header.is_jpeg:
        raise OutputError("the file holds no JPEG, but the pixels of an image: decode them")
    if file.following:
        raise FormatError(bytes_follow(file.following, "image", file.size))
    file.require_whole()
    return unpack(file.bytes(*file.header.payload))


def unpack(payload: bytes) -> bytes:
    """The JPEG file of a whole payload. Raises CorruptError, ChecksumError."""
    check, length, jpeg = _split(payload)
    if len(jpeg) != length or zlib.crc32(jpeg) != check:
        raise ChecksumError("the JPEG inside the file is not the one that was encoded; get the file again")
    return jpeg


def length_of(payload: bytes) -> int | None:
    """How many bytes a payload says that its JPEG file has; None where it is cut before that."""
    try:
        return _split(payload)[1]
    except FormatError:
        return None


def planes_of(jpeg: bytes, header: FileHeader) -> Planes:
    """The image of a JPEG file by this machine's decoder. Raises CorruptError."""
    pixels = header.width * header.height  # which were allowed
    shape = claimed_shape(BytesIO(jpeg), ("JPEG",), pixels)  # before there are many pixels, or those of another format
    if shape is None:
        raise CorruptError("the JPEG inside the file is none: get the file again")
    width, height, mode = shape
    if (mode, width, height) != (header.mode, header.width, header.height):
        raise CorruptError(f"the JPEG inside the file is {width} x {height} {mode}: get the file again")
    try:
        return to_planes(load_image(jpeg, "the JPEG inside the file", max_pixels=pixels))
    except ImageError as error:
        raise CorruptError(f"{error}; get the file again") from error


def _split(payload: bytes) -> tuple[int, int, bytes]:
    """CRC, length of the JPEG, and what is stored. Raises CorruptError."""
    reader = Reader(payload, "the payload")
    try:
        check, length = int.from_bytes(reader.take(CRC32_BYTES), "little"), reader.varint()
    except (TruncatedError, FormatError) as error:
        raise CorruptError(f"the JPEG inside the file has no beginning ({error}); get the file again") from error
    if length > MAX_LENGTH:
        raise CorruptError(f"the JPEG inside the file claims {length} bytes (at most {MAX_LENGTH} are possible)")
    return check, length, payload[reader.position :]
