"""Diffusion of pixels: transitions between noise levels, and the distribution of clean pixels that a denoiser predicts.

Transitions are between two noise levels s_u < s_t (u < t) of c = v + s n, v = pixel - 127.5, in grey levels, in float:

    forward     q(c_t | c_u)    = N(c_u, s_t^2 - s_u^2)
    posterior   q(c_u | c_t, v) = N(rho c_t + (1 - rho) v, s_u^2 (1 - rho)),      rho = s_u^2 / s_t^2
    reverse     p(c_u | c_t)    : the posterior averaged over the denoiser's p(v | c_t), moments matched by a Gaussian

The first two are arXiv 2006.11239, equations 4, 6 and 7, divided by sqrt(alphabar) and in pixel units. Images are
[N, 3, H, W]; noise levels are floats or tensors that broadcast to that, [N, 1, 1, 1] for one level per image. s_t may
be infinite (nothing is known yet): rho is 0, and c_t any finite value. s_u < s_t is required, and not checked: a check
of tensors would stall an accelerator in every training step.

p(v | c_t) is in floats for the bound and sampling, in the coder's integers for bits back. It is a logistic for every
value, discretised to grey levels. Inside a pixel the mean of G follows what R turned out to be, and that of B follows
both, by cross-channel coefficients (Salimans et al. 2017, PixelCNN++). Every transition from s_t follows from it in
closed form, so that one network call serves every schedule of noise levels.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.format.block import LEVEL_UNIT

LN2 = math.log(2)
LOGISTIC_VARIANCE = math.pi * math.pi / 3  # of scale 1

NoiseLevel = Tensor | float


class Gaussian(NamedTuple):
    """Independent normals: mean [N, 3, H, W] in grey levels; variance broadcasts to it."""

    mean: Tensor
    variance: Tensor


class Reverse(NamedTuple):
    """p(c_u | c_t), coupled inside a pixel. [N, 3, H, W] each, channels R, G, B.

    With r_R = c_R - mean_R, r_G = c_G - E[c_G | c_R] (innovations):
        E[c_G | c_R] = mean_G + gain_0 r_R,   E[c_B | c_R, c_G] = mean_B + gain_1 r_R + gain_2 r_G
    """

    mean: Tensor  # unconditional, grey levels
    coefficients: Tensor
    variance: Tensor  # of each channel given the channels before it


def posterior(c_t: Tensor, v: Tensor, s_t: NoiseLevel, s_u: NoiseLevel) -> Gaussian:
    """q(c_u | c_t, v): arXiv 2006.11239, equations 6 and 7."""
    rho = (s_u / s_t) ** 2
    return Gaussian(rho * c_t + (1 - rho) * v, _like(c_t, s_u * s_u * (1 - rho)))


def reverse(
    c_t: Tensor, mean: Tensor, scale: Tensor, coefficients: Tensor, s_t: NoiseLevel, s_u: NoiseLevel
) -> Reverse:
    """p(c_u | c_t) from the denoiser's p(v | c_t), in closed form. All tensors [N, 3, H, W].

    mean (of v, centred grey levels) and scale are those of logistics, with coefficients (a, b, c) inside a pixel:
        v_R = mean_R + e_R,   v_G = mean_G + a e_R + e_G,   v_B = mean_B + b e_R + c e_G + e_B,
    each e a centred logistic. That is v = mean + L e, L unit lower triangular, so that c_u has the covariance
    (1 - rho)^2 L diag(var e) L' + tau I, tau = s_u^2 (1 - rho). Its LDL' decomposition is below, rearranged to sums of
    positive terms: no cancellation however small the scales are. Additions, products and quotients alone (no powers),
    each rounded once: in float64 on a CPU the result is the same on every machine, and archives code with it.
    """
    ratio = s_u / s_t
    rho = ratio * ratio
    tau = s_u * s_u * (1 - rho)
    std = (1 - rho) * scale
    w_red, w_green, w_blue = (std * std * LOGISTIC_VARIANCE).unbind(1)
    a, b, c = coefficients.unbind(1)
    tau = _like(c_t, tau).expand_as(c_t)[:, 0]
    red = w_red + tau
    left = w_red * (tau / red)  # variance of (1 - rho) e_R that c_R leaves open
    green = a * a * left + w_green + tau
    skew = b - a * c
    blue = w_blue + tau + (left * w_green * skew * skew + tau * (b * b * left + c * c * w_green)) / green
    of_latents = [a * w_red / red, b * w_red / red, (a * b * left + c * w_green) / green]
    return Reverse(rho * c_t + (1 - rho) * mean, torch.stack(of_latents, 1), torch.stack([red, green, blue], 1))


def reverse_conditionals(c_u: Tensor, transition: Reverse) -> Gaussian:
    """p(R), p(G | R), p(B | R, G) at c_u [N, 3, H, W]. A channel's mean depends on earlier channels of c_u only.

    A decoder calls it once per channel, with anything finite in the channels it does not have yet.
    """
    mean_red, mean_green, mean_blue = transition.mean.unbind(1)
    to_green, red_to_blue, green_to_blue = transition.coefficients.unbind(1)
    r_red = c_u[:, 0] - mean_red
    mean_green = mean_green + to_green * r_red
    mean_blue = mean_blue + red_to_blue * r_red + green_to_blue * (c_u[:, 1] - mean_green)
    return Gaussian(torch.stack([mean_red, mean_green, mean_blue], 1), transition.variance)


def kl_gaussian(m1: Tensor, v1: Tensor, m2: Tensor, v2: Tensor) -> Tensor:
    """KL(N(m1, v1) || N(m2, v2)) in nats, elementwise. v: variances."""
    ratio = v1 / v2
    return ((m1 - m2) ** 2 / v2 + ratio - 1 - torch.log(ratio)) / 2


def step_kl(q: Gaussian, p: Reverse) -> Tensor:
    """KL(q || p) in bits per dimension, in closed form: L_{t-1} of arXiv 2006.11239, equation 5. [N, 3, H, W].

    It is the mean of log2 q(c_u | c_t, v) - log2 p(c_u | c_t), which bits back pays for c_u drawn from q.
    """
    shifted = reverse_conditionals(q.mean, p)
    to_green, red_to_blue, green_to_blue = p.coefficients.unbind(1)
    blue = (red_to_blue - green_to_blue * to_green) ** 2 + green_to_blue**2
    # as the channels before it vary under q
    mean_variance = torch.stack([torch.zeros_like(blue), to_green**2, blue], 1) * q.variance
    return (kl_gaussian(q.mean, q.variance, shifted.mean, p.variance) + mean_variance / (2 * p.variance)) / LN2


def _like(c: Tensor, value: NoiseLevel) -> Tensor:
    return torch.as_tensor(value, dtype=c.dtype, device=c.device)


# --- p(v | c_t), and the contract of denoisers

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
