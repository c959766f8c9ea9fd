"""A single-lane rANS stream that decodes front to back: 64-bit state, 32-bit words, 24-bit probabilities.

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

Stream bytes: the final state without its leading zero bytes (5 to 8 bytes), then the words in the order in which a
decoder needs them; all little-endian. The length of the stream modulo 4 says how long the state is. The encoder's
initial state is 2^31 + check: a decoder ends with 31 bits to compare, which cost nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import compiled
from ddpmcodec.errors import ChecksumError, FormatError, TruncatedError

PRECISION = 24  # bits of a probability
STATE_LOW = 1 << 31
STATE_HIGH = 1 << 63
LEAST_STATE_BYTES = 5
WORD_BYTES = 4

_ONE = np.uint64(1 << PRECISION)
_MASK = np.uint64((1 << PRECISION) - 1)
_PRECISION = np.uint64(PRECISION)
_WORD = np.uint64(32)
_RENORMALISE = np.uint64(63 - PRECISION)
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


@kernel
def _push_all(starts, freqs, state, words):  # type: ignore[no-untyped-def]
    """Push, last to first, filling `words` from its end. Returns (state, first word used, a bad symbol or -1)."""
    position = len(words)
    for i in range(len(starts) - 1, -1, -1):
        start, freq = np.uint64(starts[i]), np.uint64(freqs[i])
        if freq == _ONE and start == 0:
            continue
        if freq == 0 or start + freq > _ONE:
            return state, position, i
        if state >= (freq << _RENORMALISE):
            position -= 1
            words[position] = np.uint32(state & np.uint64(0xFFFFFFFF))
            state >>= _WORD
        quotient = state // freq
        state = (quotient << _PRECISION) + (state - quotient * freq) + start
    return state, position, -1


def encode_reverse(starts: NDArray[np.uint32], freqs: NDArray[np.uint32], check: int) -> bytes:
    """The stream that decodes to these symbols, first to last, and then to `check`.

    starts, freqs: uint32 [n], in units of 2^-24; a certain symbol (0, 2^24) costs nothing. check: 0 <= check < 2^31.
    Raises ValueError on an interval that is empty or outside [0, 2^24], or on a check out of range.
    """
    return encode_segments(starts, freqs, [len(starts)], check)[0]


def state_bytes(length: int) -> int:
    """How many bytes the state has in a whole stream of `length` bytes: 5 to 8, so that whole words follow."""
    return LEAST_STATE_BYTES + (length - LEAST_STATE_BYTES) % WORD_BYTES


def open_stream(data: bytes, length: int | None = None) -> tuple[np.uint64, NDArray[np.uint32]]:
    """(state, words uint32 [m]) of stream bytes, before the first symbol.

    length: bytes of the whole stream, where `data` may have been cut; the odd bytes of a cut word are dropped.
    Raises TruncatedError where the data ends inside the state, FormatError on a state that no encoder writes.
    """
    size = state_bytes(len(data) if length is None else length)
    if len(data) < size:
        raise TruncatedError(f"the ANS stream has {len(data)} bytes, less than its {size} of state; get the rest")
    state = int.from_bytes(data[:size], "little")
    if not STATE_LOW <= state < STATE_HIGH or (size > LEAST_STATE_BYTES and not data[size - 1]):
        raise FormatError(f"the ANS stream begins with {state:#018x}, which is no rANS state; damaged: get it again")
    words = np.frombuffer(data, "<u4", count=(len(data) - size) // WORD_BYTES, offset=size)
    return np.uint64(state), words.astype(np.uint32)


def close_stream(state: np.uint64 | int, position: int, words: NDArray[np.uint32]) -> int:
    """The 31-bit check the encoder began with, once every symbol is decoded; position: words taken so far.

    Raises FormatError if words are left over, ChecksumError if the state is none an encoder can begin with.
    """
    if position != len(words):
        raise FormatError(f"{len(words) - position} words follow the ANS stream's last symbol; damaged: get it again")
    if not STATE_LOW <= int(state) < 2 * STATE_LOW:
        raise ChecksumError(f"the ANS stream ends in {int(state):#018x}, no initial state; damaged: get it again")
    return int(state) - STATE_LOW


@kernel
def _push_segments(starts, freqs, ends, state, words, cuts):  # type: ignore[no-untyped-def]
    """`_push_all`, segment by segment, last to first; cuts[k]: words a decoder has taken after segment k, less all."""
    position = len(words)
    for k in range(len(ends) - 1, -1, -1):
        first = ends[k - 1] if k else 0
        cuts[k] = position
        part = words[:position]
        state, position, bad = _push_all(starts[first : ends[k]], freqs[first : ends[k]], state, part)
        if bad >= 0:
            return state, position, first + bad
    for k in range(len(ends)):
        cuts[k] -= position
    return state, position, -1


def encode_segments(
    starts: NDArray[np.uint32], freqs: NDArray[np.uint32], ends: Sequence[int], check: int
) -> list[bytes]:
    """The stream of `encode_reverse`, cut where a decoder has all that it needs of the first `ends[k]` symbols.

    The first piece begins with the state. ends: never falling, to the number of symbols. Raises ValueError as
    `encode_reverse` does.
    """
    if not 0 <= check < STATE_LOW:
        raise ValueError(f"the check of a stream has 31 bits, got {check}")
    if starts.shape != freqs.shape or starts.ndim != 1:
        raise ValueError(f"starts and freqs must be vectors of one length, got shapes {starts.shape} and {freqs.shape}")
    if list(ends) != sorted(ends) or not ends or ends[0] < 0 or ends[-1] != len(starts):
        raise ValueError(f"segments must end in order, the last after all {len(starts)} symbols, got {list(ends)}")
    starts, freqs = np.ascontiguousarray(starts, np.uint32), np.ascontiguousarray(freqs, np.uint32)
    words = np.empty(len(starts), np.uint32)  # a word a symbol at most; pages not reached are never touched
    cuts = np.zeros(len(ends), np.int64)
    state, position, bad = _push_segments(
        starts, freqs, np.array(ends, np.int64), np.uint64(STATE_LOW + check), words, cuts
    )
    if bad >= 0:
        raise ValueError(f"symbol {bad}: start {starts[bad]}, frequency {freqs[bad]} is no part of [0, 2^{PRECISION}]")
    taken = words[position:].astype("<u4", copy=False)
    pieces = [taken[first:last].tobytes() for first, last in pairwise([0, *map(int, cuts)])]
    return [_pack_state(int(state)) + pieces[0], *pieces[1:]]


def _pack_state(state: int) -> bytes:
    size = max(-(-state.bit_length() // 8), LEAST_STATE_BYTES)
    return state.to_bytes(size, "little")
