"""The Gaussian channel: bits-back coding of a batch of images through the latents c_1 .. c_T on one ANS stack.

    forward, Markov    x --> c_1 --> c_2 --> ... --> c_T         q(c_t | c_u) = N(c_u, s_t^2 - s_u^2), u = t - 1
    generative         x <-- c_1 <-- c_2 <-- ... <-- c_T         p(c_u | c_t) from one call of the network at c_t

    encode             pop  c_1 ~ q(c_1 | x)                     decode: the same lines upwards, push for pop
                       push x   ~ p(x | c_1)
                       pop  c_2 ~ q(c_2 | c_1)
                       push c_1 ~ p(c_1 | c_2)
                       ...
                       pop  c_T ~ q(c_T | c_{T-1})
                       push c_{T-1} ~ p(c_{T-1} | c_T)
                       push c_T ~ p(c_T) = N(0, s_T^2 + 64^2)

That is the order of Bit-Swap (Kingma, Abbeel & Ho 2019, arXiv 1905.06845, algorithm 2). Popping a latent gets bits back
that pushing others costs, so that the net growth of the stack is the variational bound; and as a latent is popped only
when it is needed, the stack needs the initial bits of two latents, not of T.

Latents are integers on grids whose spacing is a power of two of grey levels, about a tenth of the latent's standard
deviation. Both sides compute in float64 from integers, every operation rounded once (IEEE + - * / and square roots).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec._native import MAX_LATENT_LEVEL
from ddpmcodec.format.block import LEVEL_UNIT
from ddpmcodec.paper.ans import Stack, pop_gaussian, pop_logistic, push_gaussian, push_logistic
from ddpmcodec.paper.diffusion import (
    LAST_SCALE,
    MEAN_LIMIT,
    OCTAVE,
    PIXEL_UNIT,
    SCALE_UNIT,
    IntegerPrediction,
    Latents,
    Predictor,
    Reverse,
    reverse,
    reverse_conditionals,
)
from ddpmcodec.paper.schedule import HALF_RANGE
from ddpmcodec.parallel import one_thread_if

PRIOR_STD = 64.0  # grey levels, of pixels that nothing is known about
CELLS_EXPONENT = 4  # a conditional standard deviation is 8 to 16 cells

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]  # all of them float64

# 2^((i - 48) / 8), cut to 66 bits and rounded to float64: no library's exponential has a say in it.
SCALES = np.array([isqrt(isqrt(isqrt(1 << (i - SCALE_UNIT + OCTAVE * 72)))) / 2**72 for i in range(LAST_SCALE + 1)])


class LatentLevel(NamedTuple):
    """One latent: its noise level, and its grid."""

    level: int  # in LEVEL_UNIT
    s: float  # the same in grey levels
    std: float  # of c_t given c_{t-1}, grey levels
    spacing: float  # grey levels, a power of two

    @property
    def bits(self) -> float:
        """Entropy of one dimension given the latent before it: what popping it takes from the stack."""
        return self._entropy(self.std)

    @property
    def bits_given_pixels(self) -> float:
        """Entropy of one dimension given the pixels: what the stack lacks when all before this latent is pushed."""
        return self._entropy(self.s)

    def _entropy(self, std: float) -> float:
        return math.log2(std / self.spacing) + 0.5 * math.log2(2 * math.pi * math.e)


def hierarchy(levels: Sequence[int]) -> list[LatentLevel]:
    """The latents of increasing noise levels (1/1024 grey level). Raises ValueError unless they increase from 1 on."""
    latents = []
    for below, level in pairwise([0, *levels]):
        if not below < level <= MAX_LATENT_LEVEL:
            raise ValueError(
                f"noise levels must increase, from 1 to at most {MAX_LATENT_LEVEL}: {level} follows {below}"
            )
        std = math.sqrt(level * level - below * below) / LEVEL_UNIT
        _, exponent = math.frexp(std)
        latents.append(LatentLevel(level, level / LEVEL_UNIT, std, math.ldexp(1.0, exponent - CELLS_EXPONENT)))
    return latents


def initial_bits(levels: Sequence[LatentLevel]) -> float:
    """Bits per dimension that must lie on a stack before a batch is pushed, even if its images cost nothing.

    At most two latents are popped and not yet pushed: one, and the next one, which is popped before it.
    """
    return max(levels[0].bits, *(lower.bits_given_pixels + upper.bits for lower, upper in pairwise(levels)), 0.0)


def encode(stack: Stack, pixels: Pixels, predictor: Predictor, levels: Sequence[LatentLevel]) -> None:
    """Push images of one size, uint8 [N, H, W, 3].

    Raises TruncatedError when the stack has too few initial bits; what it then holds is undefined.
    """
    c = _pop_forward(stack, pixels - HALF_RANGE, levels[0])
    _push_pixels(stack, pixels, predictor.predict(c, levels[0].spacing, levels[0].level))
    for lower, upper in pairwise(levels):
        c_t = _pop_forward(stack, c * lower.spacing, upper)
        prediction = predictor.predict(c_t, upper.spacing, upper.level)
        _push_reverse(stack, c, lower, _kernel(prediction, c_t, upper, lower))
        c = c_t
    push_gaussian(stack, c.reshape(-1), 0.0, _prior_std(levels[-1]))


def decode(
    stack: Stack, shape: tuple[int, int, int, int], predictor: Predictor, levels: Sequence[LatentLevel]
) -> Pixels:
    """Pop what `encode` pushed: images uint8 of shape [N, H, W, 3]; the stack is then what it was before.

    Raises TruncatedError when the stack runs out, FormatError or ValueError where damaged data leads to latents that no
    distribution can hold.
    """
    c = pop_gaussian(stack, 0.0, np.full(math.prod(shape), _prior_std(levels[-1]))).reshape(shape)
    for upper, lower in pairwise(reversed(levels)):
        prediction = predictor.predict(c, upper.spacing, upper.level)
        c_u = _pop_reverse(stack, lower, _kernel(prediction, c, upper, lower))
        _push_forward(stack, c, c_u * lower.spacing, upper)
        c = c_u
    pixels = _pop_pixels(stack, predictor.predict(c, levels[0].spacing, levels[0].level))
    _push_forward(stack, c, pixels - HALF_RANGE, levels[0])
    return pixels


# --- q(c_t | c_u): independent dimensions, [N, H, W, 3] at once


def _pop_forward(stack: Stack, below: Floats, latent: LatentLevel) -> Latents:
    """below: c_u in grey levels."""
    return pop_gaussian(stack, below.reshape(-1) / latent.spacing, latent.std / latent.spacing).reshape(below.shape)


def _push_forward(stack: Stack, c: Latents, below: Floats, latent: LatentLevel) -> None:
    push_gaussian(stack, c.reshape(-1), below.reshape(-1) / latent.spacing, latent.std / latent.spacing)


# --- p(c_u | c_t): R, then G given R, then B given both, each a plane of the whole batch


@one_thread_if(small=True)
def _kernel(prediction: IntegerPrediction, c_t: Latents, upper: LatentLevel, lower: LatentLevel) -> Reverse:
    mean = prediction.mean / PIXEL_UNIT - HALF_RANGE
    arrays = c_t * upper.spacing, mean, SCALES[prediction.scale], prediction.coefficients / PIXEL_UNIT
    c, centre, scale, coefficients = map(_channels_first, arrays)
    return reverse(c, centre, scale, coefficients, upper.s, lower.s)


def _channels_first(a: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(a.transpose(0, 3, 1, 2)))


@one_thread_if(small=True)
def _conditional(c_u: Tensor, kernel: Reverse, channel: int, latent: LatentLevel) -> tuple[Floats, Floats]:
    """Mean and standard deviation, in cells, of one channel given those before it; c_u: grey levels."""
    conditionals = reverse_conditionals(c_u, kernel)
    mean, variance = (a[:, channel].numpy().reshape(-1) for a in conditionals)
    return mean / latent.spacing, np.sqrt(variance) / latent.spacing


def _push_reverse(stack: Stack, c: Latents, latent: LatentLevel, kernel: Reverse) -> None:
    c_u = _channels_first(c * latent.spacing)
    for channel in (2, 1, 0):
        push_gaussian(stack, c[..., channel].reshape(-1), *_conditional(c_u, kernel, channel, latent))


def _pop_reverse(stack: Stack, latent: LatentLevel, kernel: Reverse) -> Latents:
    c_u = torch.zeros_like(kernel.mean)
    planes = []
    for channel in range(3):
        plane = pop_gaussian(stack, *_conditional(c_u, kernel, channel, latent)).reshape(c_u[:, channel].shape)
        c_u[:, channel] = torch.from_numpy(plane * latent.spacing)
        planes.append(plane)
    return np.stack(planes, -1)


def _prior_std(top: LatentLevel) -> float:
    """The standard deviation of c_T under the prior, in cells."""
    return math.sqrt(top.s * top.s + PRIOR_STD * PRIOR_STD) / top.spacing


# --- p(x | c_1), in integers


def _push_pixels(stack: Stack, pixels: Pixels, prediction: IntegerPrediction) -> None:
    for channel, mean in reversed(list(enumerate(_pixel_means(prediction, pixels.astype(np.int64))))):
        push_logistic(stack, pixels[..., channel].reshape(-1), mean, prediction.scale[..., channel].reshape(-1))


def _pop_pixels(stack: Stack, prediction: IntegerPrediction) -> Pixels:
    pixels = np.zeros(prediction.mean.shape, np.int64)
    for channel, mean in enumerate(_pixel_means(prediction, pixels)):
        plane = pop_logistic(stack, mean, prediction.scale[..., channel].reshape(-1))
        pixels[..., channel] = plane.reshape(pixels.shape[:3])
    return pixels.astype(np.uint8)


def _pixel_means(prediction: IntegerPrediction, pixels: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Means [N H W] in 1/64 grey level of R, of G given R, of B given R and G: `denoiser.conditional_means`.

    pixels may be filled in as the channels are asked for.
    """
    first, second, third = (prediction.mean[..., channel].astype(np.int64) for channel in range(3))
    a, b, c = (prediction.coefficients[..., channel].astype(np.int64) for channel in range(3))
    yield first.reshape(-1)
    red = PIXEL_UNIT * pixels[..., 0] - first
    second = np.clip(second + (a * red // PIXEL_UNIT), -MEAN_LIMIT, MEAN_LIMIT)
    yield second.reshape(-1)
    green = PIXEL_UNIT * pixels[..., 1] - second
    yield np.clip(third + ((b * red + c * green) // PIXEL_UNIT), -MEAN_LIMIT, MEAN_LIMIT).reshape(-1)
