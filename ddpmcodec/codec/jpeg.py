"""JPEG files that the core makes of coefficients, as pixels."""

from __future__ import annotations

from io import BytesIO

from ddpmcodec.errors import CorruptError, ImageError
from ddpmcodec.formats.image_files import claimed_shape, load_image
from ddpmcodec.formats.images import Planes, shown_mode, shown_planes


def planes_of_jpeg(jpeg: bytes, expected: tuple[str, int, int]) -> Planes:
    """The image of a JPEG file by this machine's decoder. expected: mode, width and height. Raises CorruptError."""
    pixels = expected[1] * expected[2]  # which were allowed
    shape = claimed_shape(BytesIO(jpeg), ("JPEG",), pixels)  # before there are many pixels, or those of another format
    if shape is None:
        raise CorruptError("the JPEG inside the file is none: get the file again")
    width, height, mode = shape
    if (shown_mode(mode), width, height) != expected:
        raise CorruptError(f"the JPEG inside the file is {width} x {height} {mode}: get the file again")
    try:
        return shown_planes(load_image(jpeg, "the JPEG inside the file", max_pixels=pixels))
    except ImageError as error:
        raise CorruptError(f"{error}; get the file again") from error
