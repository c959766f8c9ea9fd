"""Comparison of pictures with an original, and with JPEG and WebP, as Pillow writes them, in as many bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ddpmcodec.errors import ImageError

STRIP_PIXELS = 1 << 20


def psnr(squared_error: float) -> float | None:
    """10 log10(255^2 / mean squared error) of samples of 8 bits, dB; None where there is no error: JSON knows no
    infinity."""
    return 10 * math.log10(255**2 / squared_error) if squared_error else None


def psnr_of(picture: Image.Image, original: Image.Image) -> float | None:
    """The PSNR over all samples of the original's mode, dB; None where there is no error.

    >>> psnr_of(Image.new("L", (2, 2), 100), Image.new("L", (2, 2), 110))
    28.130803608679106
    """
    squares, rows = 0.0, max(1, STRIP_PIXELS // original.width)
    for top in range(0, original.height, rows):  # of a large picture the differences would take gigabytes
        box = (0, top, original.width, min(top + rows, original.height))
        shown, expected = picture.crop(box).convert(original.mode), original.crop(box)
        difference = np.subtract(np.asarray(shown), np.asarray(expected), dtype=np.float32)
        squares += float(np.square(difference).sum(dtype=np.float64))
    samples = original.width * original.height * len(original.getbands())
    return psnr(squares / samples)


# --- lossy files of other codecs, for the viewer and for benchmarks

JPEG_SUBSAMPLING_BELOW = 90  # as libvips does, and with the smaller error in R, G and B at the same rate
LOSSLESS = 101  # the quality behind 100, of WebP


def jpeg_options(quality: int) -> dict[str, Any]:
    """Options of `Image.save`.

    >>> [jpeg_options(quality)["subsampling"] for quality in (89, 90)]
    ['4:2:0', '4:4:4']
    """
    chroma = "4:2:0" if quality < JPEG_SUBSAMPLING_BELOW else "4:4:4"
    return {"quality": quality, "optimize": True, "subsampling": chroma}


def webp_options(quality: int) -> dict[str, Any]:
    """Options of `Image.save`. Method 6 is the slowest, with the smallest files."""
    return {"quality": quality, "method": 6}


class Codec(NamedTuple):
    """A codec to compare with. qualities: from the smallest file to the largest. options: those of Pillow, by
    quality."""

    name: str  # Pillow's
    qualities: range
    options: Callable[[int], Mapping[str, Any]]

    def encode(self, image: Image.Image, quality: int) -> bytes:
        """Raises ImageError for an image that the format cannot hold."""
        stream = BytesIO()
        try:
            image.save(stream, self.name, **self.options(quality))
        except (OSError, ValueError) as error:
            raise ImageError(f"{self.name} cannot hold this image ({error}): compare with another codec") from error
        return stream.getvalue()


def _webp(quality: int) -> Mapping[str, Any]:
    return {"lossless": True} if quality == LOSSLESS else webp_options(quality)


CODECS = {"jpeg": Codec("JPEG", range(1, 101), jpeg_options), "webp": Codec("WEBP", range(LOSSLESS + 1), _webp)}


def encode_within(image: Image.Image, codec: Codec, limit: int, advance: Callable[[float], object]) -> bytes:
    """The file of the highest quality that takes at most `limit` bytes, by bisection; the smallest where none does.

    advance: called after each encoding, all of which add up to 1 at most.

    >>> grey = Image.new("L", (64, 64), 90)
    >>> len(encode_within(grey, CODECS["webp"], 10_000, print)) < 10_000  # doctest: +ELLIPSIS
    0.125
    ...
    True
    """
    low, high = codec.qualities[0], codec.qualities[-1]
    best = codec.encode(image, low)
    while low < high and len(best) <= limit:
        advance(1 / 8)
        middle = (low + high + 1) // 2
        file = codec.encode(image, middle)
        if len(file) <= limit:
            best, low = file, middle
        else:
            high = middle - 1
    return best
