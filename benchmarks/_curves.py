"""Rate-distortion curves: points of real prefixes and of lossy baselines, their means over images, and BD-rates.

SSIM: Wang et al. 2004, a Gaussian window of 11 x 11. MS-SSIM: Wang, Simoncelli & Bovik 2003, for images of more than
160 pixels a side. Both by pytorch-msssim, as in CompressAI: of R, G and B, then the mean. SSIMULACRA 2: Sneyers 2022,
by libjxl's own program of that name where it is installed (Debian: libjxl-devtools); the Python package of that name
scores JPEG files of low quality 2 to 6 points lower. Bjontegaard: VCEG-M33, 2001; by the package `bjontegaard`, with
Akima interpolation, as its authors advise.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import codec
from ddpmcodec._native import Event
from ddpmcodec.codec.decoding import DecodeOptions, Decoding
from ddpmcodec.codec.efforts import Coding, segments
from ddpmcodec.comparison import psnr
from ddpmcodec.errors import ChecksumError, DdpmError
from ddpmcodec.formats.images import to_array
from ddpmcodec.models.context import ContextModel

from ._codecs import Baseline, Sweep
from ._data import Pixels
from ._results import estimate
from ._work import Columns

try:
    from bjontegaard import bd_rate
    from pytorch_msssim import ms_ssim, ssim
except ImportError as error:
    raise DdpmError("SSIM and BD-rates need more packages: pip install 'ddpmcodec[bench]'") from error

Values = NDArray[np.float64]

METRICS = ("psnr", "ssim", "ms_ssim", "ssimulacra2")  # of a point
WINDOW = 11
LARGER_THAN = (WINDOW - 1) * 2**4  # a side, for the window to fit on the last of five scales
DIGITS = 6  # significant ones that a point keeps
LEAST_OVERLAP = {"psnr": 0.5, "score": 5.0}  # that two curves have in common: dB, or points of SSIMULACRA 2
LEAST_SCORED = 64  # a side, for SSIMULACRA 2, whose last scale is 1/32: scores of smaller images hardly follow quality


# --- how far a picture is from its original


class Point(NamedTuple):
    """A file of so many bytes, and how far what it shows is from its original.

    squared_error: mean over R, G and B, in squared grey levels. ms_ssim: None where the image is too small for it;
    ssim: of these, None where the image is too small for that. ssimulacra2: up to 100; None without the program.
    """

    bytes: int
    squared_error: float
    ssim: float | None
    ms_ssim: float | None
    ssimulacra2: float | None

    @property
    def psnr(self) -> float | None:
        return psnr(self.squared_error)


def point(size: int, shown: Pixels, original: Pixels) -> Point:
    """The point of a file of so many bytes, both images uint8 [H, W, 3]."""
    a, b = (torch.from_numpy(np.array(x)).permute(2, 0, 1)[None].float() for x in (shown, original))
    least = min(original.shape[:2])
    return Point(
        size,
        _rounded(squared_error(shown, original)),
        _rounded(float(ssim(a, b, data_range=255))) if WINDOW <= least <= LARGER_THAN else None,
        _rounded(float(ms_ssim(a, b, data_range=255))) if least > LARGER_THAN else None,
        ssimulacra2(shown, original) if least >= LEAST_SCORED else None,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def squared_error(shown: Pixels, original: Pixels) -> float:
    """Mean over an image, uint8 [H, W, 3], in squared grey levels."""
    return float(np.square(shown.astype(np.float64) - original).mean())


def ssimulacra2(shown: Pixels, original: Pixels) -> float | None:
    """The score of an image beside its original, both uint8 [H, W, 3]: 100 where they are the same, 90 where nobody
    sees a difference, 50 for medium quality. None where libjxl's program is not installed; raises DdpmError where it
    fails."""
    if not (program := which("ssimulacra2")):
        return None
    with TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("original.ppm", "shown.ppm")]
        for path, pixels in zip(paths, (original, shown), strict=True):
            Image.fromarray(np.ascontiguousarray(pixels)).save(path)
        ended = subprocess.run([program, *paths], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise DdpmError(
            f"{program}: failed with exit code {ended.returncode} ({ended.stderr.strip()}): mend or remove it"
        )
    return _rounded(float(ended.stdout))


# --- points of our files: real prefixes


class OperatingPoint(NamedTuple):
    """Where our files are cut, the same in images of all sizes: after a segment, or in the middle of an exact one."""

    step: int  # number of its step, from 1 on
    level: int  # orthonormal cell width after the step
    band: int  # number of its finest band, 0: pixels
    ends_step: bool


def operating_points(coding: Coding) -> list[OperatingPoint]:
    """The end of every segment, and the middle of those of the exact step, which are large."""
    found = list[OperatingPoint]()
    schedule = segments(coding.levels, 64, 64)  # as many, and of the same bands, for every size
    steps = [segment.step for segment in schedule]
    for segment, after in zip(schedule, [*steps[1:], None], strict=True):
        point = OperatingPoint(segment.step + 1, segment.level, segment.band, segment.step != after)
        found += [point] if segment.level else [point._replace(ends_step=False), point]
    return found


def previews(images: Sequence[Pixels], model: ContextModel, coding: Coding) -> Columns:
    """{points}: for each image those of its file, cut at `operating_points`.

    Raises ChecksumError where a whole file is not the image.
    """
    datas = codec.encode_many(images, **coding.options, model=model, verify=False)
    return {"points": [_of_file(data, image, model) for image, data in zip(images, datas, strict=True)]}


def _of_file(data: bytes, image: Pixels, model: ContextModel) -> list[Point]:
    points = [point(prefix.bytes, prefix.shown, image) for prefix in prefixes(data, model)]
    if points[-1].squared_error:
        raise ChecksumError("a file does not decode to its image: a defect, please report it with the image")
    return points


# --- a file is decoded once, and shown after every segment


class Prefix(NamedTuple):
    """bytes: how many of the file's are needed for what is shown. shown: uint8 [H, W, C]."""

    bytes: int
    shown: Pixels


def prefixes(data: bytes, model: ContextModel) -> Iterator[Prefix]:
    """The prefixes that end with each segment of all tiles, and in the middle of those of the exact step."""
    before = 0
    for needed, shown, is_exact_step in _after_segments(data, model):
        if is_exact_step:
            middle = (before + needed) // 2 or needed
            yield Prefix(middle, codec.decode(data, max_bytes=middle, model=model, as_array=True))
        yield Prefix(needed, shown)
        before = needed


def _after_segments(data: bytes, model: ContextModel) -> Iterator[tuple[int, Pixels, bool]]:
    """For each segment, the bytes of the file up to its end, the pixels that these show, and whether it is one of the
    exact step."""
    decoding = Decoding(DecodeOptions(model, each_segment=True))
    decoding.core.open(data)
    decoding.until(Event.NEED_MODEL)
    header = decoding.header
    for segment in segments(header.levels, header.height, header.width):
        decoding.until(Event.PREVIEW)
        yield decoding.core.bytes_shown, to_array(decoding.planes()), not segment.level


# --- points of baselines


def of_sweep(images: Sequence[Pixels], sweep: Sweep) -> Columns:
    """{points}: for each image the points of a codec at each of its qualities."""
    return {"points": [[_of_baseline(image, each) for each in sweep.baselines] for image in images]}


def _of_baseline(image: Pixels, baseline: Baseline) -> Point:
    data = baseline.encode(image)
    return point(len(data), baseline.decode(data), image)


# --- curves


class Curve(NamedTuple):
    """A curve of one image: both rise from point to point. bpp: bits per pixel of whole files. quality: PSNR in dB,
    say."""

    bpp: Values
    quality: Values

    def at(self, bpp: float) -> float | None:
        """Quality at a rate, linear in its logarithm between points, constant above; None below the first point."""
        if not len(self.bpp) or bpp < self.bpp[0]:
            return None
        return float(np.interp(math.log(bpp), np.log(self.bpp), self.quality))


def curve(points: Sequence[Point], pixels: int, metric: str = "psnr") -> Curve:
    """The curve of an image with so many pixels: its lossy points, without those that a smaller file is better than."""
    lossy = [(each.bytes, getattr(each, metric)) for each in points if each.squared_error]
    best: list[tuple[float, float]] = []
    for size, value in sorted((size, value) for size, value in lossy if value is not None):
        if all(size > smaller and value > worse for smaller, worse in best[-1:]):
            best.append((size, value))
    sizes, qualities = np.array(best, np.float64).reshape(-1, 2).T
    return Curve(8 * sizes / pixels, qualities)


def average(images: Sequence[Sequence[Point]], pixels: Sequence[int]) -> list[dict[str, float | None]]:
    """The points of a codec: at every operating point the means over images.

    Of bpp, of PSNR (None where an image has no error), of SSIM, MS-SSIM and SSIMULACRA 2; rmse is the root of the mean
    squared error.
    """
    return [_average(points, pixels) for points in zip(*images, strict=True)]


def _average(points: Sequence[Point], pixels: Sequence[int]) -> dict[str, float | None]:
    return {
        "bpp": mean([8 * each.bytes / n for each, n in zip(points, pixels, strict=True)]),
        "rmse": math.sqrt(float(np.mean([each.squared_error for each in points]))),
        **{metric: mean([getattr(each, metric) for each in points]) for metric in METRICS},
    }


def mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where a value is None, or there are no values."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def bd_rates(ours: Sequence[Curve], theirs: Sequence[Curve], quality: str = "psnr") -> dict[str, Any]:
    """How many percent more bytes our prefixes take at the same quality, image by image; less than 0: fewer.

    quality: of the curves, "psnr" or "score" (of SSIMULACRA 2).

    {percent: an estimate or None, images: how many have curves that share qualities, from_psnr, to_psnr (or from_score,
    to_score): means of the ends of what they share}
    """
    pairs = [(a, b, *_shared(a, b)) for a, b in zip(ours, theirs, strict=True)]
    useful = [(a, b, low, high) for a, b, low, high in pairs if high - low >= LEAST_OVERLAP[quality]]
    if not useful:
        return {"percent": None, "images": 0, f"from_{quality}": None, f"to_{quality}": None}
    percents = [
        bd_rate(b.bpp, b.quality, a.bpp, a.quality, method="akima", require_matching_points=False, min_overlap=0)
        for a, b, *_ in useful
    ]
    low, high = np.mean([(low, high) for *_, low, high in useful], 0).tolist()
    return {"percent": estimate(percents), "images": len(useful), f"from_{quality}": low, f"to_{quality}": high}


def _shared(a: Curve, b: Curve) -> tuple[float, float]:
    """Lowest and highest quality that both have."""
    if min(len(a.bpp), len(b.bpp)) < 2:
        return 0.0, 0.0
    return max(float(a.quality[0]), float(b.quality[0])), min(float(a.quality[-1]), float(b.quality[-1]))
