"""Discretised normal distributions on the integers, at 26 bits, pushed on a `Stack` and popped off it.

A symbol is an integer k (a grid cell) with the mass of [k - 1/2, k + 1/2] under N(mean, std^2), mean and std in cells.
Of the 2^26 slots, with lo..hi the cells that meet mean +- 6 std and W = hi - lo + 1,

    start(k) = 1 + (k - lo) + floor(Phi((k - 1/2 - mean) / std) (2^26 - 2 - W)),        lo < k <= hi,

start(lo) = 1 and start(hi + 1) = 2^26 - 1, so that every cell has a slot at least. Slot 0 is an escape to what lies
below lo, the last slot to what lies above hi: the distance d >= 1 from the window follows in Elias gamma code, first
its length j as one symbol of frequency 2^(25 - j), then j bits. From std = 128 on, cells of 2^b are coded in this way
(std / 2^b in 64..128) and the b low bits of k uniformly: an error of 10^-5 bits.

Why 26 bits: of a 64-bit head of at least 2^31 they leave a quotient of 2^5 at least, and what a push and a pop lose
together because it is a whole number was measured as 8e-5 bits at 28 bits, 8e-6 at 26, 5e-7 at 24; the slots that W
takes cost about 1e-6 bits at std = 8 and 26 bits, in proportion to W, and four times that at 24.

Phi is the table of `_core/normal_table.h`, linear between its 256 steps a standard deviation. Of the arithmetic in
`_core/normal.h` each operation rounds once (IEEE float64), and each rounded operation is monotone in k; table entries
are integers below 2^53 and a step's share of the next difference is at most that difference. So start never falls, and
its addend k - lo makes it rise.

One symbol is, from the first popped to the last: cell or escape; of an escape, length and bits of the distance; the low
bits. Each costs one rANS operation at most, of 26 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec.paper.ans.stack import Stack

OPERATIONS = 4  # of one symbol, at most

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def columns(mean: Any, std: Any) -> tuple[Floats, Floats]:
    """mean and std broadcast to float64 [n]."""
    vectors = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a, np.float64)) for a in (mean, std)))
    first, second = (np.ascontiguousarray(a).reshape(-1) for a in vectors)
    return first, second


def push_gaussian(stack: Stack, k: Any, mean: Any, std: Any) -> None:
    """Push integers k, int64 [n], under N(mean, std^2) in cells, n - 1 first: `pop_gaussian` returns 0..n - 1.

    mean and std broadcast to k. Raises ValueError unless |mean| <= 2^48, 0 < std < 2^32, and k lies within 2^27
    (coarse) cells of mean +- 6 std, as all that `pop_gaussian` gives does.
    """
    symbols = np.ascontiguousarray(k, np.int64).reshape(-1)
    means, stds = columns(np.broadcast_to(mean, symbols.shape), std)
    words = stack.reserve(OPERATIONS * len(symbols))
    stack.commit(*_native.push_normals(symbols, means, stds, stack.head, words, stack.size))


def pop_gaussian(stack: Stack, mean: Any, std: Any) -> Integers:
    """The inverse of `push_gaussian`, whatever is on the stack: int64 [n]; mean and std broadcast.

    Raises TruncatedError when the stack runs out, ValueError as `push_gaussian`.
    """
    means, stds = columns(mean, std)
    symbols = np.empty(len(means), np.int64)
    stack.commit(*_native.pop_normals(symbols, means, stds, stack.head, stack.words, stack.size))
    return symbols
