"""A truncated logistic (`ans.logistic`) of which some integers near the mean are likelier, or less so, than it says.

With A(x) as there, m(x) = floor(A(x) / 2^14), and w(u) in 1/256 the weight of an integer u of a window, 256 of others,

    B(x) = sum of w(u) (m(u + 1) - m(u)) over lo <= u < x
    cum(x) = floor(B(x) (2^24 - W) / B(hi + 1)) + (x - lo),        lo <= x <= hi + 1

rises by at least 1 from each integer to the next, from 0 to 2^24, as the logistic's does.

Bounds in signed 64 bits: m is at most 2^24 and weights at most 2^14, so that products of B with 2^24 are at most 2^62.
B(hi + 1) is not 0: whoever reweighs asks `is_near` first, which makes m(hi + 1) 2^16 or more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ddpmcodec.ans.logistic import centred
from ddpmcodec.ans.stream import kernel

ONE = 256  # the weight that changes nothing
LARGEST_WEIGHT = 1 << 14
_SHIFT = np.int64(14)
_LEAST = np.int64(1 << 30)  # of A(hi + 1): a range farther out keeps its logistic


class Window(NamedTuple):
    """The integers that have weights, and B(hi + 1). Their B stand in an array beside it."""

    first: int
    values: int
    total: int


@kernel
def is_near(truncated):  # type: ignore[no-untyped-def]
    """Whether a distribution from `truncate` can be reweighed."""
    return truncated[4] >= _LEAST


@kernel
def mass_before(truncated, x):  # type: ignore[no-untyped-def]
    """m(x), int64."""
    _, origin, scale, below, _, _ = truncated
    return (centred(64 * x - origin, scale) - below) >> _SHIFT


@kernel
def whole_mass(truncated):  # type: ignore[no-untyped-def]
    """m(hi + 1), int64."""
    return truncated[4] >> _SHIFT


@kernel
def reweighed(truncated, first, masses, weights, sums, values):  # type: ignore[no-untyped-def]
    """The `Window` of so many integers from `first` on, which lie in the range.

    masses: m(u + 1) - m(u) of each; sums: int64 [values + 1], filled with B(first), ..., B(first + values).
    """
    before = mass_before(truncated, first)
    sums[0], inside = before * ONE, np.int64(0)
    for k in range(values):
        sums[k + 1] = sums[k] + masses[k] * weights[k]
        inside += masses[k]
    return Window(first, values, sums[values] + (whole_mass(truncated) - before - inside) * ONE)


@kernel
def _weighed_before(truncated, window, sums, x):  # type: ignore[no-untyped-def]
    """B(x), int64."""
    if x < window.first:
        return mass_before(truncated, x) * ONE
    end = window.first + window.values
    if x <= end:
        return sums[x - window.first]
    return sums[window.values] + (mass_before(truncated, x) - mass_before(truncated, end)) * ONE


@kernel
def interval_of(truncated, window, sums, x):  # type: ignore[no-untyped-def]
    """(start, freq), int64 in 2^-24, of an integer of the range."""
    room, total = np.uint64(truncated[5]), np.uint64(window.total)
    start = np.int64(np.uint64(_weighed_before(truncated, window, sums, x)) * room // total) + (x - truncated[0])
    end = np.int64(np.uint64(_weighed_before(truncated, window, sums, x + 1)) * room // total) + (x + 1 - truncated[0])
    return start, end - start


@kernel
def _starts_by(truncated, window, sums, x, slot):  # type: ignore[no-untyped-def]
    """Whether cum(x) <= slot, without a division."""
    weighed = _weighed_before(truncated, window, sums, x)
    return weighed * truncated[5] < (slot - (x - truncated[0]) + 1) * window.total


@kernel
def find_in(truncated, hi, window, sums, slot):  # type: ignore[no-untyped-def]
    """The integer x in lo..hi, int64, with cum(x) <= slot < cum(x + 1): by bisection, of the window first."""
    x, end = np.int64(truncated[0]), np.int64(hi) + 1
    middle = window.first + window.values
    if middle < end and _starts_by(truncated, window, sums, middle, slot):
        x = middle
    elif _starts_by(truncated, window, sums, window.first, slot):
        x, end = window.first, middle
    else:
        end = window.first
    while end - x > 1:
        middle = (x + end) >> np.int64(1)
        if _starts_by(truncated, window, sums, middle, slot):
            x = middle
        else:
            end = middle
    return x
