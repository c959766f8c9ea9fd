"""Our distributions as codecs of craystack's (github.com/j-towns/craystack, 0.2), between its own.

A `Stack` has the words of a craystack message with one lane, so a codec is the library's own push and pop on the words
of a message. `Gaussian` and `Logistic` then go wherever craystack takes a codec: into its combinators, and as prior,
likelihood and posterior into its `BBANS`. A symbol may be an array: its last element is pushed first.

    pip install -e CRAYSTACK && python docs/craystack_codecs.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import craystack
import numpy as np
from craystack import rans
from craystack.bb_ans import BBANS
from numpy.typing import ArrayLike

from ddpmcodec.paper.ans import Stack, pop_gaussian, pop_logistic, push_gaussian, push_logistic

Message = Any  # (head uint64 [1], tail)
ONE_LANE = (1,)


def Gaussian(mean: ArrayLike, std: ArrayLike) -> craystack.Codec:
    """Integers under N(mean, std^2), as `push_gaussian` takes them."""
    return _codec(lambda stack, k: push_gaussian(stack, k, mean, std), lambda stack: pop_gaussian(stack, mean, std))


def Logistic(mean: ArrayLike, scale: ArrayLike) -> craystack.Codec:
    """Pixels 0..255 under truncated logistics, as `push_logistic` takes them."""
    return _codec(lambda stack, x: push_logistic(stack, x, mean, scale), lambda stack: pop_logistic(stack, mean, scale))


def stack_of(message: Message) -> Stack:
    return Stack.from_words(rans.flatten(message))


def message_of(stack: Stack) -> Message:
    return rans.unflatten(stack.to_words(), ONE_LANE)


def _codec(push: Callable[[Stack, Any], None], pop: Callable[[Stack], Any]) -> craystack.Codec:
    def push_symbol(message: Message, symbol: ArrayLike) -> tuple[Message]:
        stack = stack_of(message)
        push(stack, symbol)
        return (message_of(stack),)

    def pop_symbol(message: Message) -> tuple[Message, Any]:
        stack = stack_of(message)
        symbol = pop(stack)
        return message_of(stack), symbol

    return craystack.Codec(push_symbol, pop_symbol)


def latent_variable_model() -> craystack.Codec:
    """Bits back by craystack's algorithm: latents z of 50 pixels x, whose prior, likelihood and posterior are ours."""
    return BBANS(Gaussian(np.full(50, 1020.0), 500.0), lambda z: Logistic(16 * z, 60), lambda x: Gaussian(4.0 * x, 8.0))


def main() -> None:
    draw = np.random.Generator(np.random.Philox(0))
    start = message_of(Stack.from_words(draw.integers(1 << 30, 1 << 31, 300, np.uint32)))
    pixels = draw.integers(0, 256, 50)
    model = latent_variable_model()
    (message,) = model.push(start, pixels)
    words = len(rans.flatten(message)) - len(rans.flatten(start))
    again, found = model.pop(message)
    assert (found == pixels).all()
    assert (rans.flatten(again) == rans.flatten(start)).all()
    print(f"50 pixels, and {words} words more on the message")


if __name__ == "__main__":
    main()
