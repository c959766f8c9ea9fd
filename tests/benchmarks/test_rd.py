"""bench rd: its points are those of real prefixes, and its averages and BD-rates are what they say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec import bound, codec
from ddpmcodec.benchmarks import rd
from ddpmcodec.benchmarks._data import Dataset
from ddpmcodec.benchmarks._distortion import distortion, psnr
from ddpmcodec.benchmarks._lossy_peers import SWEEPS
from ddpmcodec.benchmarks._peers import Peer
from ddpmcodec.benchmarks._rates import Curve, average, bd_rates, curve
from ddpmcodec.benchmarks._results import read
from ddpmcodec.networks.denoisers import levels_of
from ddpmcodec.networks.gaussian import ExactDenoiser
from ddpmcodec.networks.model import Model

pytestmark = pytest.mark.usefixtures("one_thread")

Bench = Any
QUICK = ("--efforts=1", "--budgets=1,30", "--levels=2")
SIZE = 32 * 32


def decibel(shown: Any, image: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(np.asarray(shown, float) - image).mean()))


@pytest.fixture(scope="module")
def files(pictures: np.ndarray, model: Model) -> list[bytes]:
    return codec.encode_many(list(pictures[:2]), effort=1, model=model)


# --- ours


def test_points_are_those_of_files_cut_in_and_after_every_step(
    bench: Bench, array: Path, pictures: np.ndarray, model: Model, files: list[bytes]
) -> None:
    ended = bench("rd", "--data", array, "--limit", 2, "--no-peers", *QUICK)
    (row,) = ended.found["results"]["curves"]
    steps = len(model.presets[1])
    assert (row["codec"], row["calls"], len(row["points"])) == ("ddpmcodec effort 1", steps, 2 * steps)
    ends = [[len(codec.truncate(data, step=step, model=model)) for step in (2, 3)] for data in files]
    middles = [sum(pair) // 2 for pair in ends]
    for place, sizes in ((4, middles), (5, [pair[1] for pair in ends])):
        point = row["points"][place]
        shown = [codec.decode(data, max_bytes=size, model=model) for data, size in zip(files, sizes, strict=True)]
        qualities = [decibel(a, b) for a, b in zip(shown, pictures, strict=False)]
        assert point["bpp"] == pytest.approx(8 * np.mean(sizes) / SIZE)
        assert point["psnr"] == pytest.approx(np.mean(qualities), abs=0.02)  # the state at a cut holds a symbol or two
    last = row["points"][-1]
    assert last["bpp"] == pytest.approx(8 * np.mean([len(data) for data in files]) / SIZE)
    assert (last["rmse"], last["psnr"], last["ssim"], last["ms_ssim"]) == (0, None, pytest.approx(1), None)


def test_budgets_are_met_by_real_files_and_images_that_fit_have_no_psnr(
    bench: Bench, array: Path, pictures: np.ndarray, model: Model, files: list[bytes]
) -> None:
    ended = bench("rd", "--data", array, "--limit", 2, "--no-peers", *QUICK)
    found = ended.found["results"]["at_budgets"]
    assert found["bpp"] == [1, 30]
    (row,) = found["ours"]
    shown = [codec.decode(data, max_bytes=SIZE // 8, model=model) for data in files]
    assert row["psnr"][0] == pytest.approx([decibel(a, b) for a, b in zip(shown, pictures, strict=False)], abs=1e-4)
    assert row["psnr"][1] == [None, None]
    assert f"| ddpmcodec effort 1 | {np.mean(row['psnr'][0]):.2f} | - |" in ended.stdout


def test_a_budget_below_the_header_is_no_point(bench: Bench, array: Path) -> None:
    ended = bench("rd", "--data", array, "--limit", 1, "--no-peers", "--efforts=1", "--budgets=0.1", "--levels=2")
    assert ended.found["results"]["at_budgets"]["ours"][0]["psnr"] == [[None]]


def test_the_bound_is_what_receivers_of_its_latents_have_paid(
    bench: Bench, array: Path, pictures: np.ndarray, model: Model
) -> None:
    ended = bench("rd", "--data", array, "--limit", 1, "--no-peers", "--efforts=1", "--levels=3")
    ideal = ended.found["results"]["ideal"]
    denoiser, pixels = ExactDenoiser(model), torch.from_numpy(pictures[:1]).permute(0, 3, 1, 2)
    expected = bound.evaluate(denoiser, pixels, levels_of(denoiser, 3), torch.Generator().manual_seed(0))
    rates = [float(expected.bits[t:].sum()) for t in (3, 2, 1)]
    errors = [float(expected.squared_error[t - 1].mean()) for t in (3, 2, 1)]
    assert ideal["rate"] == pytest.approx(rates)
    assert ideal["bpp"] == pytest.approx([3 * rate for rate in rates])
    assert ideal["rmse"] == pytest.approx([math.sqrt(error) for error in errors])
    assert ideal["psnr"] == pytest.approx([psnr(error) for error in errors])


def test_the_bound_can_be_that_of_another_model(bench: Bench, array: Path, make_tiny_model: Any) -> None:
    other = make_tiny_model(1)
    quick = ("rd", "--data", array, "--limit", 1, "--no-peers", "--efforts=1", "--levels=2", "--force")
    own = bench(*quick).found["results"]["ideal"]
    found = bench(*quick, "--ideal", other).found["results"]["ideal"]
    assert (own["model"], found["model"]) == (None, str(other))
    assert own["rate"] != found["rate"]


# --- others


def test_other_codecs_have_a_point_at_every_quality_and_a_bd_rate(
    bench: Bench, array: Path, pictures: np.ndarray
) -> None:
    ended = bench("rd", "--data", array, "--limit", 1, *QUICK)
    rows = {row["codec"]: row for row in ended.found["results"]["curves"]}
    assert rows.keys() == {"ddpmcodec effort 1", *(sweep.name for sweep in SWEEPS)}
    measured = [sweep for sweep in SWEEPS if not sweep.peers[0].skipped]
    for sweep in measured:
        data = sweep.peers[3].encode(pictures[0])
        point = rows[sweep.name]["points"][3]
        assert point["bpp"] == 8 * len(data) / SIZE
        assert point["psnr"] == pytest.approx(decibel(sweep.peers[3].decode(data), pictures[0]), abs=1e-4)
    rates = ended.found["results"]["bd_rates"]
    assert [(row["codec"], row["against"]) for row in rates] == [("ddpmcodec effort 1", s.name) for s in measured]
    assert all(row["images"] in (0, 1) for row in rates)


def test_a_codec_that_is_not_installed_is_named_and_left_out(
    bench: Bench, array: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = rd.Sweep("Absent", [Peer("Absent", "ABSENT", {})])
    monkeypatch.setattr(rd, "SWEEPS", (absent,))
    ended = bench("rd", "--data", array, "--limit", 1, *QUICK)
    assert ended.found["results"]["curves"][1] == {"codec": "Absent", "skipped": "skipped: needs a Pillow with ABSENT"}
    assert "Absent: skipped: needs a Pillow with ABSENT" in ended.stderr
    assert "| Absent (skipped: needs a Pillow with ABSENT) |" in ended.stdout


@pytest.mark.parametrize("sweep", [sweep for sweep in SWEEPS if not sweep.peers[0].skipped], ids=lambda s: s.name)
def test_qualities_rise_through_a_sweep(sweep: rd.Sweep, pictures: np.ndarray) -> None:
    photo = np.concatenate([np.concatenate(list(pictures), 1)] * 2)  # 64 x 96
    files = [peer.encode(photo) for peer in sweep.peers]
    errors = [distortion(sweep.peers[0].decode(data), photo).squared_error for data in files]
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
    assert (same.squared_error, same.ssim, same.ms_ssim) == (0, pytest.approx(1), pytest.approx(1))
    assert far.squared_error == pytest.approx(np.square(255.0 - 2 * image.astype(float)).mean())
    assert far.ssim is not None
    assert far.ssim < 0
    assert far.ms_ssim == pytest.approx(0)


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
    ended = bench("rd", "--data", array, "--limit", 1, "--no-peers", *QUICK)
    (path,) = (tmp_path / "out" / "compressai").iterdir()
    found = json.loads(path.read_text())
    assert path.name == "ddpmcodec-effort-1.json"
    assert (found["name"], list(found["results"])) == ("ddpmcodec effort 1", ["bpp", "psnr-rgb", "ssim-rgb"])
    points = ended.found["results"]["curves"][0]["points"][:-1]
    assert found["results"]["bpp"] == [point["bpp"] for point in points]
    assert found["results"]["psnr-rgb"] == [point["psnr"] for point in points]


def test_every_figure_that_has_a_caption_is_there(bench: Bench, array: Path, tmp_path: Path) -> None:
    bench("rd", "--data", array, "--limit", 1, "--no-peers", *QUICK)
    found = read(tmp_path / "out" / "bench-rd.json")
    assert list(rd.figures(found)) == ["rd", "rd-ssim", "rd-time"]
    for name in rd.figures(found):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 5000
        assert "<svg" in (tmp_path / "out" / f"{name}.svg").read_text()


def test_images_too_small_for_similarity_have_no_chart_of_it(bench: Bench, tmp_path: Path) -> None:
    np.save(tmp_path / "small.npy", np.arange(8 * 8 * 3, dtype=np.uint8).reshape(1, 8, 8, 3))
    bench("rd", "--data", tmp_path / "small.npy", "--no-peers", *QUICK)
    assert list(rd.figures(read(tmp_path / "out" / "bench-rd.json"))) == ["rd", "rd-time"]
    assert not (tmp_path / "out" / "rd-ssim.png").exists()


def test_measures_are_psnrs_at_the_budgets_by_their_images(bench: Bench, array: Path, tmp_path: Path) -> None:
    bench("rd", "--data", array, "--limit", 2, "--no-peers", *QUICK)
    found = read(tmp_path / "out" / "bench-rd.json")
    (measure,) = rd.measures(found)
    values = found["results"]["at_budgets"]["ours"][0]["psnr"][0]
    assert (measure.name, measure.higher_is_better) == ("ddpmcodec effort 1, dB at 1 bpp", True)
    assert measure.values == dict(zip(found["dataset"]["ids"], values, strict=True))


def test_a_result_is_not_overwritten_unless_told(bench: Bench, array: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bench-rd.json").write_text("{}")
    ended = bench("rd", "--data", array)
    assert ended.code == 1
    assert "bench-rd.json: exists already: use -f to overwrite it" in ended.stderr
