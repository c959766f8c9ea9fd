"""The chunks of PNG files and the size of their image data (PNG, third edition, sections 5 and 7). Pillow reads pixels
without looking at checksums, fills rows that are missing with zeros, and reads nothing after the end.

A recipe is what rebuilds a PNG file from its pixels, all but the compression of its image data: docs/format.md."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import dropwhile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.errors import CorruptError, ImageError
from ddpmcodec.format.varint import Reader, pack_varint

START = b"\x89PNG\r\n\x1a\n"
END = b"IEND\xae\x42\x60\x82"
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type
# Of each pass: the column and row of its first pixel, and the steps to the next ones.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # colour types
# Kinds of chunks that a recipe calls by their places in this list, from 1 on: others follow a 0. Append only.
KINDS = (
    b"IDAT", b"IEND", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"hIST", b"pHYs", b"sPLT",
    b"tIME", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"cICP", b"mDCV", b"cLLI", b"oFFs", b"sCAL", b"pCAL", b"sTER", b"gIFg",
    b"gIFx", b"acTL", b"fcTL", b"vpAg", b"iDOT", b"caNv", b"orNT",
)  # fmt: skip
DEFLATED = (b"iCCP", b"zTXt")  # a text, its end, the method 0, a zlib stream
ZLIB_LEVELS = (9, 6, 1)  # that most programs choose
DEPTHS = (1, 2, 4, 8, 16)
PIECE = 1 << 18  # bytes of memory for inflated data
FED = 1 << 16  # bytes that are inflated at a time


class Chunk(NamedTuple):
    """kind: its four letters. end: where it ends in the file."""

    kind: bytes
    content: memoryview
    checksum: int
    end: int

    @property
    def is_sound(self) -> bool:
        """Whether its checksum is that of its content."""
        return zlib.crc32(self.content, zlib.crc32(self.kind)) == self.checksum

    @property
    def name(self) -> str:
        """Its kind as errors show it."""
        return repr(self.kind.decode("latin-1"))

    @property
    def is_unknown(self) -> bool:
        """Whether an image with this chunk cannot be read by a program that does not know it."""
        return self.kind not in CRITICAL and not self.kind[0] & 0x20


def chunks(file: bytes) -> Iterator[Chunk]:
    """The chunks of a PNG file, up to IEND, as far as they are there."""
    view, at, kind = memoryview(file), len(START), b""
    while kind != b"IEND" and at + 12 <= len(file):
        length, kind = struct.unpack_from(">I4s", file, at)
        content, end = view[at + 8 : at + 8 + length], at + length + 12
        if end > len(file):
            return
        (checksum,) = struct.unpack_from(">I", file, end - 4)
        yield Chunk(kind, content, checksum, end)
        at = end


def check(file: bytes) -> None:
    """Check that a PNG file is complete, with valid checksums, and holds one image that its chunks describe.

    Raises:
        ImageError: if a chunk is missing, damaged or unknown, or belongs to an animation.
    """
    kinds = []
    for chunk in chunks(file):
        kinds.append(chunk.kind)
        if not chunk.is_sound:
            raise ImageError(
                f"the checksum of its chunk {chunk.name}, which ends at byte {chunk.end}, is wrong: the file is"
                " damaged, get it again"
            )
        if chunk.is_unknown:
            raise ImageError(f"its critical chunk {chunk.name} is unknown: convert it to another PNG first")
        if chunk.kind == b"fcTL" and chunk.content[4:20] != file[16:24] + bytes(8):
            raise ImageError("a frame of an animation that is smaller than the image: save each frame as an image")
    if kinds[-1:] != [b"IEND"]:
        raise ImageError("the image cannot be read (image file is truncated): the file is damaged or too large")
    if b"fdAT" in kinds or kinds.count(b"fcTL") > 1 or b"acTL" in dropwhile(lambda kind: kind != b"IDAT", kinds):
        raise ImageError("frames of an animation that its head does not declare: save each frame as an image")


def check_pixels(file: bytes) -> None:
    """Check that the image data of a PNG file inflate to all of its rows.

    Raises:
        ImageError: if rows are missing, or if the data cannot be inflated.
    """
    size = _size_of_rows(file)
    try:
        inflated, _ = _inflated(file, size)
    except zlib.error as error:
        raise ImageError(f"its image data cannot be inflated ({error}): the file is damaged, get it again") from error
    if inflated < size:
        raise ImageError(
            f"its image data must inflate to {size} bytes, got {inflated}: rows are missing, get the file again"
        )


def has_excess(file: bytes) -> bool:
    """Whether the image data of a PNG file hold more than its rows and a valid checksum of them."""
    try:
        return _inflated(file, _size_of_rows(file))[1]
    except zlib.error:
        return True


def _size_of_rows(file: bytes) -> int:
    """Return how many bytes the rows of all passes have, each with the byte of its filter."""
    width, height, depth, colour_type, _, _, interlaced = struct.unpack_from(">IIBBBBB", file, 16)
    size = 0
    for x, y, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-max(width - x, 0) // across), -(-max(height - y, 0) // down)
        if columns:
            size += rows * (1 + (columns * depth * SAMPLES[colour_type] + 7) // 8)
    return size


def _inflated(file: bytes, size: int) -> tuple[int, bool]:
    """Inflate image data, in little memory, and return how many bytes they make, and whether there are more than
    `size` bytes or data after the end of the zlib stream. Raises zlib.error."""
    inflater, count, fed = zlib.decompressobj(), 0, _image_data(file)
    for piece in fed:
        rest: bytes | memoryview = piece
        while rest:
            count += len(inflater.decompress(rest, PIECE))
            rest = inflater.unconsumed_tail
            if count > size:
                return count, True
        if inflater.eof:
            return count, bool(inflater.unused_data) or any(map(len, fed))
    count += len(inflater.flush())
    return count, count > size


def _image_data(file: bytes) -> Iterator[memoryview]:
    for chunk in chunks(file):
        if chunk.kind == b"IDAT":
            for start in range(0, len(chunk.content), FED):
                yield chunk.content[start : start + FED]


def end(file: bytes) -> int:
    """Return where a PNG file ends; its length if the end is missing."""
    return next((chunk.end for chunk in chunks(file) if chunk.kind == b"IEND"), len(file))


# --- recipes


class Layout(NamedTuple):
    """How the pixels of a PNG file are stored. depth: bits a sample."""

    colour_type: int
    depth: int
    is_interlaced: bool


def recipe_of(file: bytes) -> bytes:
    """Return the recipe of a PNG file that `check` has accepted; nothing for one of usual layout and no further
    chunks."""
    colour_type, depth, is_interlaced = file[25], file[24], bool(file[28])
    items = list(_items(file))
    is_plain = b"".join(items) == _item(b"IDAT", b"") + _item(b"IEND", b"")
    if is_plain and not is_interlaced and (depth == 8 or (colour_type, depth) == (GREY, 1)) and colour_type != PALETTE:
        return b""
    return bytes([colour_type | is_interlaced << 3 | DEPTHS.index(depth) << 4, *b"".join(items)])


def is_usual(recipe: bytes) -> bool:
    """Return whether samples of 8 bits are stored row by row, and as they are."""
    layout, items = _parsed(recipe)
    is_keyed = layout.colour_type in (GREY, RGB) and any(kind == b"tRNS" for kind, _ in items)
    return layout.depth == 8 and layout.colour_type != PALETTE and not (layout.is_interlaced or is_keyed)


def _items(file: bytes) -> Iterator[bytes]:
    """Yield what stands for each chunk: image data once, and all that follows the end with it."""
    last, end_of_file = b"", 0
    for chunk in chunks(file):
        end_of_file = chunk.end
        if chunk.kind not in (b"IHDR", b"IEND") and not chunk.kind == last == b"IDAT":
            yield _item(chunk.kind, b"" if chunk.kind == b"IDAT" else bytes(chunk.content))
        last = chunk.kind
    yield _item(b"IEND", file[end_of_file:])


def _item(kind: bytes, content: bytes) -> bytes:
    """kind, length and content; a zlib stream inflated where a level gives it back."""
    number = bytes([KINDS.index(kind) + 1]) if kind in KINDS else b"\0" + kind
    start, level, inflated = _inflated_text(content) if kind in DEFLATED else (0, 0, b"")
    if not level:
        return number + pack_varint(2 * len(content)) + content
    content = content[:start] + inflated
    return number + pack_varint(2 * len(content) + 1) + bytes([level]) + pack_varint(start) + content


def _inflated_text(content: bytes) -> tuple[int, int, bytes]:
    """Return where the zlib stream of a chunk starts, its level, 0 if none gives it back, and what it holds."""
    start = content.find(b"\0") + 2
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(content[start:], PIECE)
    except zlib.error:
        return start, 0, b""
    levels = (level for level in ZLIB_LEVELS if zlib.compress(inflated, level) == content[start:])
    return start, next(levels, 0), inflated


class _Recipe(NamedTuple):
    layout: Layout
    items: list[tuple[bytes, bytes]]

    def content_of(self, kind: bytes) -> bytes:
        return next((content for found, content in self.items if found == kind), b"")


def _parsed(recipe: bytes) -> _Recipe:
    """Raises CorruptError."""
    reader, items = Reader(recipe, "the chunks of the PNG"), list[tuple[bytes, bytes]]()
    (first,) = reader.take(1)
    layout = Layout(first & 7, DEPTHS[min(first >> 4, len(DEPTHS) - 1)], bool(first & 8))
    if layout.colour_type not in SAMPLES:
        raise CorruptError("the chunks of the PNG claim an unknown colour type: the data is damaged")
    while reader.position < len(recipe):
        (number,) = reader.take(1)
        if number > len(KINDS):
            raise CorruptError("a chunk of the PNG has an unknown number: a newer ddpmcodec is needed")
        kind = KINDS[number - 1] if number else reader.take(4)
        size = reader.varint()
        level, start = (reader.take(1)[0], reader.varint()) if size & 1 else (0, 0)
        content = reader.take(size >> 1)
        items.append((kind, content[:start] + zlib.compress(content[start:], min(level, 9)) if size & 1 else content))
    return _Recipe(layout, items)


def restored(
    recipe: bytes, colour: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, samples: NDArray[np.uint16] | None = None
) -> bytes:
    """Return a PNG file of these pixels, with the chunks and the layout of a recipe.

    Parameters:
        colour: (H, W, C).
        alpha: (H, W).
        samples: (H, W, C), with alpha, of an image of 16 bits a sample.

    Raises:
        CorruptError: the recipe is not one, or its palette lacks a colour of the pixels.
    """
    parsed = _parsed(recipe)
    layout, (height, width, _) = parsed.layout, colour.shape
    data = _compressed(_samples(parsed, colour, alpha, samples), layout)
    file, end = [START, _head(width, height, layout)], b""
    for kind, content in parsed.items:
        if kind == b"IEND":
            content, end = b"", content
        file.append(_packed_chunk(kind, data if kind == b"IDAT" else content))
    return b"".join([*file, end])


def _head(width: int, height: int, layout: Layout) -> bytes:
    fields = struct.pack(">IIBBBBB", width, height, layout.depth, layout.colour_type, 0, 0, layout.is_interlaced)
    return _packed_chunk(b"IHDR", fields)


def file_of(samples: NDArray[np.uint16], colour_type: int, icc_profile: bytes, exif: bytes) -> bytes:
    """Return a PNG file of samples of 16 bits, (H, W, C)."""
    height, width, _ = samples.shape
    layout = Layout(colour_type, 16, False)
    file = [START, _head(width, height, layout)]
    if icc_profile:
        file.append(_packed_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile)))
    if exif:
        file.append(_packed_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    file.append(_packed_chunk(b"IDAT", _compressed(samples, layout)))
    return b"".join([*file, _packed_chunk(b"IEND", b"")])


def _packed_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def _samples(
    recipe: _Recipe, colour: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, samples: NDArray[np.uint16] | None
) -> NDArray[Any]:
    """Return what a PNG of this layout stores of the pixels, (H, W, C). Raises CorruptError."""
    layout = recipe.layout
    is_colourful = layout.colour_type in (RGB, RGBA)
    if samples is not None and layout.depth == 16 and SAMPLES[layout.colour_type] == samples.shape[2]:
        return samples
    if (
        layout.depth == 16
        or samples is not None
        or (layout.colour_type != PALETTE and is_colourful != (colour.shape[2] == 3))
    ):
        raise CorruptError("the chunks of the PNG are those of other pixels: the data is damaged")
    if layout.colour_type == PALETTE:
        return _indices(recipe, colour, alpha)
    if layout.colour_type in (GREY_ALPHA, RGBA):
        if alpha is None:
            raise CorruptError("the chunks of the PNG are those of an image with alpha: the data is damaged")
        return np.dstack([colour, alpha])
    return colour // np.uint8(255 // ((1 << layout.depth) - 1))


def _indices(recipe: _Recipe, colour: NDArray[np.uint8], alpha: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return the first place of each pixel's colour in the palette."""
    palette = np.frombuffer(recipe.content_of(b"PLTE")[: 3 << recipe.layout.depth], np.uint8)
    entries = np.full((len(palette) // 3, 4), 255, np.uint8)
    entries[:, :3] = palette[: 3 * len(entries)].reshape(-1, 3)
    opacity = recipe.content_of(b"tRNS")[: len(entries)]
    entries[: len(opacity), 3] = np.frombuffer(opacity, np.uint8)
    opaque = np.full(colour.shape[:2], 255, np.uint8)
    pixels = np.dstack([np.broadcast_to(colour, (*colour.shape[:2], 3)), opaque if alpha is None else alpha])
    keys, first = np.unique(np.ascontiguousarray(entries).view("<u4")[:, 0], return_index=True)
    wanted = np.ascontiguousarray(pixels).view("<u4")[..., 0]
    place = np.searchsorted(keys, wanted).clip(0, max(len(keys) - 1, 0))
    if not len(keys) or (keys[place] != wanted).any():
        raise CorruptError("the palette of the PNG lacks colours of its pixels: the data is damaged")
    indices: NDArray[np.uint8] = first[place].astype(np.uint8)
    return indices[..., None]


def _compressed(samples: NDArray[Any], layout: Layout) -> bytes:
    """Return the zlib stream of image data, as Pillow filters and compresses it."""
    if not layout.is_interlaced:
        return _image_data_of(samples, layout)
    passes = (samples[y::down, x::across] for x, y, across, down in ADAM7)
    rows = (zlib.decompress(_image_data_of(each, layout)) for each in passes if each.size)
    return zlib.compress(b"".join(rows))


def _image_data_of(samples: NDArray[Any], layout: Layout) -> bytes:
    if layout.depth == 16:
        return zlib.compress(_filtered(samples))
    stream, plane = BytesIO(), samples[..., 0] if samples.shape[2] == 1 else samples
    image = Image.fromarray(np.ascontiguousarray(plane))
    if layout.depth < 8 or layout.colour_type == PALETTE:  # Pillow packs palettes to as few bits as their entries need
        image.putpalette(bytes(3 << layout.depth))
    image.save(stream, "PNG")
    return b"".join(bytes(chunk.content) for chunk in chunks(stream.getvalue()) if chunk.kind == b"IDAT")


def _filtered(samples: NDArray[np.uint16]) -> bytes:
    """Return rows of 16 bits a sample, each by the filter whose bytes are smallest."""
    height, channels = samples.shape[0], samples.shape[2]
    rows = np.ascontiguousarray(samples.astype(">u2")).view(np.uint8).reshape(height, -1).astype(np.int16)
    unit, left, up, corner = 2 * channels, np.zeros_like(rows), np.zeros_like(rows), np.zeros_like(rows)
    left[:, unit:], up[1:], corner[1:, unit:] = rows[:, :-unit], rows[:-1], rows[:-1, :-unit]
    near_left, near_up, near_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    paeth = np.where(near_up <= near_corner, up, corner)
    paeth = np.where((near_left <= near_up) & (near_left <= near_corner), left, paeth)
    filtered = np.stack([rows - guess for guess in (0 * rows, left, up, (left + up) >> 1, paeth)]).astype(np.uint8)
    best = abs(filtered.view(np.int8).astype(np.int16)).sum(-1, dtype=np.int64).argmin(0)
    chosen = filtered[best, np.arange(height)]
    return np.column_stack([best.astype(np.uint8), chosen]).tobytes()
