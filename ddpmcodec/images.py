"""Turns Pillow images and arrays into the planes that are coded, and back, without loss; refuses what cannot be
coded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from ddpmcodec import png
from ddpmcodec._native import ALPHA_MODES, MAX_METADATA, MAX_PIXELS
from ddpmcodec.arguments import check_pixels
from ddpmcodec.deep import FORMATS as DEEP_FORMATS
from ddpmcodec.deep import MOST_BITS, Samples, read_image, read_pnm, samples_of
from ddpmcodec.deep import file_of as deep_file_of
from ddpmcodec.errors import ImageError, LimitError, OutputError, unreadable
from ddpmcodec.format.sections import NO_METADATA, KeptFile, Metadata
from ddpmcodec.left_out import TOO_DEEP, bmp_profile, end_of_gif, left_out, with_indexed_start
from ddpmcodec.metadata import metadata_of, missing, save_options, silently
from ddpmcodec.parallel import interruptible

# What is opened: Pillow's other readers run programs (EPS), are stubs for programs, or are of no use for photographs.
OPENED_FORMATS = (
    "PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM", "TGA", "ICO", "ICNS", "PCX", "JPEG2000", "AVIF",
    "JXL", "HEIF", "QOI", "SGI", "PSD", "DDS", "SUN", "XBM", "XPM", "MSP",
)  # fmt: skip
# Formats of which all pixels arrive, or `left_out` notices what does not. Readers of other formats may leave out depth,
# channels or whole pictures without a word; to chase these one by one is a losing game.
KNOWN_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM", "QOI")
OWN_FORMAT = "DDPM"  # where Pillow has it (`pillow_plugin`)
CODED_MODES = ("1", "L", "LA", "RGB", "RGBA")
# MPO is what many cameras call JPEG: a photograph, then other views of the same scene. The photograph is the image.
MAIN_IMAGE_FORMATS = ("MPO",)
JPEG_FORMATS = ("JPEG", *MAIN_IMAGE_FORMATS)
INKS = "CMYK"  # a mode of JPEG files, which are stored as such; other images of it are refused
ARRAY_SUFFIXES = (".npy", ".npz")  # of NumPy's files, as `load_array` reads them
LOSSLESS: dict[str, dict[str, object]] = {"WEBP": {"lossless": True, "exact": True}}  # Pillow's defaults lose
LOADED_BY_ONE_CALL = ("TIFF", "WEBP")  # of another library; Pillow itself decodes the other formats in pieces
ARRAY_MODES: dict[tuple[int, ...], str] = {(): "L", (1,): "L", (2,): "LA", (3,): "RGB", (4,): "RGBA"}


@dataclass(frozen=True)
class Planes:
    """An image as it is coded. Mode "1" is coded as grey levels 0 and 255. original: the JPEG file that is stored in
    place of the pixels, which are what a decoder makes of it. kept: the file that is kept whole, of which the pixels
    are a preview. samples: if they have more than 8 bits; colour and alpha are the high bits of their coded values."""

    mode: str
    colour: NDArray[np.uint8]  # (H, W, C), C 1 or 3
    alpha: NDArray[np.uint8] | None  # (H, W)
    metadata: Metadata = NO_METADATA
    original: bytes = b""
    kept: KeptFile | None = None
    samples: Samples | None = None

    def equals(self, other: Planes) -> bool:
        """Return whether the other planes are the same in all respects."""
        same = (self.mode, self.metadata, self.original, self.kept) == (
            other.mode,
            other.metadata,
            other.original,
            other.kept,
        )
        if (
            not same
            or (self.alpha is None) != (other.alpha is None)
            or (self.samples is None) != (other.samples is None)
        ):
            return False
        if self.samples is not None and other.samples is not None and not self.samples.equals(other.samples):
            return False
        if self.alpha is not None and other.alpha is not None and not np.array_equal(self.alpha, other.alpha):
            return False
        return np.array_equal(self.colour, other.colour)


def load_image(data: bytes, name: str, *, any_format: bool = False, max_pixels: int | None = None) -> Image.Image:
    """Decode an image file that is in memory. any_format: also one whose reader may leave something out. max_pixels:
    the most that it may claim; None: Pillow's own limit.

    Raises ImageError, starting with `name`, when it cannot be coded. The pixels of a JPEG file may be CMYK, which
    `to_planes` refuses and `shown_planes` converts.
    """
    if not data:
        raise ImageError(f"{name}: the file is empty: give it an image")
    try:
        with _reading():
            image = _opened(BytesIO(data), max_pixels=max_pixels)
            if not any_format and image.format not in KNOWN_FORMATS:
                raise ImageError(
                    f"what Pillow reads of {image.format} files may not be all that is in them: convert it to PNG"
                    " first, or give any_format=True"
                )
            _refuse_what_cannot_be_coded(image, may_be_inks=True)
            check_pixels("the image", *image.size, max_pixels)
            _load(image)
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


def first_picture(data: bytes, max_pixels: int | None = None) -> Image.Image | None:
    """Return the first picture of an image file as it is shown, in 8 bits a sample; None if Pillow does not read it, or
    it claims more pixels than can be coded."""
    with suppress(Exception):  # as in `_reading`
        image = _opened(BytesIO(data), max_pixels=max_pixels)
        _refuse_size(*image.size)
        with silently():
            _load(image)
        return _without_palette(_in_eight_bits(image.copy()))  # which is no file of frames
    return None


def _in_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), posinf=0, neginf=0)
        return Image.fromarray((255 * (values - values.min()) / max(np.ptp(values), 1e-9)).astype(np.uint8))
    return image.getchannel("L") if image.mode == "LAB" else image  # which Pillow converts to none


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
        with _reading(), _opened(source, formats, max_pixels) as image:
            return ClaimedShape(image.width, image.height, image.mode)
    except (ImageError, UnidentifiedImageError):
        return None


def _opened(source: PurePath | BytesIO, formats: tuple[str, ...] = (), max_pixels: int | None = None) -> Image.Image:
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
def _reading() -> Iterator[None]:
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


def to_planes(image: Image.Image | NDArray[np.uint8], *, strip: bool = False) -> Planes:
    """The planes of a Pillow image, or of a uint8 array (H, W) or (H, W, C), C 2 to 4.

    Palette images become RGB, and images with a transparent colour RGBA or LA, by exact look-up. ICC profile, EXIF
    and XMP are kept unless `strip`. Raises ImageError for what cannot be coded without loss.
    """
    if isinstance(image, np.ndarray):
        return _array_planes(image)
    if _is_deep_grey(image):
        return _deep(np.asarray(image).astype(np.uint16)[..., None], MOST_BITS, metadata_of(image, strip=strip))
    with _reading():
        _refuse_what_cannot_be_coded(image)
        _load(image)  # some metadata is known afterwards only
        metadata = metadata_of(image, strip=strip)
        direct = _without_palette(image)
    if direct.mode == "1":
        return Planes("1", np.where(np.asarray(direct), np.uint8(255), np.uint8(0))[..., None], None, metadata)
    return _split_alpha(direct.mode, np.atleast_3d(np.asarray(direct)), metadata)


def _is_deep_grey(image: Image.Image) -> bool:
    is_grey = image.mode.startswith("I;16") and "transparency" not in image.info
    return is_grey and getattr(image, "n_frames", 1) == 1 and left_out(image) == TOO_DEEP


def shown_planes(image: Image.Image) -> Planes:
    """Return the planes of an image as it is shown: inks of a JPEG file become RGB, as Pillow converts them.

    Raises:
        ImageError: as `to_planes`.
    """
    if image.mode != INKS or image.format not in JPEG_FORMATS:
        return to_planes(image)
    with _reading():
        shown = image.convert("RGB")
    shown.info.pop("icc_profile", None)  # of the inks
    return to_planes(shown)


def shown_mode(mode: str) -> str:
    """Return the mode of the pixels that `shown_planes` makes of a JPEG file."""
    return "RGB" if mode == INKS else mode


def to_image(planes: Planes) -> Image.Image:
    """The Pillow image of these planes, in their mode; grey levels between 0 and 255 of mode "1" are cut at 128."""
    grey = planes.colour.shape[2] == 1
    if planes.alpha is not None:
        image = Image.fromarray(np.dstack([planes.colour, planes.alpha]))
    else:
        image = Image.fromarray(planes.colour[..., 0] if grey else planes.colour)
    if planes.mode == "1":
        image = image.convert("1", dither=Image.Dither.NONE)
    image.info.update(planes.metadata._replace(png=b"").present())
    return image


def to_array(planes: Planes) -> NDArray[Any]:
    """The samples (H, W) or (H, W, C) in an array that can be written to, uint8, or uint16 if they have more than 8
    bits; grey levels where the mode is "1"."""
    if planes.samples is not None:
        values = planes.samples.values
        return np.require(values[..., 0] if values.shape[2] == 1 else values, np.uint16, ["C", "W"])
    if planes.alpha is not None:
        return np.dstack([planes.colour, planes.alpha])
    samples = planes.colour[..., 0] if planes.colour.shape[2] == 1 else planes.colour
    return np.require(samples, np.uint8, ["C", "W"])


def to_exact_image(planes: Planes) -> Image.Image:
    """`to_image`; of samples of more than 8 bits an image of mode I;16. Raises OutputError if Pillow has no mode for
    them."""
    if planes.samples is None:
        return to_image(planes)
    if planes.samples.values.shape[2] > 1:
        raise OutputError(
            f"Pillow has no image of {planes.samples.source_bits} bits a sample and mode {planes.mode}: give"
            " as_array=True, or decode to a PNG or TIFF file"
        )
    image = Image.fromarray(planes.samples.values[..., 0])
    image.info.update(planes.metadata._replace(png=b"").present())
    return image


def save_planes(planes: Planes, file_format: str) -> bytes:
    """Return a file of samples of more than 8 bits. Raises OutputError for other formats than PNG, TIFF and PNM."""
    assert planes.samples is not None
    if file_format not in DEEP_FORMATS:
        raise OutputError(f"{file_format} is not written of {planes.samples.source_bits} bits a sample: use .png")
    return deep_file_of(planes.samples, file_format, planes.metadata.icc_profile, planes.metadata.exif)


def deep_planes(data: bytes, max_pixels: int | None, *, strip: bool) -> tuple[str, Planes] | None:
    """Return the format and the planes of an image file whose samples have 9 to 16 bits, of which nothing else is left
    out; None if not all of them can be read. Raises ImageError if the file is damaged."""
    if found := read_pnm(data):
        height, width, _ = found[0].shape
        check_pixels("the image", width, height, max_pixels)
        _refuse_size(width, height)
        return "PPM", _deep(*found, Metadata())
    with _reading():
        image = _opened(BytesIO(data), max_pixels=max_pixels)
        if image.format not in DEEP_FORMATS or left_out(image) != TOO_DEEP or getattr(image, "n_frames", 1) > 1:
            return None
        check_pixels("the image", *image.size, max_pixels)
        values = interruptible(read_image, lambda: _opened(BytesIO(data), max_pixels=max_pixels))
        if values is None:
            return None
        _load(image)
        if image.format == "PNG":
            png.check(data)
            png.check_pixels(data)
        return str(image.format), _deep(values, MOST_BITS, metadata_of(image, strip=strip))


def _deep(values: NDArray[np.uint16], source_bits: int, metadata: Metadata) -> Planes:
    samples = samples_of(values, source_bits)
    planes = _split_alpha(ARRAY_MODES[(values.shape[2],)], samples.high(), metadata)
    return replace(planes, samples=samples)


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
        with _opened(BytesIO(content)) as saved:
            mode = "L" if image.mode == "1" else image.mode  # other greys would become black or white
            pixels, image = interruptible(lambda: saved.convert(mode).tobytes()), image.convert(mode)
            # Pillow applies the orientation of TIFF alone
            return pixels in (image.tobytes(), ImageOps.exif_transpose(image).tobytes())
    except MemoryError:
        raise
    except Exception:  # as in `_reading`
        return False


def lost_metadata(image: Image.Image, content: bytes) -> list[str]:
    """What a file of `save_image` lacks of the image's ICC profile, EXIF and XMP; of one that Pillow cannot read,
    nothing is known."""
    with suppress(Exception), _opened(BytesIO(content)) as saved:  # as in `_reading`
        return missing(image, saved)
    return []


def _array_planes(array: NDArray[Any]) -> Planes:
    if array.dtype.newbyteorder("=") == np.uint16 and array.ndim in (2, 3) and array.shape[2:] in ARRAY_MODES:
        _refuse_size(array.shape[1], array.shape[0])
        return _deep(np.array(np.atleast_3d(array), np.uint16, order="C"), MOST_BITS, Metadata())
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ARRAY_MODES:
        raise ImageError(
            f"an array of {array.dtype} and shape {array.shape} is not an image:"
            " uint8 or uint16 of shape (H, W) or (H, W, C) is, with 1 to 4 channels"
        )
    _refuse_size(array.shape[1], array.shape[0])
    pixels = np.atleast_3d(array).copy()  # what is coded and compared stays, whatever the caller does with the array
    return _split_alpha(ARRAY_MODES[array.shape[2:]], pixels, Metadata())


def _split_alpha(mode: str, pixels: NDArray[np.uint8], metadata: Metadata) -> Planes:
    if mode in ALPHA_MODES:
        colour, alpha = np.ascontiguousarray(pixels[..., :-1]), np.ascontiguousarray(pixels[..., -1])
        return Planes(mode, colour, alpha, metadata)
    return Planes(mode, np.ascontiguousarray(pixels), None, metadata)


def _without_palette(image: Image.Image) -> Image.Image:
    """An image in one of CODED_MODES, its pixels as they are; a palette or a transparent colour is looked up."""
    grey = image.mode in ("1", "L", "LA")
    if (
        image.mode not in ALPHA_MODES
        and image.has_transparency_data
        and image.info.get("transparency", b"") is not None
    ):
        return image.convert("LA" if grey else "RGBA")
    return image if image.mode in CODED_MODES else image.convert("RGB")


def _load(image: Image.Image) -> None:
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


def _refuse_what_cannot_be_coded(image: Image.Image, *, may_be_inks: bool = False) -> None:
    _refuse_size(*image.size)
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and getattr(image, "format", None) not in MAIN_IMAGE_FORMATS:
        raise ImageError(f"{frames} frames: an animation or a multi-page image; save each frame as an image of its own")
    if problem := left_out(image):
        raise ImageError(problem)
    inks = (INKS,) if may_be_inks and getattr(image, "format", None) in JPEG_FORMATS else ()
    if image.mode not in (*CODED_MODES, "P", "PA", *inks):
        wanted = {"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGB")  # Pillow converts these to no other mode
        raise ImageError(f"colour mode {image.mode} is not supported: convert it to {wanted} first")


def _refuse_size(width: int, height: int) -> None:
    if not (width and height and width * height <= MAX_PIXELS):
        raise ImageError(f"{width} x {height} pixels: 1 to {MAX_PIXELS} pixels can be coded")
