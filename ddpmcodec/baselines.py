"""How Pillow writes the lossy files of other codecs that ours are compared with, in the viewer and in benchmarks."""

from __future__ import annotations

from typing import Any

JPEG_SUBSAMPLING_BELOW = 90  # as libvips does, and with the smaller error in R, G and B at the same rate


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
