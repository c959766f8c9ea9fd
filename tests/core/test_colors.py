"""Colours that an image has had before are likelier, and the code stays one."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from native_testing import testing

WHOLE = 1 << 24


def images(seed: int) -> dict[str, Any]:
    """Pixels in coding order, green, red, blue, [1, N, 3]."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (1, 400, 3))
    few = rng.integers(0, 256, (8, 3))[rng.integers(0, 8, 400)][None]
    drawn = {
        "nothing": noise[:, :0],
        "noise": noise,
        "few": few,
        "every third level": noise // 3 * 3,
        "flat": few * 0 + 77,
    }
    return {name: pixels.astype(np.uint8) for name, pixels in drawn.items()}


MIXTURES = [
    ([16384], [64 * 77], [48]),
    ([16384], [64 * 77 + 20], [20]),
    ([8000, 8384], [64 * 70, 64 * 90], [60, 72]),
    ([1, 1, 16382], [-32767, 32767, 64 * 128], [0, 127, 70]),
    ([16384], [-32767], [60]),
    ([16384], [32767], [0]),
]


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("name", images(0))
def test_values_share_the_whole_and_each_has_some(name: str, mixture: Any) -> None:
    pixels = images(1)[name]
    for channel in range(3):
        found, _ = testing.weighed(pixels, *mixture, channel, [77, 77, 0], [])
        assert (found[0], found[-1]) == (0, WHOLE)
        assert (np.diff(found) >= 1).all()


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("name", images(0))
def test_find_is_the_inverse_of_intervals(name: str, mixture: Any) -> None:
    pixels, rng = images(2)[name], np.random.default_rng(0)
    for channel in range(3):
        found = np.array(testing.weighed(pixels, *mixture, channel, [77, 77, 0], [])[0])
        slots = np.concatenate([found[:-1], found[1:] - 1, rng.integers(0, WHOLE, 50)])
        values = testing.weighed(pixels, *mixture, channel, [77, 77, 0], slots.tolist())[1]
        assert values == (np.searchsorted(found, slots, side="right") - 1).tolist()


@pytest.mark.parametrize("mixture", MIXTURES)
def test_an_image_that_has_not_begun_changes_nothing_but_rounding(mixture: Any) -> None:
    plain = np.array(testing.cumulative(mixture[0], 0, 255, *mixture[1:]))
    for channel in range(3):
        found = testing.weighed(images(0)["nothing"], *mixture, channel, [77, 77, 0], [])[0]
        assert np.abs(np.diff(found) - np.diff(plain)).max() <= 4


def test_colours_that_came_back_are_likelier() -> None:
    pixels = images(3)["few"]
    green, red, blue = pixels[0, -1].tolist()
    for channel, value in enumerate((green, red, blue)):
        mixture = ([16384], [64 * value], [60])
        plain = np.diff(testing.cumulative(mixture[0], 0, 255, *mixture[1:]))[value]
        found = np.diff(testing.weighed(pixels, *mixture, channel, [green, red, 0], [])[0])[value]
        assert found > 1.5 * plain


def from_jpeg(pixel: tuple[int, int, int]) -> tuple[int, int, int]:
    """A flat JPEG: what comes out is what libjpeg's conversion makes of some Y, Cb, Cr."""
    stream = BytesIO()
    Image.new("RGB", (8, 8), pixel).save(stream, "JPEG", quality=100, subsampling=0)
    with Image.open(stream) as image:
        red, green, blue = np.asarray(image)[0, 0].tolist()
    return red, green, blue


def test_triples_that_conversion_from_ycbcr_makes_are_known() -> None:
    rng = np.random.default_rng(0)
    drawn = [(red, green, blue) for red, green, blue in rng.integers(40, 216, (300, 3)).tolist()]
    assert all(testing.is_from_ycbcr(*from_jpeg(pixel)) for pixel in drawn)
    assert 0.15 < np.mean([testing.is_from_ycbcr(*pixel) for pixel in drawn]) < 0.35


def on_lattice(count: int) -> Any:
    """Pixels that follow `NARROW`, of one colour in seven: beside a red and a green, each seventh blue exists."""
    drawn = np.random.default_rng(0).logistic(77, 1, (1, 12 * count, 3)).round().astype(np.uint8)
    return drawn[:, (drawn @ [2, 3, 1])[0] % 7 == 4][:, :count]


def saved_bits(pixels: Any, channel: int) -> float:
    """A pixel, of a channel of the last 200 pixels, beside coding them without colours."""
    plain = np.diff(testing.cumulative(NARROW[0], 0, 255, *NARROW[1:]))
    bits = []
    for k in range(pixels.shape[1] - 200, pixels.shape[1]):
        pixel = pixels[0, k].tolist()
        found = np.diff(testing.weighed(pixels[:, :k], *NARROW, channel, pixel, [])[0])
        bits.append(np.log2(found[pixel[channel]] / plain[pixel[channel]]))
    return float(np.mean(bits))


def test_colours_of_a_lattice_are_cheaper_in_red_and_blue() -> None:
    """A red beside which there is no blue near the one that is expected is rare."""
    pixels = on_lattice(3000)
    red, blue = saved_bits(pixels, 1), saved_bits(pixels, 2)
    assert blue > 2
    assert red > 0.05


def test_colours_without_a_lattice_cost_next_to_nothing() -> None:
    pixels = np.random.default_rng(0).logistic(77, 1, (1, 3000, 3)).round().astype(np.uint8)
    assert min(saved_bits(pixels, channel) for channel in range(3)) > -0.03


def as_expected(count: int) -> Any:
    """Pixels that follow `EXPECTED`: what came back is no likelier than that."""
    drawn = np.random.default_rng(0).logistic(77, 2**1.5, (1, count, 3))
    return drawn.round().clip(0, 255).astype(np.uint8)


EXPECTED: Any = ([16384], [64 * 77], [60])
NARROW: Any = ([16384], [64 * 77], [48])  # of scale 1


def test_a_channel_rests_where_its_colours_save_nothing() -> None:
    pixels = as_expected(8192)
    assert testing.color_weighs(pixels[:, :-1], *EXPECTED) == [True, True, True]
    assert testing.color_weighs(pixels, *EXPECTED) == [False, False, False]
    few = pixels[:, np.random.default_rng(1).integers(0, 8, 8192)]
    assert testing.color_weighs(few, *EXPECTED) == [True, True, True]


def test_a_channel_that_rested_is_tried_again() -> None:
    pixels = as_expected(8192 + (1 << 15))
    assert testing.color_weighs(pixels[:, :-2], *EXPECTED) == [False, False, False]
    assert testing.color_weighs(pixels, *EXPECTED) == [True, True, True]


def test_the_logarithm_is_near() -> None:
    drawn = np.random.default_rng(0).integers(1, 1 << 46, 100).tolist()
    for x in [1, 2, 3, 5, 1 << 24, (1 << 32) - 1, 1 << 32, *drawn]:
        assert abs(testing.binary_logarithm(x) / 65536 - np.log2(x)) < 0.01
