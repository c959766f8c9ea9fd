"""bench speed: what it times is what the codec does. No figure is judged here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec import _native, codec
from ddpmcodec.benchmarks import _timing, speed
from ddpmcodec.benchmarks._codecs import BASELINES
from ddpmcodec.benchmarks._data import Dataset
from ddpmcodec.benchmarks._results import read
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.models.context import ContextModel

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(context_path: Path, pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of everything, on a small scale."""
    out = tmp_path_factory.mktemp("speed") / "out"
    dataset = Dataset("pictures", list(pictures[:2]), 2)
    plan = speed.Plan(settings=(Coding(1, 2),), megapixels=(0.0024,), repeats=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # of the processes that it starts
        patch.setattr(_timing, "THUMBNAILS", 20)
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
    assert [row["codec"] for row in rows] == ["ddpmcodec e1 levels 2", *(b.name for b in BASELINES)]
    for row in rows:
        assert (row["threads"], row["images"], row["raw_bytes"]) == (1, 2, 2 * 3072)
        assert len(row["encode_seconds"]) == len(row["decode_seconds"]) == 2


def test_turns_of_a_codec_become_one_row() -> None:
    rows = [
        {"codec": codec, "threads": threads, "encode_seconds": [turn], "decode_seconds": [turn + 0.5]}
        for threads in (1, 2)
        for turn in (1.0, 2.0)
        for codec in "ab"
    ]
    found = speed.turns_together(rows)
    assert [(row["codec"], row["threads"]) for row in found] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert all((row["encode_seconds"], row["decode_seconds"]) == ([1.0, 2.0], [1.5, 2.5]) for row in found)
    assert rows[0]["encode_seconds"] == [1.0]


def test_rates_are_raw_bytes_by_the_median_time_and_stand_beside_jpeg_xl(measured: dict[str, Any]) -> None:
    row = {"codec": "x", "threads": 1, "images": 10, "raw_bytes": 4_000_000, "encode_seconds": [1.0, 2.0, 9.0]}
    reference = row | {"codec": "JPEG XL e9", "encode_seconds": [0.25]}
    rows = [{**each, "decode_seconds": [0.5]} for each in (row, reference)]
    line = speed.tables({**measured, "results": measured["results"] | {"throughput": rows}})[0].rows[0]
    assert (line["encode MB/s"], line["encode images/s"]) == (2.0, 5.0)
    assert (line["decode MB/s"], line["decode images/s"]) == (8.0, 20.0)
    assert (line["encode / encode of JPEG XL e9"], line["decode / encode of JPEG XL e9"]) == (8.0, 2.0)


def test_a_preview_is_a_share_of_the_whole(measured: dict[str, Any]) -> None:
    times = {"preview_seconds": [1.0], "decode_seconds": [4.0]}
    row = {"codec": "x", "threads": 1, "bytes": 9000, "preview_bytes": 180, **times}
    found = {**measured, "results": measured["results"] | {"previews": [row]}}
    (table,) = (table for table in speed.tables(found) if table.name == "previews")
    assert (table.rows[0]["bytes"], table.rows[0]["ratio"]) == (180, 0.25)


def test_the_size_of_the_files_is_that_of_the_codec(
    measured: dict[str, Any], pictures: np.ndarray, context_model: ContextModel
) -> None:
    files = codec.encode_many(list(pictures[:2]), effort=1, levels=2, model=context_model)
    assert measured["results"]["throughput"][0]["bytes"] == sum(map(len, files))


def test_bits_and_time_are_reported_for_every_step(
    measured: dict[str, Any], pictures: np.ndarray, context_model: ContextModel
) -> None:
    (row,) = measured["results"]["steps"]
    assert [step["level"] for step in row["steps"]] == [32, 8, 0]
    bits = sum(step["bits_per_pixel"] for step in row["steps"]) * 2 * 32 * 32
    files = codec.encode_many(list(pictures[:2]), effort=1, levels=2, model=context_model)
    assert bits == pytest.approx(8 * sum(map(len, files)), rel=0.05)
    assert all(step["encode_seconds"] > 0 < step["decode_seconds"] for step in row["steps"])


def test_memory_and_start_up_are_those_of_fresh_processes(measured: dict[str, Any]) -> None:
    rows = measured["results"]["megapixels"]
    assert [row["codec"] for row in rows] == ["ddpmcodec e1 levels 2"]
    for row in rows:
        assert row["megapixels"] == 60 * 40 / 1e6
        assert row["raw_bytes"] == 60 * 40 * 3
        peaks = [row[key] for key in row if key.endswith("_peak_bytes")]
        assert len(peaks) == 3
        assert min(peaks) > 20e6  # Python and numpy alone take more
    starts = measured["results"]["start_up"]
    assert [start["command"] for start in starts] == ["--help", "encode one 32x32 image", "decode it"]
    assert all(len(start["seconds"]) == len(start["processor_seconds"]) == 2 for start in starts)


def test_memory_is_also_that_beyond_a_small_process(measured: dict[str, Any]) -> None:
    (row,) = measured["results"]["megapixels"]
    row = {**row, "megapixels": 10.0, "encode_peak_bytes": 800_000_000, "decode_peak_bytes": 90_000_000}
    found = {**measured, "results": measured["results"] | {"megapixels": [row]}}
    (table,) = (table for table in speed.tables(found) if table.name == "megapixels")
    (line,) = table.rows
    assert (line["encode, bytes a pixel"], line["decode, bytes a pixel"]) == (60.0, None)


def test_thumbnails_are_a_batch_at_the_lowest_effort(measured: dict[str, Any]) -> None:
    rows = measured["results"]["thumbnails"]
    assert [row["codec"] for row in rows] == ["ddpmcodec e1 levels 0", "ddpmcodec e1 levels 2"]
    assert all((row["images"], row["raw_bytes"]) == (20, 20 * 3072) for row in rows)


def test_tables_say_which_kernels_were_used(measured: dict[str, Any]) -> None:
    assert f"; kernels: {_native.kernel()}" in speed.tables(measured)[0].caption


def test_tables_and_measures_have_all_of_it(measured: dict[str, Any]) -> None:
    names = [table.name for table in speed.tables(measured)]
    assert names == [
        "throughput",
        "thumbnails",
        "steps",
        "previews",
        "megapixels",
        "start_up",
        "installed",
    ]  # one size grows by no power
    measures = list(speed.measures(measured))
    assert len(measures) == 2 * (1 + len(BASELINES)) + 2 * 2 + 2 * 3
    assert all(measure.timing and len(measure.values) == 2 for measure in measures)
