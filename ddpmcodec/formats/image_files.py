"""Opens image files with Pillow, and saves them; refuses those of which it would leave something out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from ddpmcodec._native import MAX_METADATA, MAX_PIXELS
from ddpmcodec.arguments import check_pixels
from ddpmcodec.errors import ImageError, LimitError, OutputError, unreadable
from ddpmcodec.formats import png
from ddpmcodec.formats.left_out import bmp_profile, end_of_gif, left_out, with_indexed_start
from ddpmcodec.formats.metadata import missing, save_options, silently
from ddpmcodec.parallel import interruptible

# What is opened: Pillow's other readers run programs (EPS), are stubs for programs, or are of no use for photographs.
OPENED_FORMATS = (
    "PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM", "TGA", "ICO", "ICNS", "PCX", "JPEG2000", "AVIF",
    "JXL", "HEIF", "QOI", "SGI", "PSD", "DDS", "SUN", "XBM", "XPM", "MSP",
)  # fmt: skip
# Formats of which all pixels arrive, or `left_out` notices what does not. Readers of other formats may leave out depth,
# channels or whole pictures without a word; to chase these one by one is a losing game.
KNOWN_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM", "QOI")
OWN_FORMAT = "DDPM"  # where Pillow has it (`ddpmcodec.plugins.pillow`)
CODED_MODES = ("1", "L", "LA", "RGB", "RGBA")
# MPO is what many cameras call JPEG: a photograph, then other views of the same scene. The photograph is the image.
MAIN_IMAGE_FORMATS = ("MPO",)
JPEG_FORMATS = ("JPEG", *MAIN_IMAGE_FORMATS)
INKS = "CMYK"  # a mode of JPEG files, whose coefficients are coded; other images of it are refused
ARRAY_SUFFIXES = (".npy", ".npz")  # of NumPy's files, as `load_array` reads them
LOSSLESS: dict[str, dict[str, object]] = {"WEBP": {"lossless": True, "exact": True}}  # Pillow's defaults lose
LOADED_BY_ONE_CALL = ("TIFF", "WEBP")  # of another library; Pillow itself decodes the other formats in pieces


def load_image(data: bytes, name: str, *, any_format: bool = False, max_pixels: int | None = None) -> Image.Image:
    """Decode an image file that is in memory. any_format: also one whose reader may leave something out. max_pixels:
    the most that it may claim; None: Pillow's own limit.

    Raises ImageError, starting with `name`, when it cannot be coded. The pixels of a JPEG file may be CMYK, which
    `to_planes` refuses and `shown_planes` converts.
    """
    if not data:
        raise ImageError(f"{name}: the file is empty: give it an image")
    try:
        with reading():
            image = opened(BytesIO(data), max_pixels=max_pixels)
            if not any_format and image.format not in KNOWN_FORMATS:
                raise ImageError(
                    f"what Pillow reads of {image.format} files may not be all that is in them: convert it to PNG"
                    " first, or give any_format=True"
                )
            refuse_what_cannot_be_coded(image, may_be_inks=True)
            check_pixels("the image", *image.size, max_pixels)
            load_pixels(image)
            _check_file(image, data)
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: not an image in a format that Pillow reads without other programs, or damaged beyond recognition:"
            " give it a PNG, JPEG, ..."
        ) from error
    except ImageError as error:
        raise type(error)(f"{name}: {error}") from error
    return image


def _check_file(image: Image.Image, data: bytes) -> None:
    """Refuse files whose damage Pillow does not notice, and whose pixels it has read."""
    if image.format == "PNG":
        png.check(data)
        if _may_lack_rows(image):
            png.check_pixels(data)
    elif image.format == "GIF":
        end_of_gif(data)


def _may_lack_rows(image: Image.Image) -> bool:
    """Whether Pillow may have filled rows of a PNG with zeros: by the last row, so that few are inflated twice."""
    last = image.crop((0, image.height - 1, image.width, image.height))
    return bool(image.info.get("interlace")) or not last.tobytes().strip(b"\0")


def load_array(path: Path) -> NDArray[np.uint8]:
    """Read the images [N, H, W, 3] of an .npy file, or of the first array of an .npz file. Raises ImageError."""
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            array: NDArray[np.uint8] = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
    except OSError as error:
        raise unreadable(str(path), error, "name an array, or a folder", ImageError) from error
    except (ValueError, EOFError, LookupError, BadZipFile) as error:
        raise ImageError(f"{path}: not a .npy or .npz array of numbers: name one, or a folder") from error
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
        raise ImageError(f"{path}: expected uint8 [N, H, W, 3], found {array.dtype} {list(array.shape)}")
    return array


class ClaimedShape(NamedTuple):
    """What an image file claims, before any pixel is read."""

    width: int
    height: int
    mode: str


def claimed_shape(
    source: PurePath | BytesIO, formats: tuple[str, ...] = (), max_pixels: int | None = None
) -> ClaimedShape | None:
    """The shape that an image file claims; None where it cannot be read. No pixel is read. formats: the only ones that
    are tried. max_pixels: unless it is None, Pillow's own limit does not matter."""
    try:
        with reading(), opened(source, formats, max_pixels) as image:
            return ClaimedShape(image.width, image.height, image.mode)
    except (ImageError, UnidentifiedImageError):
        return None


def opened(source: PurePath | BytesIO, formats: tuple[str, ...] = (), max_pixels: int | None = None) -> Image.Image:
    """`Image.open` without the warning of half the size that it refuses: a large photograph is no reason to warn; and
    with profiles in PNG files as large as other formats may have them. max_pixels: the caller's limit, in place of
    Pillow's."""
    with silently(Image.DecompressionBombWarning), _limits(max_pixels):
        if formats:
            return Image.open(source, formats=formats)
        Image.preinit()  # the usual formats; importing Pillow's readers of all others takes longer than a small image
        try:
            return Image.open(source, formats=[name for name in OPENED_FORMATS if name in Image.OPEN])
        except UnidentifiedImageError:
            return Image.open(source, formats=_opened_formats())


@contextmanager
def reading() -> Iterator[None]:
    """Converts what Pillow's readers raise for damaged files (SyntaxError, struct.error, ...) into an ImageError."""
    try:
        yield
    except (ImageError, UnidentifiedImageError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise LimitError(
            f"the image cannot be read ({error}): if you trust its origin, set PIL.Image.MAX_IMAGE_PIXELS higher, or"
            " cut it into several"
        ) from error
    except Exception as error:
        raise ImageError(f"the image cannot be read ({error}): the file is damaged or too large") from error


@contextmanager
def _limits(max_pixels: int | None) -> Iterator[None]:
    """Under the lock of `silently`: the limits are the process's."""
    chunk, pixels = PngImagePlugin.MAX_TEXT_CHUNK, Image.MAX_IMAGE_PIXELS
    PngImagePlugin.MAX_TEXT_CHUNK = max(chunk, MAX_METADATA)
    if max_pixels is not None:
        Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        PngImagePlugin.MAX_TEXT_CHUNK, Image.MAX_IMAGE_PIXELS = chunk, pixels


def opened_extensions() -> set[str]:
    """The extensions of files that `load_image` opens, with their dots."""
    return {extension for extension, name in Image.registered_extensions().items() if name in OPENED_FORMATS}


def _opened_formats() -> list[str]:
    """Those of OPENED_FORMATS that this Pillow has; some come with plugins."""
    Image.init()
    return [name for name in OPENED_FORMATS if name in Image.OPEN]


def image_format(name: str) -> str:
    """Pillow's name of the format for a file name; PNG without an extension. Raises OutputError for an unknown one."""
    extension = PurePath(name).suffix.lower()
    if extension in ("", ".png"):  # without importing what writes the others
        return "PNG"
    extensions = Image.registered_extensions()  # loads the formats, and so fills Image.SAVE
    file_format = extensions.get(extension)
    if file_format is None or file_format not in Image.SAVE or file_format == OWN_FORMAT:
        raise OutputError(f"{name}: no image format that Pillow writes has the extension {extension}: use .png")
    return file_format


def save_image(image: Image.Image, file_format: str) -> bytes:
    """The image as a file of that format, with its ICC profile, EXIF and XMP where the format can hold them; without
    loss where it can.

    Raises OutputError when the format cannot hold it.
    """
    stream = BytesIO()
    try:
        options = {**save_options(image, file_format), **LOSSLESS.get(file_format, {})}
        interruptible(image.save, stream, file_format, **options)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's writers raise OSError, ValueError, and SyntaxError for EXIF that is none
        raise OutputError(f"{file_format} cannot hold this image ({error}): use .png") from error
    return stream.getvalue()


def is_kept(image: Image.Image, content: bytes) -> bool:
    """Whether a file of `save_image` is known to hold every pixel as it is. Pillow cannot read all that it writes:
    neither every format nor large images."""
    try:
        with opened(BytesIO(content)) as saved:
            mode = "L" if image.mode == "1" else image.mode  # other greys would become black or white
            pixels, image = interruptible(lambda: saved.convert(mode).tobytes()), image.convert(mode)
            # Pillow applies the orientation of TIFF alone
            return pixels in (image.tobytes(), ImageOps.exif_transpose(image).tobytes())
    except MemoryError:
        raise
    except Exception:  # as in `reading`
        return False


def lost_metadata(image: Image.Image, content: bytes) -> list[str]:
    """What a file of `save_image` lacks of the image's ICC profile, EXIF and XMP; of one that Pillow cannot read,
    nothing is known."""
    with suppress(Exception), opened(BytesIO(content)) as saved:  # as in `reading`
        return missing(image, saved)
    return []


def load_pixels(image: Image.Image) -> None:
    """Load the pixels, and mend what Pillow gets wrong of their meaning."""
    file_format, tile = getattr(image, "format", None), getattr(image, "tile", [])
    modes = [given if isinstance(given, str) else given and given[0] for *_, given in tile]
    key = image.info.get("transparency")
    if file_format == "PNG" and isinstance(key, int) and modes[:1] in (["L;2"], ["L;4"]):
        image.info["transparency"] = key * (85 if modes == ["L;2"] else 17)  # levels are scaled to 8 bits, this is not
    if isinstance(xmp := image.info.get("xmp"), str):  # of a TIFF that calls it text
        image.info["xmp"] = xmp.encode("latin-1", "replace")
    if file_format == "BMP" and tile and (icc := bmp_profile(image)):
        image.info["icc_profile"] = icc
    if file_format == "QOI" and tile:
        _index_start_of_qoi(image)
    if file_format in LOADED_BY_ONE_CALL:
        interruptible(image.load)
    else:
        image.load()


def _index_start_of_qoi(image: Any) -> None:
    """Replace the file of a QOI image that is not loaded yet by one that Pillow reads right."""
    image.fp.seek(0)
    file = image.fp.read()
    if (mended := with_indexed_start(file)) != file:
        if image._exclusive_fp:
            image.fp.close()
        image.fp = BytesIO(mended)


def refuse_what_cannot_be_coded(image: Image.Image, *, may_be_inks: bool = False) -> None:
    refuse_size(*image.size)
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and getattr(image, "format", None) not in MAIN_IMAGE_FORMATS:
        raise ImageError(f"{frames} frames: an animation or a multi-page image; save each frame as an image of its own")
    if problem := left_out(image):
        raise ImageError(problem)
    inks = (INKS,) if may_be_inks and getattr(image, "format", None) in JPEG_FORMATS else ()
    if image.mode not in (*CODED_MODES, "P", "PA", *inks):
        wanted = {"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGB")  # Pillow converts these to no other mode
        raise ImageError(f"colour mode {image.mode} is not supported: convert it to {wanted} first")


def refuse_size(width: int, height: int) -> None:
    if not (width and height and width * height <= MAX_PIXELS):
        raise ImageError(f"{width} x {height} pixels: 1 to {MAX_PIXELS} pixels can be coded")
