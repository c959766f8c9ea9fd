"""Ends of image files in the formats that describe them. Pillow reads nothing after them."""

from __future__ import annotations

import re
import struct

from ddpmcodec import png
from ddpmcodec.errors import ImageError
from ddpmcodec.left_out import bmp_profile_extent

QOI_HEAD, QOI_END = 14, bytes(7) + b"\1"
QOI_CHUNKS = re.compile(  # runs of chunks of one kind: INDEX and DIFF, LUMA, RGB, RGBA; and one RUN
    rb"([\x00-\x7f]+)|((?:[\x80-\xbf].)+)|((?:\xfe.{3})+)|((?:\xff.{4})+)|([\xc0-\xfd])", re.DOTALL
)
QOI_RUN, QOI_RGB, QOI_START = 0xC0, 0xFE, b"\xff\0\0\0\xff"  # the smallest run, RGB, and opaque black as RGBA
QOI_SIZES = (1, 2, 4, 5)  # bytes of a chunk, and so of a pixel, in the order of QOI_CHUNKS
BMP_CORE, BMP_HEADS = 12, (12, 40, 52, 56, 64, 108, 124)  # sizes of heads
BMP_RLE, BMP_BIT_FIELDS = (1, 2), 3
PNM_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
PNM_NUMBER = PNM_SPACE + rb"(\d+)"
PNM_HEAD = re.compile(rb"P(?:(4)|[56])" + 2 * PNM_NUMBER + rb"(?(1)|" + PNM_NUMBER + rb")\s")
WHITESPACE = b" \t\n\v\f\r"


def following(file: bytes) -> int:
    """Return how many bytes there are after the end of an image file that was read; 0 if its format describes none.

    Raises:
        ImageError: if the file ends before its image does.
    """
    for start, end in _ENDS:
        if file.startswith(start):
            return max(0, len(file) - end(file))
    return 0


def end_of_gif(file: bytes) -> int:
    """Return where a GIF file ends: after its trailer.

    Raises:
        ImageError: if the file ends before that, or if a block is unknown.
    """
    try:
        at = 13 + _size_of_colours(file[10])
        while (kind := file[at]) != ord(";"):
            if kind == ord("!"):
                at = _after_blocks(file, at + 2)
            elif kind == ord(","):
                at = _after_blocks(file, at + 11 + _size_of_colours(file[at + 9]))
            elif kind == 0:  # some programs write one terminator too many
                at += 1
            else:
                raise ImageError(
                    f"byte {at} must begin a block of a GIF, got {kind}: the file is damaged, get it again"
                )
    except IndexError as error:
        raise ImageError(f"the image file is truncated after {len(file)} bytes: get the file again") from error
    return at + 1


def _size_of_colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(file: bytes, at: int) -> int:
    while size := file[at]:
        at += 1 + size
    return at + 1


def _end_of_webp(file: bytes) -> int:
    (size,) = struct.unpack_from("<I", file, 4)
    return int(8 + size + size % 2)


def with_indexed_start(file: bytes) -> bytes:
    """Return a QOI file with the same pixels whose start pixel is coded, if a run of that pixel begins it.

    A reader must be able to find every pixel by its index. Pillow forgets the start pixel after such a run.
    """
    run = file[QOI_HEAD] if file[:4] == b"qoif" and len(file) > QOI_HEAD else 0
    if not QOI_RUN <= run < QOI_RGB:
        return file
    rest = b"" if run == QOI_RUN else bytes([run - 1])
    return file[:QOI_HEAD] + QOI_START + rest + file[QOI_HEAD + 1 :]


def _end_of_qoi(file: bytes) -> int:
    width, height = struct.unpack_from(">II", file, 4)
    left, end = width * height, QOI_HEAD
    for chunk in QOI_CHUNKS.finditer(file, QOI_HEAD):
        if chunk.lastindex == 5:
            left, end = left - (file[chunk.start()] & 0x3F) - 1, chunk.end()
        elif chunk.lastindex:
            size = QOI_SIZES[chunk.lastindex - 1]
            pixels = min(left, (chunk.end() - chunk.start()) // size)
            left, end = left - pixels, chunk.start() + pixels * size
        if left <= 0:
            break
    tail = file[end : end + len(QOI_END)]
    return end + len(tail) if QOI_END.startswith(tail) else end


def _end_of_bmp(file: bytes) -> int:
    """The larger of the ends of its pixels and its profile, and of its size in the head, which some programs write
    wrong."""
    size, _, _, offset = struct.unpack_from("<IHHI", file, 2)
    pixels = _end_of_bmp_pixels(file, 14, offset)
    return max(pixels, bmp_profile_extent(file).stop, size if size <= len(file) else 0)


def _end_of_dib(file: bytes) -> int:
    """A BMP without the head of the file."""
    return _end_of_bmp_pixels(file, 0, 0)


def _end_of_bmp_pixels(file: bytes, start: int, offset: int) -> int:
    """Parameters:
    start: where the head of the image begins.
    offset: where its pixels begin; 0 means after the palette.
    """
    (head,) = struct.unpack_from("<I", file, start)
    if head == BMP_CORE:
        (width, height, _, depth), compression, stored, colours = struct.unpack_from("<4H", file, start + 4), 0, 0, 0
    else:
        width, height, _, depth, compression, stored, _, _, colours = struct.unpack_from("<iiHHIIiiI", file, start + 4)
    if not offset or (offset == start + head and depth <= 8):
        masks = 12 if compression == BMP_BIT_FIELDS and head == 40 else 0
        palette = (colours or 1 << depth) * (3 if head == BMP_CORE else 4) if depth <= 8 else 0
        offset = start + head + masks + palette
    if compression in BMP_RLE:
        return offset + stored if stored else len(file)
    return int(offset + (width * depth + 31) // 32 * 4 * abs(height))


def _end_of_pnm(file: bytes) -> int:
    """Of samples of one byte or less. A line may end after the last one."""
    head = PNM_HEAD.match(file)
    if head is None:
        return len(file)
    width, height = int(head[2]), int(head[3])
    end = head.end() + ((width + 7) // 8 if head[1] else width * (3 if file[1:2] == b"6" else 1)) * height
    return len(file) if not file[end:].strip(WHITESPACE) else end


_ENDS = (
    (png.START, png.end), (b"GIF8", end_of_gif), (b"RIFF", _end_of_webp), (b"qoif", _end_of_qoi), (b"BM", _end_of_bmp),
    (b"P", _end_of_pnm), *((struct.pack("<I", head), _end_of_dib) for head in BMP_HEADS),
)  # fmt: skip
