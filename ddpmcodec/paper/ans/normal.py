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

Phi is the shipped table, linear between its 256 steps a standard deviation. Of the arithmetic each operation rounds
once (IEEE float64), and each rounded operation is monotone in k; table entries are integers below 2^53 and a step's
share of the next difference is at most that difference. So start never falls, and its addend k - lo makes it rise.

One symbol is, from the first popped to the last: cell or escape; of an escape, length and bits of the distance; the low
bits. Each costs one rANS operation at most, of 26 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.paper.ans.stack import Stack, kernel, peek, pop_interval, push_interval
from ddpmcodec.paper.ans.tables import NORMAL

PRECISION = 26
_, STEPS, LAST, RESOLUTION, _ = NORMAL
MIN_STD = 2.0**-10  # cells; below, a distribution counts as this one
MAX_STD = 2.0**32  # cells
MAX_MEAN = 2.0**48  # cells, either sign
MAX_SYMBOL = 1 << 60  # either sign; beyond all that a pop can give
OPERATIONS = 4  # of one symbol, at most

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_TABLE = NORMAL.load().astype(np.float64)
_HALF = RESOLUTION / 2
_END = np.nextafter(float(LAST * STEPS), 0)
_TOTAL = np.int64(1 << PRECISION)
_BITS = np.uint64(PRECISION)
_FINE = 64  # per octave of `_GUIDE`
_FINE_SHIFT = np.int64(52 - 6)
_COARSE_EXPONENT = np.int64(6)  # cells are merged until std < 2^7


def _guide() -> Floats:
    """z where the tail has mass (1/2 + q) / 2^26: entry 64 e + m is for q = (1 + m/64) 2^e.

    Only where `find_cell` begins to search depends on it, not what it finds.
    """
    exponent, step = np.divmod(np.arange(_FINE * PRECISION), _FINE)
    mass = 0.5 - (0.5 + np.floor((1 + (step + 0.5) / _FINE) * 2.0**exponent)) / 2.0**PRECISION
    return np.interp(mass, _TABLE / RESOLUTION, np.arange(len(_TABLE)) / STEPS)


_GUIDE = _guide()


@kernel
def _exponent(x):  # type: ignore[no-untyped-def]
    """floor(log2(x)) of a positive normal float64."""
    return (np.float64(x).view(np.int64) >> np.int64(52)) - np.int64(1023)


@kernel
def parameters_of(mean, std):  # type: ignore[no-untyped-def]
    """(mean + 1/2, std, table steps a cell, shift to coarse cells, first and last coarse cell, slots to share out)."""
    std = max(std, MIN_STD)
    shift = max(_exponent(std) - _COARSE_EXPONENT, np.int64(0))
    centre = mean + 0.5
    lo = np.int64(np.floor(centre - LAST * std)) >> shift
    hi = np.int64(np.floor(centre + LAST * std)) >> shift
    return centre, std, STEPS / std, shift, lo, hi, np.float64(_TOTAL - 3 - (hi - lo)) / RESOLUTION


@kernel
def is_valid(mean, std):  # type: ignore[no-untyped-def]
    """Whether `parameters_of` takes this mean and standard deviation. A NaN is not valid."""
    return abs(mean) <= MAX_MEAN and 0 < std < MAX_STD


@kernel
def start_of(parameters, k):  # type: ignore[no-untyped-def]
    """start(k) of a coarse cell, int64, lo <= k <= hi + 1."""
    centre, _, rate, shift, lo, hi, room = parameters
    if k <= lo:
        return np.int64(1)
    if k > hi:
        return _TOTAL - 1
    t = (np.float64(k << shift) - centre) * rate
    distance = min(abs(t), _END)
    step = np.int64(distance)
    low = _TABLE[step]
    half = low + (_TABLE[step + 1] - low) * (distance - np.float64(step))
    return 1 + (k - lo) + np.int64((_HALF + np.copysign(half, t)) * room)


@kernel
def find_cell(parameters, slot):  # type: ignore[no-untyped-def]
    """(k, start, end) of the coarse cell in lo..hi with start(k) <= slot < end, for a slot that is no escape."""
    centre, std, _, shift, lo, hi, _ = parameters
    tail = min(slot, _TOTAL - 1 - slot)
    z = _GUIDE[(np.float64(tail).view(np.int64) >> _FINE_SHIFT) - np.int64(1023 * _FINE)]
    estimate = centre + np.copysign(z * std, np.float64(2 * slot - _TOTAL))
    k = min(max(np.int64(np.floor(estimate)) >> shift, lo), hi)
    start, end = start_of(parameters, k), start_of(parameters, k + 1)
    while slot < start:
        k -= 1
        start, end = start_of(parameters, k), start
    while slot >= end:
        k += 1
        start, end = end, start_of(parameters, k + 1)
    return k, start, end


@kernel
def bits_interval(value, count):  # type: ignore[no-untyped-def]
    """(start, freq), uint64, of `count` uniform bits, 0 to 26."""
    rest = np.uint64(_BITS - np.uint64(count))
    return np.uint64(value) << rest, np.uint64(1) << rest


@kernel
def length_interval(length):  # type: ignore[no-untyped-def]
    """(start, freq), uint64, of an escape's length, 0 to 26: slots that begin with so many ones."""
    return np.uint64(_TOTAL - (_TOTAL >> length)), np.uint64(max(_TOTAL >> (length + 1), np.int64(1)))


@kernel
def length_at(slot):  # type: ignore[no-untyped-def]
    """The length, int64, whose interval holds the slot."""
    rest = _TOTAL - 1 - slot
    return np.int64(PRECISION - 1) - _exponent(rest) if rest > 0 else np.int64(PRECISION)


@kernel
def _push_bits(value, count, head, words, size):  # type: ignore[no-untyped-def]
    start, freq = bits_interval(value, count)
    return push_interval(start, freq, _BITS, head, words, size)


@kernel
def _pop_bits(count, head, words, size):  # type: ignore[no-untyped-def]
    """(value, head, size)"""
    value = peek(_BITS, head) >> np.uint64(_BITS - np.uint64(count))
    start, freq = bits_interval(value, count)
    head, size = pop_interval(start, freq, _BITS, head, words, size)
    return np.int64(value), head, size


@kernel
def _push_escape(distance, above, head, words, size):  # type: ignore[no-untyped-def]
    length = _exponent(distance)
    head, size = _push_bits(distance - (np.int64(1) << length), length, head, words, size)
    start, freq = length_interval(length)
    head, size = push_interval(start, freq, _BITS, head, words, size)
    return push_interval(np.uint64(_TOTAL - 1 if above else 0), np.uint64(1), _BITS, head, words, size)


@kernel
def _pop_escape(slot, head, words, size):  # type: ignore[no-untyped-def]
    """(distance, head, size); slot: the first or the last."""
    head, size = pop_interval(np.uint64(slot), np.uint64(1), _BITS, head, words, size)
    length = length_at(np.int64(peek(_BITS, head)))
    if size < 0:
        return length, head, size
    start, freq = length_interval(length)
    head, size = pop_interval(start, freq, _BITS, head, words, size)
    if size < 0:
        return length, head, size
    value, head, size = _pop_bits(length, head, words, size)
    return (np.int64(1) << length) + value, head, size


@kernel
def _push(symbols, mean, std, head, words, size):  # type: ignore[no-untyped-def]
    """Push, last to first. Returns (head, size, a bad symbol or -1)."""
    for i in range(len(symbols) - 1, -1, -1):
        if not (is_valid(mean[i], std[i]) and -MAX_SYMBOL < symbols[i] < MAX_SYMBOL):
            return head, size, i
        parameters = parameters_of(mean[i], std[i])
        shift, lo, hi = parameters[3], parameters[4], parameters[5]
        k = symbols[i] >> shift
        if shift > 0:
            head, size = _push_bits(symbols[i] - (k << shift), shift, head, words, size)
        distance = max(lo - k, k - hi)
        if distance <= 0:
            start = start_of(parameters, k)
            freq = start_of(parameters, k + 1) - start
            head, size = push_interval(np.uint64(start), np.uint64(freq), _BITS, head, words, size)
        elif distance < 2 * _TOTAL:
            head, size = _push_escape(distance, k > hi, head, words, size)
        else:
            return head, size, i
    return head, size, -1


@kernel
def _pop(symbols, mean, std, head, words, size):  # type: ignore[no-untyped-def]
    """Returns (head, size or -1, a symbol with a bad distribution or -1)."""
    for i in range(len(symbols)):
        if not is_valid(mean[i], std[i]):
            return head, size, i
        parameters = parameters_of(mean[i], std[i])
        shift, lo, hi = parameters[3], parameters[4], parameters[5]
        slot = np.int64(peek(_BITS, head))
        if 0 < slot < _TOTAL - 1:
            k, start, end = find_cell(parameters, slot)
            head, size = pop_interval(np.uint64(start), np.uint64(end - start), _BITS, head, words, size)
        else:
            distance, head, size = _pop_escape(slot, head, words, size)
            k = hi + distance if slot > 0 else lo - distance
        if shift > 0 and size >= 0:
            low, head, size = _pop_bits(shift, head, words, size)
            k = (k << shift) + low
        if size < 0:
            break
        symbols[i] = k
    return head, size, -1


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
    head, size, bad = _push(symbols, means, stds, stack.head, words, stack.size)
    if bad >= 0:
        raise ValueError(_complaint(bad, means, stds) + f", k = {symbols[bad]} within 2^27 cells of it")
    stack.commit(head, size)


def pop_gaussian(stack: Stack, mean: Any, std: Any) -> Integers:
    """The inverse of `push_gaussian`, whatever is on the stack: int64 [n]; mean and std broadcast.

    Raises TruncatedError when the stack runs out, ValueError as `push_gaussian`.
    """
    means, stds = columns(mean, std)
    symbols = np.empty(len(means), np.int64)
    head, size, bad = _pop(symbols, means, stds, stack.head, stack.words, stack.size)
    if bad >= 0:
        raise ValueError(_complaint(bad, means, stds))
    stack.commit(head, size)
    return symbols


def _complaint(i: int, mean: Floats, std: Floats) -> str:
    return f"symbol {i}: need |mean| <= 2^48 and 0 < std < 2^32, got mean {mean[i]:g}, std {std[i]:g}"
