"""bench rd: its points are those of real prefixes, and its averages and BD-rates are what they say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec import codec
from ddpmcodec.benchmarks import rd
from ddpmcodec.benchmarks._baselines import Baseline
from ddpmcodec.benchmarks._data import Dataset
from ddpmcodec.benchmarks._distortion import distortion, psnr
from ddpmcodec.benchmarks._lossy_baselines import SWEEPS
from ddpmcodec.benchmarks._ours import CodeLength
from ddpmcodec.benchmarks._rates import Curve, average, bd_rates, curve
from ddpmcodec.benchmarks._rd_points import places, prefixes, previews
from ddpmcodec.benchmarks._results import read
from ddpmcodec.codec.efforts import EFFORTS
from ddpmcodec.format import tiles
from ddpmcodec.networks.context.model import ContextModel

pytestmark = pytest.mark.usefixtures("one_thread", "no_webp")

Bench = Any
QUICK = ("--efforts=1", "--rates=1,30")
SIZE = 32 * 32


def decibel(shown: Any, image: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(np.asarray(shown, float) - image).mean()))


# --- ours


@pytest.mark.parametrize("effort", EFFORTS)
def test_places_are_the_ends_of_segments_and_the_middles_of_large_ones(effort: int, pictures: np.ndarray) -> None:
    found, schedule, costs = places(effort), EFFORTS[effort].schedule, CodeLength()
    codec.encode(pictures[0], effort=effort, verify=False, report=costs)
    ends = [(place.level, place.band) for place in found if place.whole]
    assert ends == [(cost.level, cost.band) for cost in costs.costs]
    assert [place.level for place in found if place.ends_step] == [step.level for step in schedule]
    middles = [place.level for place in found if not place.whole]
    assert middles == [step.level for step in schedule if step.finest == 1]


@pytest.mark.parametrize("tiled", [False, True], ids=["one stream", "tiles"])
def test_one_walk_through_a_file_shows_what_its_prefixes_show(
    tiled: bool, pictures: np.ndarray, context_model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tiled:
        monkeypatch.setattr(tiles, "SINGLE_STREAM_PIXELS", 512)
        monkeypatch.setattr(tiles, "TILE_PIXELS", 512)
    data = codec.encode(pictures[0], effort=1, model=context_model)
    assert codec.info(data)["tiles"] == 1 + tiled
    found = list(prefixes(data, context_model))
    chosen = [prefix for pair in found[3::4] for prefix in pair if prefix]
    assert len(chosen) == (1 + tiled) * len(found[3::4])
    for size, canvas in chosen:
        shown = np.asarray(codec.decode(data, max_bytes=size, model=context_model))
        beyond = decibel(shown, pictures[0]) - decibel(canvas.pixels(context_model), pictures[0])
        assert -0.05 < beyond < 0.5  # the state of a stream that is cut holds some symbols of the next segment
    size, canvas = found[-1][0]
    assert size == len(data)
    assert np.array_equal(canvas.pixels(None), pictures[0])


def test_points_are_those_of_prefixes_of_the_file(
    bench: Bench, array: Path, pictures: np.ndarray, context_model: ContextModel
) -> None:
    ended = bench("rd", "--data", array, "--limit", 2, "--no-baselines", *QUICK)
    (row,) = ended.found["results"]["curves"]
    where = places(1)
    assert (row["codec"], len(row["points"])) == ("ddpmcodec effort 1", len(where))
    number = next(number for number, place in enumerate(where) if place.step == 2 and not place.whole)
    files = codec.encode_many(list(pictures[:2]), effort=1, model=context_model)
    ends = [[end.bytes for end, _ in prefixes(data, context_model)] for data in files]
    whole = [place for place in where if place.whole]
    before = whole.index(where[number + 1]) - 1
    sizes = [(each[before] + each[before + 1]) // 2 for each in ends]
    shown = [codec.decode(data, max_bytes=size, model=context_model) for data, size in zip(files, sizes, strict=True)]
    qualities = [decibel(a, b) for a, b in zip(shown, pictures, strict=False)]
    assert row["points"][number]["bpp"] == pytest.approx(8 * np.mean(sizes) / SIZE)
    assert row["points"][number]["psnr"] == pytest.approx(np.mean(qualities), abs=1e-3)
    last = row["points"][-1]
    assert last["bpp"] == pytest.approx(8 * np.mean([len(data) for data in files]) / SIZE)
    assert (last["rmse"], last["psnr"], last["ssim"], last["ms_ssim"]) == (0, None, pytest.approx(1), None)


def test_psnr_at_rates_lies_between_points_and_a_whole_file_has_none(
    bench: Bench, array: Path, pictures: np.ndarray
) -> None:
    ended = bench("rd", "--data", array, "--limit", 2, "--no-baselines", "--efforts=1", "--rates=0.01,4,99")
    found = ended.found["results"]["at_rates"]
    assert found["bpp"] == [0.01, 4, 99]
    below, inside, above = found["codecs"][0]["psnr"]
    assert (below, above) == ([None, None], [None, None])
    assert all(5 < value < 60 for value in inside)
    assert f"| ddpmcodec effort 1 | - | {np.mean(inside):.2f} | - |" in ended.stdout


def test_what_the_denoiser_brings_is_told_for_every_step(array: Path, tmp_path: Path, pictures: np.ndarray) -> None:
    image = np.concatenate(list(pictures), 1)
    found = previews([image], rd.find_model("photo", []), 1)
    (points,), (plain,) = found["points"], found["plain"]
    ends = [point for point, place in zip(points, places(1), strict=True) if place.ends_step]
    assert len(plain) == len(ends) == len(EFFORTS[1].schedule)
    assert plain[-1] == ends[-1][1] == 0
    point = {"step": 1, "level": 64, "bpp": 1.0, "psnr": 30.25, "ssim": None, "ms_ssim": None, "rmse": 5.0}
    line = rd._step(point, {"psnr": 30.25, "psnr_without_denoiser": 30.0})
    assert (line["without denoiser"], line["denoiser"]) == ("30.00", "+0.25")
    assert "denoiser" not in rd._step(point, {"psnr": 30.25, "psnr_without_denoiser": None})


def test_images_that_are_stored_as_webp_are_left_out(
    bench: Bench, array: Path, pictures: np.ndarray, context_model: ContextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = codec.encode(pictures[0], effort=1, model=context_model)
    monkeypatch.setattr("ddpmcodec.benchmarks._rd_points.is_webp", lambda data: data == first)
    ended = bench("rd", "--data", array, "--limit", 2, "--no-baselines", *QUICK)
    assert ended.found["results"]["images"] == [False, True]
    second = codec.encode(pictures[1], effort=1, model=context_model)
    assert ended.found["results"]["curves"][0]["points"][-1]["bpp"] == pytest.approx(8 * len(second) / SIZE)
    again = bench("rd", "--data", array, "--limit", 1, "--no-baselines", "-f", *QUICK)
    assert again.code == 1
    message = "all images are stored as lossless WebP, whose files have no prefixes to measure: use other images"
    assert message in again.stderr


# --- baselines


def test_baselines_have_a_point_at_every_quality_and_a_bd_rate(bench: Bench, array: Path, pictures: np.ndarray) -> None:
    ended = bench("rd", "--data", array, "--limit", 1, *QUICK)
    rows = {row["codec"]: row for row in ended.found["results"]["curves"]}
    assert rows.keys() == {"ddpmcodec effort 1", *(sweep.name for sweep in SWEEPS)}
    measured = [sweep for sweep in SWEEPS if not sweep.baselines[0].skipped]
    for sweep in measured:
        data = sweep.baselines[3].encode(pictures[0])
        point = rows[sweep.name]["points"][3]
        assert point["bpp"] == 8 * len(data) / SIZE
        assert point["psnr"] == pytest.approx(decibel(sweep.baselines[3].decode(data), pictures[0]), abs=1e-4)
    rates = ended.found["results"]["bd_rates"]
    assert [(row["codec"], row["against"]) for row in rates] == [("ddpmcodec effort 1", s.name) for s in measured]
    assert all(row["images"] in (0, 1) for row in rates)


def test_a_codec_that_is_not_installed_is_named_and_left_out(
    bench: Bench, array: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = rd.Sweep("Absent", [Baseline("Absent", "ABSENT", {})])
    monkeypatch.setattr(rd, "SWEEPS", (absent,))
    ended = bench("rd", "--data", array, "--limit", 1, *QUICK)
    assert ended.found["results"]["curves"][1] == {"codec": "Absent", "skipped": "skipped: needs a Pillow with ABSENT"}
    assert "Absent: skipped: needs a Pillow with ABSENT" in ended.stderr
    assert "| Absent (skipped: needs a Pillow with ABSENT) |" in ended.stdout


@pytest.mark.parametrize("sweep", [sweep for sweep in SWEEPS if not sweep.baselines[0].skipped], ids=lambda s: s.name)
def test_qualities_rise_through_a_sweep(sweep: rd.Sweep, pictures: np.ndarray) -> None:
    photo = np.concatenate([np.concatenate(list(pictures), 1)] * 2)  # 64 x 96
    files = [each.encode(photo) for each in sweep.baselines]
    errors = [distortion(sweep.baselines[0].decode(data), photo).squared_error for data in files]
    assert len(files[0]) < len(files[-1])
    assert errors[0] > 4 * errors[-1]
    assert len(curve([[len(a), b, 1, None] for a, b in zip(files, errors, strict=True)], 1).bpp) > len(files) // 2


def test_literature_stands_beside_cifar10s_test_set_alone_and_is_marked() -> None:
    test, train = (Dataset("CIFAR-10", [], of, split) for of, split in ((10_000, "test"), (50_000, "train")))
    assert rd._literature(train) == []
    for each in rd._literature(test):
        assert (each["note"], bool(each["source"])) == ("literature, not measured", True)
        assert len(each["points"]["bpp"]) == len(each["points"]["psnr"]) > 2


# --- distortion, averages, BD-rates


def test_distortion_of_an_image_from_itself_is_none() -> None:
    image = np.random.default_rng(0).integers(0, 256, (161, 163, 3)).astype(np.uint8)
    same, far = distortion(image, image), distortion(255 - image, image)
    assert (same.squared_error, same.ssim, same.ms_ssim) == (0, None, pytest.approx(1))
    assert far.squared_error == pytest.approx(np.square(255.0 - 2 * image.astype(float)).mean())
    assert far.ms_ssim == pytest.approx(0)
    small = distortion(255 - image[:99], image[:99])
    assert small.ssim is not None
    assert small.ssim < 0


@pytest.mark.parametrize(("side", "known"), [(10, (False, False)), (11, (True, False)), (160, (True, False))])
def test_similarity_needs_images_that_hold_its_windows(side: int, known: tuple[bool, bool]) -> None:
    image = np.zeros((side, 200, 3), np.uint8)
    found = distortion(image, image)
    assert (found.ssim is not None, found.ms_ssim is not None) == known


def test_psnr_is_that_of_eight_bits_and_none_without_error() -> None:
    assert psnr(255**2) == 0
    assert psnr(65.025) == pytest.approx(30)
    assert psnr(0) is None


def test_averages_are_means_over_images_at_an_operating_point() -> None:
    images = [[[100, 1.0, 0.5, None], [200, 0.0, 1.0, None]], [[300, 100.0, 0.7, None], [400, 4.0, 0.9, None]]]
    first, second = average(images, [100, 400])
    assert first["bpp"] == pytest.approx((8 + 6) / 2)
    assert first["rmse"] == pytest.approx(math.sqrt(101 / 2))
    assert first["psnr"] == pytest.approx(10 * math.log10(255**2) - 10)
    assert (first["ssim"], first["ms_ssim"]) == (pytest.approx(0.6), None)
    assert (second["psnr"], second["rmse"]) == (None, pytest.approx(math.sqrt(2)))


def test_a_curve_keeps_what_no_smaller_file_beats() -> None:
    points = [[100, 65.025, 1, None], [50, 650.25, 1, None], [120, 65.025, 1, None], [200, 0.65025, 1, None]]
    found = curve([*points, [90, 650.25, 1, None], [400, 0.0, 1, None]], 800)
    assert found.bpp == pytest.approx([0.5, 1, 2])
    assert found.psnr == pytest.approx([20, 30, 50])
    assert found.at(0.4) is None
    assert found.at(0.5) == pytest.approx(20)
    assert found.at(math.sqrt(2)) == pytest.approx(40)
    assert found.at(9) == pytest.approx(50)


def test_half_the_bytes_at_the_same_psnr_are_a_bd_rate_of_minus_fifty_percent() -> None:
    theirs = Curve(np.array([0.5, 1, 2, 4]), np.array([20.0, 25, 31, 40]))
    ours = Curve(theirs.bpp / 2, theirs.psnr)
    found = bd_rates([ours, ours], [theirs, theirs])
    assert found["percent"]["mean"] == pytest.approx(-50)
    assert (found["images"], found["from_psnr"], found["to_psnr"]) == (2, 20, 40)


def test_curves_without_a_psnr_in_common_have_no_bd_rate() -> None:
    low, high = (Curve(np.array([1.0, 2]), np.array([base, base + 5.0])) for base in (20, 40))
    nothing = Curve(np.zeros(0), np.zeros(0))
    for other in (high, nothing):
        found = bd_rates([low], [other])
        assert found == {"percent": None, "images": 0, "from_psnr": None, "to_psnr": None}
    assert rd._bd_rate({"codec": "a", "against": "b", **found})["percent"] == "no PSNR in common"


# --- what a result says


def test_curves_are_exported_as_compressai_reads_them(bench: Bench, array: Path, tmp_path: Path) -> None:
    ended = bench("rd", "--data", array, "--limit", 1, "--no-baselines", *QUICK)
    (path,) = (tmp_path / "out" / "compressai").iterdir()
    found = json.loads(path.read_text())
    assert path.name == "ddpmcodec-effort-1.json"
    assert (found["name"], list(found["results"])) == ("ddpmcodec effort 1", ["bpp", "psnr-rgb", "ssim-rgb"])
    points = ended.found["results"]["curves"][0]["points"][:-1]
    assert found["results"]["bpp"] == [point["bpp"] for point in points]
    assert found["results"]["psnr-rgb"] == [point["psnr"] for point in points]


def test_every_figure_that_has_a_caption_is_there(bench: Bench, array: Path, tmp_path: Path) -> None:
    bench("rd", "--data", array, "--limit", 1, "--no-baselines", *QUICK)
    found = read(tmp_path / "out" / "bench-rd.json")
    assert list(rd.figures(found)) == ["rd", "rd-ssim"]
    for name in rd.figures(found):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 5000
        assert "<svg" in (tmp_path / "out" / f"{name}.svg").read_text()


def test_images_too_small_for_similarity_have_no_chart_of_it(bench: Bench, tmp_path: Path) -> None:
    np.save(tmp_path / "small.npy", np.arange(8 * 8 * 3, dtype=np.uint8).reshape(1, 8, 8, 3))
    bench("rd", "--data", tmp_path / "small.npy", "--no-baselines", *QUICK)
    assert list(rd.figures(read(tmp_path / "out" / "bench-rd.json"))) == ["rd"]
    assert not (tmp_path / "out" / "rd-ssim.png").exists()


def test_measures_are_psnrs_at_the_rates_by_their_images(bench: Bench, array: Path, tmp_path: Path) -> None:
    bench("rd", "--data", array, "--limit", 2, "--no-baselines", "--efforts=1", "--rates=4,30")
    found = read(tmp_path / "out" / "bench-rd.json")
    (measure,) = rd.measures(found)
    values = found["results"]["at_rates"]["codecs"][0]["psnr"][0]
    assert (measure.name, measure.higher_is_better) == ("ddpmcodec effort 1, dB at 4 bpp", True)
    assert measure.values == dict(zip(found["dataset"]["ids"], values, strict=True))


def test_a_result_is_not_overwritten_unless_told(bench: Bench, array: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bench-rd.json").write_text("{}")
    ended = bench("rd", "--data", array)
    assert ended.code == 1
    assert "bench-rd.json: exists already: use -f to overwrite it" in ended.stderr
