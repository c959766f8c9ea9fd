"""The variational bound of a denoiser on a schedule of noise levels, term by term, with rate-distortion from its calls.

    L = L_T + L_{T-1} + ... + L_1 + L_0                                  arXiv 2006.11239, equation 5, in bits/dim
    L_T     = KL(q(c_T | x) || p(c_T))                  what the noisiest latent costs
    L_{t-1} = KL(q(c_{t-1} | c_t, x) || p(c_{t-1} | c_t))    the step from s_t to s_{t-1}
    L_0     = -log p(x | c_1)                           the pixels themselves

Every term needs one draw of c_t from q(c_t | x) and one network call, and no two terms need the same: T calls an image.
A receiver who knows c_t has paid L_T + ... + L_t, and shows the denoiser's mean (Algorithms 3 and 4 of the paper).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ddpmcodec.comparison import psnr
from ddpmcodec.paper.diffusion import (
    LN2,
    Denoiser,
    Prediction,
    kl_gaussian,
    pixel_bits,
    posterior,
    reverse,
    step_kl,
    watched,
)
from ddpmcodec.paper.schedule import HALF_RANGE, Levels, check_levels

CHANNELS = 3  # dimensions of a pixel


class Estimate(NamedTuple):
    """A mean over images, and its standard error: None for a single image."""

    mean: float
    standard_error: float | None

    def figures(self) -> dict[str, Any]:
        """What the log of a training says of a bound, bits/dim."""
        error = self.standard_error
        return {
            "held_out": {"bound": round(self.mean, 4)},
            "standard_error": None if error is None else round(error, 4),
        }

    def text(self, digits: int) -> str:
        """Mean ± standard error."""
        error = self.standard_error
        return f"{self.mean:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


class Row(NamedTuple):
    """What a receiver who knows c_t has paid and sees; at t = 0 the pixels themselves."""

    t: int
    level: float  # s_t in grey levels
    rate: Estimate  # bits/dim received so far
    rmse: Estimate  # of the denoiser's mean, grey levels: the root of the mean squared error over all images
    psnr: Estimate | None  # dB, of that error; None where there is none

    def to_json(self) -> dict[str, Any]:
        return {key: value._asdict() if isinstance(value, Estimate) else value for key, value in self._asdict().items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Row:
        """The inverse of `to_json`."""
        revived: dict[str, Any] = {k: Estimate(**v) if isinstance(v, dict) else v for k, v in values.items()}
        return cls(**revived)

    def cells(self, T: int) -> dict[str, str]:
        """By heading, what people read of it; T: the number of noise levels."""
        return {
            "time T - t + 1": str(T - self.t + 1),
            "noise level": f"{self.level:.1f}",
            "bits/dim": self.rate.text(4),
            "bits per pixel": f"{CHANNELS * self.rate.mean:.3f}",
            "RMSE, grey levels": self.rmse.text(2) if self.t else "0",
            "PSNR, dB": "lossless" if self.psnr is None else self.psnr.text(2),
        }


def spaced(table: Sequence[Row], count: int) -> list[Row]:
    """`count` rows of a `Bound.table`, two at least, evenly spaced from t = T to 1, and that of the pixels."""
    last = len(table) - 1
    shown = {round(1 + (last - 1) * k / (count - 1)) for k in range(count)} | {0}
    return [row for row in table if row.t in shown]


@dataclass(frozen=True)
class Bound:
    """The bound of N images on T noise levels.

    bits: float64 [T + 1, N], row t holds L_t of every image in bits/dim. squared_error: float64 [T, N], row t - 1 holds
    the mean squared error of the reconstruction from c_t, in squared grey levels.
    """

    levels: Levels
    bits: Tensor
    squared_error: Tensor

    def term(self, t: int) -> Estimate:
        """L_t in bits/dim, t = 0..T."""
        return _estimate(self.bits[t])

    def total(self) -> Estimate:
        """The bound in bits/dim."""
        return _estimate(self.bits.sum(0))

    def table(self) -> list[Row]:
        """Progressive coding from t = T to t = 0: Figure 5 and Table 4 of the paper, whose 'reverse process time' is
        T - t + 1."""
        paid = self.bits.flip(0).cumsum(0).flip(0)  # by every image, up to c_t
        steps = zip(self.levels.tolist(), paid[1:], self.squared_error, strict=True)
        rows = [Row(t, s_t, _estimate(rate), *_distortion(error)) for t, (s_t, rate, error) in enumerate(steps, 1)]
        return [*reversed(rows), Row(0, 0.0, _estimate(paid[0]), Estimate(0.0, 0.0), None)]

    def rows(self, count: int) -> list[Row]:
        """So many rows of the table, and the last, of the pixels."""
        return spaced(self.table(), count)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for json.dumps."""
        terms = [{"t": t, **self.term(t)._asdict()} for t in range(len(self.bits))]
        return {
            "images": self.bits.shape[1],
            "bits_per_dim": self.total()._asdict(),
            "terms": terms,
            "table": [row.to_json() for row in self.table()],
        }


def _estimate(values: Tensor) -> Estimate:
    n = len(values)
    return Estimate(values.mean().item(), values.std().item() / math.sqrt(n) if n > 1 else None)


def _distortion(squared_errors: Tensor) -> tuple[Estimate, Estimate | None]:
    """RMSE and PSNR of the mean squared error; to first order their standard errors follow from its own."""
    mean, error = _estimate(squared_errors)
    decibels = psnr(mean)
    if decibels is None:
        return Estimate(0.0, error), None
    rmse = math.sqrt(mean)
    errors = (None, None) if error is None else (error / (2 * rmse), 10 / math.log(10) * error / mean)
    return Estimate(rmse, errors[0]), Estimate(decibels, errors[1])


@torch.no_grad()
def evaluate(
    denoiser: Denoiser,
    pixels: Tensor,
    levels: Levels,
    generator: torch.Generator,
    *,
    prior_std: float,
    batch: int = 64,
    progress: Callable[[int], object] | None = None,
) -> Bound:
    """The bound of images [N, 3, H, W] of grey levels, 0 to 255 of any type.

    p(c_T) = N(0, prior_std^2 + s_T^2): pixels of that standard deviation (grey levels) under the noise. 127.5 is the
    paper's N(0, 1) of z_T; models have their own (`prior_std`). generator: on the CPU. Transitions are evaluated in
    float64, the denoiser sees float32. progress: called after every network call with the number of its images, T times
    N in all. Raises ValueError for levels that do not increase, no images, or what are none.
    """
    if not isinstance(pixels, Tensor) or pixels.ndim != 4 or pixels.shape[1] != 3 or len(pixels) == 0:
        raise ValueError("images are a tensor [N, 3, H, W], one at least")
    if float(pixels.min()) >= 0 and float(pixels.max()) <= 1 and bool((pixels % 1).any()):
        raise ValueError("the pixels of images are grey levels from 0 to 255: multiply those from 0 to 1 by 255")
    levels = check_levels(levels)
    asked = denoiser if progress is None else watched(denoiser, progress)
    batches = torch.split(pixels, batch)
    parts = [_evaluate_batch(asked, part.double(), levels, generator, prior_std) for part in batches]
    bits, errors = (torch.cat(tensors, 1).cpu() for tensors in zip(*parts, strict=True))
    return Bound(levels, bits, errors)


def _evaluate_batch(
    denoiser: Denoiser, pixels: Tensor, levels: Levels, generator: torch.Generator, prior_std: float
) -> tuple[Tensor, Tensor]:
    """(bits [T + 1, N], squared errors [T, N])"""
    bits, errors, s_u = [], [], 0.0
    for s_t in levels.tolist():
        noise = torch.randn(pixels.shape, generator=generator, dtype=torch.float64).to(pixels.device)
        c_t = (pixels - HALF_RANGE + s_t * noise).float()
        prediction = Prediction(*(part.double() for part in denoiser(c_t, s_t)))
        bits.append(_per_image(term_bits(prediction, pixels, c_t.double(), s_t, s_u)))
        errors.append(_per_image((prediction.mean.clamp(0, 255) - pixels) ** 2))
        s_u = s_t
    bits.append(_per_image(prior_bits(pixels, s_u, prior_std)))
    return torch.stack(bits), torch.stack(errors)


def term_bits(prediction: Prediction, pixels: Tensor, c_t: Tensor, s_t: float, s_u: float) -> Tensor:
    """L_{t-1} of the step from s_t to s_u < s_t, and L_0 of the step to the pixels at s_u = 0. Bits, [N, 3, H, W]."""
    if s_u == 0:
        return pixel_bits(prediction, pixels)
    mean, scale = prediction.mean - HALF_RANGE, torch.exp(prediction.log_scale)
    q = posterior(c_t, pixels - HALF_RANGE, s_t, s_u)
    return step_kl(q, reverse(c_t, mean, scale, prediction.coefficients, s_t, s_u))


def prior_bits(pixels: Tensor, s_T: float, prior_std: float) -> Tensor:
    """L_T = KL(N(v, s_T^2) || N(0, s_T^2 + prior_std^2)), bits, [N, 3, H, W]."""
    v = pixels - HALF_RANGE
    q, p = (torch.full_like(v, variance) for variance in (s_T**2, s_T**2 + prior_std**2))
    return kl_gaussian(v, q, torch.zeros_like(v), p) / LN2


def _per_image(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1)
