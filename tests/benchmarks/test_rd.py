"""bench rd: its points are those of real prefixes, and its averages and BD-rates are what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec import codec
from ddpmcodec.benchmarks import _curves, rd
from ddpmcodec.benchmarks._bound import DenoiserChoice, bound_of
from ddpmcodec.benchmarks._codecs import SWEEPS, Baseline, Sweep, is_ours
from ddpmcodec.benchmarks._curves import operating_points, prefixes
from ddpmcodec.benchmarks._results import read
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.models.context import ContextModel

pytestmark = pytest.mark.usefixtures("one_thread")

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

Bench = Any
QUICK = ("--settings=1/2", "--rates=1,30")
WHOLE = ("--limit=2", "--no-baselines", "--bounds=3", "--settings=1/2", "--rates=0.01,4,99")
SIZE = 32 * 32


@pytest.fixture(scope="module")
def whole(bench_into: Bench, pictures: np.ndarray, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Our codec and the bound on two pictures: conftest.Ended."""
    folder = tmp_path_factory.mktemp("rd")
    np.save(folder / "pictures.npy", pictures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_curves, "which", lambda program: None)
        return bench_into(folder / "out", "rd", f"--data={folder / 'pictures.npy'}", *WHOLE)


def decibel(shown: Any, image: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(np.asarray(shown, float) - image).mean()))


# --- ours


def test_points_are_those_of_prefixes_of_the_file(
    whole: Any, pictures: np.ndarray, context_model: ContextModel
) -> None:
    (row,) = whole.found["results"]["curves"]
    where = operating_points(Coding(1, 2))
    assert (row["codec"], len(row["points"])) == ("ddpmcodec e1 levels 2", len(where))
    files = codec.encode_many(list(pictures[:2]), effort=1, levels=2, model=context_model)
    cut = [list(prefixes(data, context_model))[7] for data in files]
    qualities = [decibel(a.shown, b) for a, b in zip(cut, pictures, strict=False)]
    assert row["points"][7]["bpp"] == pytest.approx(8 * np.mean([prefix.bytes for prefix in cut]) / SIZE)
    assert row["points"][7]["psnr"] == pytest.approx(np.mean(qualities), abs=1e-3)
    last = row["points"][-1]
    assert last["bpp"] == pytest.approx(8 * np.mean([len(data) for data in files]) / SIZE)
    assert (last["rmse"], last["psnr"], last["ssim"], last["ms_ssim"]) == (0, None, pytest.approx(1), None)


def test_psnr_at_rates_lies_between_points_and_a_whole_file_has_none(whole: Any) -> None:
    found = whole.found["results"]["at_rates"]
    assert found["bpp"] == [0.01, 4, 99]
    below, inside, above = found["codecs"][0]["psnr"]
    assert (below, above) == ([None, None], [None, None])
    assert all(5 < value < 60 for value in inside)
    error = np.std(inside, ddof=1) / np.sqrt(2)
    assert f"| ddpmcodec e1 levels 2 | - | {np.mean(inside):.2f} ± {error:.2f} | - |" in whole.stdout
    (similarity,) = (row["ssim"] for row in found["codecs"])
    assert similarity[0] is similarity[2] is None
    assert 0 < similarity[1]["mean"] < 1


def test_points_are_the_same_when_they_come_back_from_an_interrupted_run(
    whole: Any, bench: Bench, array: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rd, "write_charts", interrupt)
        assert bench("rd", "--data", array, *WHOLE).code == 130
    monkeypatch.setattr(_curves, "point", interrupt)
    assert bench("rd", "--data", array, *WHOLE).found["results"] == whole.found["results"]


# --- baselines


def test_baselines_that_are_installed_have_a_point_at_every_quality_and_a_bd_rate(
    bench: Bench, array: Path, pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps = (*SWEEPS, Sweep("Absent", [Baseline("Absent", "ABSENT", {})]))
    monkeypatch.setattr(rd, "SWEEPS", sweeps)
    ended = bench("rd", "--data", array, "--limit", 1, *QUICK)
    rows = {row["codec"]: row for row in ended.found["results"]["curves"]}
    assert rows.keys() == {"ddpmcodec e1 levels 2", *(sweep.name for sweep in sweeps)}
    measured = [sweep for sweep in sweeps if not sweep.baselines[0].skipped]
    for sweep in measured:
        data = sweep.baselines[3].encode(pictures[0])
        point = rows[sweep.name]["points"][3]
        assert point["bpp"] == 8 * len(data) / SIZE
        assert point["psnr"] == pytest.approx(decibel(sweep.baselines[3].decode(data), pictures[0]), abs=1e-4)
    rates = ended.found["results"]["bd_rates"]
    assert [(row["codec"], row["against"]) for row in rates] == [("ddpmcodec e1 levels 2", s.name) for s in measured]
    assert all(row["images"] in (0, 1) for row in rates)
    assert rows["Absent"] == {"codec": "Absent", "skipped": "skipped: needs a Pillow with ABSENT"}
    assert "Absent: skipped: needs a Pillow with ABSENT" in ended.stderr
    assert "| Absent (skipped: needs a Pillow with ABSENT) |" in ended.stdout


@pytest.mark.usefixtures("scorer")
def test_scores_of_ssimulacra2_have_a_bd_rate_and_a_chart(
    bench: Bench, array: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rd, "SWEEPS", (SWEEPS[0]._replace(baselines=SWEEPS[0].baselines[::3]),))
    monkeypatch.setattr(_curves, "LEAST_SCORED", 8)
    ended = bench("rd", "--data", array, "--limit", 1, *QUICK)
    ours, theirs = ([point["ssimulacra2"] for point in row["points"]] for row in ended.found["results"]["curves"])
    assert (ours[-1], min(ours) < 90, min(theirs) < 90) == (100, True, True)
    assert ended.found["results"]["bd_rates"][0]["ssimulacra2"]["images"] == 1
    assert "percent at equal SSIMULACRA 2" in ended.stdout
    assert (ended.out / "rd-ssimulacra2.svg").exists()


# --- the bound


def test_the_bound_of_the_gaussian_model_has_a_table_and_a_curve(whole: Any, pictures: np.ndarray) -> None:
    (row,) = whole.found["results"]["bounds"]
    assert (row["codec"], row["images"], [line["t"] for line in row["table"]]) == (
        "ddpm-cifar10, T=3",
        2,
        [3, 2, 1, 0],
    )
    bound = bound_of(list(pictures[:2]), DenoiserChoice(None, 3), 0)
    assert row["bits_per_dim"]["mean"] == pytest.approx(bound.total().mean, rel=1e-6)
    last = bound.table()[2]
    assert f"| 3 | 4.7 | {last.rate.mean:.4f} ± {last.rate.standard_error:.4f} |" in whole.stdout
    assert "ddpm-cifar10, T=3 (bound)" in (whole.out / "rd.svg").read_text()


# --- what a result says


def test_curves_are_exported_as_compressai_reads_them(whole: Any) -> None:
    (path,) = (whole.out / "compressai").iterdir()
    found = json.loads(path.read_text())
    assert path.name == "ddpmcodec-e1-levels-2.json"
    assert (found["name"], list(found["results"])) == ("ddpmcodec e1 levels 2", ["bpp", "psnr-rgb", "ssim-rgb"])
    points = whole.found["results"]["curves"][0]["points"][:-1]
    assert found["results"]["bpp"] == [point["bpp"] for point in points]
    assert found["results"]["psnr-rgb"] == [point["psnr"] for point in points]


def test_every_figure_that_has_a_caption_is_there(whole: Any) -> None:
    assert list(rd.figures(whole.found)) == ["rd", "rd-ssim"]
    for name in rd.figures(whole.found):
        assert (whole.out / f"{name}.png").stat().st_size > 5000
        assert "<svg" in (whole.out / f"{name}.svg").read_text()


def test_images_too_small_for_similarity_have_no_chart_of_it(bench: Bench, tmp_path: Path) -> None:
    np.save(tmp_path / "small.npy", np.arange(8 * 8 * 3, dtype=np.uint8).reshape(1, 8, 8, 3))
    ended = bench("rd", "--data", tmp_path / "small.npy", "--no-baselines", *QUICK)
    assert list(rd.figures(ended.found)) == ["rd"]
    assert not (ended.out / "rd-ssim.png").exists()


def test_measures_are_psnrs_at_the_rates_by_their_images(whole: Any) -> None:
    (measure,) = rd.measures(whole.found)
    values = whole.found["results"]["at_rates"]["codecs"][0]["psnr"][1]
    assert (measure.name, measure.higher_is_better) == ("ddpmcodec e1 levels 2, dB at 4 bpp", True)
    assert measure.values == dict(zip(whole.found["dataset"]["ids"], values, strict=True))


def test_a_result_is_not_overwritten_unless_asked(bench: Bench, array: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bench-rd.json").write_text("{}")
    ended = bench("rd", "--data", array)
    assert ended.code == 1
    assert "bench-rd.json: exists already" in ended.stderr


@pytest.fixture
def committed() -> Any:
    return read(RESULTS / "kodak" / "bench-rd.json")


def table(found: Any, name: str) -> Any:
    return next(table for table in rd.tables(found) if table.name == name)


def test_the_tables_of_steps_end_with_exact_pixels(committed: Any) -> None:
    rows = [row for row in committed["results"]["curves"] if is_ours(row["codec"])]
    row = max(rows, key=lambda row: len(row["points"]))
    first, *_, last = table(committed, "-".join(["steps", *row["codec"].split()[1:]])).rows
    assert first["step"] == 1
    assert float(first["PSNR dB"]) > 20
    assert (last["cell width"], last["PSNR dB"]) == ("exact", "lossless")


def test_codecs_without_a_psnr_in_common_have_no_bd_rate(committed: Any) -> None:
    committed["results"]["bd_rates"][0] |= {"percent": None, "images": 0, "from_psnr": None, "to_psnr": None}
    assert table(committed, "bdrates").rows[0]["percent"] == "no PSNR in common"
