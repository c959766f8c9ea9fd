"""A run that is soon over, and the pictures and files that it learns from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from coefficient_runs import picture, start
from PIL import Image

from ddpmcodec.training.coefficients import coefficient_trainer, jpeg_files
from ddpmcodec.training.coefficients.coefficient_network import REFINE_CHROMA, REFINE_LUMA
from ddpmcodec.training.coefficients.coefficient_trainer import CoefficientSettings
from ddpmcodec.training.coefficients.jpeg_files import JpegSetting, write


@pytest.fixture(scope="module", autouse=True)
def few_files(one_thread: None) -> Iterator[None]:
    """Runs see few files, and refine with small networks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg_files, "KEPT", 6)
        patch.setattr(coefficient_trainer, "MEASURED", 4)
        for role in (REFINE_LUMA, REFINE_CHROMA):
            patch.setitem(coefficient_trainer.SIZES[1], role, (32, 2))
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures, and five JPEG files, of which one is CMYK and the last is damaged."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(6):
        Image.fromarray(picture(number)).save(folder / f"{number}.png")
    for number in range(3):
        (folder / f"x{number}.jpg").write_bytes(write(picture(10 + number, 90), JpegSetting(85)))
    Image.fromarray(picture(20)).convert("CMYK").save(folder / "k.jpeg")
    (folder / "y.jpg").write_bytes(b"\xff\xd8\xff damaged")
    return folder


@pytest.fixture(scope="session")
def settings(data: Path) -> CoefficientSettings:
    return CoefficientSettings((str(data),), hold_out=3, steps=60, size=1, crop=64, batch=512, seed=3)


@pytest.fixture(scope="module")
def whole(settings: CoefficientSettings, few_files: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run from its beginning to its end, to be read."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    start(settings, folder)
    return folder
