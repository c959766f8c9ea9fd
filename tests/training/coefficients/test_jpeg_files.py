"""JPEG files that the trainer writes: tables, samplings, crops."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
import torch
from coefficient_runs import picture
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from ddpmcodec.training.coefficients import jpeg_files
from ddpmcodec.training.coefficients.jpeg_files import (
    FileSource,
    JpegSetting,
    camera,
    parsed,
    random_crop,
    random_file,
    random_setting,
    robidoux,
    write,
)

RGB = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
SAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}  # as Pillow numbers them


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_file_has_the_sampling_of_its_setting(sampling: str) -> None:
    image = opened(write(RGB, JpegSetting(80, sampling)))
    assert (image.format, image.size, get_sampling(image)) == ("JPEG", (56, 40), SAMPLINGS[sampling])


def test_a_file_has_the_tables_of_its_setting() -> None:
    tables = camera(70, np.random.default_rng(3))
    written = opened(write(RGB, JpegSetting(70, "4:2:0", tables))).quantization  # type: ignore[attr-defined]
    assert [list(written[number]) for number in (0, 1)] == tables
    assert tables[0] != tables[1]


def test_grey_images_are_written_with_one_component() -> None:
    image = opened(write(RGB[..., :1], JpegSetting(90, "4:2:0", robidoux(90))))
    assert (image.mode, list(image.quantization[0])) == ("L", robidoux(90)[0])  # type: ignore[attr-defined]


def test_tables_of_cameras_rise() -> None:
    luma, chroma = camera(60, np.random.default_rng(1))
    assert luma[0] < luma[27] < luma[63]
    assert chroma[0] < chroma[63]


def test_settings_are_of_many_kinds() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_setting(rng) for _ in range(300)]
    samplings = Counter(setting.sampling for setting in drawn)
    assert samplings["4:2:0"] > samplings["4:4:4"] > samplings["4:2:2"] > 0
    assert {setting.tables is None for setting in drawn} == {True, False}
    qualities = [setting.quality for setting in drawn]
    assert 30 <= min(qualities) < 40
    assert 98 < max(qualities) <= 100


@pytest.mark.parametrize("side", [16, 500])
def test_crops_lie_in_the_image(side: int) -> None:
    crop = random_crop(RGB, side, np.random.default_rng(2))
    height, width = min(side, 40), min(side, 56)
    assert crop.shape == (height, width, 3)
    windows = np.lib.stride_tricks.sliding_window_view(RGB, crop.shape)
    assert any((windows == each).all((2, 3, 4, 5)).any() for each in (crop, crop[:, ::-1]))


def test_equal_seeds_write_equal_files() -> None:
    first, second = (random_file(RGB, 32, np.random.default_rng(5)) for _ in range(2))
    assert first == second
    assert opened(first).size == (32, 32)


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_a_part_of_a_file_is_its_blocks(sampling: str) -> None:
    data, rng = write(picture(1, 100), JpegSetting(90, sampling)), np.random.default_rng(0)
    whole = parsed(data)
    assert whole is not None
    for _ in range(5):
        part = jpeg_files.in_training(jpeg_files.part(data, 32, rng))
        for found, component in zip(part.components, whole, strict=True):
            rows = len(found.inside) // found.stride
            blocks = found.blocks.reshape(rows, found.stride, 64)[1:-1, 1:-1] // component.steps.astype(np.int16)
            windows = np.lib.stride_tricks.sliding_window_view(component.values, blocks.shape)
            assert (windows == blocks).all((3, 4, 5)).any()
        assert part.components[0].stride == 32 // 8 + 2


def test_files_depend_on_their_numbers_alone() -> None:
    source = FileSource([[picture(1), picture(2)], [picture(3)]], 48, seed=1)
    again = FileSource([[picture(1), picture(2)], [picture(3)]], 48, seed=1)
    files = {number: source.file(number) for number in (0, 1, 2, 3)}
    for number in (3, 0):
        one, other = files[number].components[0], again.file(number).components[0]
        assert torch.from_numpy(one.blocks).equal(torch.from_numpy(other.blocks))
    assert not np.array_equal(files[0].components[0].blocks, files[2].components[0].blocks)
