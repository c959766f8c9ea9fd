"""Images as decoders know them in the middle of a file: what a network of previews learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import _native
from ddpmcodec.codec.efforts import Coding, Segment, segments
from ddpmcodec.codec.passes import new_pass, run
from ddpmcodec.models.context import EFFORTS, ContextModel
from ddpmcodec.training.data import Pixels
from ddpmcodec.training.replay import LEVELS

PER_PASS = 4  # states of an image, about evenly from its first band to the last
STOPS_WITHIN = 0.5  # share of the states that are in the middle of a segment


class CodingState(NamedTuple):
    """What is known of an image. mean, variance: float16 [H, W, 3] of its planes Y, Co, Cg, as its bands say."""

    mean: NDArray[np.float16]
    variance: NDArray[np.float16]
    pixels: Pixels  # uint8 [H, W, 3], what it is
    levels: int  # of the file
    level: int  # that its bands are being brought to


def states_of(image: Pixels, model: ContextModel, rng: np.random.Generator) -> Iterator[CodingState]:
    """Random states of an image uint8 [H, W, C], C 1 or 3, in a file of a random effort and number of levels."""
    coding = Coding(int(rng.choice(EFFORTS)), int(rng.choice(LEVELS)))
    height, width, channels = image.shape
    pixels = image if channels == 3 else np.repeat(image, 3, 2)
    schedule = [segment for segment in segments(coding.levels, height, width) if segment.level]
    coder = new_pass(model, coding, (1, *image.shape), lanes=True)
    coder.encode(np.ascontiguousarray(image)[None], for_previews=True)
    ends = 1 + (np.arange(PER_PASS) + rng.random(PER_PASS)) / PER_PASS * len(schedule)
    for end in ends.astype(int):
        run(coder, (1, *image.shape), coding, end, None)
        if end < len(schedule) and rng.random() < STOPS_WITHIN:
            coder.advance(int(rng.integers(1, 1 + _waves(schedule[end], max(height, width)))), end + 1)
        mean, variance = _native.estimate(coder)
        level = schedule[min(end, len(schedule) - 1)].level
        yield CodingState(mean.astype(np.float16), variance.astype(np.float16), pixels, coding.levels, level)


def _waves(segment: Segment, side: int) -> int:
    """About as many as a segment has. A wave is a column later in each row below, by four; two bands halve both."""
    return max(1, 5 * side >> segment.band // 2)


class CodingStates:
    """The latest states, as many as it has room for. A draw takes parts of random ones."""

    def __init__(self, source: Callable[[], Iterator[CodingState]], capacity: int, seed: int) -> None:
        """source: gives the states of the next image. capacity: in pixels."""
        self.source, self.capacity = source, capacity
        self.rng = np.random.default_rng(seed)
        self.states: list[CodingState] = []
        self.due = 0.0  # states that were drawn and not yet made up for
        self.next = 0  # the oldest one

    def draw(self, count: int, side: int, uses: float) -> list[CodingState]:
        """Squares of `side` from random places of `count` states. Every state's area is used about `uses` times."""
        while self.due >= 0 or len(self.states) < 4 * count:
            self._add()
        chosen = [self.states[number] for number in self.rng.integers(len(self.states), size=count)]
        drawn = [self._part(state, side) for state in chosen]
        areas = (part.pixels.size / state.pixels.size for part, state in zip(drawn, chosen, strict=True))
        self.due += sum(areas) / uses
        return drawn

    def _add(self) -> None:
        for state in self.source():
            if len(self.states) * state.pixels[..., 0].size < self.capacity:
                self.states.append(state)
            else:
                self.states[self.next % len(self.states)] = state
                self.next += 1
            self.due -= 1

    def _part(self, state: CodingState, side: int) -> CodingState:
        top, left = (int(self.rng.integers(max(size - side, 0) + 1)) for size in state.pixels.shape[:2])
        part = slice(top, top + side), slice(left, left + side)
        return state._replace(mean=state.mean[part], variance=state.variance[part], pixels=state.pixels[part])
