"""bench speed: what it times is what the codec does. No figure is judged here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec import codec
from ddpmcodec.benchmarks import _process, _speed_charts, _speed_parts, speed
from ddpmcodec.benchmarks._baselines import BASELINES
from ddpmcodec.benchmarks._coders import Coder, batches_of, of_baseline, of_effort
from ddpmcodec.benchmarks._photo import synthetic_photo
from ddpmcodec.benchmarks._results import read
from ddpmcodec.codec import graphics
from ddpmcodec.codec.efforts import EFFORTS
from ddpmcodec.errors import ChecksumError, DdpmError
from ddpmcodec.networks.context.model import ContextModel

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(context_path: Path, pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of everything, on a small scale."""
    out = tmp_path_factory.mktemp("speed") / "out"
    dataset = speed.Dataset("pictures", list(pictures[:2]), 2)
    plan = speed.Plan(efforts=(2,), megapixels=(0.0024,), repeats=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # of the processes that it starts
        patch.setattr(graphics, "may_be_graphics", lambda planes: False)
        speed.run(dataset, out, str(context_path), plan, command="ddpmcodec bench speed", quiet=True)
    return out


@pytest.fixture(scope="module")
def measured(folder: Path) -> dict[str, Any]:
    return read(folder / "bench-speed.json")


def test_every_figure_is_there_twice(folder: Path, measured: dict[str, Any]) -> None:
    pictures = {f"{name}.{kind}" for name in speed.figures(measured) for kind in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == {"bench-speed.json", *pictures}


def test_throughput_is_of_all_codecs_on_one_thread_and_on_all(measured: dict[str, Any]) -> None:
    rows = measured["results"]["throughput"]
    assert [row["codec"] for row in rows] == ["ddpmcodec effort 2", *(b.name for b in BASELINES)]
    for row in rows:
        assert (row["threads"], row["images"], row["raw_bytes"]) == (torch.get_num_threads(), 2, 2 * 3072)
        assert len(row["encode_seconds"]) == len(row["decode_seconds"]) == 1


def test_rates_are_raw_bytes_by_the_median_time_and_stand_beside_jpeg_xl() -> None:
    row = {"codec": "x", "threads": 1, "images": 10, "raw_bytes": 4_000_000}
    line = speed._throughput(row | {"encode_seconds": [1.0, 2.0, 9.0], "decode_seconds": [0.5]}, 0.25)
    assert (line["encode MB/s"], line["encode images/s"]) == (2.0, 5.0)
    assert (line["decode MB/s"], line["decode images/s"]) == (8.0, 20.0)
    assert line["decode / encode of JPEG XL e9"] == 2.0


def test_the_size_of_the_files_is_that_of_the_codec(
    measured: dict[str, Any], pictures: np.ndarray, context_model: ContextModel, no_webp: None
) -> None:
    files = codec.encode_many(list(pictures[:2]), effort=2, model=context_model)
    assert measured["results"]["throughput"][0]["bytes"] == sum(map(len, files))


def test_bits_and_time_are_told_for_every_step(
    measured: dict[str, Any], pictures: np.ndarray, context_model: ContextModel, no_webp: None
) -> None:
    (row,) = measured["results"]["steps"]
    assert [step["level"] for step in row["steps"]] == [step.level for step in EFFORTS[2].schedule]
    bits = sum(step["bits_per_pixel"] for step in row["steps"]) * 2 * 32 * 32
    files = codec.encode_many(list(pictures[:2]), effort=2, model=context_model)
    assert bits == pytest.approx(8 * sum(map(len, files)), rel=0.05)
    assert all(step["encode_seconds"] > 0 < step["decode_seconds"] for step in row["steps"])


def test_a_preview_is_timed_beside_the_whole_file(
    pictures: np.ndarray, context_model: ContextModel, no_webp: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = _speed_parts.preview(context_model, 1, pictures[0], 1, 1)
    assert small["skipped"] == "the file is too small, or a lossless WebP"
    monkeypatch.setattr(_speed_parts, "PREVIEW_SHARE", 0.1)
    found = _speed_parts.preview(context_model, 1, pictures[0], 1, 2)
    assert found["preview_bytes"] == round(0.1 * found["bytes"])
    assert len(found["preview_seconds"]) == len(found["decode_seconds"]) == 2
    assert speed._preview(found | {"preview_seconds": [1.0], "decode_seconds": [4.0]})["ratio"] == 0.25


def test_memory_and_start_up_are_those_of_fresh_processes(measured: dict[str, Any]) -> None:
    rows = measured["results"]["megapixels"]
    assert [row["codec"] for row in rows] == ["ddpmcodec effort 2"]
    for row in rows:
        assert row["megapixels"] == 60 * 40 / 1e6
        assert row["raw_bytes"] == 60 * 40 * 3
        assert min(row["encode_peak_bytes"], row["decode_peak_bytes"]) > 50e6  # PyTorch alone takes more
    starts = measured["results"]["start_up"]
    assert [start["command"] for start in starts] == ["--help", "encode one 32x32 image", "decode it"]
    assert all(len(start["seconds"]) == 1 for start in starts)


def test_tables_and_measures_have_all_of_it(measured: dict[str, Any]) -> None:
    names = [table.name for table in speed.tables(measured)]
    assert names == ["throughput", "steps", "previews", "megapixels", "start_up"]  # one size grows by no power
    measures = list(speed.measures(measured))
    assert len(measures) == 2 * (1 + len(BASELINES)) + 3
    assert all(measure.timing and len(measure.values) == 1 for measure in measures)


def test_growth_is_the_exponent_of_a_power_law() -> None:
    found = _speed_charts.exponent([1, 2, 4, 8], [3, 12, 48, 192])
    assert found["mean"] == pytest.approx(2)
    assert found["standard_error"] == pytest.approx(0, abs=1e-9)
    assert _speed_charts.exponent([1, 4], [5, 10]) == {"mean": pytest.approx(0.5), "standard_error": None}


def test_the_error_of_an_exponent_is_that_of_least_squares() -> None:
    x, y = np.array([1.0, 2.0, 4.0, 8.0, 16.0]), np.array([1.0, 2.5, 3.0, 9.0, 15.0])
    slope, covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    found = _speed_charts.exponent(x.tolist(), y.tolist())
    assert found["mean"] == pytest.approx(slope[0])
    assert found["standard_error"] == pytest.approx(np.sqrt(covariance[0, 0]))


def test_growth_is_fitted_where_there_are_two_sizes() -> None:
    rows = [
        {"codec": "ddpmcodec effort 1", "megapixels": size, "encode_seconds": [size], "decode_seconds": [3 * size]}
        for size in (1.0, 4.0)
    ]
    encode, decode = _speed_charts.fits({"megapixels": rows})
    assert (encode["of"], decode["of"]) == ("a photograph, effort 1, encode", "a photograph, effort 1, decode")
    assert encode["exponent"]["mean"] == pytest.approx(1)
    assert _speed_charts.fits({"megapixels": rows[:1]}) == []


def test_speed_is_that_of_one_process(bench: Any, array: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    ended = bench("speed", "--data", array)
    assert (ended.code, ended.found) == (1, None)
    assert ended.stderr == "ddpmcodec: speed is that of one process: start it without torchrun\n"


# --- the parts


@pytest.mark.parametrize("kind", ["effort", "baseline"])
def test_coders_give_the_images_back(kind: str, context_model: ContextModel, pictures: np.ndarray) -> None:
    coder = {"effort": of_effort(context_model, 1), "baseline": of_baseline(BASELINES[-1])}[kind]
    files = coder.encode(list(pictures))
    assert len(files) == len(pictures)
    assert np.array_equal(coder.decode(files), pictures)


def test_thumbnails_are_coded_in_batches_and_photographs_alone() -> None:
    thumbnails, photographs = [np.zeros((32, 32, 3), np.uint8)] * 300, [np.zeros((512, 768, 3), np.uint8)] * 2
    assert batches_of(thumbnails) == [slice(0, 256), slice(256, 300)]
    assert batches_of(photographs) == [slice(0, 1), slice(1, 2)]


def test_an_image_that_does_not_come_back_ends_the_run(pictures: np.ndarray) -> None:
    broken = Coder("broken", None, None, lambda images: [b""] * len(images), lambda files: [pictures[0]] * len(files))
    with pytest.raises(ChecksumError, match="broken: an image did not come back as it was: a defect"):
        _speed_parts.throughput(broken, list(pictures), 1, 1)


def test_threads_are_set_for_a_while() -> None:
    before = torch.get_num_threads()
    with _speed_parts.threads_of(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_peak_memory_is_that_of_the_command_and_not_of_this_process() -> None:
    big = np.ones(1 << 28, np.uint8)
    assert _process.run("true").peak_bytes < len(big)


def test_a_command_that_fails_ends_the_benchmark_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(DdpmError, match=r"decode .*nothing\.ddpm failed: .*No such file"):
        _process.ddpmcodec("decode", tmp_path / "nothing.ddpm")


def test_the_synthetic_photograph_is_always_the_same() -> None:
    first = synthetic_photo(40, 30)
    assert first.size == (40, 30)
    assert first.tobytes() == synthetic_photo(40, 30).tobytes()
