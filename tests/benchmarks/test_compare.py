"""bench compare: a change counts when it is larger than the noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpmcodec.benchmarks import _results
from ddpmcodec.benchmarks._results import Measure
from ddpmcodec.benchmarks.compare import change, compare
from ddpmcodec.cli import run

RNG = np.random.default_rng(0)
SIZES = RNG.integers(1000, 3000, 50)  # bytes, of images that differ much


def measure(values: Sequence[float], first: int = 0, **facts: Any) -> Measure:
    return Measure("x", {str(first + i): float(value) for i, value in enumerate(values)}, **facts)


def write(folder: Path, sizes: Sequence[int], codec: str = "ddpmcodec e2 levels 2", first: int = 0) -> Path:
    """A result of bench bpd with files of these sizes."""
    folder.mkdir(exist_ok=True)
    row = {"codec": codec, "products": 16.0, "images_a_file": 1, "bytes": [int(size) for size in sizes]}
    ids = [f"{first + i:08x}" for i in range(len(sizes))]
    data = {"name": "x", "split": None, "images": len(ids), "of": 99, "sha256": "", "dimensions": 3072, "ids": ids}
    results = {"codecs": [row, {"codec": "JPEG XL", "skipped": "skipped: needs"}], "literature": []}
    _results.write(folder, _results.document("bpd", "ddpmcodec bench bpd", results, model=None, dataset=data))
    return folder


def test_the_same_is_the_same() -> None:
    found = change("x", measure(SIZES), measure(SIZES))
    assert (found.change, found.error, found.n, found.verdict) == (0, 0, 50, "same")


@pytest.mark.parametrize(("factor", "verdict"), [(1.002, "worse"), (0.998, "better")])
def test_a_small_change_of_every_image_counts_though_images_differ_much(factor: float, verdict: str) -> None:
    found = change("x", measure(SIZES), measure(SIZES * factor * RNG.normal(1, 0.001, 50)))
    assert found.verdict == verdict
    assert np.exp(found.change) == pytest.approx(factor, abs=0.0006)
    assert found.error == pytest.approx(0.001 / np.sqrt(50), rel=0.5)


def test_noise_does_not_count() -> None:
    assert change("x", measure(SIZES), measure(SIZES * RNG.normal(1.0001, 0.002, 50))).verdict == "same"


def test_images_that_both_have_are_compared_one_by_one() -> None:
    found = change("x", measure(SIZES[:30]), measure(SIZES[20:] * 1.01, first=20))
    assert found.n == 10
    assert found.old == pytest.approx(SIZES[20:30].mean())
    assert np.exp(found.change) == pytest.approx(1.01)
    assert found.verdict == "worse"


def test_other_images_are_another_sample() -> None:
    a, b = SIZES[:25], SIZES[25:]
    found = change("x", measure(a), measure(b, first=100))
    errors = [np.log(part).std(ddof=1) / 5 for part in (a, b)]
    assert found.error == pytest.approx(np.hypot(*errors))
    assert found.verdict == "same"


def test_one_image_has_no_noise_and_a_tenth_of_a_percent_counts() -> None:
    found = change("x", measure([1000]), measure([1000.9]))
    assert (found.error, found.verdict) == (0.0, "same")
    assert change("x", measure([1000]), measure([1002])).verdict == "worse"
    assert change("x", measure([1000]), measure([998])).verdict == "better"


def test_of_qualities_more_is_better() -> None:
    old, new = (measure(values, higher_is_better=True) for values in ([30.0, 40.0, 35.0], [30.5, 40.6, 35.4]))
    found = change("x", old, new)
    assert (found.change, found.verdict) == (pytest.approx(0.5), "better")
    assert change("x", new, old).verdict == "worse"


@pytest.mark.parametrize(
    ("new", "verdict"), [([1.2, 1.21, 1.22], "worse"), ([1.04, 1.041, 1.042], "same"), ([1.3, 1.0, 0.9], "same")]
)
def test_timings_count_from_5_percent_on(new: list[float], verdict: str) -> None:
    old = measure([1.0, 1.001, 1.002], timing=True)
    assert change("x", old, measure(new, timing=True)).verdict == verdict


def test_timings_of_different_machines_are_not_compared(tmp_path: Path) -> None:
    rows = [
        {"codec": "x", "products": 1.0, "threads": 1, "images": 1, "encode_seconds": [1.0], "decode_seconds": [1.0]}
    ]
    found = _results.document(
        "speed", "", {"throughput": rows, "thumbnails": [], "start_up": [], "previews": []}, model=None, dataset=None
    )
    for name, cores in (("old", 2), ("new", 64)):
        (tmp_path / name).mkdir()
        _results.write(tmp_path / name, found | {"machine": found["machine"] | {"cores": cores}})
    compared = compare(tmp_path / "old", tmp_path / "new")
    assert compared.changes == []
    assert compared.notes == ["speed: timings are of different machines and not compared"]
    assert len(compare(tmp_path / "old", tmp_path / "old").changes) == 2


def test_what_only_one_has_is_named(tmp_path: Path) -> None:
    old, new = write(tmp_path / "old", SIZES, "ddpmcodec e1 levels 2"), write(tmp_path / "new", SIZES)
    write(new / "kodak", SIZES)
    assert compare(old, new).notes == [
        f"only in {new}: kodak/bpd",
        "only in the old bpd: ddpmcodec e1 levels 2, bits/dim",
        "only in the new bpd: ddpmcodec e2 levels 2, bits/dim",
    ]


def test_the_command_ends_with_1_when_something_got_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = write(tmp_path / "old", SIZES), write(tmp_path / "new", SIZES * 102 // 100)
    assert run(["bench", "compare", str(old), str(new)]) == 1
    stdout, stderr = capsys.readouterr()
    assert stdout.splitlines()[2].startswith("| worse | bpd: ddpmcodec e2 levels 2, bits/dim |")
    assert "| +1.9" in stdout
    assert stderr == f"ddpmcodec: {old} -> {new}: 1 worse, 0 better, 0 same, 0 unknown\n"


def test_the_command_ends_with_0_when_nothing_got_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = write(tmp_path / "old", SIZES), write(tmp_path / "new", SIZES * 98 // 100)
    assert run(["bench", "compare", str(old / "bench-bpd.json"), str(new)]) == 0
    assert "0 worse, 1 better, 0 same" in capsys.readouterr().err


def test_what_is_no_result_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "compare", str(tmp_path), str(tmp_path)]) == 1
    assert "no result files" in capsys.readouterr().err


def test_results_with_nothing_in_common_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = (
        write(tmp_path / "old", SIZES, "ddpmcodec e1 levels 2"),
        write(tmp_path / "new", SIZES, "ddpmcodec e2 levels 2"),
    )
    assert run(["bench", "compare", str(old), str(new)]) == 1
    stdout, stderr = capsys.readouterr()
    assert (stdout, "only in the old bpd: ddpmcodec e1 levels 2, bits/dim" in stderr) == ("", True)
    assert "no measurement in common" in stderr
