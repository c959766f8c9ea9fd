"""Calls of a decoder that come too early, or with other sizes, are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ddpmcodec import _native
from ddpmcodec.errors import ImageError

GOLDEN = Path(__file__).parents[1] / "golden" / "v2"


def fed(name: str, box: tuple[int, int, int, int] | None = None) -> _native.Decoder:
    decoder = _native.Decoder(box=box)
    decoder.feed((GOLDEN / name).read_bytes())
    decoder.finish()
    return decoder


def test_nothing_is_shown_before_the_header_was_read() -> None:
    decoder = fed("grey-1.ddpm")
    with pytest.raises(ValueError, match="header"):
        _ = decoder.bytes_shown
    with pytest.raises(ValueError, match="header"):
        decoder.picture(1)


def test_nothing_is_shown_of_a_box_that_the_image_does_not_contain() -> None:
    decoder = fed("grey-1.ddpm", (0, 0, 1 << 20, 1))
    with pytest.raises(ImageError):
        decoder.advance(1.0, 1)
    with pytest.raises(ValueError, match="header"):
        decoder.picture(1)


def test_a_tile_of_another_size_is_refused() -> None:
    decoder = fed("grey-1.ddpm")
    assert decoder.advance(1.0, 1) == _native.Event.NEED_MODEL
    with pytest.raises(ValueError, match="samples"):
        decoder.set_tile(np.zeros((1, 1, 1), np.uint8))
