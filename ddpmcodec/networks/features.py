"""What the denoiser sees: every dimension as an estimate and its spread, written as integers in [-127, 127].

A dimension in the uniform channel is a range [lo, hi] of grey levels; its estimate is the centre of the range, its
spread the standard deviation of a uniform distribution over it. (The likelihood of a uniform step is constant inside
its cell, so the running intersection of the cells is a sufficient statistic of all steps so far: c_t itself would add
nothing.)
A dimension in the Gaussian channel is c_t = v + s_t n; estimate and spread are those of the posterior of v under a
Gaussian prior of standard deviation `PRIOR_STD`, so that both channels, exact pixels and unknown ones share one scale.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PRIOR_STD = 64.0  # grey levels; about the standard deviation of natural pixel values
PERIODS = (4.0, 16.0)  # grey levels; the role of VDM's Fourier features: fine differences at full precision
SPREAD_CENTRES = tuple(-2.0 + 1.65 * k for k in range(6))  # log2 grey levels, knots of a linear interpolation basis
OWN = 2 + 2 * len(PERIODS) + len(SPREAD_CENTRES)  # features of a dimension by itself
WINDOWS = (3, 7)  # sides of the neighbourhoods whose weighted means the network is shown
CONTEXT = 1 + 2 * len(WINDOWS)  # features of a dimension among its neighbours
PER_DIM = OWN + CONTEXT
PER_PIXEL = 3 * PER_DIM + 1  # one more channel says which channel the noise came from
LOCAL_STD = 6.0  # grey levels; how far neighbouring pixels differ
LARGEST_WEIGHT = 255
ESTIMATE_UNIT = 4.0  # estimates are averaged in quarters of a grey level, so that all sums are integers below 2^24


def uniform_spread(width: Tensor) -> Tensor:
    """Standard deviation, in grey levels, of a uniform integer on `width` = hi - lo + 1 values; 0 when exact."""
    return torch.sqrt((width * width - 1) / 12)


def gaussian_estimate(c_t: Tensor, s_t: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate and spread (grey levels) of v given c_t = v + s_t n, under the prior N(0, PRIOR_STD^2)."""
    shrink = PRIOR_STD**2 / (PRIOR_STD**2 + s_t * s_t)
    return c_t * shrink, (s_t * torch.sqrt(shrink)).expand_as(c_t)


def spread_features(spread: Tensor) -> Tensor:
    """[..., 6] integers in 0..127: where log2(spread + 1/4) lies among `SPREAD_CENTRES`."""
    position = torch.log2(spread + 0.25).unsqueeze(-1)
    centres = torch.tensor(SPREAD_CENTRES, device=spread.device)
    hats = 1 - (position - centres).abs() / (SPREAD_CENTRES[1] - SPREAD_CENTRES[0])
    return torch.round(127 * hats.clamp(0, 1))


def _triangle(x: Tensor) -> Tensor:
    return 4 * (x - torch.floor(x) - 0.5).abs() - 1


def own_features(estimate: Tensor, spread: Tensor) -> Tensor:
    """[..., OWN] integer-valued float32 features of each dimension by itself.

    estimate: [...] centred grey levels (pixel - 127.5). spread: [...] grey levels.
    """
    coarse = torch.round(estimate).clamp(-127, 127)
    parts = [coarse, torch.round((254 * (estimate - coarse)).clamp(-127, 127))]
    for period in PERIODS:
        visible = 127 / (1 + (4 * spread / period) ** 2)  # a wave finer than the spread says nothing: fade it out
        phase = estimate / period
        parts += [torch.round(visible * _triangle(phase)), torch.round(visible * _triangle(phase + 0.25))]
    return torch.cat([torch.stack(parts, -1), spread_features(spread)], -1)


def weights(spread: Tensor) -> Tensor:
    """Integer weight, 1..255, of an estimate in the mean of its neighbourhood: its precision beside LOCAL_STD."""
    return torch.round(LARGEST_WEIGHT * LOCAL_STD**2 / (LOCAL_STD**2 + spread * spread)).clamp(min=1)


def inverse_spread(spread: Tensor) -> Tensor:
    """1 / spread, and 0 where the pixel is exact: there is nothing left to predict."""
    return torch.where(spread > 0, 1 / spread.clamp(min=1e-6), 0.0)


def box_sum(x: Tensor, window: int) -> Tensor:
    return F.avg_pool2d(x, window, 1, window // 2, divisor_override=1)


def neighbourhood_mean(estimate: Tensor, weight: Tensor, window: int) -> Tensor:
    """Weighted mean of the estimates in a window x window square, no weight outside the image; [N, 3, H, W]."""
    units = torch.round(ESTIMATE_UNIT * estimate) * weight
    total = box_sum(units, window)
    return total / (ESTIMATE_UNIT * box_sum(weight, window))


def context_features(estimate: Tensor, weight: Tensor, inverse: Tensor) -> Tensor:
    """[N, 3, H, W, CONTEXT] integer-valued features of each dimension among its neighbours.

    First the estimate without its wide neighbourhood's mean, faded where it is uncertain; then for every window how
    far, in spreads, the mean of the neighbourhood lies from the estimate: what a linear denoiser would answer. Without
    them a network has to find small differences under large grey levels by itself, and in its first hundreds of steps
    it does not.
    """
    means = [neighbourhood_mean(estimate, weight, window) for window in WINDOWS]
    parts = [torch.round((4 * (estimate - means[-1]) * (weight * (1 / LARGEST_WEIGHT))).clamp(-127, 127))]
    for mean in means:
        offset = 32 * ((mean - estimate) * inverse)
        coarse = torch.round(offset.clamp(-127, 127))
        parts += [coarse, torch.round((254 * (offset - coarse)).clamp(-127, 127))]
    return torch.stack(parts, -1)


def pixel_features(estimate: Tensor, spread: Tensor, gaussian: Tensor) -> Tensor:
    """[N, H, W, PER_PIXEL] features of images [N, 3, H, W]; gaussian: [N] 1.0 where the noise is Gaussian."""
    n, _, h, w = estimate.shape
    own = own_features(estimate, spread)
    context = context_features(estimate, weights(spread), inverse_spread(spread))
    dims = torch.cat([own, context], -1).permute(0, 2, 3, 1, 4).reshape(n, h, w, 3 * PER_DIM)
    return torch.cat([dims, (127 * gaussian).view(n, 1, 1, 1).expand(n, h, w, 1)], -1)


def range_table() -> Tensor:
    """[256, 256, OWN] int8: `own_features` of every range [lo, hi]; rows with lo > hi are zero."""
    lo = torch.arange(256, dtype=torch.float32).view(-1, 1)
    hi = torch.arange(256, dtype=torch.float32).view(1, -1)
    width = (hi - lo + 1).clamp(min=1)
    features = own_features((lo + hi) / 2 - 127.5, uniform_spread(width))
    return (features * (lo <= hi).unsqueeze(-1)).to(torch.int8)


SCALE_UNIT = 48  # scale index of one grey level; eight indices an octave (ddpmcodec.ans.logistic)


def scale_origin(spread: Tensor) -> Tensor:
    """Scale index (float) of a logistic as wide as the spread, the point the network's scale output is relative to."""
    return SCALE_UNIT + 8 * torch.log2(spread * (math.sqrt(3) / math.pi) + 0.05)
