"""The uniform channel on an ANS stack: images of one size in one piece, without a header or a state of their own.

The symbols are those of a .ddpm file (`channels.uniform`), step by step and inside a step image by image, so that a
decoder calls the network once a step for all of them. Nothing is lent: the stack grows by the code length alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ddpmcodec.ans.stack import Stack
from ddpmcodec.ans.stream import PRECISION
from ddpmcodec.channels import cells
from ddpmcodec.channels.uniform import Pixels, State, Walk, encode_symbols, image_of
from ddpmcodec.errors import TruncatedError
from ddpmcodec.networks.model import Model
from ddpmcodec.schedule import Step


def encode(stack: Stack, pixels: Pixels, model: Model, steps: Sequence[Step]) -> None:
    """Push images of one size, uint8 [N, H, W, 3]."""
    symbols = [image for images, _ in encode_symbols(pixels, model, steps, group=0) for image in images]
    for starts, freqs in reversed(symbols):
        stack.push(starts, freqs, PRECISION)


def decode(stack: Stack, shape: tuple[int, int, int, int], model: Model, steps: Sequence[Step]) -> Pixels:
    """Pop what `encode` pushed: images uint8 of shape [N, H, W, 3]. Raises TruncatedError when the stack runs out."""
    state = State.unknown(*shape)
    for prediction, constants in Walk(model, steps, 0, state):
        for n in range(len(state.c)):
            first = max(stack.size - state.c[n].size, 0)  # a word a symbol at most
            words = stack.words[first : stack.size][::-1].copy()
            head, taken, whole = cells.decode_step(
                state.lo[n], state.hi[n], state.c[n], *image_of(prediction, n), *constants, stack.head, 0, words
            )
            if not whole:
                raise TruncatedError("the ANS stack ends inside an image; get the rest of the data")
            stack.commit(int(head), stack.size - taken)
    return np.ascontiguousarray(state.lo)
