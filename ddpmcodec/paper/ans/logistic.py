"""The discretised logistic truncated to a known range of integers, in integer arithmetic alone.

An integer x in [lo, hi] has the mass of [x - 1/2, x + 1/2] under a logistic(mean, scale) that is truncated to
[lo - 1/2, hi + 1/2]. With W = hi - lo + 1 and A(x) = G(x) - G(lo), in units of 2^-24,

    cum(x) = floor(A(x) (2^24 - W) / A(hi + 1)) + (x - lo),        lo <= x <= hi + 1

rises by at least 1 from each integer to the next, from 0 to 2^24. G(x) is the CDF at (x - 1/2 - mean)/scale: linear
interpolation in the table of `_core/logistic_table.h` (64 steps a unit, resolution 2^38, exactly symmetric). mean:
integer in 1/64 grey level; scale: index i in 0..127, 2^((i - 48)/8) grey levels.

Tails. Far from its mean a logistic is exponential, hence without memory: truncated to a range 8 scales away it is the
same for every mean farther out, up to a relative exp(-8). So the mean is first drawn to within 8 scales of the range.
Then A(hi + 1) is at least 2^16 (one integer, the largest scale, 8 scales away), and a range far out is coded by the
right geometric distribution whatever the mean.

Bounds, for W <= 2^16, in signed 64 bits. In 1/64 grey level, x - 1/2 lies within 64 W + margin < 2^23 of the drawn
mean; times the reciprocal, <= 2^30, that is below 2^53. Table differences are at most 2^30; times the 24-bit fraction,
2^54. A <= 2^38, so that its products with 2^24 - W, slot + 1 and 2^24 are at most 2^62.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec.paper.ans.stack import Stack

PRECISION = 24  # bits of a probability


def _columns(*arguments: Any) -> list[NDArray[np.int32]]:
    """The arguments broadcast to int32 [n]."""
    vectors = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a, np.int32)) for a in arguments))
    return [np.ascontiguousarray(a) for a in vectors]


def encode_values(
    lo: Any, hi: Any, new_lo: Any, new_hi: Any, mean: Any, scale: Any
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The integers new_lo..new_hi given lo..hi: starts and freqs, uint32 [n], in 2^-24. The arguments broadcast.

    freq is at least new_hi - new_lo + 1, and 2^24 for the whole range. Raises ValueError unless
    lo <= new_lo <= new_hi <= hi < lo + 2^16 and 0 <= scale < 128.
    """
    columns = _columns(lo, hi, new_lo, new_hi, mean, scale)
    starts, freqs = (np.empty(len(columns[0]), np.uint32) for _ in range(2))
    _native.logistic_intervals(starts, freqs, *columns)
    return starts, freqs


def push_logistic(stack: Stack, x: Any, mean: Any, scale: Any) -> None:
    """Push pixels 0..255 under logistics truncated to 0..255, the last first; all [n] or broadcast.

    mean: 1/64 grey level; scale: index. Raises ValueError.
    """
    stack.push(*encode_values(0, 255, x, x, mean, scale), PRECISION)


def pop_logistic(stack: Stack, mean: Any, scale: Any) -> NDArray[np.int32]:
    """The inverse of `push_logistic`: int32 [n]. Raises TruncatedError when the stack runs out, ValueError."""
    means, scales = _columns(mean, scale)
    values = np.empty(len(means), np.int32)
    stack.commit(*_native.pop_logistic(values, means, scales, stack.head, stack.words, stack.size))
    return values
