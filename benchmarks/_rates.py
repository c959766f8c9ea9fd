"""Rate-distortion curves: of one image, averaged over images, and compared by Bjontegaard's measure.

Bjontegaard: VCEG-M33, 2001; by the package `bjontegaard`, with Akima interpolation, as its authors advise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.errors import DdpmError

from ._distortion import psnr
from ._rd_points import Point
from ._results import estimate

try:
    from bjontegaard import bd_rate
except ImportError as error:
    raise DdpmError("BD-rates need bjontegaard: pip install 'ddpmcodec[bench]'") from error

Values = NDArray[np.float64]
LEAST_OVERLAP = 0.5  # dB


class Curve(NamedTuple):
    """Of one image: both rise from point to point. bpp: bits per pixel of whole files. psnr: dB."""

    bpp: Values
    psnr: Values

    def at(self, bpp: float) -> float | None:
        """PSNR in dB at a rate, linear in its logarithm between points, constant above; None below the first point."""
        if not len(self.bpp) or bpp < self.bpp[0]:
            return None
        return float(np.interp(math.log(bpp), np.log(self.bpp), self.psnr))


def curve(points: Sequence[Point], pixels: int) -> Curve:
    """Of an image with so many pixels: its lossy points, without those that a smaller file is better than."""
    best: list[tuple[float, float]] = []
    for size, error in sorted((size, error) for size, error, *_ in points if size and error):
        quality = psnr(error)
        if quality is not None and (not best or (size > best[-1][0] and quality > best[-1][1])):
            best.append((size, quality))
    sizes, qualities = np.array(best, np.float64).reshape(-1, 2).T
    return Curve(8 * sizes / pixels, qualities)


def average(images: Sequence[Sequence[Point]], pixels: Sequence[int]) -> list[dict[str, float | None]]:
    """The points of a codec: at every operating point the means over images.

    Of bpp, of PSNR (None where an image has no error), of SSIM and MS-SSIM; rmse is the root of the mean squared error.
    """
    found = []
    for points in zip(*images, strict=True):
        sizes, errors, ssims, ms_ssims = zip(*points, strict=True)
        found.append(
            {
                "bpp": _mean([8 * size / n for size, n in zip(sizes, pixels, strict=True)]),
                "rmse": math.sqrt(float(np.mean(errors))),
                "psnr": _mean([psnr(error) for error in errors]),
                "ssim": _mean(ssims),
                "ms_ssim": _mean(ms_ssims),
            }
        )
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def bd_rates(ours: Sequence[Curve], theirs: Sequence[Curve]) -> dict[str, Any]:
    """How many percent more bytes our prefixes take at the same PSNR, image by image; less than 0: fewer.

    {percent: an estimate or None, images: how many have curves that share PSNRs, from_psnr, to_psnr: means of the ends
    of what they share}
    """
    pairs = [(a, b, *_shared(a, b)) for a, b in zip(ours, theirs, strict=True)]
    useful = [pair for pair in pairs if pair[3] - pair[2] >= LEAST_OVERLAP]
    if not useful:
        return {"percent": None, "images": 0, "from_psnr": None, "to_psnr": None}
    percents = [
        bd_rate(b.bpp, b.psnr, a.bpp, a.psnr, method="akima", require_matching_points=False, min_overlap=0)
        for a, b, _, _ in useful
    ]
    low, high = np.mean([pair[2:] for pair in useful], 0).tolist()
    return {"percent": estimate(percents), "images": len(useful), "from_psnr": low, "to_psnr": high}


def _shared(a: Curve, b: Curve) -> tuple[float, float]:
    """Lowest and highest PSNR that both have."""
    if min(len(a.bpp), len(b.bpp)) < 2:
        return 0.0, 0.0
    return max(float(a.psnr[0]), float(b.psnr[0])), min(float(a.psnr[-1]), float(b.psnr[-1]))
