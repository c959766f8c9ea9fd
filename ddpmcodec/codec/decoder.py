"""Decodes .ddpm bytes to images: whole, from a prefix, a part of one, many at a time, or as thumbnails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, overload

from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import _native
from ddpmcodec._native import DEFAULT_MAX_PIXELS, REDUCTIONS
from ddpmcodec.arguments import check_limits, whole_number
from ddpmcodec.codec.decoding import (
    Decoded,
    DecodeOptions,
    Edges,
    decode_file,
    decode_files,
    decode_original_file,
    region_of,
    scale_of,
)
from ddpmcodec.codec.kept import shown
from ddpmcodec.codec.passes import Progress, Report
from ddpmcodec.content import Content, File, Part, bytes_of, content_of
from ddpmcodec.errors import DdpmError, ImageError
from ddpmcodec.format.sections import NO_METADATA
from ddpmcodec.formats.images import to_array, to_exact_image, to_image, to_planes
from ddpmcodec.formats.metadata import upright
from ddpmcodec.models.registry import ModelSource, find

__all__ = ["Decoded", "decode", "decode_details", "decode_files", "decode_many", "thumbnail"]


@overload
def decode(
    data: File, *, partial: bool = ..., max_bytes: int | None = ..., step: int | None = ...,
    box: Edges | None = ..., reduce: int = ..., model: ModelSource = ..., max_pixels: int | None = ...,
    progress: Progress | None = ..., as_array: Literal[False] = ...,
) -> Image.Image: ...  # fmt: skip


@overload
def decode(
    data: File, *, partial: bool = ..., max_bytes: int | None = ..., step: int | None = ...,
    box: Edges | None = ..., reduce: int = ..., model: ModelSource = ..., max_pixels: int | None = ...,
    progress: Progress | None = ..., as_array: Literal[True],
) -> NDArray[Any]: ...  # fmt: skip


@overload
def decode(
    data: File, *, partial: bool = ..., max_bytes: int | None = ..., step: int | None = ...,
    box: Edges | None = ..., reduce: int = ..., model: ModelSource = ..., max_pixels: int | None = ...,
    progress: Progress | None = ..., as_array: bool,
) -> Image.Image | NDArray[Any]: ...  # fmt: skip


def decode(
    data: File,
    *,
    partial: bool = False,
    max_bytes: int | None = None,
    step: int | None = None,
    box: Edges | None = None,
    reduce: int = 1,
    model: ModelSource = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
    as_array: bool = False,
) -> Image.Image | NDArray[Any]:
    """Decode an image, exactly as it was encoded, or a preview of it.

    A lossy file (`truncate(..., mark=True)`) gives its preview.

    Parameters:
        data: a .ddpm file: its path, of which `box` and `reduce` read no more than they need, as of a file that is
            mapped into memory (`mmap.mmap`); its bytes; or a binary file, which is read to its end.
        partial: accept any prefix of a file that holds its header, and ignore what follows its end. A damaged file is
            shown up to the damage, or without its damaged alpha or metadata.
        max_bytes: a preview from so many bytes only; implies `partial`.
        step: a preview after so many steps of the schedule, 0 or more. The data may end after them.
        box: (left, top, right, bottom) of a part of the image, as in Pillow's `crop`, in pixels as they are stored,
            before EXIF's orientation. In a tiled file (`encode(..., tile=)`, and all larger images) only the tiles that
            it touches are decoded, and no damage elsewhere matters; `max_pixels` counts their pixels.
        reduce: 2, 4, 8 or 16: make the image, or its part, 1/2, 1/4, 1/8 or 1/16 of the size, rounded up. If there are
            noise levels, only coarse bands are decoded, of a JPEG only low frequencies, and the data may end after
            them; otherwise all is decoded.
        model: for files of a model that is not embedded: the path of its file, or a loaded one.
        max_pixels: refuse an image that claims more, before anything of its size is made: a few bytes can claim many,
            and decoding takes time and memory accordingly (docs/reliability.md). None: as many as the format allows.
        progress: called with the number of pixels done since the last call.
        as_array: return an array in place of a Pillow image.

    Returns:
        A Pillow image of the mode that was encoded (palettes: RGB or RGBA), with `icc_profile` and `exif` in its
        `info`; or an array uint8, or uint16 if samples have more than 8 bits, [H, W] (grey, and bilevel as 0 and
        255) or [H, W, C] (LA, RGB, RGBA) that can be written to. Previews are not exact: they may differ between
        machines. A JPEG file, or a prefix of one, gives what Pillow's decoder makes of its coefficients;
        `decode_original` gives the file. A file that is kept whole gives its first picture if Pillow reads it
        here, otherwise its small preview.

    Raises:
        OutputError: Pillow has no image of such samples: of 9 to 16 bits, and not grey. Arrays have them. Previews have
            the high 8 bits.
        TruncatedError: bytes are missing, and no preview is asked for.
        ChecksumError, CorruptError: the data is damaged.
        FormatError: not a .ddpm file, or another version of the format. The three above derive from it.
        ImageError: more than `max_pixels`; a box that is not inside of the image.
        ModelError: the model is missing, or is not the one the file was written with.
        MissingFileError: no file has that path.
        DdpmError: the file cannot be read.
        TypeError, ValueError: an argument of another type; a negative limit; another `reduce`.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> noise = np.random.default_rng(0).integers(0, 9, (24, 32, 3))
    >>> image = (noise + 5 * np.arange(32)[:, None]).astype(np.uint8)
    >>> data = ddpmcodec.encode(image)
    >>> np.array_equal(ddpmcodec.decode(data, as_array=True), image)
    True
    >>> ddpmcodec.decode(data, max_bytes=len(data) // 2).size
    (32, 24)
    >>> np.array_equal(ddpmcodec.decode(data, box=(8, 4, 20, 10), as_array=True), image[4:10, 8:20])
    True
    >>> ddpmcodec.decode(data, reduce=4).size
    (8, 6)
    """
    decoded = decode_details(
        data, partial=partial, max_bytes=max_bytes, step=step, box=box, reduce=reduce, model=model,
        max_pixels=max_pixels, progress=progress,
    )  # fmt: skip
    if as_array:
        return to_array(decoded.planes)
    return to_exact_image(decoded.planes) if decoded.exact else decoded.image


def decode_details(
    data: File,
    *,
    partial: bool = False,
    max_bytes: int | None = None,
    step: int | None = None,
    box: Edges | None = None,
    reduce: int = 1,
    model: ModelSource = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
    report: Report | None = None,
) -> Decoded:
    """`decode`, with the verdict on the file. report: called with what every segment took."""
    check_limits(max_bytes=max_bytes, step=step, max_pixels=max_pixels)
    scale = scale_of(reduce)
    if scale > 1 and step is not None:
        raise ValueError("a reduced image has the steps that it needs: give reduce or step")
    file: Content | Part = content_of(data) if box is not None or scale > 1 else bytes_of(data)
    if max_bytes is not None:
        file, partial = file[:max_bytes], True
    options = DecodeOptions(find(model), partial, step, region_of(box), scale, max_pixels, progress, report)
    if _native.Container(file).header.kept_length and step is None:
        return _first_picture(file, options)
    return decode_file(file, options)


def _first_picture(file: Content | Part, options: DecodeOptions) -> Decoded:
    """Decode a file that is kept whole to its first picture, or the part of it that is wanted; if this machine does not
    read it, or it is cut, to its preview."""
    decoded = shown(decode_file(file, options._replace(region=None, scale=1)), options.max_pixels)
    if options.region is None and options.scale == 1:
        return decoded
    return replace(decoded, planes=to_planes(small_part(decoded.image, options.region, options.scale)))


def small_part(image: Image.Image, box: Edges | None, reduce: int) -> Image.Image:
    """Return a part, or a reduced image, of an image that is decoded already, as the decoder makes it of a file. Raises
    ImageError if the part is not inside of the image."""
    scale, planes = scale_of(reduce), to_planes(image)
    height, width, _ = planes.colour.shape
    left, top, right, bottom = region_of(box) or (0, 0, width, height)
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        size, box_text = f"{width} x {height} pixels", f"{left}, {top} to {right}, {bottom}"
        raise ImageError(f"the box {box_text} is not inside of the image of {size}")
    rows = slice(top // scale * scale, -(-bottom // scale) * scale)
    columns = slice(left // scale * scale, -(-right // scale) * scale)
    alpha = None if planes.alpha is None else planes.alpha[rows, columns]
    part = replace(planes, colour=planes.colour[rows, columns], alpha=alpha)
    if scale == 1:
        return to_image(part)
    mode = "L" if part.mode == "1" else part.mode
    small = to_planes(to_image(replace(part, mode=mode, metadata=NO_METADATA)).reduce(scale))
    return to_image(replace(part, mode=small.mode, colour=small.colour, alpha=small.alpha))


def decode_original(data: File, *, model: ModelSource = None, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> bytes:
    """The JPEG file that was encoded, or the file that was kept whole, byte for byte; or the PNG file, chunk for chunk.

    A PNG file has the same chunks, pixels, bit depth, colour type, palette and interlacing. Its image data are
    compressed anew, in one chunk. A PNG of 8 bits that had no chunks but its pixels is not known to be one.

    Parameters:
        data: a .ddpm file, as `decode` takes it, for which `info` gives `original_bytes`.
        model, max_pixels: as in `decode`.

    Raises:
        OutputError: the file holds no other file, but pixels.
        ModelError: the model is missing.
        TruncatedError, ChecksumError, CorruptError: bytes are missing, or damaged. FormatError: not a .ddpm file.
        ImageError: more than `max_pixels`.
        TypeError, ValueError: an argument of another type; a negative limit.

    >>> import io
    >>> import ddpmcodec
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.linear_gradient("L").save(file, "JPEG")
    >>> data = ddpmcodec.encode(io.BytesIO(file.getvalue()))
    >>> ddpmcodec.decode_original(data) == file.getvalue()
    True
    """
    check_limits(max_pixels=max_pixels)
    return decode_original_file(bytes_of(data), DecodeOptions(find(model), max_pixels=max_pixels))


@overload
def decode_many(
    datas: Iterable[File], *, model: ModelSource = ..., max_pixels: int | None = ..., progress: Progress | None = ...,
    as_array: Literal[False] = ...,
) -> list[Image.Image]: ...  # fmt: skip


@overload
def decode_many(
    datas: Iterable[File], *, model: ModelSource = ..., max_pixels: int | None = ..., progress: Progress | None = ...,
    as_array: Literal[True],
) -> list[NDArray[Any]]: ...  # fmt: skip


@overload
def decode_many(
    datas: Iterable[File], *, model: ModelSource = ..., max_pixels: int | None = ..., progress: Progress | None = ...,
    as_array: bool,
) -> list[Image.Image] | list[NDArray[Any]]: ...  # fmt: skip


def decode_many(
    datas: Iterable[File],
    *,
    model: ModelSource = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
    as_array: bool = False,
) -> list[Image.Image] | list[NDArray[Any]]:
    """`decode` for each file; small ones of the same size are decoded together, which is quicker.

    Parameters:
        datas: whole .ddpm files, or lossy ones, as `decode` takes a file.
        model, max_pixels: as in `decode`, for each file.
        progress: called with the number of pixels done since the last call, from several threads at a time.
        as_array: give arrays, as `decode` does.

    Returns:
        A Pillow image, or an array, for each file, in order.

    Raises:
        FormatError, ImageError, ModelError: as `decode`; the error names a file that is wrong by its number, from 1 on.
        TypeError: as `decode`.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> files = ddpmcodec.encode_many([np.full((4, 4), value, np.uint8) for value in (0, 100)])
    >>> [image.getpixel((0, 0)) for image in ddpmcodec.decode_many(files)]
    [0, 100]
    """
    check_limits(max_pixels=max_pixels)
    if isinstance(datas, (str, bytes)):  # which would be taken for a list of letters
        raise TypeError(f"decode_many() takes a list of files, not {type(datas).__name__}")
    given = find(model)
    files = list[bytes]()
    for number, data in enumerate(datas, start=1):
        with _naming(number):
            files.append(bytes_of(data))
    try:
        details = decode_files(files, given, progress, max_pixels=max_pixels)
    except DdpmError:  # each is tried alone, to find out which one is wrong
        details = []
        for number, file in enumerate(files, start=1):
            with _naming(number):
                details.append(decode_file(file, DecodeOptions(given, max_pixels=max_pixels)))
    details = [shown(decoded, max_pixels) for decoded in details]
    if as_array:
        return [to_array(decoded.planes) for decoded in details]
    return [to_exact_image(decoded.planes) if decoded.exact else decoded.image for decoded in details]


@contextmanager
def _naming(number: int) -> Iterator[None]:
    """Puts the number of a file in front of what is wrong with it."""
    try:
        yield
    except DdpmError as error:
        raise type(error)(f"file {number}: {error}") from error


THUMBNAIL_SIZE = 256  # pixels of the longer side


def thumbnail(
    data: File,
    size: int = THUMBNAIL_SIZE,
    *,
    model: ModelSource = None,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
) -> Image.Image:
    """A small picture of at most size x size pixels, turned as EXIF's orientation says, and no larger than the image.

    Parameters:
        data: a .ddpm file, as `decode` takes it, any prefix of one that holds its header, or a damaged one, of which it
            shows what there is; what follows the end is ignored. Of a path no more is read than is needed.
        size: pixels of the longer side.
        model, max_pixels: as in `decode`.

    Returns:
        A Pillow image with the ICC profile, where the data reaches so far, and no other metadata; of bilevel images a
        grey one.

    Raises:
        FormatError: not a .ddpm file. ImageError: more than `max_pixels`. ModelError: the model is missing.
        TypeError, ValueError: an argument of another type; a size below 1.

    >>> import numpy as np
    >>> import ddpmcodec
    >>> noise = np.random.default_rng(0).integers(0, 9, (24, 320, 3))
    >>> data = ddpmcodec.encode((noise + np.arange(320)[:, None] // 2).astype(np.uint8), effort=1)
    >>> ddpmcodec.thumbnail(data, 64).size, ddpmcodec.thumbnail(data[:400], 64).size
    ((64, 5), (64, 5))
    """
    size = whole_number("size", size)
    check_limits(max_pixels=max_pixels)
    if size < 1:
        raise ValueError("size must be 1 or more")
    content = content_of(data)
    header = _native.Container(content).header
    longer = max(header.width, header.height)
    scale = max(scale for scale in REDUCTIONS if scale == 1 or -(-longer // scale) >= size)
    decoded = decode_file(content, DecodeOptions(find(model), partial=True, scale=scale, max_pixels=max_pixels))
    image = decoded.image.convert("L") if header.mode == "1" else decoded.image
    if longer > size:
        target = tuple(max(1, round(side * size / longer)) for side in (header.width, header.height))
        right, bottom = header.width / scale, header.height / scale  # the last pixels may stand for fewer
        image = image.resize((target[0], target[1]), Image.Resampling.LANCZOS, box=(0, 0, right, bottom))
    image.info.update(decoded.image.info)
    image = upright(image)
    image.info = {key: value for key, value in image.info.items() if key == "icc_profile"}
    return image
