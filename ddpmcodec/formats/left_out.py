"""What Pillow leaves out of an image file without a word: deeper samples, further channels, other sizes, and bytes that
follow the end of the image."""

from __future__ import annotations

import os
import re
import struct
from typing import Any

from PIL import Image

from ddpmcodec.errors import ImageError
from ddpmcodec.formats import png

HEAD = 1 << 22  # bytes of a file that boxes and markers are looked for in
BITS_PER_SAMPLE, SAMPLES_PER_PIXEL, EXTRA_SAMPLES, SAMPLE_FORMAT = 258, 277, 338, 339  # tags of TIFF
PREMULTIPLIED, UNSIGNED = 1, 1
SIZ, COMPONENTS_AT = b"\xff\x4f\xff\x51", 38  # of JPEG 2000: markers, and how far behind them components are described
HIGH_BIT_DEPTH = 0x40  # of the third byte of AVIF's av1C
PACKED = ("BGR;15", "BGR;16")  # a pixel in 16 bits
REDUCED, SUBFILE, SUB_IFDS = 1, 254, 330  # tags of TIFF, and a bit of the first
PLANAR, COLOUR_MAP, LAYERS = 284, 320, 37724  # tags of TIFF
SEPARATE = 2  # planes
COMPRESSION, PHOTOMETRIC, FILL_ORDER = 259, 262, 266  # tags of TIFF
JPEG_IN_TIFF, NEW_JPEG, RGB, YCBCR = (6, 7), 7, 2, 6
STRIPS, TILES = (273, 279), (324, 325)  # tags of TIFF: offsets, sizes
JPEG_END, JPEG_TAIL = b"\xff\xd9", 16  # bytes that a program may have added to a strip
LAYER_BLOCKS = (b"8BIMLayr", b"MIB8ryaL")  # of Photoshop, in both byte orders
SECOND_OF_PNM = re.compile(rb"P[1-7]\s")
PNM_BITS = {"1;I": 1, "L": 8, "RGB": 24}  # of a pixel, by Pillow's name of how it is stored
MISREAD_GREYS = {4: ("1", "L"), 8: ("1",)}  # by bits a pixel: modes in which Pillow reads them as if they were 1 or 8
V5, EMBEDDED, LINKED = 124, b"DEBM", b"KNIL"  # of BMP: the size of a head that may name an ICC profile, and its place
ICC_SIGNATURE = b"acsp"
BIT_FIELDS, ALPHA_MASK_AT, SMALLEST_WITH_ALPHA = 3, 52, 56  # of BMP: compression, and from which size of head on
TOO_DEEP = "more than 8 bits per sample are not supported: convert it to 8 bits first"


def left_out(image: Image.Image) -> str | None:
    """What would be lost, or wrong, if the image that Pillow makes of a file were coded; None where nothing would. Once
    pixels are loaded, less of that can be seen."""
    if image.mode in ("I", "F"):
        return TOO_DEEP
    check = _CHECKS.get(getattr(image, "format", None) or "")
    if check and (problem := check(image)):
        return problem
    return TOO_DEEP if image.mode.startswith("I") or _has_deep_tiles(image) else None


def _has_deep_tiles(image: Image.Image) -> bool:
    """Whether samples have more than 8 bits, by the arguments of Pillow's decoders."""
    for decoder, _, _, given in getattr(image, "tile", []):
        arguments = given if isinstance(given, tuple) else (given,)
        raw = [argument for argument in arguments if isinstance(argument, str) and argument not in PACKED]
        if any(";16" in mode for mode in raw):
            return True
        if decoder.startswith("ppm") and any(isinstance(value, int) and value > 255 for value in arguments):
            return True
        if decoder == "SGI16" or (decoder == "sgi_rle" and arguments[2] == 2):  # bytes of a sample
            return True
    return False


def _of_tiff(image: Any) -> str | None:
    tags = image.tag_v2
    if tags.get(SUBFILE, 0) & REDUCED or SUB_IFDS in tags:  # as in DNG and NEF
        return "a picture and smaller ones of it, in directories of which one would be kept: convert it first"
    bits, samples = tags.get(BITS_PER_SAMPLE, (1,)), tags.get(SAMPLES_PER_PIXEL, 1)
    extra = tags.get(EXTRA_SAMPLES, ())
    if set(tags.get(SAMPLE_FORMAT, ())) - {UNSIGNED}:
        return "samples that are no unsigned integers are not supported: convert it first"
    if samples > len(image.getbands()):
        return f"{samples} channels, of which {len(image.getbands())} would be kept: save what else it has apart"
    if any(low not in (0, high) for high, low in (divmod(value, 256) for value in tags.get(COLOUR_MAP, ()))):
        return "a palette of more than 8 bits per sample is not supported: convert it to RGB of 8 bits first"
    layers = tags.get(LAYERS)
    if isinstance(layers, bytes) and any(block in layers for block in LAYER_BLOCKS):
        return "layers, which would be left out: save the merged picture, or each layer as an image of its own"
    if tags.get(PHOTOMETRIC) == YCBCR and tags.get(COMPRESSION) not in JPEG_IN_TIFF:
        return "colours in YCbCr, which would be rounded: convert it to RGB first"
    if tags.get(PLANAR) == SEPARATE and samples > 1 and not _are_rgb_planes(tags):
        return "planes that would be mixed up, such as alpha on its own: convert it first"
    if not _is_covered(image):
        return "parts of the picture are not in the file: get the file again"
    if tags.get(COMPRESSION) == NEW_JPEG and not _are_whole_jpegs(image):
        return "strips or tiles end before the JPEG in them does: get the file again"
    if PREMULTIPLIED in extra:
        return "colours that are multiplied by alpha are not supported: convert it to straight alpha first"
    return TOO_DEEP if max(bits) > 8 else None


def _are_rgb_planes(tags: Any) -> bool:
    """Whether planes are plain RGB. Of others Pillow may leave out alpha, or mistake the order of bits."""
    return bool(tags.get(PHOTOMETRIC) == RGB and tags.get(SAMPLES_PER_PIXEL) == 3 and tags.get(FILL_ORDER, 1) == 1)


def _is_covered(image: Any) -> bool:
    """Whether strips or tiles cover all pixels. Where libtiff reads them, it checks that itself."""
    decoders = {decoder for decoder, *_ in image.tile}
    if decoders != {"raw"}:
        return True
    planes: dict[str, int] = {}
    for _, (left, top, right, bottom), _, (mode, *_) in image.tile:
        planes[mode] = planes.get(mode, 0) + (right - left) * (bottom - top)
    plane_count = image.tag_v2.get(SAMPLES_PER_PIXEL, 1) if image.tag_v2.get(PLANAR) == SEPARATE else 1
    return len(planes) >= plane_count and all(pixels >= image.width * image.height for pixels in planes.values())


def _are_whole_jpegs(image: Any) -> bool:
    """Whether strips or tiles hold the end of their JPEG. libjpeg fills a part that is missing with grey."""
    tags = image.tag_v2
    for starts, sizes in (STRIPS, TILES):
        for start, size in zip(tags.get(starts, ()), tags.get(sizes, ()), strict=False):
            image.fp.seek(start + max(0, size - JPEG_TAIL))
            if JPEG_END not in image.fp.read(min(size, JPEG_TAIL)):
                return False
    return True


def _of_pnm(image: Any) -> str | None:
    """Refuses a file that holds one image behind the other."""
    for decoder, _, offset, given in image.tile:
        mode = given[0] if isinstance(given, tuple) else given
        if decoder in ("raw", "ppm") and mode in PNM_BITS:
            row = (image.width * PNM_BITS[mode] + 7) // 8
            image.fp.seek(offset + row * image.height)
            if SECOND_OF_PNM.match(image.fp.read(3)):
                return "several images in one file, of which the first would be kept: save each as a file of its own"
    return None


def _of_jpeg_2000(image: Image.Image) -> str | None:
    head = _head(image)
    start = head.find(SIZ)
    if start < 0:
        return None
    first = start + len(SIZ) + COMPONENTS_AT
    count = int.from_bytes(head[first - 2 : first], "big")
    depths = head[first : first + 3 * count : 3]  # less one; the high bit says signed
    return TOO_DEEP if any((depth & 0x7F) + 1 > 8 for depth in depths) else None


def _of_avif(image: Image.Image) -> str | None:
    head = _head(image)
    start = head.find(b"av1C")
    while start >= 0:
        if start + 6 < len(head) and head[start + 6] & HIGH_BIT_DEPTH:
            return TOO_DEEP
        start = head.find(b"av1C", start + 1)
    return None


def _of_heif(image: Image.Image) -> str | None:
    return TOO_DEEP if image.info.get("bit_depth", 8) > 8 else None


def _of_bmp(image: Any) -> str | None:
    """Refuses pixels of which Pillow leaves out bits: eight of 32, or one of 16."""
    start = 14 if image.format == "BMP" else 0
    head = _head(image, 14 + V5).ljust(14 + V5, b"\0")
    size, _, _, _, depth, compression = struct.unpack_from("<IiiHHI", head, start)
    has_alpha = size >= SMALLEST_WITH_ALPHA and any(head[start + ALPHA_MASK_AT :][:4])
    if depth == 16 and compression == BIT_FIELDS and has_alpha:
        return "alpha of one bit, which would be left out: convert it first"
    for decoder, _, offset, given in image.tile:
        mode = given[0] if isinstance(given, tuple) else given
        if decoder == "raw" and image.mode in MISREAD_GREYS.get(depth, ()):
            return "few greys, which would be read as samples of another depth: convert it first"
        if decoder == "raw" and isinstance(mode, str) and len(mode) == 4 and "X" in mode:
            image.fp.seek(offset)
            fourth = image.fp.read(4 * image.width * image.height)[mode.index("X") :: 4]
            if fourth.strip(b"\0") and fourth.strip(b"\xff"):
                return "a fourth byte of each pixel that would be left out, perhaps alpha: convert it first"
    return None


def bmp_profile(image: Any) -> bytes:
    """Return the ICC profile of a BMP file that is not loaded yet, which Pillow leaves out; nothing if the file has no
    valid one."""
    extent = bmp_profile_extent(_head(image, 14 + V5))
    profile = _head(image, extent.stop)[extent.start :]
    return profile if is_bmp_profile(profile, extent) else b""


def is_bmp_profile(profile: bytes, extent: range) -> bool:
    """Whether the bytes at this extent of a file are all there, and an ICC profile."""
    return len(profile) == len(extent) and profile[36:40] == ICC_SIGNATURE


def bmp_colours(file: bytes) -> bytes:
    """Return the field of a BMP's head that tells where its ICC profile is; nothing if the head has no such field."""
    has_field = len(file) >= 14 + V5 and struct.unpack_from("<I", file, 14)[0] >= V5
    return file[14 + 56 : 14 + 60] if has_field else b""


def bmp_profile_extent(file: bytes) -> range:
    """Return the positions in a BMP file of its ICC profile, which its head names; none if it names no profile in the
    file."""
    if bmp_colours(file) != EMBEDDED:
        return range(0)
    start, size = struct.unpack_from("<II", file, 14 + 112)
    return range(14 + start, 14 + start + size)


def _of_icon(image: Image.Image) -> str | None:
    sizes = len(set(image.info.get("sizes", ())))
    return f"{sizes} images of several sizes; save each as an image of its own" if sizes > 1 else None


def _head(image: Any, size: int = HEAD) -> bytes:
    """The first bytes of an image's file; none where Pillow has loaded the image, and closed the file."""
    file = getattr(image, "fp", None)
    if file is None or file.closed:
        return b""
    position = file.seek(0, os.SEEK_CUR)
    file.seek(0)
    head: bytes = file.read(size)
    file.seek(position)
    return head


_CHECKS = {
    "TIFF": _of_tiff, "JPEG2000": _of_jpeg_2000, "AVIF": _of_avif, "HEIF": _of_heif, "ICO": _of_icon, "ICNS": _of_icon,
    "BMP": _of_bmp, "DIB": _of_bmp, "PPM": _of_pnm,
}  # fmt: skip


# --- bytes that follow the end of an image

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
    """Of samples of two bytes or less. A line may end after the last one."""
    head = PNM_HEAD.match(file)
    if head is None:
        return len(file)
    width, height = int(head[2]), int(head[3])
    sample = 1 if head[1] or int(head[4]) < 256 else 2  # bytes
    end = head.end() + ((width + 7) // 8 if head[1] else sample * width * (3 if file[1:2] == b"6" else 1)) * height
    return len(file) if not file[end:].strip(WHITESPACE) else end


_ENDS = (
    (png.START, png.end), (b"GIF8", end_of_gif), (b"RIFF", _end_of_webp), (b"qoif", _end_of_qoi), (b"BM", _end_of_bmp),
    (b"P", _end_of_pnm), *((struct.pack("<I", head), _end_of_dib) for head in BMP_HEADS),
)  # fmt: skip
