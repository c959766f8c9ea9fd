"""Messages: pop undoes push, lanes of any shape, craystack's words, and no data out of nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import record_craystack
from hypothesis import given
from hypothesis import strategies as st

from ddpmcodec.errors import FormatError, TruncatedError
from ddpmcodec.paper.ans.message import Codec, Message, empty_message, flatten, pop, push, unflatten

SHAPES = [(1,), (7,), (3, 4), (2, 3, 5)]
Pushes = list[tuple[Any, Any, int]]  # starts, freqs, precision


def pushes(shape: tuple[int, ...], n: int, seed: int) -> Pushes:
    """Random intervals of all sizes for every lane, of several precisions."""
    rng = np.random.default_rng(seed)
    result = []
    for precision in rng.choice([1, 8, 16, 24, 28, 31], n).tolist():
        freqs = np.exp2(rng.uniform(0, precision, shape)).astype(np.uint64)
        starts = rng.integers(0, (1 << precision) - freqs, endpoint=True, dtype=np.uint64)
        result.append((starts, freqs, precision))
    return result


def message_of(shape: tuple[int, ...], n: int, seed: int = 0) -> Message:
    message = empty_message(shape)
    for starts, freqs, precision in pushes(shape, n, seed):
        message = push(message, starts, freqs, precision)
    return message


def uniform(precision: int) -> Codec:
    """Symbols 0 .. 2^precision - 1, equally likely."""

    def pop_uniform(message: Message) -> tuple[Message, Any]:
        slots, finish = pop(message, precision)
        return finish(slots, 1), slots

    return Codec(lambda message, symbol: push(message, symbol, 1, precision), pop_uniform)


def assert_equal(message: Message, expected: Message) -> None:
    np.testing.assert_array_equal(message[0], expected[0])
    np.testing.assert_array_equal(flatten(message), flatten(expected))


@pytest.mark.parametrize("shape", SHAPES)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 30))
def test_pop_undoes_push_on_every_lane(shape: tuple[int, ...], seed: int, n: int) -> None:
    message, symbols = message_of(shape, 5), pushes(shape, n, seed)
    stack = [message]
    for starts, freqs, precision in symbols:
        stack.append(push(stack[-1], starts, freqs, precision))
    for starts, freqs, precision in reversed(symbols):
        slots, finish = pop(stack.pop(), precision)
        assert (starts <= slots).all()
        assert (slots < starts + freqs).all()
        assert_equal(finish(starts, freqs), stack[-1])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_codec_gives_back_message_and_symbol(shape: tuple[int, ...]) -> None:
    codec, message = uniform(12), message_of(shape, 20)
    symbol = np.random.default_rng(1).integers(0, 1 << 12, shape, np.uint64)
    popped, data = codec.pop(codec.push(message, symbol))
    np.testing.assert_array_equal(data, symbol)
    assert_equal(popped, message)


@pytest.mark.parametrize("shape", SHAPES)
def test_push_after_pop_gives_the_message_back(shape: tuple[int, ...]) -> None:
    """Bits-back coding rests on it."""
    codec, message = uniform(16), message_of(shape, 40)
    rest, symbol = codec.pop(message)
    assert_equal(codec.push(rest, symbol), message)


def test_messages_are_left_alone() -> None:
    message = message_of((5,), 20)
    before = flatten(message).copy()
    longer = push(message, 3, 1, 16)
    slots, finish = pop(longer, 16)
    finish(slots, 1)
    finish(slots, 1)
    np.testing.assert_array_equal(flatten(message), before)


def test_popping_an_empty_message_raises() -> None:
    codec, message = uniform(16), empty_message((4,))
    with pytest.raises(TruncatedError, match="ends 4 words before"):
        codec.pop(message)


def test_popping_more_than_was_pushed_raises_rather_than_inventing_data() -> None:
    codec, message = uniform(16), message_of((3,), 10)
    with pytest.raises(TruncatedError):  # noqa: PT012
        for _ in range(1000):
            message, _symbol = codec.pop(message)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [0, 1, 30])
def test_unflatten_undoes_flatten(shape: tuple[int, ...], n: int) -> None:
    message = message_of(shape, n)
    assert_equal(unflatten(flatten(message), shape), message)


def test_a_flattened_message_can_be_popped() -> None:
    codec, message = uniform(20), message_of((6,), 40)
    rest, symbol = codec.pop(unflatten(flatten(message), (6,)))
    assert_equal(codec.push(rest, symbol), message)


def test_flatten_is_high_words_low_words_tail() -> None:
    head = np.array([[0x80000001_00000002, 0x7FFFFFFF_00000004]], np.uint64)
    words = np.array([5, 6], np.uint32), (np.array([7], np.uint32), ())
    assert flatten((head, words)).tolist() == [0x80000001, 0x7FFFFFFF, 2, 4, 5, 6, 7]


def test_golden_words() -> None:
    message = empty_message((2,))
    for k in range(1, 9):
        message = push(message, [k, 1000 * k], [k * k, 40 - k], 16)
    assert flatten(message).tolist() == [
        1,
        3718118,
        1378418746,
        2698714965,
        4032036882,
        2952598434,
        805306380,
        3,
        1244989413,
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(5))
def test_the_words_are_craystacks(shape: tuple[int, ...], seed: int) -> None:
    rans = pytest.importorskip("craystack.rans")
    ours, theirs = empty_message(shape), rans.base_message(shape)
    symbols = pushes(shape, 40, seed)
    for starts, freqs, precision in symbols:
        ours, theirs = push(ours, starts, freqs, precision), rans.push(theirs, starts, freqs, precision)
        np.testing.assert_array_equal(flatten(ours), rans.flatten(theirs))
    for starts, freqs, precision in reversed(symbols):
        (slots, finish), (their_slots, their_finish) = pop(ours, precision), rans.pop(theirs, precision)
        np.testing.assert_array_equal(slots, their_slots)
        ours, theirs = finish(starts, freqs), their_finish(starts, freqs)
        np.testing.assert_array_equal(flatten(ours), rans.flatten(theirs))


@pytest.mark.parametrize("shape", record_craystack.SHAPES)
def test_the_words_are_those_recorded_of_craystack(shape: tuple[int, ...]) -> None:
    recorded = json.loads(record_craystack.WORDS.read_text())["x".join(map(str, shape))]
    ours, symbols = empty_message(shape), record_craystack.symbols(shape)
    for starts, freqs, precision in symbols:
        ours = push(ours, starts, freqs, precision)
    assert flatten(ours).tolist() == recorded
    message = unflatten(np.array(recorded, np.uint32), shape)
    for starts, freqs, precision in reversed(symbols):
        slots, finish = pop(message, precision)
        assert ((starts <= slots) & (slots - starts < freqs)).all()
        message = finish(starts, freqs)
    assert_equal(message, empty_message(shape))


def test_too_few_words_for_the_lanes_are_an_error() -> None:
    with pytest.raises(TruncatedError, match="5 words, too few for 3 lanes"):
        unflatten(np.full(5, 1 << 31, np.uint32), (3,))


@pytest.mark.parametrize("high", [0, 1 << 31])
def test_lanes_that_hold_no_state_are_an_error(high: int) -> None:
    with pytest.raises(FormatError, match="does not begin with the states of 1 lanes"):
        unflatten(np.array([high, 5], np.uint32), (1,))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_a_message_needs_a_lane(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one lane"):
        empty_message(shape)


@pytest.mark.parametrize(("start", "freq"), [(0, 0), (256, 1), (1, 256)])
def test_an_interval_that_is_none_is_refused(start: int, freq: int) -> None:
    with pytest.raises(ValueError, match=r"beyond 2\^8"):
        push(empty_message((2,)), start, freq, 8)


@pytest.mark.parametrize("precision", [-1, 32])
def test_a_precision_no_state_has_room_for_is_refused(precision: int) -> None:
    with pytest.raises(ValueError, match="0 to 31 bits"):
        push(empty_message((2,)), 0, 1, precision)
