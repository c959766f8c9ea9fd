"""Points of prefixes and of baselines, and curves, averages and BD-rates of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec import codec
from ddpmcodec._native import LEVELS
from ddpmcodec.benchmarks._codecs import CodeLength
from ddpmcodec.benchmarks._curves import (
    Curve,
    Point,
    average,
    bd_rates,
    curve,
    operating_points,
    point,
    prefixes,
    ssimulacra2,
)
from ddpmcodec.codec.efforts import CELLS, Coding
from ddpmcodec.errors import DdpmError
from ddpmcodec.models.context import ContextModel

pytestmark = pytest.mark.usefixtures("one_thread")


def decibel(shown: Any, image: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(np.asarray(shown, float) - image).mean()))


# --- prefixes


@pytest.mark.parametrize("levels", LEVELS)
def test_files_are_cut_at_the_ends_of_segments(levels: int, pictures: np.ndarray, context_model: ContextModel) -> None:
    found, costs = operating_points(Coding(1, levels)), CodeLength()
    codec.encode(pictures[0], effort=1, levels=levels, model=context_model, verify=False, report=costs)
    # the middle, too, of segments of the exact step
    expected = [(cost.level, cost.band) for cost in costs.costs for _ in range(1 if cost.level else 2)]
    assert [(place.level, place.band) for place in found] == expected
    assert [(place.step, place.level) for place in found if place.ends_step] == list(enumerate(CELLS[levels], 1))


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("count", [1, 2], ids=["one stream", "tiles"])
def test_a_file_that_is_decoded_once_shows_what_its_prefixes_show(
    count: int, levels: int, pictures: np.ndarray, context_model: ContextModel
) -> None:
    picture = np.concatenate(pictures[: 2 * count - 1])
    data = codec.encode(picture, effort=1, levels=levels, tile=64, model=context_model)
    facts = codec.info(data)
    assert (facts["tiles"], facts["segments"] is None) == (count, count == 1)
    found = list(prefixes(data, context_model))
    assert len(found) == len(operating_points(Coding(1, levels)))
    for prefix in found[3:-1:4]:
        shown = codec.decode(data, max_bytes=prefix.bytes, model=context_model, as_array=True)
        beyond = decibel(shown, picture) - decibel(prefix.shown, picture)
        assert -0.3 < beyond < 2  # the state of a stream that is cut holds some symbols of the next segment
    assert found[-1].bytes == len(data)
    assert np.array_equal(found[-1].shown, picture)


# --- distortion, averages, BD-rates


def test_an_image_has_no_distortion_from_itself() -> None:
    image = np.random.default_rng(0).integers(0, 256, (161, 163, 3)).astype(np.uint8)
    same, far = point(9, image, image), point(9, 255 - image, image)
    assert same == (9, 0, None, pytest.approx(1), None)
    assert far.squared_error == pytest.approx(np.square(255.0 - 2 * image.astype(float)).mean(), rel=1e-5)
    assert far.ms_ssim == pytest.approx(0)
    small = point(9, 255 - image[:99], image[:99])
    assert small.ssim is not None
    assert small.ssim < 0


@pytest.mark.parametrize(("side", "known"), [(10, (False, False)), (11, (True, False)), (160, (True, False))])
def test_similarity_needs_images_that_hold_its_windows(side: int, known: tuple[bool, bool]) -> None:
    image = np.zeros((side, 200, 3), np.uint8)
    found = point(9, image, image)
    assert (found.ssim is not None, found.ms_ssim is not None) == known


@pytest.mark.usefixtures("scorer")
def test_the_program_for_ssimulacra2_gets_both_images() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    other = image.copy()
    other[:5] = 255
    assert ssimulacra2(image, image) == 100
    assert ssimulacra2(image, other) == 100 - 100 * 150 // 313  # with 13 bytes of a head
    for side, score in ((63, None), (64, 100)):
        square = np.zeros((side, 80, 3), np.uint8)
        assert point(9, square, square).ssimulacra2 == score


@pytest.mark.usefixtures("scorer")
def test_a_program_that_fails_is_named(tmp_path: Path) -> None:
    (tmp_path / "scorer").write_text("#!/bin/sh\necho no memory >&2\nexit 3\n")
    with pytest.raises(DdpmError, match=r"scorer: .*code 3 .*no memory"):
        ssimulacra2(np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10, 3), np.uint8))


def test_without_the_program_there_are_no_scores() -> None:
    assert ssimulacra2(np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10, 3), np.uint8)) is None


def test_averages_are_means_over_images_at_an_operating_point() -> None:
    images = [
        [Point(100, 1.0, 0.5, None, 60.0), Point(200, 0.0, 1.0, None, 100.0)],
        [Point(300, 100.0, 0.7, None, 70.0), Point(400, 4.0, 0.9, None, None)],
    ]
    first, second = average(images, [100, 400])
    assert first["bpp"] == pytest.approx((8 + 6) / 2)
    assert first["rmse"] == pytest.approx(math.sqrt(101 / 2))
    assert first["psnr"] == pytest.approx(10 * math.log10(255**2) - 10)
    assert (first["ssim"], first["ms_ssim"], first["ssimulacra2"]) == (pytest.approx(0.6), None, 65)
    assert (second["psnr"], second["rmse"]) == (None, pytest.approx(math.sqrt(2)))
    assert second["ssimulacra2"] is None


def test_a_curve_keeps_what_no_smaller_file_beats() -> None:
    files = {100: 65.025, 50: 650.25, 120: 65.025, 200: 0.65025, 90: 650.25, 400: 0.0}
    found = curve([Point(size, error, 1, None, None) for size, error in files.items()], 800)
    assert found.bpp == pytest.approx([0.5, 1, 2])
    assert found.quality == pytest.approx([20, 30, 50])
    assert found.at(0.4) is None
    assert found.at(0.5) == pytest.approx(20)
    assert found.at(math.sqrt(2)) == pytest.approx(40)
    assert found.at(9) == pytest.approx(50)


def test_half_the_bytes_at_the_same_psnr_are_a_bd_rate_of_minus_fifty_percent() -> None:
    theirs = Curve(np.array([0.5, 1, 2, 4]), np.array([20.0, 25, 31, 40]))
    ours = Curve(theirs.bpp / 2, theirs.quality)
    found = bd_rates([ours, ours], [theirs, theirs])
    assert found["percent"]["mean"] == pytest.approx(-50)
    assert (found["images"], found["from_psnr"], found["to_psnr"]) == (2, 20, 40)


def test_bd_rates_by_score_need_more_in_common() -> None:
    theirs = Curve(np.array([0.5, 1, 2, 4]), np.array([20.0, 25, 31, 40]))
    found = bd_rates([Curve(theirs.bpp / 2, theirs.quality)], [theirs], "score")
    assert found["percent"]["mean"] == pytest.approx(-50)
    assert (found["images"], found["from_score"], found["to_score"]) == (1, 20, 40)
    nearly = Curve(theirs.bpp, theirs.quality + 16)
    assert bd_rates([nearly], [theirs], "score")["percent"] is None


def test_curves_without_a_psnr_in_common_have_no_bd_rate() -> None:
    low, high = (Curve(np.array([1.0, 2]), np.array([base, base + 5.0])) for base in (20, 40))
    nothing = Curve(np.zeros(0), np.zeros(0))
    for other in (high, nothing):
        found = bd_rates([low], [other])
        assert found == {"percent": None, "images": 0, "from_psnr": None, "to_psnr": None}
