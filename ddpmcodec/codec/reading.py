"""Images in all the forms that encoders take, to the planes that are coded; and what of them is not kept."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec._native import ARCHIVE_MAGIC, MAGIC, JpegImage, read_jpeg
from ddpmcodec.codec import kept
from ddpmcodec.errors import FormatError, ImageError, LimitError, unreadable
from ddpmcodec.format.sections import metadata_entries
from ddpmcodec.formats import png
from ddpmcodec.formats.image_files import JPEG_FORMATS, load_image
from ddpmcodec.formats.images import Planes, deep_planes, shown_planes, to_planes
from ddpmcodec.formats.left_out import TOO_DEEP, following
from ddpmcodec.formats.metadata import unkept_colours
from ddpmcodec.parallel import interruptible

if TYPE_CHECKING:
    from torch import Tensor

Picture: TypeAlias = "Image.Image | NDArray[np.uint8] | Tensor | str | os.PathLike[str] | BinaryIO | Planes"


class Reading(NamedTuple):
    """What is taken of a picture, and how.

    strip: no ICC profile, no XMP, and of EXIF the orientation alone. any_format: files of formats whose readers may
    leave something out, too. pixels: those of a JPEG file or a lossy WebP; otherwise the file itself comes back.
    max_pixels: of `load_image`. warns: of what a file has and no file of ours keeps, where a caller names a file.
    strict: refuse files whose pixels cannot be coded, which are kept whole otherwise.
    """

    strip: bool = False
    any_format: bool = False
    pixels: bool = False
    max_pixels: int | None = None
    warns: bool = True
    strict: bool = False

    @property
    def takes_coefficients(self) -> bool:
        """Whether the coefficients of a JPEG file are coded, or the file is kept whole."""
        return not (self.pixels or self.strip)

    def keeps(self, data: bytes, name: str) -> bool:
        """Whether a file whose pixels are not coded is kept whole, with all metadata."""
        return not (self.strict or self.strip) and kept.can_keep(data, name)


def planes_of(image: Picture, reading: Reading) -> Planes:
    """The planes of an image; those that a caller has made already stay as they are. Raises ImageError, TypeError."""
    if isinstance(image, Planes):
        return image
    if isinstance(image, np.ma.MaskedArray):
        raise TypeError("encode() takes no masked array, whose mask no file keeps: give image.filled() of it")
    if isinstance(image, np.ndarray):
        return to_planes(np.asarray(image))  # of a matrix, too
    if isinstance(image, Image.Image):
        return to_planes(image, strip=reading.strip)
    if _is_tensor(image):
        return to_planes(_array_of(image))
    if isinstance(image, (str, os.PathLike)):
        name = os.fspath(image)
        return _planes_of_named(_read(name, Path(name).read_bytes), name, reading)
    if hasattr(image, "read"):
        name = str(getattr(image, "name", "the file"))
        data = _read(name, image.read)
        if not isinstance(data, bytes):
            raise TypeError(f"encode() takes a binary file, and {name} gives {type(data).__name__}: open it with 'rb'")
        return _planes_of_named(data, name, reading)
    raise TypeError(
        f"encode() takes a Pillow image, a uint8 array or tensor, a path or a binary file, not {type(image).__name__}"
    )


def _planes_of_named(data: bytes, name: str, reading: Reading) -> Planes:
    """As `planes_of_file`, with a warning for each thing that is not kept."""
    planes = planes_of_file(data, name, reading)
    if reading.warns and planes.kept is None:
        for sentence in unkept(data, strip=reading.strip):
            warnings.warn(f"{name}: {sentence}", stacklevel=4)
    return planes


def planes_of_file(data: bytes, name: str, reading: Reading) -> Planes:
    """The planes of an image file, or of the preview of one that is kept whole. name: what errors call it, with the
    file's ending. Raises ImageError."""
    return read_file(data, name, reading).planes


class FileRead(NamedTuple):
    """An image file: how its pixels are stored in it, and what is coded of it. width, height: of its picture."""

    format: str
    mode: str
    width: int
    height: int
    planes: Planes


def read_file(data: bytes, name: str, reading: Reading) -> FileRead:
    """Read an image file. Parameters and errors are those of `planes_of_file`."""
    refuse_own_files(data, name)
    try:
        image = load_image(data, name, any_format=reading.any_format, max_pixels=reading.max_pixels)
        if not reading.pixels and kept.is_lossy_webp(data) and reading.keeps(data, name):
            return kept_whole(data, name, "a lossy WebP", reading)
        return FileRead(image.format or "", image.mode, *image.size, planes_of_image(image, data, reading))
    except ImageError as error:
        problem = str(error).removeprefix(f"{name}: ")
        if problem == TOO_DEEP and (found := _read_deep(data, name, reading)):
            return found
        if isinstance(error, LimitError) or not reading.keeps(data, name):
            raise type(error)(f"{name}: {problem}") from error
        return kept_whole(data, name, problem, reading)


def _read_deep(data: bytes, name: str, reading: Reading) -> FileRead | None:
    """Read a file of 9 to 16 bits a sample; None if not all of it is read, or if its PNG could not be restored."""
    try:
        found = deep_planes(data, reading.max_pixels, strip=reading.strip)
    except ImageError as error:
        raise type(error)(f"{name}: {error}") from error
    if found is None:
        return None
    file_format, planes = found
    if file_format == "PNG" and not reading.strip:
        if png.has_excess(data) and not reading.strict:
            return None
        planes = replace(planes, metadata=planes.metadata._replace(png=png.recipe_of(data)))
        metadata_entries(planes.metadata)
    height, width, _ = planes.colour.shape
    return FileRead(file_format, planes.mode, width, height, planes)


def kept_whole(data: bytes, name: str, problem: str, reading: Reading) -> FileRead:
    """Keep an image file whole. problem: why its pixels are not coded."""
    planes = kept.planes_of(data, name, problem, reading.max_pixels)
    assert planes.kept is not None
    return FileRead(planes.kept.format, planes.mode, planes.kept.width, planes.kept.height, planes)


def refuse_own_files(data: bytes, name: str) -> None:
    """Raises ImageError for a .ddpm file or an archive, or its start. name: what the error calls it."""
    for magic, kind in ((MAGIC, ".ddpm"), (ARCHIVE_MAGIC, ".ddpma")):
        if data.startswith(magic):
            raise ImageError(f"{name}: is a {kind} file already: decode it first")


def planes_of_image(image: Image.Image, data: bytes, reading: Reading) -> Planes:
    """The planes of an image that Pillow has read from these bytes of a file; with the bytes of a JPEG, and with what
    rebuilds a PNG. Raises ImageError for a JPEG that its coefficients do not rebuild, and for a PNG of which something
    would be lost, if it can be kept whole."""
    if image.format in JPEG_FORMATS and reading.takes_coefficients:
        if parsed := _parsed_jpeg(data, image.size):
            return replace(shown_planes(image), original=data, parsed=parsed)
        if not reading.strict:
            raise ImageError("a JPEG file that its coefficients do not rebuild: only its pixels are coded, pixels=True")
    planes = to_planes(image, strip=reading.strip)
    if image.format != "PNG" or reading.strip:
        return planes
    planes = replace(planes, metadata=planes.metadata._replace(png=png.recipe_of(data)))
    metadata_entries(planes.metadata)  # refuses what is too large
    if not reading.strict and (png.has_excess(data) or not _is_restored(planes)):
        raise ImageError("image data after its pixels, or pixels that are stored in an unusual way")
    return planes


def _parsed_jpeg(data: bytes, size: tuple[int, int]) -> JpegImage | None:
    """Return a JPEG file as the core reads it; None if its coefficients do not rebuild it."""
    with suppress(FormatError):
        parsed = interruptible(read_jpeg, data)
        return parsed if parsed.size == size else None
    return None


def _is_restored(planes: Planes) -> bool:
    """Whether the recipe of a PNG gives its pixels back; that of a usual layout does."""
    if not planes.metadata.png or png.is_usual(planes.metadata.png):
        return True
    try:
        file = png.restored(planes.metadata.png, planes.colour, planes.alpha)
        again = to_planes(load_image(file, "the PNG"))
    except (FormatError, ImageError):
        return False
    return replace(again, metadata=planes.metadata).equals(planes)


def numbered(images: Iterable[Picture], reading: Reading) -> Iterator[Planes]:
    """The planes of each image. Raises ImageError, which names one by its number, and TypeError."""
    if isinstance(images, (str, bytes)):  # which would be taken for a list of letters
        raise TypeError(f"encode_many() takes a list of images, not {type(images).__name__}")
    for number, image in enumerate(images, start=1):
        try:
            yield planes_of(image, reading)
        except ImageError as error:
            raise type(error)(f"image {number}: {error}") from error


def _read(name: str, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (OSError, ValueError) as error:
        raise unreadable(name, error, "give the path of an image", ImageError) from error


def _is_tensor(image: object) -> bool:
    """Whether it is a tensor. PyTorch is not imported for this: where nobody has imported it, there is none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def _array_of(tensor: Any) -> NDArray[np.uint8]:
    """The array [H, W] or [H, W, C] of a tensor [H, W] or [C, H, W] on any device. Raises ImageError."""
    channels_last = tensor.movedim(0, -1) if tensor.ndim == 3 else tensor
    if str(tensor.dtype) != "torch.uint8" or tensor.ndim not in (2, 3) or not 1 <= channels_last.shape[2:].numel() <= 4:
        raise ImageError(
            f"a tensor of {tensor.dtype} and shape {tuple(tensor.shape)} is not an image:"
            " uint8 of shape (H, W) or (C, H, W) is, with 1 to 4 channels"
        )
    if tensor.is_meta:
        raise ImageError("a tensor on the device 'meta' has no values: give one that has")
    pixels: NDArray[np.uint8] = channels_last.cpu().numpy()
    return pixels


def unkept(file: bytes, *, strip: bool = False) -> list[str]:
    """Return a sentence for each thing in an image file, which was read, that is not kept.

    Parameters:
        file: the bytes of the file.
        strip: whether the descriptions of its colours were not to be kept.
    """
    is_png = file.startswith(png.START)
    sentences = []
    if not strip and (names := unkept_colours(file)):
        sentences.append(f"{' and '.join(names)} is not kept, so its colours may look wrong")
    if is_png and png.has_excess(file):
        sentences.append("image data after its pixels are not kept")
    if (count := following(file)) and (strip or not is_png):
        sentences.append(f"{count} byte{'s' * (count > 1)} after its end {'is' if count == 1 else 'are'} not kept")
    return sentences
