"""Small pictures: upright, of any prefix, from few bytes of a large file."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from ddpmcodec import codec
from ddpmcodec.errors import FormatError, ImageError
from ddpmcodec.models.context import ContextModel

Picture = Callable[..., Image.Image]
PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"


def turned(image: Image.Image, orientation: int) -> Image.Image:
    exif = Image.Exif()
    exif[0x112] = orientation
    image.info["exif"] = exif.tobytes()
    return image


def difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a.convert("RGB"), float) - np.asarray(b.convert("RGB"), float)).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_stands_upright(picture: Picture, model: ContextModel, orientation: int) -> None:
    """Of whole files and of files that are cut."""
    image, cut = turned(picture("RGB", 60, 100), orientation), orientation % 3 == 0
    data = codec.encode(image, model=model, effort=1, tile=64)
    found = codec.thumbnail(data[: len(data) * 3 // 4] if cut else data, 40, model=model)
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((40, 40))
    assert found.size == upright.size
    assert max(found.size) == 40
    assert difference(found, upright) < 6
    assert "exif" not in found.info


@pytest.mark.parametrize("levels", [0, 2])
def test_hidden_colours_have_no_say(model: ContextModel, levels: int) -> None:
    """A white disc on what is transparent, and black beneath."""
    image = Image.new("RGBA", (128, 128))
    ImageDraw.Draw(image).ellipse((16, 16, 112, 112), fill="white")
    data = codec.encode(image, model=model, effort=1, levels=levels)
    for small in codec.decode(data, reduce=8, model=model), codec.thumbnail(data, 16, model=model):
        assert small.size == (16, 16)
        assert np.array_equal(np.asarray(small), np.asarray(image.reduce(8)))


def test_alpha_that_does_not_vary_costs_no_whole_decode(model: ContextModel) -> None:
    image = Image.open(PHOTO).convert("RGB").crop((0, 0, 256, 256))
    image.putalpha(200)
    data = codec.encode(image, model=model, effort=1, tile=256)
    costs: list[codec.SegmentCost] = []
    small = codec.decode_details(data, reduce=8, model=model, report=costs.append).image
    assert {cost.level for cost in costs} == {32}
    assert (small.mode, small.size, small.getextrema()[3]) == ("RGBA", (32, 32), (200, 200))
    assert difference(small, image.reduce(8)) < 3


def exif_with_a_place() -> bytes:
    """Of an image that is turned."""
    exif = Image.Exif()
    exif[0x112], exif[0x8825] = 6, {1: "N", 2: (1.0, 2.0, 3.0)}
    return exif.tobytes()


@pytest.mark.parametrize(
    ("exif", "size"),
    [(b"Exif\0\0MM of one", (40, 30)), (exif_with_a_place()[:14], (40, 30)), (exif_with_a_place()[:-30], (30, 40))],
    ids=["none", "no tags", "cut behind the orientation"],
)
def test_damaged_exif_is_no_obstacle(picture: Picture, model: ContextModel, exif: bytes, size: tuple[int, int]) -> None:
    """Pillow reads it with an error, or a warning; the image was encoded with it."""
    image = picture("RGB", 30, 40)
    image.info["exif"] = exif
    assert image.size == (40, 30)
    assert codec.thumbnail(codec.encode(image, model=model, effort=1), model=model).size == size


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [5, 30, 500])
def test_of_all_modes_and_no_larger_than_the_image(picture: Picture, model: ContextModel, mode: str, size: int) -> None:
    data = codec.encode(picture(mode, 30, 40), model=model, effort=1)
    found = codec.thumbnail(data, size, model=model)
    assert (found.mode, max(found.size)) == ("L" if mode == "1" else mode, min(size, 40))


def test_a_prefix_is_enough_of_a_large_file(picture: Picture, model: ContextModel) -> None:
    image = picture("RGB", 200, 200)
    data = codec.encode(image, model=model, effort=1, tile=96)
    assert codec.thumbnail(data[: len(data) // 10], 12, model=model) == codec.thumbnail(data, 12, model=model)
    image.thumbnail((12, 12))
    assert difference(codec.thumbnail(data, 12, model=model), image) < 6
    start = codec.info(data)["header_bytes"]
    assert codec.thumbnail(data[:start], 12, model=model).getextrema() == ((128, 128),) * 3
    damaged = data[: start + 40] + bytes(200) + data[start + 240 :]
    assert codec.thumbnail(damaged, 12, model=model).size == (12, 12)


def test_of_files_of_other_formats() -> None:
    drawing = Image.fromarray(np.tile(np.random.default_rng(6).integers(0, 256, (5, 8, 3), np.uint8), (6, 5, 1)))
    files = [codec.encode(turned(drawing, 6))]
    stream = BytesIO()
    drawing.save(stream, "JPEG", exif=turned(drawing, 6).info["exif"])
    files.append(codec.encode(BytesIO(stream.getvalue())))
    assert codec.info(files[1])["coding"] == "JPEG coefficients"
    for data in files:
        assert codec.thumbnail(data, 10).size == (8, 10)
        assert codec.thumbnail(data[:-20], 10).size == (8, 10)


def test_what_is_no_file_or_size_is_refused(picture: Picture) -> None:
    data = codec.encode(picture("RGB", 10, 10), effort=1)
    with pytest.raises(FormatError):
        codec.thumbnail(b"no file")
    with pytest.raises(ImageError, match="at most 10 "):
        codec.thumbnail(data, max_pixels=10)
    for size, error in ((0, ValueError), (-1, ValueError), (2.5, TypeError)):
        with pytest.raises(error):
            codec.thumbnail(data, size)  # type: ignore[arg-type]


def test_a_thumbnail_has_the_profile_where_the_data_reaches_so_far(picture: Picture, model: ContextModel) -> None:
    image = picture("RGB", 60, 100)
    image.info["icc_profile"] = b"a profile"
    data = codec.encode(image, model=model, effort=1)
    assert codec.thumbnail(data, 40, model=model).info == {"icc_profile": b"a profile"}
    assert codec.thumbnail(data[:-5], 40, model=model).info == {}
