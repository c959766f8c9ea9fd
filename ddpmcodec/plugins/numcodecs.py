"""A numcodecs codec for chunks of images, as Zarr's format 2 takes it (`ddpmcodec.plugins.zarr`: format 3).

`pip install ddpmcodec[zarr]`. numcodecs finds the codec by its id, `ddpm`, without an import.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ndarray_copy
from numcodecs.registry import register_codec
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import archive, codec
from ddpmcodec._native import MAGIC, Container
from ddpmcodec.archive.restorer import Picture
from ddpmcodec.codec.efforts import check_coding
from ddpmcodec.errors import FormatError, ImageError
from ddpmcodec.format.header import DEFAULT_EFFORT

Images = NDArray[Any]
CHUNK_LEVELS = 0
COLOURS = (3, 4)  # samples of a pixel that are colours, in the last dimension of a chunk


class Ddpm(Codec):  # type: ignore[misc]  # numcodecs has no types
    """Chunks of images without loss: uint8 [..., H, W], [..., H, W, 1], [..., H, W, 3] (RGB) or [..., H, W, 4] (RGBA);
    or uint16 of these shapes.

    A chunk of one image becomes a .ddpm file, a chunk of several an archive, where thumbnails share a stream. So chunks
    should hold whole images, and many of them where they are small. Without Zarr, give arrays in C order: others come
    back transposed. Other threads of Python run while chunks are encoded and decoded.

    Parameters:
        effort: as in `ddpmcodec.encode`.
        levels: as in `ddpmcodec.encode`; none unless they are asked for, as chunks are read whole.
        model: the name or the path of a model; None: embedded ones.
        lossy: take chunks that were cut by `ddpmcodec.truncate` with a mark, too; the configuration then says that
            chunks may be so.

    Raises ImageError for other chunks than these, FormatError for damaged data, and for lossy ones unless they are
    allowed, ModelError as `ddpmcodec.decode`.

    >>> import numpy as np
    >>> codec = Ddpm(effort=1)
    >>> chunk = np.zeros((2, 8, 8, 3), np.uint8)
    >>> np.array_equal(codec.decode(codec.encode(chunk)), chunk)
    True
    """

    codec_id = "ddpm"

    def __init__(
        self, effort: int = DEFAULT_EFFORT, levels: int = CHUNK_LEVELS, model: str | None = None, lossy: bool = False
    ) -> None:
        coding = check_coding(effort, levels)
        self.effort, self.levels = coding.effort, coding.levels
        self.model, self.lossy = model, lossy

    def encode(self, buf: Any) -> bytes:
        images = _images(np.asarray(buf))
        options: dict[str, Any] = {"effort": self.effort, "levels": self.levels, "model": self.model}
        if len(images) == 1:
            return codec.encode(images[0], **options)
        return archive.create(((str(n), image) for n, image in enumerate(images)), **options)

    def decode(self, buf: Any, out: Any = None) -> Any:
        data = ensure_bytes(buf)
        return ndarray_copy(self._decoded(data), out)

    def _decoded(self, data: bytes) -> Images:
        """Pixels [H, W, ...] of a file, or [N, H, W, ...] of an archive."""
        if data.startswith(MAGIC):
            if not self.lossy and Container(data).is_lossy:
                raise FormatError("a chunk that was made lossy: give the codec lossy=True where that is meant")
            # A chunk may be as large as it was encoded.
            return codec.decode(data, model=self.model, max_pixels=None, as_array=True)
        extracted = dict(archive.extract(data, model=self.model, max_pixels=None))
        images = [_samples(extracted[name]) for name in map(str, range(len(extracted))) if name in extracted]
        if len(images) < len(extracted) or len({image.shape for image in images}) != 1:
            raise FormatError("an archive, but not one of a chunk's images: read it with ddpmcodec.archive")
        return np.stack(images)


def _samples(image: Picture) -> Images:
    """The samples of an image; of a bilevel one, which no chunk becomes, 0 and 255, as `decode` gives them."""
    return np.asarray(image.convert("L") if isinstance(image, Image.Image) and image.mode == "1" else image)


def shape_of_images(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape (N, H, W) or (N, H, W, C) of the images in a chunk of two dimensions or more.

    >>> shape_of_images((2, 5, 8, 9, 3)), shape_of_images((8, 9)), shape_of_images((8, 9, 1))
    ((10, 8, 9, 3), (1, 8, 9), (1, 8, 9))
    """
    shape = shape[:-1] if len(shape) > 2 and shape[-1] == 1 else shape
    image_dimensions = 3 if len(shape) > 2 and shape[-1] in COLOURS else 2
    return (math.prod(shape[:-image_dimensions]), *shape[-image_dimensions:])


def _images(chunk: NDArray[Any]) -> Images:
    """The images of a chunk, [N, H, W] or [N, H, W, C], in the order in which it lies in memory. Raises ImageError."""
    if chunk.flags.f_contiguous and not chunk.flags.c_contiguous:
        chunk = chunk.T
    if chunk.dtype not in (np.uint8, np.uint16) or chunk.ndim < 2 or not chunk.size:
        raise ImageError(
            f"a chunk of {chunk.dtype} and shape {chunk.shape} holds no images: uint8 or uint16 of shape"
            " (..., H, W), (..., H, W, 3) or (..., H, W, 4) does"
        )
    return np.ascontiguousarray(chunk).reshape(shape_of_images(chunk.shape))


register_codec(Ddpm)
