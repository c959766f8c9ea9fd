"""Lossy baselines: other codecs at a sweep of qualities, through Pillow, to measure in the same run.

Where a codec can keep the full resolution of the colours or half of it, the choice is the one with the smaller error in
R, G and B at the same rate on photographs of ours: JPEG halves it below quality 90, as libvips does too; AVIF never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ._baselines import Baseline

QUALITIES = (0, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 85, 90, 93, 95, 97, 98, 100)
JPEG_SUBSAMPLING_BELOW = 90
JPEG_2000_RATIOS = (200, 140, 100, 70, 50, 35, 25, 18, 13, 9, 6.5, 4.5, 3)  # of compression


class Sweep(NamedTuple):
    """One codec at several qualities, from the smallest files to the largest; all baselines have its name."""

    name: str
    baselines: Sequence[Baseline]


def _sweep(name: str, form: str, values: Sequence[float], options: Callable[[Any], Mapping[str, Any]]) -> Sweep:
    return Sweep(name, [Baseline(name, form, options(value)) for value in values])


def jpeg_options(quality: int) -> dict[str, Any]:
    chroma = "4:2:0" if quality < JPEG_SUBSAMPLING_BELOW else "4:4:4"
    return {"quality": quality, "optimize": True, "subsampling": chroma}


def webp_options(quality: int) -> dict[str, Any]:
    return {"quality": quality, "method": 6}


def _jpeg_2000_options(ratio: float) -> dict[str, Any]:
    return {"irreversible": True, "mct": 1, "quality_mode": "rates", "quality_layers": [ratio]}


SWEEPS = (
    _sweep("JPEG", "JPEG", QUALITIES[1:-1], jpeg_options),
    _sweep("WebP", "WEBP", QUALITIES, webp_options),
    _sweep("JPEG 2000", "JPEG2000", JPEG_2000_RATIOS, _jpeg_2000_options),
    _sweep("AVIF", "AVIF", QUALITIES[1:-2], lambda quality: {"quality": quality, "subsampling": "4:4:4"}),
    _sweep("JPEG XL", "JXL", QUALITIES[:-2], lambda quality: {"quality": quality, "effort": 7}),
)
