"""Messages that symbols are pushed on and popped off: rANS with any number of lanes, in craystack's conventions.

A message is (head, tail): head uint64 of any shape, one rANS state a lane, and tail a stack of uint32 words as nested
pairs (words, tail), () when empty. Pushing and popping leave the message they are given alone. The words are those of
craystack (Townsend, Bird & Barber 2019, arXiv 1901.04866), but popping an empty tail is an error here, not random data.
The invariants of a lane are those of `stream`, with `precision` in place of 24.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.paper.ans.stream import STATE_HIGH, STATE_LOW

_WORD = np.uint64(32)

Head = NDArray[np.uint64]
Words = NDArray[np.uint32]
Tail = tuple[()] | tuple[Words, Any]  # Any: a Tail
Message = tuple[Head, Tail]
Finish = Callable[[ArrayLike, ArrayLike], Message]


class Codec(NamedTuple):
    """push(message, symbol) -> message, and its inverse pop(message) -> (message, symbol)."""

    push: Callable[..., Message]
    pop: Callable[..., tuple[Message, Any]]


def empty_message(shape: tuple[int, ...]) -> Message:
    """The message with nothing on it: lanes of this shape, no words."""
    head = np.full(shape, STATE_LOW, np.uint64)
    if not (shape and head.size):
        raise ValueError(f"a message needs at least one lane, got shape {shape}")
    return head, ()


def _intervals(starts: ArrayLike, freqs: ArrayLike, shape: tuple[int, ...], precision: int) -> tuple[Head, Head]:
    start, freq = (np.broadcast_to(np.asarray(a, np.uint64), shape) for a in (starts, freqs))
    if not 0 <= precision < 32:
        raise ValueError(f"precision must be 0 to 31 bits, got {precision}")
    if ((freq == 0) | (freq > 1 << precision)).any() or (start > (1 << precision) - freq).any():
        raise ValueError(f"an interval [start, start + freq) is empty or goes beyond 2^{precision}")
    return start, freq


def push(message: Message, starts: ArrayLike, freqs: ArrayLike, precision: int) -> Message:
    """Push a symbol on every lane. starts, freqs: in 2^-precision, broadcast to the shape of head; precision: 0 to 31.

    Raises ValueError on an interval that is empty or outside [0, 2^precision].
    """
    head, tail = message
    start, freq = _intervals(starts, freqs, head.shape, precision)
    full = head >= freq << np.uint64(63 - precision)
    if full.any():
        tail = head[full].astype(np.uint32), tail  # the low words
        head = np.where(full, head >> _WORD, head)
    quotient, remainder = np.divmod(head, freq)
    return (quotient << np.uint64(precision)) + remainder + start, tail


def pop(message: Message, precision: int) -> tuple[Head, Finish]:
    """(slots, finish): slots, in the shape of head, say which symbols are on top; finish(starts, freqs) takes them off.

    finish raises TruncatedError when a lane needs a word and the tail is empty.
    """
    head, tail = message
    slots = head & np.uint64((1 << precision) - 1)

    def finish(starts: ArrayLike, freqs: ArrayLike) -> Message:
        start, freq = _intervals(starts, freqs, head.shape, precision)
        popped = freq * (head >> np.uint64(precision)) + slots - start
        short = popped < STATE_LOW
        words, rest = _take(tail, int(np.count_nonzero(short)))
        popped[short] = (popped[short] << _WORD) | words
        return popped, rest

    return slots, finish


def _take(tail: Tail, count: int) -> tuple[Words, Tail]:
    """The first `count` words of a tail, and the rest of it."""
    taken: list[Words] = [np.empty(0, np.uint32)]
    while count:
        if not tail:
            raise TruncatedError(f"the message ends {count} words before its last symbol; get the rest of the data")
        words, tail = tail
        if len(words) > count:
            words, tail = words[:count], (words[count:], tail)
        taken.append(words)
        count -= len(words)
    return np.concatenate(taken), tail


def flatten(message: Message) -> Words:
    """uint32: high words of all lanes, low words of all lanes, the tail from its top."""
    head, tail = message
    lanes = np.ravel(head)
    parts: list[Words] = [(lanes >> _WORD).astype(np.uint32), lanes.astype(np.uint32)]
    while tail:
        words, tail = tail
        parts.append(words)
    return np.concatenate(parts)


def unflatten(words: Words, shape: tuple[int, ...]) -> Message:
    """The message that `flatten` gave, with lanes of this shape.

    Raises TruncatedError on fewer words than the lanes have, FormatError on a lane that is no rANS state.
    """
    lanes = int(np.prod(shape))
    if len(words) < 2 * lanes:
        raise TruncatedError(f"the message has {len(words)} words, too few for {lanes} lanes; get the rest of it")
    head = (words[:lanes].astype(np.uint64) << _WORD) | words[lanes : 2 * lanes]
    if ((head < STATE_LOW) | (head >= STATE_HIGH)).any():
        raise FormatError(f"the message does not begin with the states of {lanes} lanes; it is damaged: get it again")
    return head.reshape(shape), (words[2 * lanes :], ()) if len(words) > 2 * lanes else ()
