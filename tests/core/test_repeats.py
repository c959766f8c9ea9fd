"""Pixels that repeat what followed the same neighbourhoods: exact in both directions, and far smaller."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ddpmcodec import _native
from ddpmcodec._native import LANES
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.codec.passes import run
from ddpmcodec.models.context import ContextModel

Pixels = NDArray[np.uint8]
pytestmark = pytest.mark.usefixtures("one_thread")


def page(channels: int, height: int = 40, width: int = 60) -> Pixels:
    """The same word again and again."""
    image = Image.new("RGB", (width, height), (250, 248, 240))
    draw = ImageDraw.Draw(image)
    for top in range(0, height, 10):
        draw.text((3 + top // 5, top), "repeats", fill=(20, 60, 120))
    return np.asarray(image)[..., :channels].copy()


def new_pass(model: ContextModel, pixels: Pixels, levels: int, streams: int, *, repeats: bool) -> _native.Pass:
    return _native.Pass(
        model.networks(1, levels), levels, pixels.shape, streams=streams, learns=streams != len(pixels) or streams == 1,
        repeats=repeats, threads=1,
    )  # fmt: skip


def coded(model: ContextModel, pixels: Pixels, levels: int, streams: int, *, repeats: bool) -> _native.Pass:
    coder = new_pass(model, pixels, levels, streams, repeats=repeats)
    coder.encode(pixels)
    run(coder, pixels.shape, Coding(1, levels), None, None)
    return coder


@pytest.mark.parametrize("levels", [0, 2])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("images", "streams"), [(1, 1), (1, LANES), (3, 3), (3, 1)])
def test_repeats_come_back(context_model: ContextModel, levels: int, channels: int, images: int, streams: int) -> None:
    pixels = np.stack([page(channels)] * images)
    coder = coded(context_model, pixels, levels, streams, repeats=True)
    starts = [coder.stream(stream, 5) for stream in range(streams)]
    decoder = new_pass(context_model, pixels, levels, streams, repeats=True)
    words = [np.frombuffer(b"".join(parts), np.uint32) for _, parts in starts]
    decoder.decode([state for state, _ in starts], words)
    run(decoder, pixels.shape, Coding(1, levels), None, None)
    found, known = decoder.pixels()
    assert known.all()
    assert np.array_equal(found, pixels)
    assert {decoder.state(stream) for stream in range(streams)} == {(1 << 24) + 5}


@pytest.mark.parametrize("streams", [1, LANES])
def test_what_repeats_takes_few_bits(context_model: ContextModel, streams: int) -> None:
    pixels = page(3, 80, 120)[None]
    without, by_repeats = (
        coded(context_model, pixels, 0, streams, repeats=repeats).bits() for repeats in (False, True)
    )
    assert by_repeats < without / 2


def test_images_of_a_run_repeat_each_other(context_model: ContextModel) -> None:
    one = page(3)[None]
    alone = coded(context_model, one, 0, 1, repeats=True).bits()
    assert coded(context_model, np.repeat(one, 4, 0), 0, 1, repeats=True).bits() < 2 * alone


def test_noise_costs_little_more(context_model: ContextModel) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 40, 60, 3), np.uint8)
    without, by_repeats = (coded(context_model, noise, 0, 1, repeats=repeats).bits() for repeats in (False, True))
    assert by_repeats < 1.002 * without


def test_other_words_end_somewhere(context_model: ContextModel) -> None:
    """Of a hostile stream every interval is one that an encoder could have taken."""
    pixels = page(3)[None]
    words = np.random.default_rng(1).integers(0, 1 << 32, 4000, np.uint32)
    decoder = new_pass(context_model, pixels, 2, 1, repeats=True)
    decoder.decode([1 << 40], [words])
    run(decoder, pixels.shape, Coding(1, 2), None, None)
    assert decoder.position(0) <= len(words)
