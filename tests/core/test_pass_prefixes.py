"""Words that are not there, or not yet: prefixes decode as far as they reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from passes import END, LEVELS, Layout, assert_exact, encoded, new_pass, picture, words_of

from native_testing import testing


@pytest.mark.parametrize("layout", [Layout(), Layout(4, True)])
@pytest.mark.parametrize("levels", LEVELS)
def test_words_of_the_first_segments_hold_them(levels: int, layout: Layout) -> None:
    """A decoder never misses a word that a later segment has, and needs all of those before."""
    pixels = picture(20, 24)
    streams = encoded(pixels, levels, layout)
    for segments in range(0, new_pass(pixels.shape, levels).segments, 5):
        coder = new_pass(pixels.shape, levels, layout)
        words = streams.of(segments)
        coder.decode(streams.states, words)
        assert coder.advance(END, segments) == segments
        assert not coder.ended
        assert [coder.position(s) for s in range(layout.streams)] == [len(own) for own in words]


@pytest.mark.parametrize("layout", [Layout(), Layout(4, True)])
@pytest.mark.parametrize("levels", LEVELS)
def test_words_that_come_segment_by_segment_give_the_same_image(levels: int, layout: Layout) -> None:
    pixels = picture(20, 24)
    streams = encoded(pixels, levels, layout)
    coder = new_pass(pixels.shape, levels, layout)
    coder.decode(streams.states, streams.of(0))
    for segment in range(coder.segments):
        for stream, words in enumerate(streams.words):
            for word in words_of(words[segment]):
                testing.extend(coder, stream, np.array([word], np.uint32))
        assert coder.advance(END, segment + 1) == segment + 1
    assert_exact(coder, pixels, layout.streams)


def wrong(coder: Any, pixels: Any) -> int:
    """How many pixels that are known are not those of the image."""
    found, known = coder.pixels()
    return int(((found != pixels).any(-1) & (known == 1)).sum())


@pytest.mark.parametrize("levels", LEVELS)
def test_decoding_ends_where_words_do_and_what_is_known_until_then_is_right(levels: int) -> None:
    """But for a value or two: that the last word is missing shows when seven more bits are decoded."""
    pixels = picture(12, 17)
    (state,), (words,) = encoded(pixels, levels)
    whole, shown = words_of(b"".join(words)), []
    for count in range(0, len(whole), 1 + len(whole) // 40):
        coder = new_pass(pixels.shape, levels)
        coder.decode([state], [whole[:count]], for_previews=True)
        coder.advance(END, END)
        assert coder.ended
        assert not coder.is_exact
        assert coder.position(0) == count
        assert wrong(coder, pixels) <= 2
        shown.append(int(coder.pixels()[1].sum()))
    assert shown == sorted(shown)
    assert shown[-1] > 0.8 * pixels[..., 0].size


@pytest.mark.parametrize("levels", LEVELS)
def test_one_stream_that_ends_ends_all(levels: int) -> None:
    pixels, layout = picture(20, 24), Layout(4)
    streams = encoded(pixels, levels, layout)
    words = streams.of(END)
    words[2] = words[2][: len(words[2]) // 2]
    coder = new_pass(pixels.shape, levels, layout)
    coder.decode(streams.states, words)
    coder.advance(END, END)
    assert coder.ended
    assert coder.advance(END, END) < coder.segments
    assert wrong(coder, pixels) <= 2


def test_previews_change_nothing_that_is_decoded() -> None:
    pixels = picture(20, 24)
    streams = encoded(pixels, 5)
    coder = new_pass(pixels.shape, 5)
    coder.decode(streams.states, streams.of(END), for_previews=True)
    coder.advance(END, END)
    assert_exact(coder, pixels, 1)


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("levels", LEVELS)
def test_any_words_decode_to_something_or_end(levels: int, learns: bool) -> None:
    """Streams that no encoder writes."""
    rng = np.random.default_rng(levels)
    for _ in range(10):
        state = int(rng.integers(1 << 24, 1 << 62))
        coder = new_pass((1, 16, 11, 3), levels, Layout(1, learns))
        coder.decode(
            [state], [rng.integers(0, 1 << 32, int(rng.integers(0, 900))).astype(np.uint32)], for_previews=True
        )
        coder.advance(END, END)
        assert coder.ended != coder.is_exact
