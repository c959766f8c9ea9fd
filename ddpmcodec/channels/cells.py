"""One step of the uniform channel in integers, so that both sides always agree: cells, their ranges, coding them.

Units: noise levels, D and c in 1/256 grey level; rho and dither in 1/65536; c and v are centred (pixel - 127.5).
All products stay below 2^63: levels up to 2^24 (`schedule.MAX_LEVEL`) give D and c below 2^27, and the largest,
(2 k + 1) D 2^16, stays below 2^45.
"""

from __future__ import annotations

from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import compiled
from ddpmcodec.ans.logistic import expectation, find, interval
from ddpmcodec.ans.stream import advance, needs_word, slot
from ddpmcodec.channels.adaptation import Adaptation, contexts, corrected, learn, none, start
from ddpmcodec.networks import learning
from ddpmcodec.networks.learning import Learner
from ddpmcodec.networks.local import NO_LOCAL, Local, refine
from ddpmcodec.schedule import Step, step_pixels

PERIOD = 16  # every lattice divides it: levels and constants are tables over (y mod 16, x mod 16)
UNKNOWN = -1  # level of a pixel nothing is known about: infinite noise
RHO_ONE = 1 << 16
CENTRE = 32640  # 127.5 in 1/256 grey level
HALF = np.uint64(1 << 23)  # the slot in the middle

Table = NDArray[np.int64]


class StepConstants(NamedTuple):
    """A step as the kernels take it; tables are int64 [16, 16]. width 0: the pixel does not move."""

    rho: Table
    width: Table
    exact: bool
    dither: NDArray[np.uint16]
    local: Local = NO_LOCAL
    learns: bool = False  # the local network, while the step is told


def unknown_levels() -> Table:
    """The noise level of every lattice place before the first step."""
    return np.full((PERIOD, PERIOD), UNKNOWN, np.int64)


def rho_and_width(s_t: int, s_u: int) -> tuple[int, int]:
    """rho = s_u^2 / s_t^2 and D = sqrt(12) s_u sqrt(1 - rho) (design: notation, uniform channel), in integers."""
    rho = 0 if s_t == UNKNOWN else (RHO_ONE * s_u * s_u + s_t * s_t // 2) // (s_t * s_t)
    rho = min(rho, RHO_ONE - 1)  # levels that differ by 2^-18 or less: the pixel must keep a share
    return rho, max(1, isqrt(12 * s_u * s_u * (RHO_ONE - rho) // RHO_ONE))


def step_constants(step: Step, levels: Table, dither: NDArray[np.uint16], local: Local = NO_LOCAL) -> StepConstants:
    """Constants of a step from the current `levels` [16, 16], which move to the step's level in place."""
    moves = step_pixels(step, PERIOD)
    rho, width = np.zeros((PERIOD, PERIOD), np.int64), np.zeros((PERIOD, PERIOD), np.int64)
    for y, x in zip(*np.nonzero(moves), strict=True):
        rho[y, x], width[y, x] = rho_and_width(int(levels[y, x]), step.level) if step.level else (0, 1)
    levels[moves] = step.level
    return StepConstants(rho, width, step.level == 0, dither, local, step.learns and local.dilation > 0)


kernel = compiled.kernel()
inline = compiled.kernel(inline="always")


@inline
def _ceil_div(a, b):  # type: ignore[no-untyped-def]
    return -((-a) // b)


@inline
def _cell(pixel, lo, hi, c, dither, rho, width):  # type: ignore[no-untyped-def]
    """(lo, hi, c) after the step that moves a dimension whose pixel value is `pixel`."""
    one = np.int64(RHO_ONE)
    kept = rho * c
    rest = one - rho
    offset = width * dither
    k = (kept + rest * (256 * pixel - CENTRE) + offset) // (width << 16)
    base = ((k * width) << 16) - kept - offset + rest * CENTRE
    new_lo = max(lo, _ceil_div(base, 256 * rest))
    new_hi = min(hi, _ceil_div(base + (width << 16), 256 * rest) - 1)
    return new_lo, new_hi, (((2 * k + 1) * one - 2 * dither) * width) >> 17


@inline
def _residual(mean, lo, hi):  # type: ignore[no-untyped-def]
    """What a new range says about its channel's mean (1/64 grey level): see `prediction.residual`."""
    quarter = 16 * (hi - lo)
    return min(max(mean, 64 * lo + quarter), 64 * hi - quarter) - mean


@inline
def _coupled(means, coupling, y, x, channel, red, green):  # type: ignore[no-untyped-def]
    """Mean of a channel given the residuals of those before it in the pixel."""
    mean = np.int64(means[y, x, channel])
    if channel == 1:
        mean += (np.int64(coupling[y, x, 0]) * red) >> 6
    elif channel == 2:
        mean += (np.int64(coupling[y, x, 1]) * red + np.int64(coupling[y, x, 2]) * green) >> 6
    return min(max(mean, np.int64(-32767)), np.int64(32767))


@inline
def _moved(pixel, lo, hi, c, dither, rho, width, exact):  # type: ignore[no-untyped-def]
    if exact:
        return pixel, pixel, 256 * pixel - CENTRE
    return _cell(pixel, lo, hi, c, dither, rho, width)


@inline
def _spread_grey(lo, hi, y, x):  # type: ignore[no-untyped-def]
    """A grey pixel, coded as one channel, becomes all three: what is told next looks at it."""
    for channel in range(1, 3):
        lo[y, x, channel], hi[y, x, channel] = lo[y, x, 0], hi[y, x, 0]


@kernel
def _law(adaptation, distance, known, predicted, y, x, channel, red, green):  # type: ignore[no-untyped-def]
    """What a dimension is coded under: whether it teaches, its contexts, (mean, scale index).

    Steps that adapt do so where nothing was known: laws truncated to a range say little of their scale.
    """
    if len(adaptation.residuals) == 0 or known != (0, 255):
        return False, (0, 0, 0), predicted
    mean, scale = predicted
    where = contexts(adaptation, scale, y, x, channel, distance)
    return True, where, corrected(adaptation, where, mean, scale, channel, red, green)


@inline
def _told(learner, channel, predicted, known, new):  # type: ignore[no-untyped-def]
    """A channel is told, or was known: its residual, which a network that learns sees too."""
    residual = _residual(predicted[0], new[0], new[1])
    if len(learner.slopes):
        learning.told(learner, channel, predicted, known, new, residual)
    return residual


@kernel
def _encode(pixels, lo, hi, c, prediction, rhos, widths, exact, dither, networks, adaptation, starts, freqs):  # type: ignore[no-untyped-def]
    height, width, channels = pixels.shape
    means, scales, coupling = prediction
    local, learner = networks
    count = 0
    for y in range(height):
        for x in range(width):
            rho, cell = rhos[y & 15, x & 15], widths[y & 15, x & 15]
            if cell == 0:
                continue
            if local.dilation:
                refine(local, lo, hi, prediction, y, x, learner.traces, learner.filled[0])
            red = green = np.int64(0)
            for channel in range(channels):
                mean = _coupled(means, coupling, y, x, channel, red, green)
                low, high = np.int64(lo[y, x, channel]), np.int64(hi[y, x, channel])
                new_low, new_high = low, high
                predicted = mean, np.int64(scales[y, x, channel])
                if low < high:
                    new_low, new_high, noisy = _moved(
                        np.int64(pixels[y, x, channel]), low, high, np.int64(c[y, x, channel]),
                        np.int64(dither[y, x, channel]), rho, cell, exact,
                    )  # fmt: skip
                    c[y, x, channel] = noisy
                    if new_low > low or new_high < high:
                        teaches, where, law = _law(
                            adaptation, local.dilation, (low, high), predicted, y, x, channel, red, green
                        )
                        starts[count], freqs[count] = interval(low, high, new_low, new_high, *law)
                        count += 1
                        if teaches:
                            learn(adaptation, where, new_low, law, predicted, y, x, channel)
                    lo[y, x, channel], hi[y, x, channel] = new_low, new_high
                residual = _told(learner, channel, predicted, (low, high), (new_low, new_high))
                if channel == 0:
                    red = residual
                elif channel == 1:
                    green = residual
            if len(learner.slopes):
                learning.learn(local, learner, coupling[y, x])
            if local.dilation and channels == 1:
                _spread_grey(lo, hi, y, x)
    return count


def adaptation_of(constants: StepConstants, height: int, width: int) -> Adaptation:
    """What a step of an image begins with."""
    adapts = constants.exact and len(constants.local.law) > 0
    return start(constants.local.law, height, width) if adapts else none()


def networks_of(constants: StepConstants) -> tuple[Local, Learner]:
    """The local network that a step of an image begins with, and what its learning keeps."""
    local = constants.local
    return learning.learner(local) if constants.learns else (local, learning.no_learner(local))


def encode_step(
    pixels: NDArray[np.uint8],
    lo: Any,
    hi: Any,
    c: Any,
    means: Any,
    scales: Any,
    coupling: Any,
    *constants: Any,
    adaptation: Adaptation | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Move one image [H, W, C] by a step: starts and frequencies of the coded cells.

    Updates lo, hi, c in place, with a local network the prediction: means, scales, coupling, and the adaptation, which
    decoding begins anew.
    """
    rho, width, exact, dither, *_ = constants
    if adaptation is None:
        adaptation = adaptation_of(StepConstants(*constants), *pixels.shape[:2])
    networks = networks_of(StepConstants(*constants))
    starts, freqs = np.empty(pixels.size, np.uint32), np.empty(pixels.size, np.uint32)
    count = _encode(
        pixels, lo, hi, c, (means, scales, coupling), rho, width, exact, dither, networks, adaptation, starts, freqs
    )  # fmt: skip
    return starts[:count].copy(), freqs[:count].copy()


@kernel
def _decode(lo, hi, c, prediction, rhos, widths, exact, dither, networks, adaptation, head, position, words):  # type: ignore[no-untyped-def]
    height, width, channels = c.shape
    means, scales, coupling = prediction
    local, learner = networks
    for y in range(height):
        for x in range(width):
            rho, cell = rhos[y & 15, x & 15], widths[y & 15, x & 15]
            if cell == 0:
                continue
            if local.dilation:
                refine(local, lo, hi, prediction, y, x, learner.traces, learner.filled[0])
            red = green = np.int64(0)
            for channel in range(channels):
                mean = _coupled(means, coupling, y, x, channel, red, green)
                low, high = np.int64(lo[y, x, channel]), np.int64(hi[y, x, channel])
                new_low, new_high = low, high
                predicted = mean, np.int64(scales[y, x, channel])
                if low < high:
                    teaches, where, law = _law(
                        adaptation, local.dilation, (low, high), predicted, y, x, channel, red, green
                    )
                    pixel = find(low, high, law[0], law[1], slot(head))
                    new_low, new_high, noisy = _moved(
                        pixel, low, high, np.int64(c[y, x, channel]), np.int64(dither[y, x, channel]), rho, cell, exact
                    )
                    c[y, x, channel] = noisy
                    begin, freq = interval(low, high, new_low, new_high, *law)
                    head = advance(head, begin, freq)
                    if teaches:
                        learn(adaptation, where, new_low, law, predicted, y, x, channel)
                    lo[y, x, channel], hi[y, x, channel] = new_low, new_high
                    if needs_word(head):
                        if position == len(words):
                            return head, position, False
                        head = (head << np.uint64(32)) | np.uint64(words[position])
                        position += 1
                residual = _told(learner, channel, predicted, (low, high), (new_low, new_high))
                if channel == 0:
                    red = residual
                elif channel == 1:
                    green = residual
            if len(learner.slopes):
                learning.learn(local, learner, coupling[y, x])
            if local.dilation and channels == 1:
                _spread_grey(lo, hi, y, x)
    return head, position, True


def decode_step(
    lo: Any, hi: Any, c: Any, means: Any, scales: Any, coupling: Any, *rest: Any
) -> tuple[np.uint64, int, bool]:
    """The inverse of `encode_step` on one image: updates the same arrays in place from (head, position, words).

    Returns the new head and position, and whether the step was finished before the words ran out.
    """
    *constants, head, position, words = rest
    rho, width, exact, dither, *_ = constants
    adaptation = adaptation_of(StepConstants(*constants), *lo.shape[:2])
    networks = networks_of(StepConstants(*constants))
    head, position, whole = _decode(
        lo, hi, c, (means, scales, coupling), rho, width, exact, dither, networks, adaptation,
        np.uint64(head), np.int64(position), words,
    )  # fmt: skip
    return np.uint64(head), int(position), bool(whole)


@kernel
def _medians(lo, hi, means, scales, middles):  # type: ignore[no-untyped-def]
    for i in range(len(middles)):
        middles[i] = find(lo[i], hi[i], means[i], scales[i], HALF)


@kernel
def _expectations(lo, hi, means, scales, middles):  # type: ignore[no-untyped-def]
    for i in range(len(middles)):
        middles[i] = expectation(lo[i], hi[i], means[i], scales[i])


def medians(lo: Any, hi: Any, means: Any, scales: Any) -> NDArray[np.uint8]:
    """The medians of logistics truncated to lo..hi, all [n]: what a value most likely is close to."""
    middles = np.empty(len(lo), np.uint8)
    _medians(lo, hi, means, scales, middles)
    return middles


def expectations(lo: Any, hi: Any, means: Any, scales: Any) -> NDArray[np.uint8]:
    """Their means, all [n]: the least squared error."""
    middles = np.empty(len(lo), np.uint8)
    _expectations(lo, hi, means, scales, middles)
    return middles
