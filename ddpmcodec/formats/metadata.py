"""ICC profile, EXIF and XMP of Pillow images: what is kept of them, how they are written, and how images are turned."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from PIL import ExifTags, Image, PngImagePlugin

from ddpmcodec.errors import ImageError
from ddpmcodec.format.sections import Metadata, metadata_entries
from ddpmcodec.formats.left_out import LINKED, bmp_colours, bmp_profile_extent, is_bmp_profile

DESCRIPTIVE_TAGS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)
NAMES = {"icc_profile": "ICC profile", "exif": "EXIF", "xmp": "XMP"}
EXIF_AS_TEXT = "Raw profile type exif"  # of PNG, before it had a chunk for it
EXIF_START = b"Exif\0\0"
XMP_CHUNK = "XML:com.adobe.xmp"  # the keyword of PNG's text chunk
XMP_ORIENTATION = re.compile(rb"""tiff:Orientation=(["'])[0-9]\1|<tiff:Orientation>[0-9]</tiff:Orientation>""")
TURNS = {  # by EXIF's orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FILTERS = threading.Lock()


def metadata_of(image: Image.Image, *, strip: bool = False) -> Metadata:
    """What is kept of an image's metadata. strip: of these nothing but EXIF that says how the image is turned.

    Raises ImageError for what are no bytes, for EXIF that cannot be read, and for more than a file can hold.
    """
    if strip:
        with suppress(ImageError):
            return Metadata(exif=exif_of(orientation_of(_readable_exif(image))))
        return Metadata()
    profile, xmp = image.info.get("icc_profile") or b"", image.info.get("xmp") or b""
    for name, value in (("ICC profile", profile), ("XMP", xmp)):
        if not isinstance(value, bytes):
            raise ImageError(f"its {name} is {type(value).__name__}, not bytes: give strip=True to leave metadata out")
    metadata = Metadata(profile, _readable_exif(image), xmp)
    metadata_entries(metadata)  # refuses what is too large before anything is coded
    return metadata


def save_options(image: Image.Image, file_format: str) -> dict[str, object]:
    """The options by which Pillow writes the image's ICC profile, EXIF and XMP to a file of that format. Raises what
    Pillow does for EXIF that is none."""
    profile, exif, xmp = (image.info.get(kind) for kind in NAMES)
    options: dict[str, object] = {"icc_profile": profile} if profile else {}
    if exif:  # some formats store it without its start, their readers leave it so
        options["exif"] = exif if exif.startswith(EXIF_START) else EXIF_START + exif
    if xmp and file_format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt(XMP_CHUNK, xmp)
        options["pnginfo"] = chunks
    elif xmp and file_format == "TIFF":  # where it is a tag among those of EXIF
        tags = _tags_of(exif or b"")
        tags[ExifTags.Base.XMLPacket] = xmp
        options["exif"] = tags
    elif xmp:
        options["xmp"] = xmp
    return options


def missing(image: Image.Image, saved: Image.Image) -> list[str]:
    """The names of what the image has and a file of it lacks. Raises what Pillow does for EXIF that is none."""
    kept = {kind: bool(saved.info.get(kind)) for kind in NAMES}
    kept["exif"] = set(saved.getexif()) >= set(_tags_of(image.info.get("exif", b"")))
    return [name for kind, name in NAMES.items() if image.info.get(kind) and not kept[kind]]


def unkept_colours(file: bytes) -> list[str]:
    """Return the names of all that describes the colours of an image file and is not kept. Of a PNG all is kept."""
    return _unkept_profile_of_bmp(file) if file.startswith(b"BM") else []


def _unkept_profile_of_bmp(file: bytes) -> list[str]:
    extent = bmp_profile_extent(file)
    is_damaged = extent and not is_bmp_profile(file[extent.start : extent.stop], extent)
    if is_damaged:
        return ["its damaged ICC profile"]
    return ["the ICC profile that it links to"] if bmp_colours(file) == LINKED else []


def orientation_of(exif: bytes) -> int:
    """How the image is to be turned, 1 to 8 as EXIF counts; 1 where the EXIF says nothing, or nonsense."""
    orientation: object = None
    with silently(), suppress(Exception):  # Pillow's reader raises SyntaxError, struct.error, TypeError, ...
        orientation = _tags_of(exif).get(ExifTags.Base.Orientation)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def exif_of(orientation: int) -> bytes:
    """EXIF that holds this orientation alone; empty for an image that is upright."""
    if orientation == 1:
        return b""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif.tobytes()


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF says, and that orientation taken out of its EXIF and XMP; where Pillow cannot write
    the EXIF again, all of it is. The image as it is where its EXIF says nothing, or nonsense."""
    exif = image.info.get("exif", b"")
    if (orientation := orientation_of(exif)) == 1:
        return image
    turned = image.transpose(TURNS[orientation])
    turned.info["exif"] = _without_orientation(exif)
    if xmp := image.info.get("xmp"):
        turned.info["xmp"] = XMP_ORIENTATION.sub(b"", xmp)
    return turned


@contextmanager
def silently(category: type[Warning] = Warning) -> Iterator[None]:
    """Without Pillow's warnings: of damaged EXIF, say, which is no reason to warn of the image."""
    with _FILTERS, warnings.catch_warnings():  # the filters are the process's: one thread at a time
        warnings.simplefilter("ignore", category)
        yield


def _without_orientation(exif: bytes) -> bytes:
    with silently(), suppress(Exception):  # as above
        tags = _tags_of(exif)
        del tags[ExifTags.Base.Orientation]
        return tags.tobytes()
    return b""


def _tags_of(exif: bytes) -> Image.Exif:
    """Raises what Pillow does for EXIF that is none."""
    tags = Image.Exif()
    tags.load(exif)
    return tags


def _readable_exif(image: Image.Image) -> bytes:
    """The EXIF of an image. Raises ImageError for whatever Pillow raises (AttributeError, struct.error, ...)."""
    try:
        return _exif_bytes(image)
    except MemoryError:
        raise
    except Exception as error:
        raise ImageError(f"its EXIF cannot be read ({error}): give strip=True to leave metadata out") from error


def _exif_bytes(image: Image.Image) -> bytes:
    if getattr(image, "format", None) == "TIFF":
        return _tiff_exif(image)
    exif = image.info.get("exif") or b""
    if isinstance(exif, Image.Exif):
        return exif.tobytes()
    if not isinstance(exif, bytes):
        raise TypeError(f"it is {type(exif).__name__}, not bytes")
    if not exif and (text := image.info.get(EXIF_AS_TEXT)):  # behind a name and a length
        return bytes.fromhex("".join(text.split("\n")[3:]))
    return exif


def _tiff_exif(image: Image.Image) -> bytes:
    """The EXIF of a TIFF, whose tags stand among those that describe the file itself; Pillow has applied the
    orientation."""
    tags, exif = image.getexif(), Image.Exif()
    for tag in DESCRIPTIVE_TAGS:
        if tag in tags:
            exif[tag] = tags[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if values := tags.get_ifd(directory):
            exif[directory] = values
    return exif.tobytes() if len(exif) else b""
