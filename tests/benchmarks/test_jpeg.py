"""bench jpeg: stored JPEG files beside JPEG XL and Lepton."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.benchmarks import _codecs, jpeg
from ddpmcodec.benchmarks._codecs import JPEG_STORES, JpegStore
from ddpmcodec.benchmarks._results import read
from ddpmcodec.benchmarks.jpeg import JpegFiles, measure_files
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
    assert [each["codec"] for each in row["codecs"]] == ["ddpmcodec e1", "ddpmcodec e2", "JPEG XL", "Lepton"]
    assert row["codecs"][1]["bytes"] == [len(codec.encode(BytesIO(written(image)))) for image in pictures]
    (table,) = jpeg.tables(found)
    assert table.rows[2]["JPEG"] == sum(row["bytes"])
    assert "%)" in table.rows[2]["Lepton"]
    measure = next(each for each in jpeg.measures(found) if each.name.startswith("Lepton, quality 90, 4:2:0, standard"))
    assert measure.values[found["dataset"]["ids"][0]] == row["codecs"][3]["bytes"][0] / row["bytes"][0]


def test_a_codec_that_is_not_installed_is_named(
    array: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_codecs, "find_spec", lambda package: None)
    assert run(["bench", "jpeg", "--data", str(array), "--out", str(tmp_path / "out"), "-q"]) == 0
    assert "Lepton: skipped: needs lepton-jpeg-python" in capsys.readouterr().err
    found = json.loads((tmp_path / "out" / "bench-jpeg.json").read_text())
    assert {"codec": "Lepton", "skipped": "skipped: needs lepton-jpeg-python"} in found["results"]["files"][0]["codecs"]
    assert "| Lepton |" in jpeg.tables(found)[0].markdown()


def test_a_file_that_does_not_come_back_ends_the_run(pictures: np.ndarray) -> None:
    broken = JPEG_STORES[0]._replace(encode=lambda data: data, decode=lambda data: data[:-1])
    with pytest.raises(ChecksumError, match="JPEG XL"):
        measure_files(pictures, FILES, broken)
