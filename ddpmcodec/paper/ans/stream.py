"""rANS symbols, as they are decoded: 64-bit state, 32-bit words, 24-bit probabilities.

rANS: Duda 2013, arXiv 1311.2540; streaming as in Giesen 2014, arXiv 1402.3392. With f a symbol's frequency and b its
start,

    push  s -> (s div f) 2^24 + (s mod f) + b        pop  s -> f (s div 2^24) + (s mod 2^24) - b

Between symbols 2^31 <= s < 2^63 holds, on both sides:

* Push first moves the low word out when s >= f 2^39. What is left lies in [f 2^7, f 2^39): s < 2^63 gives
  s div 2^32 < 2^31 < f 2^39, and (f 2^39) div 2^32 = f 2^7; if no word moves, s >= 2^31 >= f 2^7, as f <= 2^24. So one
  word at most moves, and the new state lies in [2^31, 2^63).
* Pop undoes it: it leaves a state in [f 2^7, f 2^39), below 2^31 exactly when push had moved a word, and s 2^32 + word
  is then back in [2^31, 2^63), one word being enough. That holds for damaged data too, while the slot is in [b, b + f).
* f = 2^24 leaves the state as it is.
"""

from __future__ import annotations

import numpy as np

from ddpmcodec.paper import compiled

PRECISION = 24  # bits of a probability
STATE_LOW = 1 << 31
STATE_HIGH = 1 << 63

_MASK = np.uint64((1 << PRECISION) - 1)
_PRECISION = np.uint64(PRECISION)
_WORD = np.uint64(32)
_LOW = np.uint64(STATE_LOW)

# The numpy error model: no check for a zero divisor, which the callers exclude.
kernel = compiled.kernel(error_model="numpy")


@kernel
def slot(state):  # type: ignore[no-untyped-def]
    """The 24 bits, uint64, that say which symbol comes next: the one with start <= slot < start + freq."""
    return np.uint64(state) & _MASK


@kernel
def advance(state, start, freq):  # type: ignore[no-untyped-def]
    """The state, uint64, after taking off the symbol that holds its slot; to be refilled when `needs_word`."""
    s = np.uint64(state)
    return np.uint64(freq) * (s >> _PRECISION) + (s & _MASK) - np.uint64(start)


@kernel
def needs_word(state):  # type: ignore[no-untyped-def]
    """Whether the stream's next word must be moved into the state before the next symbol."""
    return np.uint64(state) < _LOW


@kernel
def refill(state, word):  # type: ignore[no-untyped-def]
    """The state, uint64, with a word moved in."""
    return (np.uint64(state) << _WORD) | np.uint64(word)
