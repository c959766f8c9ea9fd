"""A rANS stack in memory: what is pushed last is popped first, and bits-back coding does both.

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

_HEAD_WORDS = 2


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
