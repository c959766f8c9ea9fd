"""Efforts and noise levels: what there is to choose, the segments of each, and how much work each is."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from written_headers import Header

from ddpmcodec import codec
from ddpmcodec._native import LEVELS, MAX_EFFORT, MIN_EFFORT
from ddpmcodec.codec.efforts import Coding, check_coding, segments
from ddpmcodec.errors import DdpmError, TruncatedError
from ddpmcodec.format.header import DEFAULT_EFFORT, DEFAULT_LEVELS
from ddpmcodec.models.context import CODING_EFFORTS, EFFORTS, ContextModel
from ddpmcodec.models.registry import find_context
from ddpmcodec.parallel import threads_of

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"


def test_files_can_name_all_efforts_and_levels() -> None:
    assert tuple(range(MIN_EFFORT, MAX_EFFORT + 1)) == CODING_EFFORTS == (0, *EFFORTS)
    assert check_coding(DEFAULT_EFFORT, DEFAULT_LEVELS) == Coding()
    assert DEFAULT_LEVELS in LEVELS
    assert Coding.of(Header("L", 3, 3, 3, 5, 1)) == Coding(3, 5)


@pytest.mark.parametrize("levels", LEVELS)
def test_a_coding_has_a_step_for_each_level_and_one_to_exact_pixels(levels: int) -> None:
    found = segments(levels, 64, 64)
    assert Coding(levels=levels).steps == levels + 1 == len({segment.step for segment in found})
    assert [segment.level == 0 for segment in found] == [segment.step == levels for segment in found]


@pytest.mark.parametrize(("effort", "levels"), [(4, 2), (-1, 2), (2, 3), (2, -1), (2, 6)])
def test_others_are_refused(effort: int, levels: int) -> None:
    with pytest.raises(ValueError, match=r"effort|levels"):
        check_coding(effort, levels)


@pytest.mark.parametrize("wrong", ["2", None, 2.0, True])
def test_they_are_whole_numbers(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"effort .*{wrong!r}"):
        check_coding(wrong, 2)
    with pytest.raises(TypeError, match=f"levels .*{wrong!r}"):
        check_coding(2, wrong)


def test_work_of_a_pixel_grows_with_the_levels(context_model: ContextModel) -> None:
    work = [context_model.macs_per_pixel(2, levels) for levels in LEVELS]
    assert work == sorted(set(work))


def test_effort_0_gives_photographs_back_in_few_bytes() -> None:
    image = Image.open(PHOTO).convert("RGB").crop((40, 40, 340, 300))
    for picture in (image, image.convert("L"), image.crop((0, 0, 5, 300))):
        data = codec.encode(picture, effort=0, levels=0)
        assert codec.info(data)["effort"] == 0
        assert np.array_equal(np.asarray(codec.decode(data)), np.asarray(picture))
        assert len(data) < 0.6 * np.asarray(picture).size or min(picture.size) < 8


def test_effort_0_has_no_noise_levels_unless_asked() -> None:
    image = Image.open(PHOTO).convert("RGB").crop((0, 0, 90, 70))
    assert [codec.info(codec.encode(image, effort=0, levels=levels))["levels"] for levels in (None, 1)] == [0, 1]


@pytest.mark.parametrize("values", [(0, 1), (255, 256), (0, 256)], ids=["black", "white", "noise"])
@pytest.mark.parametrize("shape", [(1, 1, 3), (60, 50, 3), (9, 300)])
def test_effort_0_gives_any_values_back(values: tuple[int, int], shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(*values, shape, np.uint8)
    data = codec.encode(pixels, effort=0, model="photo")
    assert np.array_equal(codec.decode(data, as_array=True), pixels)


def test_damage_of_a_file_of_effort_0_never_gives_other_pixels() -> None:
    image = Image.open(PHOTO).convert("RGB").crop((40, 40, 76, 64))
    data = codec.encode(image, effort=0, model="photo")
    for place in range(len(data)):
        flipped = data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]
        with pytest.raises(DdpmError):
            codec.decode(flipped)
        with pytest.raises(TruncatedError):
            codec.decode(data[:place])


def test_effort_0_codes_alike_on_any_number_of_threads() -> None:
    image = Image.open(PHOTO).convert("RGB").crop((0, 0, 400, 200))
    found = []
    for threads in (1, 2, 4):
        with threads_of(threads):
            found.append(codec.encode(image, effort=0, levels=0))
    assert found[0] == found[1] == found[2]


def test_effort_0_is_as_1_with_noise_levels_and_by_models_without_a_network_of_its_own() -> None:
    photo, thumbnails = find_context("photo"), find_context("cifar10")
    assert photo.networks(0, 2) == photo.networks(1, 2)
    assert photo.networks(0, 0) != photo.networks(1, 0)
    assert thumbnails.networks(0, 0) == thumbnails.networks(1, 0)
    assert photo.networks(0, 0)[0].components == 1


def test_coefficients_of_a_jpeg_have_effort_1_at_least() -> None:
    jpeg = BytesIO()
    Image.open(PHOTO).convert("RGB").crop((0, 0, 64, 48)).save(jpeg, "JPEG")
    data = codec.encode(BytesIO(jpeg.getvalue()), effort=0)
    assert codec.info(data)["effort"] == 1
    assert codec.decode_original(data) == jpeg.getvalue()
