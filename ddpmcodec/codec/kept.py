"""Image files whose pixels are not coded, such as animations: they are kept whole, byte for byte, with a preview.

The preview is a small image that is coded as any other. It shows the first picture, if Pillow reads one.
"""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING

from PIL import Image

from ddpmcodec._native import MAX_ENDING, MAX_KEPT
from ddpmcodec.format.sections import KeptFacts, KeptFile
from ddpmcodec.formats.folders import image_extensions
from ddpmcodec.formats.images import Planes, first_picture, to_planes
from ddpmcodec.formats.metadata import upright

if TYPE_CHECKING:
    from ddpmcodec.codec.decoding import Decoded

# Of image formats that Pillow does not read, or reads in part: how their files begin, and their names.
STARTS = (
    (rb"\x89PNG\r\n", "PNG"), (rb"\xff\xd8\xff", "JPEG"), (rb"GIF8", "GIF"), (rb"RIFF.{4}WEBP", "WebP"),
    (rb"RIFF.{4}ACON", "ANI"), (rb"BM.{4}\0\0", "BMP"), (rb"qoif", "QOI"), (rb"8BPS", "PSD"), (rb"gimp xcf", "XCF"),
    (rb"(II\x2a\0.{4}CR)", "CR2"), (rb"FUJIFILMCCD-RAW", "RAF"), (rb"IIRO|IIRS|MMOR", "ORF"), (rb"IIU\0", "RW2"),
    (rb"\0MRM", "MRW"), (rb"FOVb", "X3F"), (rb".{4}ftypcrx", "CR3"), (rb"II[*+]\0|MM\0[*+]", "TIFF"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JXL"), (rb".{4}ftyp(heic|heix|hevc|hevx|heim|heis|mif1|msf1)", "HEIF"),
    (rb".{4}ftypavi[fs]", "AVIF"), (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"), (rb"II\xbc", "JPEG XR"),
    (rb"v/1\x01", "EXR"), (rb"#\?(RADIANCE|RGBE)", "HDR"), (rb"DDS ", "DDS"), (rb"P[1-7Ff]\s", "PNM"),
    (rb"SIMPLE  =", "FITS"), (rb"(SDPX|XPDS)", "DPX"), (rb"\x80\x2a\x5f\xd7", "CIN"), (rb"farbfeld", "farbfeld"),
    (rb"BPG\xfb", "BPG"), (rb"FLIF", "FLIF"), (rb"\xabKTX", "KTX"), (rb"\x13\xab\xa1\x5c", "ASTC"),
    (rb"\x8aMNG", "MNG"), (rb"\x8bJNG", "JNG"), (rb".{128}DICM", "DICOM"), (rb"\0\0[\1\2]\0[^\0]\0", "ICO"),
    (rb"icns", "ICNS"), (rb"\x01\xda[\0\1][\1\2]", "SGI"), (rb"\x59\xa6\x6a\x95", "Sun"), (rb"AT&TFORM", "DjVu"),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]", "SVG"),
)  # fmt: skip
MAGIC = [(re.compile(start, re.DOTALL), name) for start, name in STARTS]
LOOKED_AT = 4096  # bytes
SIDES = (256, 128, 64, 32, 16, 8, 4, 2, 1)  # pixels of a preview's longer side
PREVIEW_SHARE = 1 / 64  # of the bytes of a file: what its preview takes at most, about
ENDING = re.compile(rf"[0-9A-Za-z]{{1,{MAX_ENDING}}}")
# That have readers: a file that is none of these is damaged.
READ_FORMATS = {"PNG", "JPEG", "GIF", "WebP", "BMP", "QOI", "TIFF", "JPEG 2000", "DDS", "PNM", "ICO", "ICNS", "SGI"}
# Endings of the most usual of them. Every such file begins as STARTS says.
KNOWN_BY_START = {".png", ".apng", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".qoi", ".tif", ".tiff"}
DAMAGED = "damaged"
MOST_WORDS = 80  # characters of a reason


def format_of(content: bytes) -> str | None:
    """Return the name of an image format by how a file of it begins; None if it is none that is known."""
    head = content[:LOOKED_AT]
    return next((name for start, name in MAGIC if start.match(head)), None)


def can_keep(content: bytes, name: str) -> bool:
    """Return whether a file is an image by its first bytes or by its name, and not too large. A name says nothing of a
    file that should begin in a known way, and does not."""
    if not 0 < len(content) <= MAX_KEPT:
        return False
    return bool(format_of(content)) or PurePath(name).suffix.lower() in image_extensions() - KNOWN_BY_START


def is_lossy_webp(content: bytes) -> bool:
    """Return whether a file is a lossy WebP, whose pixels would take several times its bytes."""
    if format_of(content) != "WebP":
        return False
    place = 12  # of the first chunk: RIFF container, Google's WebP Container Specification
    while place + 8 <= len(content):
        if content[place : place + 4] == b"VP8 ":
            return True
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8 + length + length % 2
    return False


def planes_of(content: bytes, name: str, problem: str, max_pixels: int | None) -> Planes:
    """Return the preview of a file that is kept whole, with the file.

    Parameters:
        problem: for which its pixels are not coded.
        max_pixels: of its first picture, as in `load_image`.
    """
    picture = first_picture(content, max_pixels)
    width, height = picture.size if picture else (0, 0)
    found, ending = _format_and_ending(content, name)
    kept = KeptFile(found, ending, _reason(problem, found), width, height, content)
    return replace(to_planes(_preview(picture, len(content)), strip=True), kept=kept)


def picture_of(kept: KeptFile, max_pixels: int | None) -> Planes | None:
    """Return the first picture of a file that is kept whole; None if Pillow does not read it here."""
    picture = first_picture(kept.content, max_pixels) if kept.width else None
    return None if picture is None else to_planes(picture)


def shown(decoded: Decoded, max_pixels: int | None) -> Decoded:
    """Return what is shown of a decoded file: of one that is kept whole the first picture, if this machine reads it."""
    file = decoded.planes.kept
    picture = None if file is None else picture_of(file, max_pixels)
    return decoded if picture is None else replace(decoded, planes=replace(picture, kept=file))


def words_of(kept: KeptFacts | KeptFile) -> str:
    """Return words for people: its format, and why it is kept whole."""
    return f"{kept.format}: {kept.reason}"


def _format_and_ending(content: bytes, name: str) -> tuple[str, str]:
    suffix = PurePath(name).suffix[1:]
    ending = suffix if ENDING.fullmatch(suffix) else ""
    found = format_of(content)
    is_known = f".{ending.lower()}" in image_extensions()
    if found is None:
        return ending.upper(), ending
    return found, ending if is_known else found.lower().replace(" ", "")


def _reason(problem: str, file_format: str) -> str:
    """Return a few words of an error's sentences."""
    if problem.startswith("what Pillow reads"):
        return "a format that may be read in part"
    if problem.startswith("not an image in a format") and file_format not in READ_FORMATS:
        return "a format that is not read"
    if re.search("damaged|truncated|get the file again", problem):
        return DAMAGED
    words = re.split(r"[:;,(]", problem)[0].removesuffix(" are not supported").removesuffix(" is not supported")
    return words.strip().encode()[:MOST_WORDS].decode("utf-8", "ignore")


def _preview(picture: Image.Image | None, size: int) -> Image.Image:
    """Return the largest picture that takes little of the bytes of its file; of no picture a black pixel."""
    if picture is None:
        return Image.new("L", (1, 1))
    picture = upright(picture if picture.mode != "1" else picture.convert("L"))
    picture.info.clear()
    for side in SIDES:
        small = _reduced(picture, side)
        if _webp_size(small) <= size * PREVIEW_SHARE:
            return small
    return small


def _reduced(picture: Image.Image, side: int) -> Image.Image:
    longer = max(picture.size)
    if longer <= side:
        return picture
    width, height = (max(1, round(length * side / longer)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX)


def _webp_size(picture: Image.Image) -> int:
    stream = BytesIO()
    picture.save(stream, "WEBP", lossless=True, method=0)
    return len(stream.getvalue())
