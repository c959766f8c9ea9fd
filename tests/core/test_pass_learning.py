"""What a pass costs, and what learning does to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import known_networks as known_answer
import numpy as np
import pytest
from known_networks import network
from passes import CHECK, END, LEVELS, Layout, assert_exact, new_pass, picture, words_of

from ddpmcodec import _native as native
from native_testing import testing


@pytest.mark.parametrize("levels", LEVELS)
def test_bits_are_those_of_the_symbols(levels: int) -> None:
    pixels = picture(20, 24)
    coder = new_pass(pixels.shape, levels)
    coder.encode(pixels)
    coder.advance(END, END)
    starts, freqs = coder.symbols(0)
    assert coder.bits() == pytest.approx((24 - np.log2(freqs)).sum())
    assert testing.ends(coder, 0)[-1] == len(starts)
    state, words = coder.stream(0, 0)
    assert 32 * len(words_of(b"".join(words))) + np.log2(state) - 24 == pytest.approx(coder.bits(), abs=1)


def test_learning_helps() -> None:
    """Where networks know nothing, an image teaches a lot."""
    pixels = picture(120, 120)

    def bits(layout: Layout) -> float:
        coder = new_pass(pixels.shape, 0, layout)
        coder.encode(pixels)
        coder.advance(END, END)
        return float(coder.bits())

    assert bits(Layout(1, True)) < 0.95 * bits(Layout())


@pytest.fixture
def networks_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[Any]]:
    """The networks of noise levels, so wide."""

    def drawn(width: int) -> list[Any]:
        monkeypatch.setattr(known_answer, "WIDTH", width)
        monkeypatch.setattr(known_answer, "BLOCK_INPUTS", width + 3 * 16)
        return [network("last"), *[network("band")] * 3]

    return drawn


@pytest.mark.parametrize(("width", "learning"), [(80, {0}), (96, {0, 2, 3})])
def test_networks_learn_in_pixels_and_wide_ones_in_all_bands_but_the_finest(
    width: int, learning: set[int], networks_of: Callable[[int], list[Any]]
) -> None:
    """Bands by number, all coarser ones 3, pixels 0: those that are coded otherwise where weights learn."""
    drawn, pixels = networks_of(width), picture(120, 120)

    def symbols(learns: bool) -> list[list[tuple[int, int]]]:
        coder = native.Pass(drawn, 2, pixels.shape, streams=1, learns=learns, threads=1)
        coder.encode(pixels)
        coder.advance(END, END)
        intervals, ends = list(zip(*coder.symbols(0), strict=True)), testing.ends(coder, 0)
        return [intervals[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]

    bands = [band for _, _, band, _, parts in native.segments(2, 120, 120) for _ in range(parts)]
    parts = zip(bands, symbols(False), symbols(True), strict=True)
    assert {min(band, 3) for band, fixed, learned in parts if fixed != learned} == learning


def test_bands_that_learn_come_back_from_other_threads(networks_of: Callable[[int], list[Any]]) -> None:
    drawn, pixels = networks_of(96), picture(64, 72)
    coders = [native.Pass(drawn, 2, pixels.shape, streams=4, learns=True, threads=threads) for threads in (1, 3)]
    coders[0].encode(pixels)
    coders[0].advance(END, END)
    streams = [coders[0].stream(stream, CHECK) for stream in range(4)]
    coders[1].decode([state for state, _ in streams], [words_of(b"".join(words)) for _, words in streams])
    coders[1].advance(END, END)
    assert_exact(coders[1], pixels, 4)
