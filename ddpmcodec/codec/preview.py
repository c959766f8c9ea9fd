"""What a prefix shows: the conditional means of all coefficients, brought back to pixels, then denoised.

Nothing here is exact, and nothing of it is used for coding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.channels.progressive import NO_SCALE, BandRanges, PyramidState
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.window import CHANNELS
from ddpmcodec.transform import pyramid
from ddpmcodec.transform.color import to_ycocg
from ddpmcodec.transform.pyramid import Band

Real = NDArray[np.float32]
ROWS = 256  # of a preview that are brought back to colours together
FARTHEST = 30.0  # scales from its mean at which a logistic is an exponential, to a float32


class Moments(NamedTuple):
    """Means and standard deviations, float32 [N, H, W, 3], of YCoCg planes: what is known of an image."""

    mean: Real
    deviation: Real


def _softplus(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def truncated_means(lo: Real, hi: Real, mean: Real, scale: Real) -> NDArray[np.float64]:
    """Means of logistics (mean, scale) truncated to [lo, hi].

    With z = (x - mean) / scale and F the CDF, the integral of F over [a, b] is softplus(b) - softplus(a), so that the
    mean of z is (b F(b) - a F(a) - softplus(b) + softplus(a)) / (F(b) - F(a)).
    """
    a, b = (lo - mean).astype(np.float64) / scale, (hi - mean).astype(np.float64) / scale
    mirrored = a + b > 0  # the upper tail is the lower one of the mirror image, where nothing cancels
    low, high = np.where(mirrored, -b, a), np.where(mirrored, -a, b)
    shift = np.minimum(0, high + FARTHEST)  # exponential there, and so without memory
    low, high = low - shift, high - shift
    f_low, f_high = 1 / (1 + np.exp(-np.maximum(low, -700))), 1 / (1 + np.exp(-high))
    mass = np.maximum(f_high - f_low, 1e-300)
    inner = (high * f_high - low * f_low - _softplus(high) + _softplus(low)) / mass + shift
    wide = np.where(high - low > 1e-3, inner, (low + high) / 2 + shift)
    return np.clip(np.where(mirrored, -wide, wide) * scale + mean, lo, hi)


def band_moments(ranges: BandRanges) -> Moments:
    """Of a band's coefficients, as stored. What was never coded is 0."""
    lo, hi = ranges.lo.astype(np.float32), ranges.hi.astype(np.float32)
    coded = ranges.scale != NO_SCALE
    scale = np.exp2((np.where(coded, ranges.scale, 48).astype(np.float32) - 48) / 8)
    means = np.zeros_like(lo)
    open_ = coded & (lo < hi)
    predicted = ranges.mean[open_] / np.float32(64)
    means[open_] = truncated_means(lo[open_] - 0.5, hi[open_] + 0.5, predicted, scale[open_])
    means = np.where(lo == hi, lo, means)
    # About the variance: as if the range and the logistic each were all that is known.
    uniform, logistic = (hi - lo) ** 2 / 12, scale**2 * np.float32(np.pi**2 / 3)
    both = uniform * logistic / np.maximum(uniform + logistic, 1e-6)
    unseen = (hi - lo) / 64  # an estimate: what is never coded is small
    return Moments(means, np.where(coded, np.sqrt(both), unseen).astype(np.float32))


def _finer(coarse: Real, difference: Real, band: Band) -> Real:
    """`pyramid.synthesise_band` in real numbers, without its roundings."""
    images, height, coarse_width, channels = coarse.shape
    fine = np.empty((images, height, coarse_width + band.width, channels), np.float32)
    middle = coarse[:, :, : band.width]
    fine[:, :, 0 : 2 * band.width : 2] = middle + difference / 2
    fine[:, :, 1::2] = middle - difference / 2
    fine[:, :, 2 * band.width :] = coarse[:, :, band.width :]
    return fine


def moments(state: PyramidState) -> Moments:
    """Of all planes of the images."""
    root = (state.root_lo.astype(np.float32) + state.root_hi) / 2
    mean, variance = root, ((state.root_hi - state.root_lo).astype(np.float32)) ** 2 / 12
    for band in reversed(state.geometry):
        own = band_moments(state.bands[band])
        coarse = pyramid.turned(mean, band).copy()
        coarse[:, :, : band.width] += _rounded_off(state.bands[band])
        mean = pyramid.turned(_finer(coarse, own.mean, band), band)
        finer = _finer(pyramid.turned(variance, band), np.zeros_like(own.deviation), band)
        variance = pyramid.turned(_added(finer, (np.square(own.deviation) / 4).astype(np.float32), band), band)
    return Moments(mean.astype(np.float32), np.sqrt(variance).astype(np.float32))


def _rounded_off(ranges: BandRanges) -> Real:
    """What (a + b) >> 1 lacks of (a + b) / 2: half the parity of a - b, a quarter where that is not known."""
    exact = ranges.lo == ranges.hi
    return np.where(exact, (ranges.lo & 1) / np.float32(2), np.float32(0.25)).astype(np.float32)


def _added(variance: Real, own: Real, band: Band) -> Real:
    """Variance of pairs (a, b) = l +- h / 2: that of l plus a quarter of that of h."""
    variance[:, :, 0 : 2 * band.width : 2] += own
    variance[:, :, 1 : 2 * band.width : 2] += own
    return variance


def to_rgb(planes: Real) -> Real:
    """The colour transform back, in real numbers: [..., 3] -> [..., 3]."""
    luma, orange, other = (planes[..., c] for c in range(CHANNELS))
    middle = luma - other / 2
    green = other + middle
    blue = middle - orange / 2
    return np.stack([blue + orange, green, blue], -1)


class Canvas:
    """A preview that is put together from tiles and shown at the end, so that the denoiser sees across their edges."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self.channels = channels
        self.mean = np.zeros((height, width, CHANNELS), np.float32)
        self.mean[..., 0] = 128
        self.deviation = np.full((height, width, CHANNELS), 64, np.float32)
        self.known = np.zeros((height, width), bool)
        self.begun = False  # a coefficient is coded: of a flat image a denoiser makes what is not there
        self.exact = np.zeros((height, width, channels), np.uint8)

    def place(self, box: tuple[slice, slice], state: PyramidState | None, pixels: NDArray[np.uint8] | None) -> None:
        """A tile: its pixels, where they are exact, or what is known of it, or nothing."""
        if pixels is not None:
            self.known[box], self.exact[box], self.begun = True, pixels, True
            colour = np.broadcast_to(pixels, (*pixels.shape[:2], CHANNELS)) if self.channels == 1 else pixels
            self.mean[box], self.deviation[box] = to_ycocg(colour), 0
        elif state is not None:
            known = moments(state)
            if any(bool((ranges.scale != NO_SCALE).any()) for ranges in state.bands.values()):
                self.begun = True  # and never False again: several threads place tiles
            self.mean[box], self.deviation[box] = known.mean[0], known.deviation[0]

    def pixels(self, model: ContextModel | None) -> NDArray[np.uint8]:
        """uint8 [H, W, C]. model: whose denoiser is used, where it has one and something is not exact."""
        shown = self.exact.copy()
        for box, mean in self._parts(model):
            colour = mean[..., :1] if self.channels == 1 else to_rgb(mean)
            estimate = np.clip(np.rint(colour), 0, 255).astype(np.uint8)
            shown[box] = np.where(self.known[box][..., None], self.exact[box], estimate)
        return shown

    def _parts(self, model: ContextModel | None) -> Iterator[tuple[tuple[slice, slice], Real]]:
        """Means of the planes, part by part."""
        if self.known.all():
            return
        if model is not None and model.denoiser and self.begun:
            from ddpmcodec.networks.reconstruction import denoised, denoiser_of

            yield from denoised(denoiser_of(model.denoiser), self.mean, self.deviation)
            return
        for top in range(0, len(self.mean), ROWS):
            box = slice(top, top + ROWS), slice(None)
            yield box, self.mean[box]
