"""bench jpeg: JPEG files beside JPEG XL and Lepton, and prefixes beside progressive scans."""

from __future__ import annotations

import json
import math
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.benchmarks import _codecs, jpeg
from ddpmcodec.benchmarks._codecs import JPEG_STORES, JpegStore
from ddpmcodec.benchmarks._data import synthetic_photo
from ddpmcodec.benchmarks._results import read
from ddpmcodec.benchmarks.jpeg import JpegFiles, measure_files, measure_prefixes, measure_times, relative_bytes
from ddpmcodec.cli import run
from ddpmcodec.errors import ChecksumError

FILES = JpegFiles(90, "4:2:0", optimize=False)


def written(image: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=90, subsampling="4:2:0")
    return file.getvalue()


@pytest.mark.parametrize("store", JPEG_STORES, ids=lambda store: store.name)
def test_files_come_back_byte_for_byte(store: JpegStore, pictures: np.ndarray) -> None:
    pytest.importorskip(store.module)
    file = written(pictures[0])
    assert store.decode(store.encode(file)) == file
    assert measure_files(pictures, FILES, store)["bytes"] == [len(store.encode(written(image))) for image in pictures]


def test_files_of_each_kind_have_a_line(array: Path, pictures: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl")
    pytest.importorskip("lepton_jpeg_python")
    assert run(["bench", "jpeg", "--data", str(array), "--out", str(tmp_path / "out"), "-q"]) == 0
    found = read(tmp_path / "out" / "bench-jpeg.json")
    assert found["versions"]["lepton-jpeg-python"]
    rows = {row["jpeg"]: row for row in found["results"]["files"]}
    assert [*rows] == [
        f"quality {colour}, {tables} tables"
        for colour in ("75, 4:2:0", "90, 4:2:0", "95, 4:4:4")
        for tables in ("standard", "optimised")
    ]
    row = rows["quality 90, 4:2:0, standard tables"]
    assert row["bytes"] == [len(written(image)) for image in pictures]
    ours = ["ddpmcodec e1", "ddpmcodec e2", "ddpmcodec e2 levels 0"]
    assert [each["codec"] for each in row["codecs"]] == [*ours, "JPEG XL", "Lepton"]
    assert row["codecs"][1]["bytes"] == [len(codec.encode(BytesIO(written(image)))) for image in pictures]
    table, times, prefixes = jpeg.tables(found)
    assert table.rows[2]["JPEG"] == sum(row["bytes"])
    assert [(line[""], line["encode"]) for line in times.rows if line[""] == "JPEG XL"] == [("JPEG XL", "1.0")]
    assert {line[""] for line in times.rows} == {*ours[:2], "JPEG XL", "Lepton"}
    names = [name for name in rows if "optimised" in name]
    assert [(line[""], line["levels"]) for line in prefixes.rows] == [(name, n) for name in names for n in (1, 0)]
    assert "%)" in table.rows[2]["Lepton"]
    measure = next(each for each in jpeg.measures(found) if each.name.startswith("Lepton, quality 90, 4:2:0, standard"))
    assert measure.values[found["dataset"]["ids"][0]] == row["codecs"][4]["bytes"][0] / row["bytes"][0]


def test_a_codec_that_is_not_installed_is_named(
    array: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_codecs, "find_spec", lambda package: None)
    assert run(["bench", "jpeg", "--data", str(array), "--out", str(tmp_path / "out"), "-q"]) == 0
    assert "Lepton: skipped: needs lepton-jpeg-python" in capsys.readouterr().err
    found = json.loads((tmp_path / "out" / "bench-jpeg.json").read_text())
    assert {"codec": "Lepton", "skipped": "skipped: needs lepton-jpeg-python"} in found["results"]["files"][0]["codecs"]
    assert "| Lepton |" in jpeg.tables(found)[0].markdown()


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.asarray(synthetic_photo(160, 120))


def test_prefixes_are_compared_with_scans_of_the_same_coefficients(photo: np.ndarray) -> None:
    curves = measure_prefixes([photo], JpegFiles(90, "4:2:0", optimize=True))
    for (curve,) in curves.values():
        assert len(curve) > 10
        sizes, decibels = zip(*curve, strict=True)
        assert sizes == tuple(sorted(sizes))
        assert decibels[-1] > decibels[0] + 10
    (ours,), (scans,) = curves["levels 0"], curves["progressive"]
    assert ours[-1][0] < scans[-1][0]
    for levels in (1, 0):
        line = jpeg._prefix_line({"jpeg": "x", **curves}, levels)
        assert line["all"].endswith("%")
        assert line["20 to 25 dB"].endswith("%")


def test_bytes_are_compared_at_equal_psnr_where_both_curves_are() -> None:
    reference = [(100, 20.0), (200, 30.0), (400, 40.0)]
    found = relative_bytes([(50, 20.0), (100, 30.0), (90, 29.0), (100, 32.0)], reference)
    known = [value for value in found if value is not None]
    assert len(known) == 49  # 20 to 32 dB
    assert known[:41] == pytest.approx([math.log(0.5)] * 41)
    assert jpeg._percent([found], 20, 30) == "-50%"
    assert jpeg._percent([found], 35, 60) is None


def test_times_are_those_of_three_operations(pictures: np.ndarray) -> None:
    times = measure_times(pictures, _codecs.our_store(1, verify=False))
    assert [*times] == ["encode", "decode", "pixels"]
    assert all(len(values) == len(pictures) and min(values) > 0 for values in times.values())


def test_a_file_that_does_not_come_back_ends_the_run(pictures: np.ndarray) -> None:
    broken = JPEG_STORES[0]._replace(encode=lambda data: data, decode=lambda data: data[:-1])
    with pytest.raises(ChecksumError, match="JPEG XL"):
        measure_files(pictures, FILES, broken)
