"""Which images are coded by repeats, and how they come back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from format_constants import REPEATS_FLAG
from PIL import Image, ImageDraw

from ddpmcodec import _native, archive, codec
from ddpmcodec._native import parse_header
from ddpmcodec.errors import FormatError

Picture = Callable[..., Image.Image]
pytestmark = pytest.mark.usefixtures("one_thread")


def page(width: int = 120, height: int = 90, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (width, height), "white")
    draw = ImageDraw.Draw(image)
    for top in range(0, height, 11):
        draw.text((4, top), "text repeats itself", fill="navy" if mode == "RGB" else 60)
    return image


def icons(count: int) -> list[Image.Image]:
    found = []
    for k in range(count):
        image = Image.new("RGB", (16, 16), "white")
        draw = ImageDraw.Draw(image)
        draw.rectangle((1, 1, 14, 14), outline="black", fill=("red", "green", "blue")[k % 3])
        draw.line((4, 4 + k % 8, 11, 11 - k % 5), fill="white")
        found.append(image)
    return found


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_graphics_are_coded_by_repeats_without_levels(mode: str) -> None:
    image = page(mode=mode)
    data = codec.encode(image, effort=1)
    header = parse_header(data)
    assert (header.repeats, header.levels) == (True, 0)
    assert (codec.info(data)["repeats"], codec.info(data)["levels"]) == (True, 0)
    assert codec.decode(data) == image


@pytest.mark.parametrize("options", [{"levels": 2}, {"tile": 64}, {"levels": 5, "tile": 64}])
def test_the_caller_may_choose_levels_and_tiles(options: dict[str, int]) -> None:
    data = codec.encode(page(), effort=1, **options)  # type: ignore[arg-type]
    assert (parse_header(data).repeats, parse_header(data).levels) == (True, options.get("levels", 0))
    assert codec.decode(data) == page()
    assert codec.decode(data[: len(data) // 2], partial=True).size == page().size


def test_photographs_are_not(picture: Picture) -> None:
    for mode in ("L", "RGB"):
        image = picture(mode, 90, 70)
        assert not parse_header(codec.encode(image, effort=1)).repeats


def slope(side: int, right: float, down: float, mode: str = "RGB") -> Image.Image:
    """Colours that rise evenly to the right and downwards, a number of levels a pixel."""
    y, x = np.mgrid[:side, :side]
    level = np.rint((right * x + down * y) % 256).astype(np.uint8)
    return Image.fromarray(level if mode == "L" else np.dstack([level, 255 - level, level // 2]))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, 3), (2, 2), (2, -2), (2.5, 0), (0.5, 0.25)])
def test_slopes_are_coded_by_repeats(right: float, down: float, mode: str) -> None:
    """Whose neighbours to the left differ."""
    image = slope(48, right, down, mode)
    data = codec.encode(image, effort=1)
    assert (parse_header(data).repeats, parse_header(data).levels) == (True, 0)
    assert len(data) < 200
    assert codec.decode(data) == image


def test_slopes_of_channels_that_no_neighbour_has_are_found() -> None:
    """Red rises to the right, and green downwards: no two pixels are alike."""
    pixels = np.dstack([*np.mgrid[:96, :96].astype(np.uint8)[::-1], np.full((96, 96), 128, np.uint8)])
    data = codec.encode(pixels, effort=1)
    assert parse_header(data).repeats
    assert len(data) < 200
    assert np.array_equal(codec.decode(data, as_array=True), pixels)


def test_smooth_drawings_have_no_levels_without_repeats() -> None:
    """Which repeats do not win, but levels would cost half of the bytes."""
    y, x = np.mgrid[:96, :96]
    pixels = (2 * np.hypot(y - 38, x - 29) % 256).astype(np.uint8)
    header, asked = (parse_header(codec.encode(pixels, effort=1, levels=levels)) for levels in (None, 1))
    assert (header.repeats, header.levels, asked.levels) == (False, 0, 1)


@pytest.mark.parametrize("shape", [(1, 200), (200, 1), (40, 50)])
def test_shares_are_of_pixels_that_have_neighbours(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 2, (*shape, 3), np.uint8)
    same = np.all(pixels[:, 1:] == pixels[:, :-1], -1)
    left, slopes = _native.predicted_shares(pixels)
    assert left == (same.mean() if same.size else 0)
    assert (slopes > 0) == (min(shape) > 1)


def test_small_ones_are_decoded_together_with_others() -> None:
    images = [*icons(3), Image.effect_noise((16, 16), 60).convert("RGB")]
    files = codec.encode_many(images, effort=1)
    assert [parse_header(file).repeats for file in files] == [True, True, True, False]
    assert codec.decode_many(files) == images


def test_icons_of_an_archive_repeat_each_other() -> None:
    images = icons(24)
    data = archive.create({f"{k}.png": image for k, image in enumerate(images)}, effort=1)
    apart = sum(len(codec.encode(image, effort=1)) for image in images)
    assert len(data) < apart / 2
    opened = archive.open(data)
    assert [opened[f"{k}.png"] for k in range(len(images))] == images


def test_a_file_of_another_kind_has_no_repeats() -> None:
    data = bytearray(codec.encode(page(), effort=1))
    data[3] ^= REPEATS_FLAG
    with pytest.raises(FormatError):
        codec.decode(bytes(data))
