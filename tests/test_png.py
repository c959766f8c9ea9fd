"""Chunks of PNG files, their checksums, and what follows them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import png
from ddpmcodec.errors import ImageError
from ddpmcodec.images import load_image


@pytest.fixture(scope="module")
def picture() -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (9, 7, 3), np.uint8)
    stream = BytesIO()
    Image.fromarray(noise).save(stream, "PNG", dpi=(72, 72))
    return stream.getvalue()


def test_chunks_follow_each_other_to_the_end(picture: bytes) -> None:
    found = list(png.chunks(picture))
    assert [chunk.kind for chunk in found] == [b"IHDR", b"pHYs", b"IDAT", b"IEND"]
    assert all(chunk.is_sound for chunk in found)
    assert (found[0].content[:8], found[-1].end) == (b"\0\0\0\x07\0\0\0\x09", len(picture))


def test_every_damaged_byte_is_found(picture: bytes) -> None:
    """Pillow finds some of them."""
    for place in range(len(png.START), len(picture)):
        damaged = picture[:place] + bytes([picture[place] ^ 4]) + picture[place + 1 :]
        with pytest.raises(ImageError):
            png.check(damaged)
        with pytest.raises(ImageError, match=r"^a\.png: "):
            load_image(damaged, "a.png")


def test_every_cut_is_found(picture: bytes) -> None:
    png.check(picture)
    for size in range(len(png.START), len(picture)):
        with pytest.raises(ImageError, match="image file is truncated"):
            png.check(picture[:size])


def test_what_follows_the_end_is_counted(picture: bytes) -> None:
    assert png.following(picture) == 0
    assert png.following(picture + b"IEND" + bytes(8)) == 12
    assert png.following(picture[:-1]) == 0, "the end is not there"
    assert png.following(b"GIF89a" + bytes(20)) == 0
    png.check(picture + bytes(8))
