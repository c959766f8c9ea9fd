"""More bytes, a better picture: the curve of real files of the embedded model, cut within their steps too.

No preview is worse than that of the last whole step. From one step to the next a tiny image may lose a little, where
the network takes a few new pixels for more than they are: 0.25 dB is the most that is tolerated of 32x32 pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec, container
from ddpmcodec.networks import load_model
from ddpmcodec.networks.model import Model

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
CUTS = 8


class Curve(NamedTuple):
    """PSNR in dB of whole steps, by their number; of cuts: how many steps are whole, and the PSNR."""

    whole: np.ndarray
    steps: np.ndarray
    cuts: np.ndarray


def psnr(image: Image.Image, original: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-2, np.square(np.asarray(image, float) - original).mean())))


def curve(original: np.ndarray, model: Model) -> Curve:
    data = codec.encode(original, effort=1, model=model, verify=False)
    whole = [psnr(codec.decode(data, step=k, model=model), original) for k in range(len(model.presets[1]) + 1)]
    header = codec.info(data)["header_bytes"]
    even, fine = np.linspace(header, len(data), CUTS), np.geomspace(header, len(data), CUTS)
    sizes = np.unique(np.concatenate([even, fine]).astype(int)).tolist()
    found = [codec.decode_details(data, max_bytes=size, model=model) for size in sizes]
    steps, cuts = zip(*((each.steps_done, psnr(each.image, original)) for each in found), strict=True)
    return Curve(np.array(whole), np.array(steps), np.array(cuts))


@pytest.fixture(scope="module")
def embedded() -> Model:
    return load_model(None)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("left", "top", "grouped"), [(160, 90, False), (288, 160, True)], ids=["whole", "groups"])
def test_a_photograph_gets_better_with_every_byte(
    embedded: Model, left: int, top: int, grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if grouped:
        monkeypatch.setattr(container, "SINGLE_STREAM_PIXELS", 64 * 48)
        monkeypatch.setattr(container, "GROUP_PIXELS", 64 * 48)
    whole, steps, cuts = curve(np.asarray(Image.open(PHOTO))[top : top + 64, left : left + 96], embedded)
    assert (cuts >= whole[steps] - 1e-9).all()  # never below the last whole step
    assert (np.diff(cuts) > -0.02).all()
    assert cuts[-1] == whole[-1] > 60


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("number", range(3))
def test_a_small_image_gets_better_but_for_a_fraction_of_a_decibel(embedded: Model, number: int) -> None:
    left, top = 80 * number, 50 * number
    whole, steps, cuts = curve(np.asarray(Image.open(PHOTO))[top : top + 32, left : left + 32], embedded)
    assert (cuts >= whole[steps] - 1e-9).all()
    assert (np.maximum.accumulate(cuts) - cuts).max() < 0.25
