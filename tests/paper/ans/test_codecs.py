"""Codecs on messages: the words of the stack on one lane, craystack's words together with craystack's codecs on any."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ddpmcodec.errors import TruncatedError
from ddpmcodec.paper.ans.codecs import Gaussian, Logistic, for_craystack
from ddpmcodec.paper.ans.gaussian import PRECISION, pop_gaussian, push_gaussian
from ddpmcodec.paper.ans.message import Codec, Message, empty_message, flatten, pop, push, unflatten
from ddpmcodec.paper.ans.stack import Stack, pop_logistic, push_logistic

SHAPES = [(1,), (7,), (3, 4), (2, 3, 5)]


def random_message(shape: tuple[int, ...], words: int, seed: int = 0) -> Message:
    rng, lanes = np.random.default_rng(seed), int(np.prod(shape))
    drawn = rng.integers(0, 1 << 32, 2 * lanes + words, np.uint32)
    drawn[:lanes] = drawn[:lanes] >> 1 | 1 << 30
    return unflatten(drawn, shape)


def gaussian(shape: tuple[int, ...], seed: int) -> tuple[Codec, NDArray[np.int64]]:
    """A distribution on every lane, of any width, and a symbol for it, some of them far outside."""
    rng = np.random.default_rng(seed)
    mean, std = 1e4 * rng.normal(size=shape), np.exp(rng.uniform(-8, 20, shape))
    z = rng.normal(size=shape) * rng.choice([1, 1, 10, 1000], shape)
    return Gaussian(mean, std), np.floor(mean + std * z).astype(np.int64)


def logistic(shape: tuple[int, ...], seed: int) -> tuple[Codec, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    mean, scale = rng.integers(-2000, 64 * 280, shape), rng.integers(0, 128, shape)
    return Logistic(mean, scale), rng.integers(0, 256, shape)


MAKERS = pytest.mark.parametrize("make", [gaussian, logistic])


def assert_equal(message: Message, expected: Message) -> None:
    np.testing.assert_array_equal(message[0], expected[0])
    np.testing.assert_array_equal(flatten(message), flatten(expected))


@MAKERS
@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_a_codec_gives_back_message_and_symbol(make: Any, shape: tuple[int, ...], seed: int) -> None:
    (codec, symbol), message = make(shape, seed), random_message(shape, 20, seed)
    popped, found = codec.pop(codec.push(message, symbol))
    np.testing.assert_array_equal(found, symbol)
    assert found.shape == shape
    assert_equal(popped, message)


@MAKERS
@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_pushing_what_was_popped_gives_the_message_back(make: Any, shape: tuple[int, ...], seed: int) -> None:
    (codec, _), message = make(shape, seed), random_message(shape, 300, seed)
    assert_equal(codec.push(*codec.pop(message)), message)


@pytest.mark.parametrize("slot", [0, (1 << PRECISION) - 1])
def test_escapes_that_are_popped_can_be_pushed(slot: int) -> None:
    codec, _ = gaussian((3, 4), 1)
    message = push(random_message((3, 4), 99), np.arange(12).reshape(3, 4) % 2 * (slot - 5) + 5, 1, PRECISION)
    assert_equal(codec.push(*codec.pop(message)), message)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**32), max_size=10))
def test_one_lane_holds_the_words_of_the_stack(seeds: list[int]) -> None:
    message, stack, pushed = empty_message((1,)), Stack.empty(), []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        mean, std, pixel = 1e4 * rng.normal(), np.exp(rng.uniform(-8, 20)), int(rng.integers(256))
        k = int(np.floor(mean + std * rng.normal() * rng.choice([1, 10, 1000])))
        message = Logistic(640, 50).push(Gaussian(mean, std).push(message, k), pixel)
        push_gaussian(stack, [k], mean, std)
        push_logistic(stack, [pixel], 640, 50)
        pushed.append((k, mean, std, pixel))
        np.testing.assert_array_equal(flatten(message), stack.to_words())
    for k, mean, std, pixel in reversed(pushed):
        message, found = Logistic(640, 50).pop(message)
        assert found[0] == pop_logistic(stack, 640, 50)[0] == pixel
        message, found = Gaussian(mean, std).pop(message)
        assert found[0] == pop_gaussian(stack, mean, std)[0] == k
        np.testing.assert_array_equal(flatten(message), stack.to_words())


def test_popping_an_empty_message_raises_rather_than_inventing_data() -> None:
    for make in (gaussian, logistic):
        with pytest.raises(TruncatedError, match="words before"):
            make((40,), 0)[0].pop(empty_message((40,)))


def test_invalid_distributions_and_symbols_are_refused() -> None:
    message = empty_message((2,))
    with pytest.raises(ValueError, match="every lane needs"):
        Gaussian([0.0, np.nan], 1.0).push(message, 0)
    with pytest.raises(ValueError, match="every lane needs"):
        Gaussian(0.0, [1.0, 0.0]).pop(message)
    for k in (1 << 30, -(1 << 63)):
        with pytest.raises(ValueError, match=r"a lane's symbol lies 2\^27 cells or more outside"):
            Gaussian(0.0, 1.0).push(message, [0, k])


# --- together with craystack


@pytest.fixture
def craystack() -> ModuleType:
    """Its own setup.py leaves out `craystack.codecs`: it works from a checkout (`pip install -e`)."""
    found: ModuleType = pytest.importorskip("craystack", reason="craystack is not installed from a checkout")
    return found


def binomial(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Four probabilities on each lane, for craystack's Categorical."""
    return np.broadcast_to(np.array([1, 3, 3, 1]) / 8, (*shape, 4))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_our_codecs_and_craystacks_share_a_message(craystack: ModuleType, shape: tuple[int, ...], seed: int) -> None:
    """Composed by craystack's combinator, and one after the other by hand: the same words."""
    rng = np.random.default_rng(seed)
    makers = [gaussian, logistic, None, gaussian, None, logistic, gaussian]
    ours = [make and make(shape, seed + i) for i, make in enumerate(makers)]
    theirs = craystack.Categorical(binomial(shape), 12)
    drawn = [found[1] if found else rng.integers(0, 4, shape) for found in ours]
    together = craystack.from_iterable([for_craystack(found[0]) if found else theirs for found in ours])
    (message,) = together.push(random_message(shape, 10), drawn)

    by_hand = random_message(shape, 10)
    for found, symbol in reversed(list(zip(ours, drawn, strict=True))):
        by_hand = found[0].push(by_hand, symbol) if found else theirs.push(by_hand, symbol)[0]
    np.testing.assert_array_equal(flatten(message), flatten(by_hand))

    message, popped = together.pop(message)
    for symbol, found in zip(drawn, popped, strict=True):
        np.testing.assert_array_equal(found, symbol)
    np.testing.assert_array_equal(flatten(message), flatten(random_message(shape, 10)))


@MAKERS
@pytest.mark.parametrize("shape", SHAPES)
def test_the_words_are_those_of_craystacks_operations(
    craystack: ModuleType, monkeypatch: pytest.MonkeyPatch, make: Any, shape: tuple[int, ...]
) -> None:
    """The same codec over craystack's push and pop in place of ours."""
    from craystack import rans

    from ddpmcodec.paper.ans import codecs

    codec, symbol = make(shape, 5)
    ours = codec.push(random_message(shape, 100), symbol)
    monkeypatch.setattr(codecs, "push", rans.push)
    monkeypatch.setattr(codecs, "pop", rans.pop)
    theirs = codec.push(random_message(shape, 100), symbol)
    np.testing.assert_array_equal(flatten(ours), rans.flatten(theirs))
    message, found = codec.pop(theirs)
    np.testing.assert_array_equal(found, symbol)
    np.testing.assert_array_equal(rans.flatten(message), flatten(random_message(shape, 100)))


def test_a_latent_variable_model_of_craystacks_takes_our_codecs(craystack: ModuleType) -> None:
    """BB-ANS: posterior, likelihood and prior are ours, the algorithm is craystack's; then ours by hand."""
    from craystack.bb_ans import BBANS

    rng, shape = np.random.default_rng(0), (50,)
    x = rng.integers(0, 256, shape)
    model = (
        for_craystack(Gaussian(1020.0, 500.0)),
        lambda z: for_craystack(Logistic(16 * z, 60)),
        lambda x: for_craystack(Gaussian(4.0 * x, 8.0)),
    )
    start = random_message(shape, 200)
    (message,) = BBANS(*model).push(start, x)

    by_hand, z = Gaussian(4.0 * x, 8.0).pop(start)
    by_hand = Gaussian(1020.0, 500.0).push(Logistic(16 * z, 60).push(by_hand, x), z)
    np.testing.assert_array_equal(flatten(message), flatten(by_hand))
    message, found = BBANS(*model).pop(message)
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(flatten(message), flatten(start))


def test_uniform_bits_of_craystack_are_ours(craystack: ModuleType) -> None:
    message, values = random_message((6,), 30), np.arange(6, dtype=np.uint64)
    (theirs,) = craystack.Uniform(16).push(message, values)
    np.testing.assert_array_equal(flatten(theirs), flatten(push(message, values, 1, 16)))
    slots, _ = pop(theirs, 16)
    np.testing.assert_array_equal(slots, values)


@MAKERS
def test_where_craystacks_stack_invents_data_ours_ends(
    craystack: ModuleType, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    from craystack import rans

    from ddpmcodec.paper.ans import codecs

    codec, _ = make((40,), 0)
    with pytest.raises(TruncatedError, match="the message ends 40 words before its last symbol"):
        codec.pop(empty_message((40,)))
    monkeypatch.setattr(codecs, "pop", rans.pop)
    with pytest.warns(UserWarning, match="Generating random data"):
        codec.pop(rans.base_message((40,)))
