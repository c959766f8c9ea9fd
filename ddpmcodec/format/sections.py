"""What no model codes is deflated: here, the metadata (ICC profile, EXIF, XMP); in alpha.py, the alpha plane.

The metadata section is the CRC-32 of the rest, then raw deflate of entries: kind (1 byte: 1 ICC, 2 EXIF, 3 XMP),
varint length, bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

from ddpmcodec.errors import ChecksumError, CorruptError, FormatError, ImageError, TruncatedError
from ddpmcodec.format.header import MAX_METADATA
from ddpmcodec.format.varint import Reader, pack_varint

RAW_DEFLATE = -15  # zlib's code for a deflate stream without its header and Adler-32: the CRC-32 does better
CRC32_BYTES = 4
PIECE = 1 << 12  # bytes that are inflated at a time, to a thousand times as many at most: zlib joins what a call gives
MAX_BLOCK_METADATA = 1 << 26  # bytes of all images of an archive's block, before compression
KINDS = {1: "icc_profile", 2: "exif", 3: "xmp"}  # kind byte -> field of `Metadata`


class Metadata(NamedTuple):
    """What an image has beside its pixels, by the keys of PIL's Image.info; empty where it has none."""

    icc_profile: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""

    def present(self) -> dict[str, bytes]:
        return {key: value for key, value in self._asdict().items() if value}


NO_METADATA = Metadata()


def deflate(data: bytes) -> bytes:
    return zlib.compress(data, level=9, wbits=RAW_DEFLATE)


def inflate(data: bytes, most: int) -> tuple[bytes, bool]:
    """Inflate at most `most` bytes: a deflate bomb gets no further. And whether stream and data ended there together.

    Raises CorruptError for bytes that no deflate stream has.
    """
    inflated = BytesIO()
    ended = inflate_to(inflated.write, data, most)
    return inflated.getvalue(), ended


def inflate_to(write: Callable[[bytes], object], data: bytes, most: int) -> bool:
    """`inflate`, piece by piece: a piece has 4 MB at most."""
    inflater, count, start = zlib.decompressobj(RAW_DEFLATE), 0, 0
    try:
        while start < len(data) and not inflater.eof and count <= most:
            piece = data[start : start + PIECE]
            inflated = inflater.decompress(piece, most + 1 - count)  # one more, to see whether it ends
            write(inflated[: most - count])
            count += len(inflated)
            start += len(piece)
    except zlib.error as error:
        raise CorruptError(f"a compressed section is damaged ({error}): get the file again") from error
    return inflater.eof and count <= most and not inflater.unused_data and start >= len(data)


def pack_metadata(metadata: Metadata) -> bytes:
    """The metadata section; empty when there is nothing to keep. Raises ImageError when it is over MAX_METADATA."""
    entries = metadata_entries(metadata)
    if not entries:
        return b""
    deflated = deflate(entries)
    return zlib.crc32(deflated).to_bytes(CRC32_BYTES, "little") + deflated


def metadata_entries(metadata: Metadata) -> bytes:
    """The content of a metadata section. Raises ImageError when it is too large for one."""
    present = metadata.present()
    values = [(kind, present[key]) for kind, key in KINDS.items() if key in present]
    entries = b"".join(bytes([kind]) + pack_varint(len(value)) + value for kind, value in values)
    if len(entries) > MAX_METADATA // 2:  # deflate can only grow it by far less than that
        raise ImageError(
            f"{len(entries)} bytes of ICC profile, EXIF and XMP are too many: leave them out with strip=True"
        )
    return entries


def unpack_metadata(section: bytes) -> Metadata:
    """Raises FormatError or ChecksumError."""
    if not section:
        return Metadata()
    if zlib.crc32(section[CRC32_BYTES:]) != int.from_bytes(section[:CRC32_BYTES], "little"):
        raise ChecksumError("the metadata section is damaged: its checksum does not match; get the file again")
    entries, ended = inflate(section[CRC32_BYTES:], MAX_METADATA)
    if not ended:
        raise FormatError(f"the metadata section holds more than {MAX_METADATA} bytes, or bytes follow its end")
    try:
        return _parse_entries(entries)
    except TruncatedError as error:  # of a section that is all there
        raise FormatError(f"the metadata contradicts itself ({error})") from error


def _parse_entries(entries: bytes) -> Metadata:
    reader, metadata = Reader(entries, "the metadata"), dict[str, bytes]()
    while reader.position < len(entries):
        kind = reader.take(1)[0]
        if kind not in KINDS or KINDS[kind] in metadata:
            raise FormatError(f"unknown or repeated kind of metadata {kind}: a newer ddpmcodec is needed")
        metadata[KINDS[kind]] = reader.take(reader.varint())
    return Metadata(**metadata)
