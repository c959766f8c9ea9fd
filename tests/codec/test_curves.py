"""More bytes, a better picture: the curve of real files of the embedded models, cut anywhere.

Where there are noise levels, no preview is worse than that of the last whole step, up to the noise of a few
coefficients. From one cut to the next a tiny image may lose a little, where a range that became narrower is shown by a
mean that is farther off.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.codec.decoder import decode_details

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
CUTS = 8

pytestmark = pytest.mark.usefixtures("one_thread")


class Curve(NamedTuple):
    """PSNR in dB of whole steps, by their number; of cuts: how many steps are whole, and the PSNR."""

    whole: np.ndarray
    steps: np.ndarray
    cuts: np.ndarray


def psnr(image: Image.Image, original: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-2, np.square(np.asarray(image, float) - original).mean())))


def curve(original: np.ndarray, levels: int, effort: int = 1, tile: int | None = None) -> Curve:
    data = codec.encode(original, effort=effort, levels=levels, tile=tile, verify=False)
    facts = codec.info(data)
    assert facts["coding"] == "context model"
    whole = [psnr(codec.decode(data, step=k), original) for k in range(facts["steps"] + 1)]
    even, fine = (spaced(facts["header_bytes"], len(data), CUTS) for spaced in (np.linspace, np.geomspace))
    sizes = np.unique(np.concatenate([even, fine]).astype(int)).tolist()
    found = [decode_details(data, max_bytes=size) for size in sizes]
    steps, cuts = zip(*((each.steps_done, psnr(each.image, original)) for each in found), strict=True)
    return Curve(np.array(whole), np.array(steps), np.array(cuts))


def crop(left: int, top: int, width: int, height: int) -> np.ndarray:
    with Image.open(PHOTO) as photo:
        return np.asarray(photo.convert("RGB"))[top : top + height, left : left + width]


@pytest.mark.parametrize("effort", [1, 2])  # the networks of effort 2 see what others show
@pytest.mark.parametrize(
    ("left", "top", "tile", "levels"), [(160, 90, None, 2), (280, 160, 64, 5)], ids=["whole", "tiles"]
)
def test_a_photograph_gets_better_with_every_byte(
    left: int, top: int, tile: int | None, levels: int, effort: int
) -> None:
    whole, steps, cuts = curve(crop(left, top, 96, 64), levels, effort, tile)
    assert (np.diff(whole) > 0).all()
    assert (cuts >= whole[steps] - 0.05).all()
    assert (np.maximum.accumulate(cuts) - cuts).max() < 0.05
    assert cuts[-1] == whole[-1] > 60


@pytest.mark.parametrize(("number", "levels"), [(0, 2), (1, 5), (2, 5)])
def test_a_small_image_gets_better_but_for_a_fraction_of_a_decibel(number: int, levels: int) -> None:
    whole, steps, cuts = curve(crop(80 * number, 50 * number, 32, 32), levels)
    assert (cuts >= whole[steps] - 0.25).all()
    assert (np.maximum.accumulate(cuts) - cuts).max() < 0.25
    assert cuts[-1] == whole[-1] > 60


def test_a_preview_is_better_than_a_jpeg_of_so_many_bytes(tmp_path: Path) -> None:
    original, share = crop(40, 40, 160, 120), 0.3
    data = codec.encode(original, levels=5, verify=False)
    preview = psnr(codec.decode(data, max_bytes=int(share * len(data))), original)
    best = 0.0
    for quality in range(1, 96, 3):
        Image.fromarray(original).save(tmp_path / "p.jpg", quality=quality, optimize=True)
        if (tmp_path / "p.jpg").stat().st_size <= share * len(data):
            with Image.open(tmp_path / "p.jpg") as jpeg:
                best = max(best, psnr(jpeg, original))
    assert preview > best > 20
