"""What the tests of the stack begin with."""

from __future__ import annotations

import numpy as np

from ddpmcodec.paper.ans.stack import Stack


def random_stack(words: int, seed: int = 0) -> Stack:
    """A stack of random bits."""
    drawn = np.random.default_rng(seed).integers(0, 1 << 32, words, np.uint32)
    drawn[0] = drawn[0] >> 1 | 1 << 30
    return Stack.from_words(drawn)
