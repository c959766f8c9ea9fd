"""PSNR, and JPEG and WebP in as many bytes as a prefix."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ddpmcodec.comparison import CODECS, LOSSLESS, encode_within, psnr, psnr_of
from ddpmcodec.errors import ImageError


def test_psnr_is_that_of_eight_bits_and_none_without_error() -> None:
    assert psnr(255**2) == 0
    assert psnr(65.025) == pytest.approx(30)
    assert psnr(0) is None


def ignore(share: float) -> None:
    pass


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_best_file_that_fits_is_found(picture: np.ndarray, name: str, mode: str) -> None:
    image, codec = Image.fromarray(picture).convert(mode), CODECS[name]
    sizes = [len(codec.encode(image, quality)) for quality in codec.qualities]
    for limit in (sizes[40], sizes[80]):
        shares: list[float] = []
        found = encode_within(image, codec, limit, shares.append)
        assert len(found) <= limit
        assert len(found) >= max(size for size in sizes if size <= limit) - 16  # sizes grow with quality but for bytes
        assert sum(shares) <= 1
        assert Image.open(BytesIO(found)).size == image.size


@pytest.mark.parametrize("name", CODECS)
def test_where_nothing_fits_the_smallest_file_is_shown(picture: np.ndarray, name: str) -> None:
    image, codec = Image.fromarray(picture), CODECS[name]
    assert encode_within(image, codec, 10, ignore) == codec.encode(image, codec.qualities[0])


def test_webp_ends_with_a_lossless_file(picture: np.ndarray) -> None:
    image = Image.fromarray(picture)
    found = encode_within(image, CODECS["webp"], 10**6, ignore)
    assert found == CODECS["webp"].encode(image, LOSSLESS)
    assert psnr_of(Image.open(BytesIO(found)), image) is None


def test_what_a_format_cannot_hold_is_an_error() -> None:
    with pytest.raises(ImageError, match=r"^WEBP cannot hold"):
        CODECS["webp"].encode(Image.new("L", (16_384, 1)), 50)


def test_psnr_is_over_the_samples_of_the_original() -> None:
    assert psnr_of(Image.new("RGB", (4, 4), (10, 10, 10)), Image.new("L", (4, 4), 20)) == pytest.approx(
        28.1308, abs=1e-4
    )
    assert psnr_of(Image.new("RGB", (4, 4), (10, 10, 40)), Image.new("RGB", (4, 4), (10, 10, 10))) == pytest.approx(
        10 * np.log10(255**2 / 300)
    )
