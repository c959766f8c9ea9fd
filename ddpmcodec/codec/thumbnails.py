"""Small upright pictures of files, from the first bytes where there are noise levels."""

from __future__ import annotations

from PIL import Image

from ddpmcodec import _native
from ddpmcodec.arguments import DEFAULT_MAX_PIXELS, check_limits, whole_number
from ddpmcodec.codec.decoding import DecodeOptions, decode_file
from ddpmcodec.codec.regions import SCALES
from ddpmcodec.content import File, content_of
from ddpmcodec.metadata import upright
from ddpmcodec.models.registry import ModelSource, find

DEFAULT_SIZE = 256  # pixels of the longer side


def thumbnail(
    data: File,
    size: int = DEFAULT_SIZE,
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
        DdpmError: the file is a JPEG that JPEG XL codes, and imagecodecs is missing.
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
    scale = max(scale for scale in SCALES if scale == 1 or -(-longer // scale) >= size)
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
