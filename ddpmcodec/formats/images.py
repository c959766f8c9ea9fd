"""Turns Pillow images and arrays into the planes that are coded, and back, without loss; refuses what cannot be
coded."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec._native import ALPHA_MODES, JpegImage
from ddpmcodec.arguments import check_pixels
from ddpmcodec.errors import ImageError, OutputError
from ddpmcodec.format.sections import NO_METADATA, KeptFile, Metadata
from ddpmcodec.formats import png
from ddpmcodec.formats.deep import FORMATS as DEEP_FORMATS
from ddpmcodec.formats.deep import MOST_BITS, Samples, read_image, read_pnm, samples_of
from ddpmcodec.formats.deep import file_of as deep_file_of
from ddpmcodec.formats.image_files import (
    CODED_MODES,
    INKS,
    JPEG_FORMATS,
    load_pixels,
    opened,
    reading,
    refuse_size,
    refuse_what_cannot_be_coded,
)
from ddpmcodec.formats.left_out import TOO_DEEP, left_out
from ddpmcodec.formats.metadata import metadata_of, silently
from ddpmcodec.parallel import interruptible

ARRAY_MODES: dict[tuple[int, ...], str] = {(): "L", (1,): "L", (2,): "LA", (3,): "RGB", (4,): "RGBA"}


@dataclass(frozen=True)
class Planes:
    """An image as it is coded.

    Attributes:
        mode: "1" is coded as grey levels 0 and 255.
        colour: (H, W, C), C 1 or 3.
        alpha: (H, W), or None.
        metadata: ICC profile, EXIF, XMP, and how a PNG file was made.
        original: the JPEG file whose coefficients are coded; the pixels are what a decoder makes of it.
        kept: the file that is kept whole, of which the pixels are a preview.
        samples: if they have more than 8 bits; colour and alpha are the high bits of their coded values.
        parsed: what the core has read of `original`, if it has.
    """

    mode: str
    colour: NDArray[np.uint8]  # (H, W, C), C 1 or 3
    alpha: NDArray[np.uint8] | None  # (H, W)
    metadata: Metadata = NO_METADATA
    original: bytes = b""
    kept: KeptFile | None = None
    samples: Samples | None = None
    parsed: JpegImage | None = field(default=None, compare=False)

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


def first_picture(data: bytes, max_pixels: int | None = None) -> Image.Image | None:
    """Return the first picture of an image file as it is shown, in 8 bits a sample; None if Pillow does not read it, or
    it claims more pixels than can be coded."""
    with suppress(Exception):  # as in `reading`
        image = opened(BytesIO(data), max_pixels=max_pixels)
        refuse_size(*image.size)
        with silently():
            load_pixels(image)
        return _without_palette(_in_eight_bits(image.copy()))  # which is no file of frames
    return None


def _in_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), posinf=0, neginf=0)
        return Image.fromarray((255 * (values - values.min()) / max(np.ptp(values), 1e-9)).astype(np.uint8))
    return image.getchannel("L") if image.mode == "LAB" else image  # which Pillow converts to none


def to_planes(image: Image.Image | NDArray[np.uint8], *, strip: bool = False) -> Planes:
    """The planes of a Pillow image, or of a uint8 array (H, W) or (H, W, C), C 2 to 4.

    Palette images become RGB, and images with a transparent colour RGBA or LA, by exact look-up. ICC profile, EXIF
    and XMP are kept unless `strip`. Raises ImageError for what cannot be coded without loss.
    """
    if isinstance(image, np.ndarray):
        return _array_planes(image)
    if _is_deep_grey(image):
        return _deep(np.asarray(image).astype(np.uint16)[..., None], MOST_BITS, metadata_of(image, strip=strip))
    with reading():
        refuse_what_cannot_be_coded(image)
        load_pixels(image)  # some metadata is known afterwards only
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
    with reading():
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
        refuse_size(width, height)
        return "PPM", _deep(*found, Metadata())
    with reading():
        image = opened(BytesIO(data), max_pixels=max_pixels)
        if image.format not in DEEP_FORMATS or left_out(image) != TOO_DEEP or getattr(image, "n_frames", 1) > 1:
            return None
        check_pixels("the image", *image.size, max_pixels)
        values = interruptible(read_image, lambda: opened(BytesIO(data), max_pixels=max_pixels))
        if values is None:
            return None
        load_pixels(image)
        if image.format == "PNG":
            png.check(data)
            png.check_pixels(data)
        return str(image.format), _deep(values, MOST_BITS, metadata_of(image, strip=strip))


def _deep(values: NDArray[np.uint16], source_bits: int, metadata: Metadata) -> Planes:
    samples = samples_of(values, source_bits)
    planes = _split_alpha(ARRAY_MODES[(values.shape[2],)], samples.high(), metadata)
    return replace(planes, samples=samples)


def _array_planes(array: NDArray[Any]) -> Planes:
    if array.dtype.newbyteorder("=") == np.uint16 and array.ndim in (2, 3) and array.shape[2:] in ARRAY_MODES:
        refuse_size(array.shape[1], array.shape[0])
        return _deep(np.array(np.atleast_3d(array), np.uint16, order="C"), MOST_BITS, Metadata())
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ARRAY_MODES:
        raise ImageError(
            f"an array of {array.dtype} and shape {array.shape} is not an image:"
            " uint8 or uint16 of shape (H, W) or (H, W, C) is, with 1 to 4 channels"
        )
    refuse_size(array.shape[1], array.shape[0])
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
