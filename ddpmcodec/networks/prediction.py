"""From the network's numbers to a distribution of the clean pixels (the denoiser contract), in float, for training."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpmcodec.networks.exact import OUTPUTS
from ddpmcodec.networks.features import SCALE_UNIT, scale_origin, weights
from ddpmcodec.networks.neighbours import blend, visibility
from ddpmcodec.schedule import HALF_RANGE

LN2 = math.log(2)


class Prediction(NamedTuple):
    """Logistic over clean pixels, all [N, 3, H, W] float32: mean (0..255), log of the scale (grey levels), coupling."""

    mean: Tensor
    log_scale: Tensor
    coupling: Tensor


def predict(outputs: Tensor, estimate: Tensor, spread: Tensor, gaussian: Tensor) -> Prediction:
    """outputs: [N, H, W, 9 or more]; estimate (centred) and spread in grey levels, [N, 3, H, W]; gaussian: [N]."""
    numbers = outputs.permute(0, 3, 1, 2)
    offset, index, coupling = numbers[:, :OUTPUTS].chunk(3, 1)
    around = numbers[:, OUTPUTS:]
    index = (scale_origin(spread) + 8 * index).clamp(0, 127)
    mean = estimate + spread * offset
    if around.shape[1]:
        mean = mean + blend(estimate, weights(spread), visibility(spread, gaussian), around)
    return Prediction(mean + HALF_RANGE, (index - SCALE_UNIT) * (LN2 / 8), coupling)


def residual(mean: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """What a channel's new range says of its mean: the mean drawn into the inner half of the range, minus the mean."""
    quarter = (hi - lo) / 4
    return torch.minimum(torch.maximum(mean, lo + quarter), hi - quarter) - mean


def coupled_means(prediction: Prediction, lo: Tensor, hi: Tensor) -> Tensor:
    """Means of R, of G given R's new range, of B given R's and G's; lo, hi: the new ranges [N, 3, H, W]."""
    red, green, blue = prediction.mean.unbind(1)
    a, b, c = prediction.coupling.unbind(1)
    known_red = residual(red, lo[:, 0], hi[:, 0])
    green = green + a * known_red
    blue = blue + b * known_red + c * residual(green, lo[:, 1], hi[:, 1])
    return torch.stack([red, green, blue], 1)


def _log_mass(mean: Tensor, inverse_scale: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """log P(lo - 1/2 < v < hi + 1/2) under a logistic, stable in both tails."""
    below, above = (lo - 0.5 - mean) * inverse_scale, (hi + 0.5 - mean) * inverse_scale
    return F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(below - above))


def range_bits(prediction: Prediction, lo: Tensor, hi: Tensor, new_lo: Tensor, new_hi: Tensor) -> Tensor:
    """Bits, per dimension, to tell that a pixel of the known range [lo, hi] lies in [new_lo, new_hi] inside it.

    The logistic is truncated to the known range, so the costs of successive steps add up to the cost of the pixel.
    """
    mean = coupled_means(prediction, new_lo, new_hi)
    inverse = torch.exp(-prediction.log_scale)
    return (_log_mass(mean, inverse, lo, hi) - _log_mass(mean, inverse, new_lo, new_hi)) / LN2
