"""The paper's losses for a network that predicts the noise: L_simple, the variational bound, and their hybrid.

Ho, Jain & Abbeel 2020 (arXiv 2006.11239) and, for learned variances, Nichol & Dhariwal 2021 (arXiv 2102.09672). The
network is called as `network(z_t, t - 1)` with z_t = alpha_t c_t / 127.5 [N, 3, H, W] and t = 1..T, so that its
time steps count from 0, and returns eps [N, 3, H, W], or [N, 6, H, W]: eps and what the variance is interpolated by.

The reverse variance is exp(f log beta_t + (1 - f) log beta~_t) (arXiv 2102.09672, equation 15), the fraction f being 1
for the paper's larger variance, 0 for the smaller, and predicted where it is learned; beta~_1 = 0 stands for beta~_2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ddpmcodec.paper.diffusion import LN2, Reverse, posterior, step_kl
from ddpmcodec.paper.schedule import HALF_RANGE, alpha_sigma, check_levels

Network = Callable[[Tensor, Tensor], Tensor]
Objective = Literal["simple", "bound", "hybrid"]

BOUND_WEIGHT = 0.001  # lambda of the hybrid, arXiv 2102.09672, section 3.1
STREAM = 1  # beside a zero keeps the draws apart from those of dropout, whose key is (seed, step, process)
LEAST_MASS = 1e-12  # of a cell, in units of all that lies below its upper end
OUTSIDE = 1e9  # standard deviations; beyond every pixel, where the logarithms of the tails are finite still


class NoisyBatch(NamedTuple):
    """Images on their way from clean to noise."""

    v: Tensor  # [N, 3, H, W] centred grey levels
    t: Tensor  # int64 [N], 1..T
    noise: Tensor  # [N, 3, H, W] standard normal; c_t = v + s_t noise

    def part(self, share: slice) -> NoisyBatch:
        """Some of the images."""
        return NoisyBatch(*(tensor[share] for tensor in self))


class NoiseEstimate(NamedTuple):
    """What the network says of a batch."""

    eps: Tensor  # [N, 3, H, W]
    fraction: Tensor  # between the logarithms of the smaller and the larger reverse variance; broadcasts to eps


class NoiseTerms(NamedTuple):
    """What a schedule says of each t, [N, 1, 1, 1] each; u = t - 1."""

    s_t: Tensor  # grey levels
    s_u: Tensor
    alpha: Tensor  # of t
    log_small: Tensor  # of the smaller reverse variance
    growth: Tensor  # logarithm of the larger / the smaller


def noisy_batch(pixels: Tensor, T: int, key: tuple[int, ...]) -> NoisyBatch:
    """t and noise for images [N, 3, H, W] (0..255), drawn where the images are.

    They depend on the type of device, the key (non-negative integers: seed, step) and the position in the batch alone.
    Processes that share a batch draw all of it, and take their parts.
    """
    seed = int(np.random.SeedSequence((*key, 0, STREAM)).generate_state(1, np.uint64)[0])
    generator = torch.Generator(pixels.device).manual_seed(seed)
    t = torch.randint(1, T + 1, (len(pixels),), generator=generator, device=pixels.device)
    return NoisyBatch(pixels - HALF_RANGE, t, torch.randn(pixels.shape, generator=generator, device=pixels.device))


class NoiseSchedule:
    """Everything that depends on t = 1..T, for noise levels s_1..s_T in grey levels. Raises ValueError for T < 2."""

    def __init__(self, levels: ArrayLike, device: torch.device | str = "cpu") -> None:
        s_t = check_levels(levels)
        if s_t.size < 2:
            raise ValueError("the bound needs at least two noise levels, found one")
        alpha, sigma = alpha_sigma(s_t)
        s_u = np.append(s_t[0] / 2, s_t[:-1])  # the first is not used: at t = 1 the pixel itself is coded
        small = s_u**2 * (1 - (s_u / s_t) ** 2)
        growth = 2 * np.log(sigma[1:] / sigma[:-1])  # log beta_t / beta~_t
        # At t = 1 beta~_2 takes the place of beta~_1 = 0, in units of c_0 = 127.5 z_0; beta_1 = sigma_1^2.
        small[0] = small[1] * alpha[0] ** 2
        growth = np.append(2 * np.log(HALF_RANGE * sigma[0]) - np.log(small[0]), growth)
        self.T = s_t.size
        rows = (s_t, s_u, alpha, np.log(small), growth)  # as `NoiseTerms`
        self._table = torch.tensor(np.stack(rows), dtype=torch.float32, device=device)

    def at(self, t: Tensor) -> NoiseTerms:
        return NoiseTerms(*self._table[:, t - 1].view(-1, len(t), 1, 1, 1))


def estimate_noise(network: Network, schedule: NoiseSchedule, batch: NoisyBatch) -> NoiseEstimate:
    """Call the network. Where it learns no variance it is beta_t, and at t = 1 beta~_2, as in the authors' code.

    With their root mean square error of 0.95 grey levels, pixels cost the paper's 1.97 bits/dim under beta~_2 (standard
    deviation 0.94) and 0.1 more under beta_1 (1.28).
    """
    terms = schedule.at(batch.t)
    outputs = network(terms.alpha * (batch.v + terms.s_t * batch.noise) / HALF_RANGE, batch.t - 1)
    if outputs.shape[1] == batch.v.shape[1]:
        return NoiseEstimate(outputs, (batch.t > 1).to(outputs.dtype).view(-1, 1, 1, 1))
    eps, fraction = outputs.chunk(2, 1)
    return NoiseEstimate(eps, (fraction + 1) / 2)


def simple_loss(estimate: NoiseEstimate, batch: NoisyBatch) -> Tensor:
    """L_simple of each image [N], arXiv 2006.11239, equation 14, as the mean over dimensions."""
    return ((estimate.eps - batch.noise) ** 2).mean((1, 2, 3))


def log_pixel_mass(pixel: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Nats: log mass of a normal on the pixel's cell of one grey level; the cells of 0 and 255 reach to infinity.

    arXiv 2006.11239, equation 13. Pixel and mean in grey levels 0..255. Stable in both tails, and
    in float64, without which the gradient is wrong some hundred standard deviations away.
    """
    pixel, mean, inverse = pixel.double(), mean.double(), torch.exp(-log_std.double())
    below = torch.where(pixel <= 0, -OUTSIDE, (pixel - 0.5 - mean) * inverse)
    above = torch.where(pixel >= 255, OUTSIDE, (pixel + 0.5 - mean) * inverse)
    right = below + above > 0  # mirrored to the left, where the logarithms keep their digits
    below, above = torch.where(right, -above, below), torch.where(right, -below, above)
    log_above: Tensor = torch.special.log_ndtr(above)
    ratio = (torch.special.log_ndtr(below) - log_above).clamp(max=-LEAST_MASS)  # what rounding leaves of wide normals
    return log_above + torch.log(-torch.expm1(ratio))


def bound_terms(estimate: NoiseEstimate, schedule: NoiseSchedule, batch: NoisyBatch) -> Tensor:
    """L_{t-1} of each image [N] in bits/dim: a KL for t > 1, the cost of the pixel itself for t = 1.

    arXiv 2006.11239, equation 5. T times its mean over t = 1..T, and L_T, are the variational bound.
    """
    terms = schedule.at(batch.t)
    s_t, s_u = terms.s_t, terms.s_u
    c_t = batch.v + s_t * batch.noise
    mean = c_t - s_t * estimate.eps
    log_variance = (terms.log_small + estimate.fraction * terms.growth).expand_as(c_t)
    reverse = Reverse(posterior(c_t, mean, s_t, s_u).mean, torch.zeros_like(c_t), torch.exp(log_variance))
    kl = step_kl(posterior(c_t, batch.v, s_t, s_u), reverse)
    last = batch.t.view(-1, 1, 1, 1) == 1
    log_std = torch.where(last, log_variance / 2, 0.0)
    mean = torch.where(last, mean, batch.v)  # images at t > 1 get one with a finite cost: no gradient may be NaN
    pixel = -log_pixel_mass(batch.v + HALF_RANGE, mean + HALF_RANGE, log_std) / LN2
    return torch.where(last, pixel, kl).mean((1, 2, 3))


def losses(objective: Objective, network: Network, schedule: NoiseSchedule, batch: NoisyBatch) -> Tensor:
    """The loss of each image, [N].

    simple: L_simple. bound: L_{t-1} in bits/dim: over random t a T-th of the bound without L_T, which, as in the
    authors' code, is not multiplied by T, or clipping would set the length of every gradient. hybrid: L_simple plus
    0.001 of the bound, whose gradient reaches the variances but not the means (arXiv 2102.09672, section 3.1).
    """
    estimate = estimate_noise(network, schedule, batch)
    if objective == "simple":
        return simple_loss(estimate, batch)
    if objective == "bound":
        return bound_terms(estimate, schedule, batch)
    variances = estimate._replace(eps=estimate.eps.detach())
    return simple_loss(estimate, batch) + BOUND_WEIGHT * schedule.T * bound_terms(variances, schedule, batch)
