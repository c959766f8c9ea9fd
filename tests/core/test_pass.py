"""A pass: whatever the size, layout, levels and threads, images come back exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from passes import CHECK, END, LEVELS, SIZES, Layout, assert_exact, by_segment, encoded, new_pass, opened, picture

from native_testing import testing

ALONE = [Layout(), Layout(4), Layout(1, True), Layout(4, True)]
TOGETHER = [Layout(3), Layout(1), Layout(2), Layout(1, True)]


@pytest.mark.parametrize("layout", ALONE)
@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize(("height", "width", "channels"), SIZES)
def test_an_image_comes_back_exactly(height: int, width: int, channels: int, levels: int, layout: Layout) -> None:
    pixels = picture(height, width, channels)
    streams = encoded(pixels, levels, layout)
    coder = opened(streams, pixels.shape, levels, layout)
    coder.advance(END, END)
    assert_exact(coder, pixels, layout.streams)
    assert [coder.position(s) for s in range(layout.streams)] == [len(words) for words in streams.of(END)]


@pytest.mark.parametrize("layout", TOGETHER)
@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_a_batch_come_back_exactly(channels: int, levels: int, layout: Layout) -> None:
    pixels = picture(9, 13, channels, images=3)
    coder = opened(encoded(pixels, levels, layout), pixels.shape, levels, layout)
    coder.advance(END, END)
    assert_exact(coder, pixels, layout.streams)


@pytest.mark.parametrize("levels", LEVELS)
def test_images_of_their_own_streams_do_not_depend_on_each_other(levels: int) -> None:
    pixels = picture(9, 13, images=3)
    together = encoded(pixels, levels, Layout(3))
    for n in range(3):
        alone = encoded(pixels[n : n + 1], levels)
        assert (alone.states[0], alone.words[0]) == (together.states[n], together.words[n])


@pytest.mark.parametrize("levels", LEVELS)
def test_scales_adapt_to_each_image_on_its_own(levels: int) -> None:
    """Also to those of one stream: they take as many bits as if each were alone."""
    pixels = np.concatenate([picture(12, 9, images=2), picture(12, 9, images=2)[:1] // 16])

    def bits(images: Any) -> float:
        coder = new_pass(images.shape, levels)
        coder.encode(images)
        coder.advance(END, END)
        return float(coder.bits())

    assert bits(pixels) == pytest.approx(sum(bits(pixels[n : n + 1]) for n in range(3)), rel=1e-9)


@pytest.mark.parametrize("noise", [0, 255])
@pytest.mark.parametrize("levels", LEVELS)
def test_flat_images_and_noise_come_back_exactly(levels: int, noise: int) -> None:
    pixels = np.random.default_rng(0).integers(0, noise + 1, (1, 24, 19, 3)).astype(np.uint8)
    for layout in (Layout(), Layout(2, True)):
        coder = opened(encoded(pixels, levels, layout), pixels.shape, levels, layout)
        coder.advance(END, END)
        assert_exact(coder, pixels, layout.streams)


# --- threads, and pieces of work


OF_ONE = [(1, Layout(4)), (1, Layout(4, True))]
OF_SEVERAL = [(5, Layout(1, True)), (5, Layout(3, True)), (5, Layout(5))]


@pytest.mark.parametrize(("images", "layout"), OF_ONE + OF_SEVERAL)
@pytest.mark.parametrize("levels", [0, 5])
def test_threads_change_no_byte(levels: int, images: int, layout: Layout) -> None:
    # Several steps of learning, and waves that are long enough for four threads.
    pixels = picture(24, 40) if images == 1 else picture(14, 20, images=images)
    expected = encoded(pixels, levels, layout)
    for threads in (3, 8):
        assert encoded(pixels, levels, layout, threads) == expected
        coder = opened(expected, pixels.shape, levels, layout, threads)
        coder.advance(END, END)
        assert_exact(coder, pixels, layout.streams)


@pytest.mark.parametrize("share", [0.4, 0.9])
@pytest.mark.parametrize("levels", [0, 5])
def test_cut_streams_show_the_same_on_all_threads(levels: int, share: float) -> None:
    pixels, layout = picture(24, 40), Layout(4, True)
    streams = encoded(pixels, levels, layout)
    words = [own[: int(share * len(own))] for own in streams.of(END)]

    def shown(threads: int) -> list[Any]:
        coder = new_pass(pixels.shape, levels, layout, threads)
        coder.decode(streams.states, words, for_previews=True)
        coder.advance(END, END)
        assert coder.ended
        _, known = coder.pixels()
        return [coder.segments_done, known.tobytes(), testing.means(coder, threads).tobytes()]

    assert shown(2) == shown(3) == shown(1)


@pytest.mark.parametrize("waves", [1, 7])
@pytest.mark.parametrize("levels", LEVELS)
def test_calls_of_a_few_waves_change_no_byte(levels: int, waves: int) -> None:
    pixels, layout = picture(20, 24), Layout(2, True)
    coder = new_pass(pixels.shape, levels, layout)
    coder.encode(pixels)
    while coder.segments_done < coder.segments:
        coder.advance(waves, END)
    expected = encoded(pixels, levels, layout)
    for stream, (state, words) in enumerate(zip(*expected, strict=True)):
        found_state, parts = coder.stream(stream, CHECK)
        assert (found_state, by_segment(parts, pixels.shape, levels)) == (state, words)
