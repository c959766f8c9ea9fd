"""Passes over small pictures, by small random networks, for tests of the core."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from known_networks import network

from ddpmcodec import _native as native

END = 1 << 30
CHECK = 0x123456
BASE = 1 << 24  # what an encoder's state begins with, beside the check
LEVELS = [0, 1, 2, 5]
SIZES = [(1, 1, 3), (1, 7, 3), (5, 1, 1), (2, 2, 3), (33, 47, 3), (70, 3, 3), (20, 24, 1)]


class Layout(NamedTuple):
    """As of `Pass`."""

    streams: int = 1
    learns: bool = False


ALONE_FIXED = Layout()


class Streams(NamedTuple):
    """What an encoder wrote. words: of each stream, by segment."""

    states: list[int]
    words: list[list[bytes]]

    def of(self, segments: int) -> list[Any]:
        """Words of the first segments."""
        return [words_of(b"".join(own[:segments])) for own in self.words]


def words_of(data: bytes) -> Any:
    return np.frombuffer(data, "<u4").astype(np.uint32)


@cache
def networks(levels: int) -> list[Any]:
    return [network("last"), *[network("band")] * 3] if levels else [network("direct")]


def picture(height: int, width: int, channels: int = 3, images: int = 1) -> Any:
    """uint8 [images, height, width, channels]: smooth, with some noise."""
    rng = np.random.default_rng([height, width, channels])
    steps = rng.integers(-3, 4, (images, height, width, channels))
    return (np.cumsum(np.cumsum(steps, 1), 2) // 4 + 128).clip(0, 255).astype(np.uint8)


def new_pass(shape: Sequence[int], levels: int, layout: Layout = ALONE_FIXED, threads: int = 1) -> Any:
    return native.Pass(networks(levels), levels, tuple(shape), **layout._asdict(), threads=threads)


def encoded(pixels: Any, levels: int, layout: Layout = ALONE_FIXED, threads: int = 1) -> Streams:
    coder = new_pass(pixels.shape, levels, layout, threads)
    coder.encode(pixels)
    assert coder.advance(END, END) == coder.segments
    found = [coder.stream(stream, CHECK) for stream in range(layout.streams)]
    return Streams([state for state, _ in found], [by_segment(words, pixels.shape, levels) for _, words in found])


def by_segment(parts: Sequence[Any], shape: Sequence[int], levels: int) -> list[Any]:
    """What each segment has of a stream, from what its parts have."""
    of_parts = iter(parts)
    return [b"".join(islice(of_parts, count)) for *_, count in native.segments(levels, *shape[1:3])]


def opened(streams: Streams, shape: Sequence[int], levels: int, layout: Layout = ALONE_FIXED, threads: int = 1) -> Any:
    """A decoder that has all words."""
    coder = new_pass(shape, levels, layout, threads)
    coder.decode(streams.states, streams.of(END))
    return coder


def assert_exact(coder: Any, pixels: Any, streams: int) -> None:
    """All of the pixels, the check of every stream, and no word left."""
    found, known = coder.pixels()
    assert coder.is_exact
    assert known.all()
    np.testing.assert_array_equal(found, pixels)
    assert [coder.state(stream) for stream in range(streams)] == [BASE + CHECK] * streams
