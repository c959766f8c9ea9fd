"""The denoiser contract, and p(v | c_t), the distribution of the clean pixels that a denoiser predicts.

In floats for the bound and sampling, in the coder's integers for bits back. A logistic for every value, discretised to
grey levels. Inside a pixel the mean of G follows what R turned out to be, and that of B follows both, by cross-channel
coefficients (Salimans et al. 2017, PixelCNN++). Everything a step from s_t to any s_u < s_t needs follows from
p(v | c_t) in closed form (`diffusion`), so that one network call serves every schedule of noise levels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.format.block import LEVEL_UNIT
from ddpmcodec.paper.diffusion import LN2

SCALE_UNIT, OCTAVE = 48, 8  # scale index of one grey level; indices an octave (ddpmcodec.paper.ans)
LAST_SCALE = 127  # index
PIXEL_UNIT = 64  # of means and coefficients: integers a grey level, or 1
MEAN_LIMIT, COEFFICIENT_LIMIT = 32767, 1023  # in these units


class Prediction(NamedTuple):
    """Logistics over clean pixels, all [N, 3, H, W]: mean (0..255), log of the scale in grey levels, coefficients.

    coefficients: (a, b, c), by which G follows R, B follows R, and B follows G.
    """

    mean: Tensor
    log_scale: Tensor
    coefficients: Tensor


class IntegerPrediction(NamedTuple):
    """A prediction as the coder sees it, all [N, H, W, 3].

    mean: int32, 1/64 grey level. scale: uint8, index of 2^((i - 48) / 8) grey levels. coefficients: int16, 1/64.
    """

    mean: NDArray[np.int32]
    scale: NDArray[np.uint8]
    coefficients: NDArray[np.int16]

    def sha256(self) -> str:
        return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in self)).hexdigest()


def to_integers(prediction: Prediction) -> IntegerPrediction:
    """The prediction, rounded to the coder's units and clipped to its limits."""
    mean = (PIXEL_UNIT * prediction.mean).clamp(-MEAN_LIMIT, MEAN_LIMIT)
    index = (SCALE_UNIT + (OCTAVE / LN2) * prediction.log_scale).clamp(0, LAST_SCALE)
    coefficients = (PIXEL_UNIT * prediction.coefficients).clamp(-COEFFICIENT_LIMIT, COEFFICIENT_LIMIT)
    arrays = (torch.round(x).permute(0, 2, 3, 1).cpu().numpy() for x in (mean, index, coefficients))
    dtypes = np.int32, np.uint8, np.int16
    return IntegerPrediction(*(a.astype(dtype) for a, dtype in zip(arrays, dtypes, strict=True)))


def to_floats(integers: IntegerPrediction, like: Tensor) -> Prediction:
    """The inverse of `to_integers`, without loss; in the type and on the device of `like`."""
    mean, scale, coefficients = (torch.from_numpy(a).permute(0, 3, 1, 2).to(like) for a in integers)
    return Prediction(mean / PIXEL_UNIT, (scale - SCALE_UNIT) * (LN2 / OCTAVE), coefficients / PIXEL_UNIT)


def conditional_means(prediction: Prediction, pixels: Tensor) -> Tensor:
    """Means of R, of G given R, and of B given R and G, [N, 3, H, W]; pixels: 0..255, the same shape."""
    red, green, blue = prediction.mean.unbind(1)
    a, b, c = prediction.coefficients.unbind(1)
    residual = pixels[:, 0] - red
    green = green + a * residual
    blue = blue + b * residual + c * (pixels[:, 1] - green)
    return torch.stack([red, green, blue], 1)


def _log_mass(mean: Tensor, inverse_scale: Tensor, lo: Tensor | float, hi: Tensor | float) -> Tensor:
    """log P(lo - 1/2 < v < hi + 1/2) under a logistic, stable in both tails."""
    below, above = (lo - 0.5 - mean) * inverse_scale, (hi + 0.5 - mean) * inverse_scale
    return F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(below - above))


def pixel_bits(prediction: Prediction, pixels: Tensor) -> Tensor:
    """-log2 p(v | c_t) of every value, [N, 3, H, W], under the logistic truncated to 0..255; pixels: 0..255."""
    mean, inverse = conditional_means(prediction, pixels), torch.exp(-prediction.log_scale)
    return (_log_mass(mean, inverse, 0.0, 255.0) - _log_mass(mean, inverse, pixels, pixels)) / LN2


Latents = NDArray[np.int64]  # c_t [N, H, W, 3], in units of a power of two of grey levels


class Denoiser(Protocol):
    """c_t [N, 3, H, W] float, s_t one finite noise level for the batch, both in grey levels -> p(v | c_t).

    c_t = v + s_t n with v = pixel - 127.5. In the `Prediction` the mean counts from 0 to 255, the scale may be as small
    as a float's logarithm allows, and the coefficients are zero where channels are independent.
    """

    def __call__(self, c_t: Tensor, s_t: float) -> Prediction: ...


class Predictor(Protocol):
    """p(v | c_t) in the coder's integers, for latents in units of `spacing` grey levels.

    level: the noise level in 1/1024 grey level.
    The same arguments must give the same integers whenever and wherever a file is decoded.
    """

    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction: ...


def watched(denoiser: Denoiser, progress: Callable[[int], object]) -> Denoiser:
    """A denoiser that reports after every call how many images it had."""

    def ask(c_t: Tensor, s_t: float) -> Prediction:
        prediction = denoiser(c_t, s_t)
        progress(len(c_t))
        return prediction

    return ask


class RoundedDenoiser:
    """Rounds a denoiser's floats. The integers depend on the machine: a file decodes where they are the same
    (`numerics`)."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser

    @torch.no_grad()
    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        c_t = torch.from_numpy(c * spacing).float().permute(0, 3, 1, 2)
        return to_integers(self.denoiser(c_t, level / LEVEL_UNIT))
