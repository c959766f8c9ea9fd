"""Pictures that are drawn in code."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ddpmcodec.benchmarks._drawn import graphics, synthetic_photo


def test_graphics_are_drawn_the_same_every_time() -> None:
    for (_, image), (_, again) in zip(graphics(), graphics(), strict=True):
        assert image.dtype == np.uint8
        assert np.array_equal(image, again)
        assert len(Image.fromarray(image).getcolors(image.size) or []) > 3


def test_the_synthetic_photograph_is_always_the_same() -> None:
    first = synthetic_photo(40, 30)
    assert first.size == (40, 30)
    assert first.tobytes() == synthetic_photo(40, 30).tobytes()
