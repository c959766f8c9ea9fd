"""Which images WebP takes fewer bytes for than a stack does."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ddpmcodec.codec import graphics
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.formats.images import Planes, to_planes
from ddpmcodec.models.context import ContextModel
from pictures import crops, drawing

pytestmark = pytest.mark.usefixtures("one_thread")

CODING = Coding(effort=1, levels=0)


def planes(*images: Image.Image) -> list[Planes]:
    return [to_planes(image) for image in images]


def test_drawings_are_found_among_photographs(model: ContextModel) -> None:
    first, second = crops(2, 30, 20).values()
    found = graphics.find_graphics(planes(first, drawing(), second, drawing(24).convert("L")), model, CODING)
    assert found == [False, True, False, True]
    assert graphics.find_graphics([], model, CODING) == []


def noise(*shape: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def test_what_no_drawing_can_be_is_not_coded_to_find_out(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(graphics, "encode_tiles")
    assert graphics.find_graphics(planes(noise(20, 30, 3), noise(9, 9)), model, CODING) == [False] * 2


def test_alpha_counts_on_both_sides(model: ContextModel) -> None:
    image = drawing()
    image.putalpha(drawing().convert("L"))
    assert graphics.find_graphics(planes(image), model, CODING) == [True]
