"""JPEG files that are stored as such, and come back byte for byte: in no more bytes than they had, and a header.

JPEG XL codes the coefficients of a JPEG anew, some 15 to 20% smaller, and gives back the very file (Alakuijala et al.
2019, doi 10.1117/12.2529237). What it does not take, as a JPEG with arithmetic coding, is stored as it is. The payload
is the CRC-32 of the JPEG file, its length (varint), and the JPEG or JPEG XL file.

JPEG XL is libjxl's, by imagecodecs: `pip install 'ddpmcodec[jpeg]'`.
"""

from __future__ import annotations

import functools
import zlib
from io import BytesIO
from types import ModuleType

from ddpmcodec._native import CRC32_BYTES, Container, FileHeader
from ddpmcodec.arguments import DEFAULT_MAX_PIXELS, check_limits, check_pixels
from ddpmcodec.content import File, bytes_of
from ddpmcodec.errors import (
    ChecksumError,
    CorruptError,
    DdpmError,
    FormatError,
    ImageError,
    OutputError,
    TruncatedError,
    bytes_follow,
)
from ddpmcodec.format.header import JPEG, JPEG_XL
from ddpmcodec.format.jpeg_xl import size_of
from ddpmcodec.format.varint import Reader, pack_varint
from ddpmcodec.images import Planes, claimed_shape, load_image, to_planes

EXTRA = "pip install 'ddpmcodec[jpeg]'"
MAX_LENGTH = 1 << 30  # bytes of a JPEG file
# How many bytes of a JPEG a few bytes of JPEG XL may stand for: what pixels take, MOST_GROWTH times its own, and
# FREE_BYTES. More would be metadata that repeats itself, or a bomb.
MOST_GROWTH, FREE_BYTES = 16, 1 << 16


@functools.cache
def transcoder() -> ModuleType | None:
    """imagecodecs; None where it is missing, or has no libjxl."""
    try:
        import imagecodecs

        return imagecodecs if imagecodecs.JPEGXL.available else None
    except (ImportError, AttributeError):
        return None


def can_store(jpeg: bytes) -> bool:
    """Whether JPEG files are stored as such: where JPEG XL is missing, pixels are coded."""
    return transcoder() is not None and len(jpeg) <= MAX_LENGTH


def pack(jpeg: bytes) -> tuple[str, bytes]:
    """The format of the payload (of STORED_KINDS), and the payload, from which a decoder has restored the very file."""
    smaller = _transcoded(jpeg)
    stored_format, stored = (JPEG, jpeg) if smaller is None else (JPEG_XL, smaller)
    return stored_format, zlib.crc32(jpeg).to_bytes(CRC32_BYTES, "little") + pack_varint(len(jpeg)) + stored


def decode_original(data: File, *, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> bytes:
    """The JPEG file that was encoded, byte for byte.

    Parameters:
        data: a .ddpm file, as `decode` takes it, for which `info` gives `original_bytes`.
        max_pixels: as in `decode`.

    Raises:
        OutputError: the file holds no JPEG, but pixels.
        TruncatedError, ChecksumError, CorruptError: bytes are missing, or damaged. FormatError: not a .ddpm file.
        ImageError: more than `max_pixels`.
        DdpmError: the JPEG is coded by JPEG XL, and imagecodecs is missing (`pip install 'ddpmcodec[jpeg]'`).
        TypeError, ValueError: an argument of another type; a negative limit.

    >>> import io
    >>> import ddpmcodec
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.linear_gradient("L").save(file, "JPEG")
    >>> data = ddpmcodec.encode(io.BytesIO(file.getvalue()))
    >>> if ddpmcodec.info(data)["original_bytes"]:  # None where imagecodecs is missing
    ...     assert ddpmcodec.decode_original(data) == file.getvalue()
    """
    check_limits(max_pixels=max_pixels)
    file = Container(bytes_of(data))
    check_pixels("the header", file.header.width, file.header.height, max_pixels)
    if not file.header.is_jpeg:
        raise OutputError("the file holds no JPEG, but the pixels of an image: decode them")
    if file.following:
        raise FormatError(bytes_follow(file.following, "image", file.size))
    file.require_whole()
    return unpack(file.bytes(*file.header.payload), file.header)


def unpack(payload: bytes, header: FileHeader) -> bytes:
    """The JPEG file of a whole payload. Raises CorruptError, ChecksumError, or DdpmError where imagecodecs is
    missing."""
    check, length, stored = _split(payload)
    jpeg = stored if header.stored == JPEG else _restored(stored, length, header)
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


def _transcoded(jpeg: bytes) -> bytes | None:
    """The file as JPEG XL; None where that does not give it back, is no smaller, or smaller than a decoder believes."""
    library = transcoder()
    if library is None:
        return None
    try:
        jpeg_xl: bytes = library.jpegxl_encode_jpeg(jpeg)
        restores = len(jpeg) <= _most(jpeg_xl) and bytes(library.jpegxl_decode_jpeg(jpeg_xl)) == jpeg
    except MemoryError:
        raise
    except Exception:  # the library's errors are of many kinds, and a JPEG that it refuses is kept as it is
        return None
    return jpeg_xl if restores and len(jpeg_xl) < len(jpeg) else None


def _restored(stored: bytes, length: int, header: FileHeader) -> bytes:
    library = transcoder()
    if library is None:
        raise DdpmError(f"the image is a JPEG that JPEG XL codes, which needs imagecodecs: {EXTRA}")
    try:
        width, height = size_of(stored)
        if (width, height) != (header.width, header.height):
            raise FormatError(f"{width} x {height} pixels")
        if length > _most(stored):
            raise FormatError(f"{len(stored)} bytes claim to be {length}")
        return bytes(library.jpegxl_decode_jpeg(stored, out=length))  # and no more than these
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise CorruptError(f"the JPEG XL inside the file does not decode ({error}); get the file again") from error


def _most(stored: bytes) -> int:
    """How many bytes a JPEG may have that this JPEG XL file stands for. Raises FormatError where it is none."""
    width, height = size_of(stored)
    return FREE_BYTES + 3 * width * height + MOST_GROWTH * len(stored)


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
