"""Sections of what no model codes: metadata (ICC profile, EXIF, XMP, chunks of a PNG), the alpha plane, kept files.

The metadata section is the CRC-32 of the rest, then raw deflate of entries: kind (1 byte: 1 ICC, 2 EXIF, 3 XMP, 4 PNG),
varint length, bytes. A deflated alpha section is raw deflate of the plane, each row less the one above; then the CRC-32
of the plane; `ddpm.pack_coded_alpha` has the other kind. docs/format.md has the section of a file that is kept whole.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec._native import CRC32_BYTES, MAX_METADATA, Container, parse_kept
from ddpmcodec.errors import ImageError
from ddpmcodec.format.varint import pack_varint
from ddpmcodec.parallel import interruptible

RAW_DEFLATE = -15  # zlib's code for a deflate stream without its header and Adler-32: the CRC-32 does better
MAX_BLOCK_METADATA = 1 << 26  # bytes of all images of an archive's block, before compression
KINDS = {1: "icc_profile", 2: "exif", 3: "xmp", 4: "png"}  # kind byte -> field of `Metadata`


class Metadata(NamedTuple):
    """What an image has beside its pixels, by the keys of PIL's Image.info; empty where it has none. png: how the
    PNG file was made (`ddpmcodec.formats.png`), which is no key of Pillow's."""

    icc_profile: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    png: bytes = b""

    def present(self) -> dict[str, bytes]:
        return {key: value for key, value in self._asdict().items() if value}


NO_METADATA = Metadata()


def deflate(data: bytes) -> bytes:
    return zlib.compress(data, level=9, wbits=RAW_DEFLATE)


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


def pack_alpha(plane: NDArray[np.uint8]) -> bytes:
    """Return the section of a deflated alpha plane (H, W)."""
    above = np.zeros_like(plane)
    above[1:] = plane[:-1]
    deflated = interruptible(deflate, (plane - above).tobytes())
    return deflated + zlib.crc32(plane.tobytes()).to_bytes(CRC32_BYTES, "little")


# --- files that are kept whole


class KeptFile(NamedTuple):
    """A file of which the image is a preview.

    Attributes:
        format: its name, such as "GIF".
        ending: of file names, without the dot.
        reason: for which its pixels are not coded, in some words.
        width, height: pixels of its first picture; 0 if none was read.
        content: the bytes of the file.
    """

    format: str
    ending: str
    reason: str
    width: int
    height: int
    content: bytes


class KeptFacts(NamedTuple):
    """`KeptFile`, with the length of the file in place of its bytes."""

    format: str
    ending: str
    reason: str
    width: int
    height: int
    length: int


def unpack_kept(section: bytes) -> KeptFile:
    """Return the file of a whole section. Raises FormatError."""
    return kept_file(parse_kept(section))


def kept_file(parsed: tuple[tuple[str, str, str, int, int, int], bytes]) -> KeptFile:
    """Return the file that the core has parsed."""
    facts, content = parsed
    return KeptFile(*facts[:-1], content)


def kept_facts(file: Container) -> KeptFacts | None:
    """Return the facts of a file that is kept whole; None if there is none, or if they are cut or damaged."""
    return None if file.kept_facts is None else KeptFacts(*file.kept_facts)
