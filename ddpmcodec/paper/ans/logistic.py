"""The discretised logistic truncated to a known range of integers, in integer arithmetic alone.

An integer x in [lo, hi] has the mass of [x - 1/2, x + 1/2] under a logistic(mean, scale) that is truncated to
[lo - 1/2, hi + 1/2]. With W = hi - lo + 1 and A(x) = G(x) - G(lo), in units of 2^-24,

    cum(x) = floor(A(x) (2^24 - W) / A(hi + 1)) + (x - lo),        lo <= x <= hi + 1

rises by at least 1 from each integer to the next, from 0 to 2^24. G(x) is the CDF at (x - 1/2 - mean)/scale: linear
interpolation in the shipped table (64 steps a unit, resolution 2^38, exactly symmetric). mean: integer in 1/64 grey
level; scale: index i in 0..127, 2^((i - 48)/8) grey levels.

Tails. Far from its mean a logistic is exponential, hence without memory: truncated to a range 8 scales away it is the
same for every mean farther out, up to a relative exp(-8). So the mean is first drawn to within 8 scales of the range.
Then A(hi + 1) is at least 2^16 (one integer, the largest scale, 8 scales away), and a range far out is coded by the
right geometric distribution whatever the mean.

Bounds, for W <= 2^16, in signed 64 bits. In 1/64 grey level, x - 1/2 lies within 64 W + margin < 2^23 of the drawn
mean; times the reciprocal, <= 2^30, that is below 2^53. Table differences are at most 2^30; times the 24-bit fraction,
2^54. A <= 2^38, so that its products with 2^24 - W, slot + 1 and 2^24 are at most 2^62.
"""

from __future__ import annotations

from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.paper.ans.stack import Stack, kernel, peek, pop_interval
from ddpmcodec.paper.ans.tables import LOGISTIC

PRECISION = 24  # bits of a probability
SCALE_COUNT = 128
_, STEPS, LAST, RESOLUTION, _ = LOGISTIC
MAX_WIDTH = 1 << 16  # integers in a range, at most


def _power(eighths: int) -> int:
    """round(2^(eighths / 8)), exactly: (floor(2^(eighths / 8 + 1)) + 1) div 2."""
    return (isqrt(isqrt(isqrt(1 << (eighths + 8)))) + 1) // 2


# Table steps, with 24 bits of fraction, in 1/64 grey level: 64 2^24 / (64 scale) = 2^(30 - i/8).
_RECIPROCALS = np.array([_power(240 - i) for i in range(SCALE_COUNT)], np.int64)
# 8 scales in 1/64 grey level, by scale index: 2^(3 + i/8).
EIGHT_SCALES = np.array([_power(24 + i) for i in range(SCALE_COUNT)], np.int64)

_TABLE = LOGISTIC.load()
_HALF = np.int64(RESOLUTION // 2)
_FRACTION = np.int64(24)
_FRACTION_MASK = np.int64((1 << 24) - 1)
_END = np.int64((LAST * STEPS << 24) - 1)
_TOTAL = np.int64(1 << PRECISION)
_BITS = np.uint64(PRECISION)


def _guide() -> NDArray[np.int16]:
    """z, in 1/1024, where the upper tail has mass q / 2^38: entry 64 e + m serves q from (1 + m/64) 2^e on.

    Only where `find` begins to search depends on it, not what it finds.
    """
    e, m = np.divmod(np.arange(64 * RESOLUTION.bit_length()), 64)
    middle = ((129 + 2 * m) << e) >> 7
    steps = np.searchsorted(_TABLE, RESOLUTION // 2 - middle)
    return (steps * (1024 // STEPS)).astype(np.int16)


_GUIDE = _guide()


@kernel
def centred(distance, scale):  # type: ignore[no-untyped-def]
    """2^38 (CDF - 1/2) at a distance from the mean in 1/64 grey level; odd in the distance, never falling."""
    t = min(abs(distance) * _RECIPROCALS[scale], _END)
    step = t >> _FRACTION
    low = _TABLE[step]
    value = low + (((_TABLE[step + 1] - low) * (t & _FRACTION_MASK)) >> _FRACTION)
    return value if distance >= 0 else -value


class Truncated(NamedTuple):
    """A distribution on lo..hi, in kernels."""

    lo: int
    origin: int  # the mean, drawn near the range, and 1/2 added
    scale: int
    below: int  # G(lo) - 2^37
    whole: int  # A(hi + 1)
    room: int  # 2^24 - W


@kernel
def truncate(lo, hi, mean, scale):  # type: ignore[no-untyped-def]
    """The `Truncated` of a logistic."""
    margin = EIGHT_SCALES[scale]
    origin = min(max(np.int64(mean), 64 * lo - 32 - margin), 64 * hi + 32 + margin) + 32
    below = centred(64 * lo - origin, scale)
    whole = centred(64 * (hi + 1) - origin, scale) - below
    return Truncated(lo, origin, scale, below, whole, _TOTAL - (hi - lo + 1))


@kernel
def _scaled(truncated, x):  # type: ignore[no-untyped-def]
    """A(x) (2^24 - W), int64."""
    return (centred(64 * x - truncated.origin, truncated.scale) - truncated.below) * truncated.room


@kernel
def _cumulative(truncated, x):  # type: ignore[no-untyped-def]
    """cum(x), int64."""
    return np.int64(np.uint64(_scaled(truncated, x)) // np.uint64(truncated.whole)) + (x - truncated.lo)


@kernel
def _starts_by(truncated, x, slot):  # type: ignore[no-untyped-def]
    """Whether cum(x) <= slot: A(x) (2^24 - W) < (slot - (x - lo) + 1) A(hi + 1), which needs no division."""
    return _scaled(truncated, x) < (slot - (x - truncated.lo) + 1) * truncated.whole


@kernel
def interval(lo, hi, new_lo, new_hi, mean, scale):  # type: ignore[no-untyped-def]
    """(start, freq), int64 in 2^-24, of the integers new_lo..new_hi given lo..hi, where lo <= new_lo <= new_hi <= hi.

    freq is at least new_hi - new_lo + 1, and 2^24 for the whole range.
    """
    return interval_of(truncate(np.int64(lo), np.int64(hi), mean, scale), new_lo, new_hi)


@kernel
def interval_of(truncated, new_lo, new_hi):  # type: ignore[no-untyped-def]
    """`interval` of a distribution from `truncate`."""
    start = _cumulative(truncated, np.int64(new_lo))
    return start, _cumulative(truncated, np.int64(new_hi) + 1) - start


@kernel
def _estimate(truncated, slot):  # type: ignore[no-untyped-def]
    """About the integer that holds the slot, from the inverse CDF to seven bits."""
    _, origin, scale, below, whole, _ = truncated
    target = below + _HALF + ((slot * whole) >> np.int64(PRECISION))
    tail = max(min(target, 2 * _HALF - target), np.int64(1))
    leading = (np.float64(tail).view(np.int64) >> np.int64(46)) - np.int64(1023 * 64)  # exponent, top of the mantissa
    distance = (np.int64(_GUIDE[leading]) * EIGHT_SCALES[scale]) >> np.int64(13)
    return (origin + (distance if target >= _HALF else -distance)) >> np.int64(6)


@kernel
def find(lo, hi, mean, scale, slot):  # type: ignore[no-untyped-def]
    """The integer x in lo..hi, int64, with cum(x) <= slot < cum(x + 1), for 0 <= slot < 2^24.

    Steps of doubling length from an estimate, then bisection: cum(x) <= slot < cum(end) at the end of each phase.
    """
    lo, hi = np.int64(lo), np.int64(hi)
    return find_in(truncate(lo, hi, mean, scale), hi, np.int64(slot))


@kernel
def find_in(truncated, hi, slot):  # type: ignore[no-untyped-def]
    """`find` in a distribution from `truncate`; int64."""
    lo = truncated.lo
    x = min(max(_estimate(truncated, slot), lo), hi)
    step = np.int64(1)
    if _starts_by(truncated, x, slot):
        end = x + 1
        while end <= hi and _starts_by(truncated, end, slot):
            step *= 2
            x, end = end, min(end + step, hi + 1)
    else:
        end, x = x, x - 1
        while not _starts_by(truncated, x, slot):
            step *= 2
            end, x = x, max(x - step, lo)
    while end - x > 1:
        middle = (x + end) >> np.int64(1)
        if _starts_by(truncated, middle, slot):
            x = middle
        else:
            end = middle
    return x


@kernel
def _intervals(lo, hi, new_lo, new_hi, mean, scale, starts, freqs):  # type: ignore[no-untyped-def]
    for i in range(len(lo)):
        start, freq = interval(lo[i], hi[i], new_lo[i], new_hi[i], mean[i], scale[i])
        starts[i], freqs[i] = np.uint32(start), np.uint32(freq)


@kernel
def _pop(lo, hi, mean, scale, values, head, words, size):  # type: ignore[no-untyped-def]
    """Returns (head, size or -1)."""
    for i in range(len(values)):
        x = find(lo[i], hi[i], mean[i], scale[i], peek(_BITS, head))
        start, freq = interval(lo[i], hi[i], x, x, mean[i], scale[i])
        head, size = pop_interval(np.uint64(start), np.uint64(freq), _BITS, head, words, size)
        if size < 0:
            break
        values[i] = x
    return head, size


def _columns(lo: Any, hi: Any, new_lo: Any, new_hi: Any, mean: Any, scale: Any) -> list[NDArray[np.int32]]:
    """The arguments broadcast to int32 [n]. Raises ValueError where the kernels would read outside their tables."""
    vectors = (np.atleast_1d(np.asarray(a, np.int32)) for a in (lo, hi, new_lo, new_hi, mean, scale))
    lo, hi, new_lo, new_hi, mean, scale = np.broadcast_arrays(*vectors)
    ordered = (lo <= new_lo) & (new_lo <= new_hi) & (new_hi <= hi) & (hi < lo + MAX_WIDTH)
    good = ordered & (scale >= 0) & (scale < SCALE_COUNT)
    if not good.all():
        i = int(np.argmin(good))
        raise ValueError(
            f"symbol {i}: need lo <= new_lo <= new_hi <= hi < lo + {MAX_WIDTH} and 0 <= scale < {SCALE_COUNT}, "
            f"got range [{lo[i]}, {hi[i]}], new range [{new_lo[i]}, {new_hi[i]}], scale {scale[i]}"
        )
    return [np.ascontiguousarray(a) for a in (lo, hi, new_lo, new_hi, mean, scale)]


def encode_values(
    lo: Any, hi: Any, new_lo: Any, new_hi: Any, mean: Any, scale: Any
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """`interval` of n symbols: starts and freqs, uint32 [n], in 2^-24. The arguments broadcast."""
    lo, hi, new_lo, new_hi, mean, scale = _columns(lo, hi, new_lo, new_hi, mean, scale)
    starts, freqs = np.empty(len(lo), np.uint32), np.empty(len(lo), np.uint32)
    _intervals(lo, hi, new_lo, new_hi, mean, scale, starts, freqs)
    return starts, freqs


def push_logistic(stack: Stack, x: Any, mean: Any, scale: Any) -> None:
    """Push pixels 0..255 under logistics truncated to 0..255, the last first; all [n] or broadcast.

    mean: 1/64 grey level; scale: index. Raises ValueError.
    """
    stack.push(*encode_values(0, 255, x, x, mean, scale), PRECISION)


def pop_logistic(stack: Stack, mean: Any, scale: Any) -> NDArray[np.int32]:
    """The inverse of `push_logistic`: int32 [n]. Raises TruncatedError when the stack runs out."""
    lo, hi, _, _, means, scales = _columns(0, 255, 0, 255, mean, scale)
    values = np.empty(len(lo), np.int32)
    stack.commit(*_pop(lo, hi, means, scales, values, stack.head, stack.words, stack.size))
    return values


def cost_bits(freq: Any) -> NDArray[np.float64]:
    """Bits that symbols of these frequencies cost: 24 - log2(freq)."""
    return PRECISION - np.log2(np.asarray(freq, np.float64))
