"""What the tests of the stack share: random stacks, and integers 0 <= value < 2^precision that are equally likely."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.paper.ans import STATE_LOW, Stack


def random_stack(words: int, seed: int = 0) -> Stack:
    """A stack of random bits."""
    drawn = np.random.default_rng(seed).integers(0, 1 << 32, words, np.uint32)
    drawn[0] = drawn[0] >> 1 | 1 << 30
    return Stack.from_words(drawn)


def push_uniform(stack: Stack, values: Any, precision: int) -> None:
    stack.push(values, 1, precision)


def pop_uniform(stack: Stack, n: int, precision: int) -> NDArray[np.uint64]:
    """The inverse of `push_uniform`: uint64 [n]. Raises TruncatedError when the stack runs out."""
    values, head, size = np.empty(n, np.uint64), int(stack.head), stack.size
    for k in range(n):
        values[k] = head % (1 << precision)
        head >>= precision
        if head < STATE_LOW:
            size -= 1
            if size < 0:
                break
            head = head << 32 | int(stack.words[size])
    stack.commit(head, size)
    return values
