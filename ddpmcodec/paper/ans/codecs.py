"""Codecs on messages in craystack's style: push(message, symbol) -> message, pop(message) -> (message, symbol).

A codec codes one symbol on every lane of a message. On a message of one lane `Gaussian` and `Logistic` leave the words
that `push_gaussian` and `push_logistic` leave on a `Stack`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ddpmcodec.paper.ans import gaussian, logistic, stream
from ddpmcodec.paper.ans.gaussian import PRECISION
from ddpmcodec.paper.ans.message import Codec, Message, pop, push

Integers = NDArray[np.int64]

_TOTAL = 1 << PRECISION


@stream.kernel
def _windows(mean, std, shift, lo, hi):  # type: ignore[no-untyped-def]
    """Shift to coarse cells, first and last coarse cell of every distribution. Returns whether all are valid."""
    for i in range(len(mean)):
        if not gaussian.is_valid(mean[i], std[i]):
            return False
        _, _, _, shift[i], lo[i], hi[i], _ = gaussian.parameters_of(mean[i], std[i])
    return True


@stream.kernel
def _find_cells(slots, mean, std, cells):  # type: ignore[no-untyped-def]
    for i in range(len(slots)):
        cells[i], _, _ = gaussian.find_cell(gaussian.parameters_of(mean[i], std[i]), slots[i])


@stream.kernel
def _cell_intervals(cells, mean, std, starts, freqs):  # type: ignore[no-untyped-def]
    for i in range(len(cells)):
        parameters = gaussian.parameters_of(mean[i], std[i])
        starts[i] = gaussian.start_of(parameters, cells[i])
        freqs[i] = gaussian.start_of(parameters, cells[i] + 1) - starts[i]


@stream.kernel
def _find_pixels(lo, hi, mean, scale, slots, x):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        x[i] = logistic.find(lo, hi, mean[i], scale[i], slots[i])


class _Normals:
    """One normal distribution a lane, flat; the symbol is up to four operations, in which other lanes take no part."""

    def __init__(self, mean: ArrayLike, std: ArrayLike, shape: tuple[int, ...]) -> None:
        self.parameters = gaussian.columns(np.broadcast_to(mean, shape), std)
        self.shift, self.lo, self.hi = (np.empty(len(self.parameters[0]), np.int64) for _ in range(3))
        if not _windows(*self.parameters, self.shift, self.lo, self.hi):
            raise ValueError("every lane needs |mean| <= 2^48 and 0 < std < 2^32")

    def intervals(self, k: Integers) -> tuple[Integers, Integers]:
        """Starts and freqs of coarse cells; outside the window those of the escape."""
        starts, freqs = np.empty_like(k), np.empty_like(k)
        _cell_intervals(np.clip(k, self.lo, self.hi), *self.parameters, starts, freqs)
        inside = (self.lo <= k) & (k <= self.hi)
        return np.where(inside, starts, np.where(k < self.lo, 0, _TOTAL - 1)), np.where(inside, freqs, 1)

    def find(self, slots: Integers) -> Integers:
        """Coarse cells; one beyond the window for an escape."""
        k = np.empty_like(slots)
        _find_cells(np.clip(slots, 1, _TOTAL - 2), *self.parameters, k)
        return np.where(slots == 0, self.lo - 1, np.where(slots == _TOTAL - 1, self.hi + 1, k))

    def distance(self, k: Integers) -> Integers:
        """How far a coarse cell lies outside the window; 0: inside."""
        found: Integers = np.maximum(np.maximum(self.lo - k, k - self.hi), 0)
        return found


def _push(message: Message, starts: Integers, freqs: Integers) -> Message:
    shape = message[0].shape
    return push(message, starts.reshape(shape), freqs.reshape(shape), PRECISION)


def _pop(message: Message) -> tuple[Integers, Any]:
    """(slots, finish), flat."""
    shape = message[0].shape
    slots, finish = pop(message, PRECISION)
    return slots.ravel().astype(np.int64), lambda starts, freqs: finish(starts.reshape(shape), freqs.reshape(shape))


def _push_bits(message: Message, value: Integers, count: Integers) -> Message:
    """`count` uniform bits on each lane."""
    return _push(message, value << (PRECISION - count), 1 << (PRECISION - count))


def _pop_bits(message: Message, count: Integers) -> tuple[Message, Integers]:
    slots, finish = _pop(message)
    value = slots >> (PRECISION - count)
    return finish(value << (PRECISION - count), 1 << (PRECISION - count)), value


def _length_intervals(length: Integers) -> tuple[Integers, Integers]:
    """Starts and freqs of escapes' lengths; of -1, no escape, all slots."""
    return _TOTAL - (_TOTAL >> np.maximum(length, 0)), np.maximum(_TOTAL >> (length + 1), 1)


def _bit_length(x: Integers) -> Integers:
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)


def Gaussian(mean: ArrayLike, std: ArrayLike) -> Codec:
    """Integers under N(mean, std^2) as `ans.gaussian` codes them; mean and std, in cells, broadcast to the lanes.

    Pops int64 in the shape of the head. Push and pop raise ValueError as `push_gaussian` does, and TruncatedError where
    the message ends.
    """

    def push_symbol(message: Message, symbol: ArrayLike) -> Message:
        normals = _Normals(mean, std, message[0].shape)
        k = np.broadcast_to(np.asarray(symbol, np.int64), message[0].shape).ravel()
        cells = k >> normals.shift
        distance = normals.distance(cells)
        if not ((k > -gaussian.MAX_SYMBOL) & (k < gaussian.MAX_SYMBOL) & (distance < 2 * _TOTAL)).all():
            raise ValueError("a lane's symbol lies 2^27 cells or more outside mean +- 6 std")
        length = _bit_length(distance) - 1
        message = _push_bits(message, k - (cells << normals.shift), normals.shift)
        message = _push_bits(message, distance - (1 << np.maximum(length, 0)) * (length >= 0), np.maximum(length, 0))
        message = _push(message, *_length_intervals(length))
        return _push(message, *normals.intervals(cells))

    def pop_symbol(message: Message) -> tuple[Message, Integers]:
        normals = _Normals(mean, std, message[0].shape)
        slots, finish = _pop(message)
        cells = normals.find(slots)
        message, escaped = finish(*normals.intervals(cells)), normals.distance(cells)
        slots, finish = _pop(message)
        length = np.where(escaped, PRECISION - _bit_length(_TOTAL - 1 - slots), -1)
        message = finish(*_length_intervals(length))
        message, value = _pop_bits(message, np.maximum(length, 0))
        further = escaped * ((1 << np.maximum(length, 0)) - 1 + value)  # the cell is one outside already
        cells += np.where(cells > normals.hi, further, -further)
        message, low = _pop_bits(message, normals.shift)
        return message, ((cells << normals.shift) + low).reshape(message[0].shape)

    return Codec(push_symbol, pop_symbol)


def Logistic(mean: ArrayLike, scale: ArrayLike, lo: int = 0, hi: int = 255) -> Codec:
    """Integers lo..hi under truncated logistics (`ans.logistic`): mean in 1/64, scale an index, broadcast to the lanes.

    Pops int32 in the shape of the head.
    """

    def push_symbol(message: Message, symbol: ArrayLike) -> Message:
        shape = message[0].shape
        columns = (np.broadcast_to(np.asarray(a, np.int32), shape).ravel() for a in (symbol, symbol, mean, scale))
        starts, freqs = logistic.encode_values(lo, hi, *columns)
        return push(message, starts.reshape(shape), freqs.reshape(shape), stream.PRECISION)

    def pop_symbol(message: Message) -> tuple[Message, NDArray[np.int32]]:
        shape = message[0].shape
        slots, finish = pop(message, stream.PRECISION)
        means, scales = (np.broadcast_to(np.asarray(a, np.int32), shape).ravel() for a in (mean, scale))
        x = np.empty(len(means), np.int32)
        _find_pixels(lo, hi, means, scales, slots.ravel().astype(np.int64), x)
        starts, freqs = logistic.encode_values(lo, hi, x, x, means, scales)
        return finish(starts.reshape(shape), freqs.reshape(shape)), x.reshape(shape)

    return Codec(push_symbol, pop_symbol)


def for_craystack(codec: Codec) -> Codec:
    """The codec for craystack's combinators (0.2), in which push returns a tuple of the message alone."""
    return Codec(lambda message, symbol: (codec.push(message, symbol),), codec.pop)  # type: ignore[arg-type, return-value]
