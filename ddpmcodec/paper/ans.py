"""rANS in memory, and the integer distributions on it, for bits back.

The core computes them (`_core/entropy`: `stack.h`, `logistic_slots.h`, `normal.h`). Exact pixels of files have another
coder (`rans.h` there). A `Stack` is a message of craystack's with one lane (docs/craystack_codecs.py has it between
craystack's own codecs). Probabilities are integers, so that both ends agree on every machine.

The stack
---------

What is pushed last is popped first, and bits-back coding does both.

rANS: Duda 2013, arXiv 1311.2540; streaming as in Giesen 2014, arXiv 1402.3392. The words are those of a craystack
message with one lane: a 64-bit head s over a stack of 32-bit words. With f a symbol's frequency and b its start, in
2^-p,

    push  s -> (s div f) 2^p + (s mod f) + b        pop  s -> f (s div 2^p) + (s mod 2^p) - b

Between symbols 2^31 <= s < 2^63 holds, on both sides:

* Push first moves the low word out when s >= f 2^(63 - p). What is left lies in [f 2^(31 - p), f 2^(63 - p)): s < 2^63
  gives s div 2^32 < 2^31 <= f 2^(63 - p), and (f 2^(63 - p)) div 2^32 = f 2^(31 - p); if no word moves,
  s >= 2^31 >= f 2^(31 - p), as f <= 2^p. So one word at most moves, and the new state lies in [2^31, 2^63).
* Pop undoes it: it leaves a state below 2^31 exactly when push had moved a word, and s 2^32 + word is then back in
  [2^31, 2^63), one word being enough. That holds for damaged data too, while the slot is in [b, b + f).
* f = 2^p leaves the state as it is.

So popping is the exact inverse of pushing in both directions: pop(push(x)) gives x and the stack back, and pushing what
was popped, under the same distribution, gives the stack back whatever was on it.

The logistic distribution
-------------------------

Discretised, and truncated to a known range of integers, in integer arithmetic alone.

An integer x in [lo, hi] has the mass of [x - 1/2, x + 1/2] under a logistic(mean, scale) that is truncated to
[lo - 1/2, hi + 1/2]. With W = hi - lo + 1 and A(x) = G(x) - G(lo), in units of 2^-24,

    cum(x) = floor(A(x) (2^24 - W) / A(hi + 1)) + (x - lo),        lo <= x <= hi + 1

rises by at least 1 from each integer to the next, from 0 to 2^24. G(x) is the CDF at (x - 1/2 - mean)/scale: linear
interpolation in the table of `logistic_table.h` (64 steps a unit, resolution 2^38, exactly symmetric). mean:
integer in 1/64 grey level; scale: index i in 0..127, 2^((i - 48)/8) grey levels.

Tails. Far from its mean a logistic is exponential, hence without memory: truncated to a range 8 scales away it is the
same for every mean farther out, up to a relative exp(-8). So the mean is first drawn to within 8 scales of the range.
Then A(hi + 1) is at least 2^16 (one integer, the largest scale, 8 scales away), and a range far out is coded by the
right geometric distribution whatever the mean.

Bounds, for W <= 2^16, in signed 64 bits. In 1/64 grey level, x - 1/2 lies within 64 W + margin < 2^23 of the drawn
mean; times the reciprocal, <= 2^30, that is below 2^53. Table differences are at most 2^30; times the 24-bit fraction,
2^54. A <= 2^38, so that its products with 2^24 - W, slot + 1 and 2^24 are at most 2^62.

The normal distribution
-----------------------

Discretised, on all integers, in slots of 2^-26.

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

Phi is the table of `normal_table.h`, linear between its 256 steps a standard deviation. Of the arithmetic in
`normal.h` each operation rounds once (IEEE float64), and each rounded operation is monotone in k; table entries
are integers below 2^53 and a step's share of the next difference is at most that difference. So start never falls, and
its addend k - lo makes it rise.

One symbol is, from the first popped to the last: cell or escape; of an escape, length and bits of the distance; the low
bits. Each costs one rANS operation at most, of 26 bits.
"""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec.errors import FormatError, TruncatedError

Words = NDArray[np.uint32]
STATE_LOW, STATE_HIGH = 1 << 31, 1 << 63
LOGISTIC_PRECISION = 24  # bits of a probability

_HEAD_WORDS = 2
_NORMAL_OPERATIONS = 4  # of one symbol, at most


class Stack:
    """head: the rANS state. words: uint32, the first `size` of them in use, the top last. An error changes nothing."""

    def __init__(self, head: int, words: Words, size: int) -> None:
        self.head, self.words, self.size = head, words, size

    @classmethod
    def empty(cls) -> Stack:
        return cls(STATE_LOW, np.empty(1024, np.uint32), 0)

    @classmethod
    def from_words(cls, words: Words) -> Stack:
        """The inverse of `to_words`. Raises TruncatedError on less than a head, FormatError on a head that is none."""
        if len(words) < _HEAD_WORDS:
            raise TruncatedError(f"the ANS stack has {len(words)} words, less than its head; get the rest of it")
        head = int(words[0]) << 32 | int(words[1])
        if not STATE_LOW <= head < STATE_HIGH:
            raise FormatError(f"the ANS stack begins with {head:#018x}, which is no rANS state; damaged: get it again")
        below = np.array(words[:1:-1], np.uint32)
        return cls(head, below, len(below))

    def to_words(self) -> Words:
        """uint32: the head's high and low word, then the words from the top: as craystack's `flatten`."""
        head = np.array([self.head >> 32, self.head & 0xFFFFFFFF], np.uint32)
        return np.concatenate([head, self.words[: self.size][::-1]])

    def bits(self) -> float:
        """Information on the stack: 32 a word, and log2(head) - 31. 0 for an empty one."""
        return 32 * self.size + log2(self.head) - 31

    def is_empty(self) -> bool:
        return self.size == 0 and self.head == STATE_LOW

    def reserve(self, more: int) -> Words:
        """`words` with room for so many more."""
        if len(self.words) < self.size + more:
            larger = np.empty(max(2 * len(self.words), self.size + more), np.uint32)
            larger[: self.size] = self.words[: self.size]
            self.words = larger
        return self.words

    def push(self, starts: Any, freqs: Any, precision: int) -> None:
        """Push n symbols, n - 1 first, so that 0 comes off first. starts, freqs: [n], in 2^-precision.

        Raises ValueError on an interval that is empty or outside [0, 2^precision], or a precision outside 1..31.
        """
        vectors = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a, np.uint64)) for a in (starts, freqs)))
        start, freq = (np.ascontiguousarray(a) for a in vectors)
        words = self.reserve(len(start))
        self.commit(*_native.push_intervals(start, freq, precision, self.head, words, self.size))

    def commit(self, head: int, size: int) -> None:
        """Take over what the core left. Raises TruncatedError where it ran out of words (size -1)."""
        if size < 0:
            raise TruncatedError("the ANS stack ends before its last symbol; get the rest of the data")
        self.head, self.size = head, size


def _columns(dtype: type[np.generic], *arguments: Any) -> list[NDArray[Any]]:
    """The arguments broadcast to [n] of this type."""
    vectors = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a, dtype)) for a in arguments))
    return [np.ascontiguousarray(a).reshape(-1) for a in vectors]


def encode_values(
    lo: Any, hi: Any, new_lo: Any, new_hi: Any, mean: Any, scale: Any
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The integers new_lo..new_hi given lo..hi: starts and freqs, uint32 [n], in 2^-24. The arguments broadcast.

    freq is at least new_hi - new_lo + 1, and 2^24 for the whole range. Raises ValueError unless
    lo <= new_lo <= new_hi <= hi < lo + 2^16 and 0 <= scale < 128.
    """
    columns = _columns(np.int32, lo, hi, new_lo, new_hi, mean, scale)
    starts, freqs = (np.empty(len(columns[0]), np.uint32) for _ in range(2))
    _native.logistic_intervals(starts, freqs, *columns)
    return starts, freqs


def push_logistic(stack: Stack, x: Any, mean: Any, scale: Any) -> None:
    """Push pixels 0..255 under logistics truncated to 0..255, the last first; all [n] or broadcast.

    mean: 1/64 grey level; scale: index. Raises ValueError.
    """
    stack.push(*encode_values(0, 255, x, x, mean, scale), LOGISTIC_PRECISION)


def pop_logistic(stack: Stack, mean: Any, scale: Any) -> NDArray[np.int32]:
    """The inverse of `push_logistic`: int32 [n]. Raises TruncatedError when the stack runs out, ValueError."""
    means, scales = _columns(np.int32, mean, scale)
    values = np.empty(len(means), np.int32)
    stack.commit(*_native.pop_logistic(values, means, scales, stack.head, stack.words, stack.size))
    return values


def push_gaussian(stack: Stack, k: Any, mean: Any, std: Any) -> None:
    """Push integers k, int64 [n], under N(mean, std^2) in cells, n - 1 first: `pop_gaussian` returns 0..n - 1.

    mean and std broadcast to k. Raises ValueError unless |mean| <= 2^48, 0 < std < 2^32, and k lies within 2^27
    (coarse) cells of mean +- 6 std, as all that `pop_gaussian` gives does.
    """
    symbols = np.ascontiguousarray(k, np.int64).reshape(-1)
    means, stds = _columns(np.float64, np.broadcast_to(mean, symbols.shape), std)
    words = stack.reserve(_NORMAL_OPERATIONS * len(symbols))
    stack.commit(*_native.push_normals(symbols, means, stds, stack.head, words, stack.size))


def pop_gaussian(stack: Stack, mean: Any, std: Any) -> NDArray[np.int64]:
    """The inverse of `push_gaussian`, whatever is on the stack: int64 [n]; mean and std broadcast.

    Raises TruncatedError when the stack runs out, ValueError as `push_gaussian`.
    """
    means, stds = _columns(np.float64, mean, std)
    symbols = np.empty(len(means), np.int64)
    stack.commit(*_native.pop_normals(symbols, means, stds, stack.head, stack.words, stack.size))
    return symbols
