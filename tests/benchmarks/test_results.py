"""Result files: complete, without NaN, and refused where they are none; tables in Markdown and HTML."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from ddpmcodec.benchmarks import _results
from ddpmcodec.benchmarks._results import Table, plus_minus
from ddpmcodec.errors import DdpmError
from ddpmcodec.models.context import ContextModel

DATA = {"name": "x", "split": None, "images": 2, "of": 3, "sha256": "", "dimensions": 12, "ids": ["a", "b"]}


def some(kind: str = "bpd", **results: object) -> _results.Document:
    return _results.document(kind, "ddpmcodec bench bpd", results, model=None, dataset=DATA)


def test_a_result_says_where_with_what_and_how(context_model: ContextModel) -> None:
    found = _results.document("bpd", "ddpmcodec bench bpd", {"a": 1}, model=context_model, dataset=DATA)
    assert list(found) == list(_results.HEAD)
    assert found["model"] == {"name": context_model.name, "id": context_model.id.hex()}
    assert found["machine"].keys() == {"processor", "cores", "threads", "kernel", "system"}
    assert found["versions"]["numpy"] == np.__version__
    assert _results.of_images(found) == "2 of the 3 images of x"


def test_a_result_comes_back_as_it_was_written(tmp_path: Path) -> None:
    found = some(sizes=[1, 2, 3], rows=[{"codec": "ü", "mean": 0.1, "list": [], "none": None}, {}])
    assert _results.write(tmp_path, found) == tmp_path / "bench-bpd.json"
    assert _results.read(tmp_path / "bench-bpd.json") == found


def test_a_list_of_numbers_takes_one_line() -> None:
    assert '"sizes": [1, 2, 3]' in _results.dumps(some(sizes=[1, 2, 3]))


@pytest.mark.parametrize("value", [math.nan, math.inf, [math.nan], {"deep": [[-math.inf]]}])
def test_nan_and_infinity_are_not_written(tmp_path: Path, value: object) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        _results.write(tmp_path, some(value=value))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting property name"),
        ("[]", "it has no schema"),
        ('{"schema": 99}', "schema 99, this version reads 2"),
        (json.dumps(some() | {"results": None}), "'results' is missing or of another type"),
        (json.dumps({"schema": 2, "kind": "bpd"}), "'command' is missing or of another type"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "bench-bpd.json"
    path.write_text(text)
    with pytest.raises(DdpmError, match=r"bench-bpd\.json: not a result") as caught:
        _results.read(path)
    assert problem in str(caught.value)


def test_a_folder_of_results_is_read_with_the_folders_in_it(tmp_path: Path) -> None:
    (tmp_path / "kodak").mkdir()
    _results.write(tmp_path, some())
    _results.write(tmp_path / "kodak", some("speed"))
    assert list(_results.read_tree(tmp_path)) == ["bpd", "kodak/speed"]
    assert list(_results.read_tree(tmp_path / "bench-bpd.json")) == ["bpd"]


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DdpmError, match="no result files"):
        _results.read_tree(tmp_path)


def test_an_estimate_is_a_mean_and_its_standard_error() -> None:
    found = _results.estimate([1.0, 2.0, 3.0, 4.0])
    assert found["mean"] == 2.5
    assert found["standard_error"] == pytest.approx(math.sqrt(5 / 3) / 2)
    assert _results.estimate([7.0]) == {"mean": 7.0, "standard_error": None}


# --- tables


TABLE = Table("x", "A <caption>", [{"codec": "a & b", "bytes": 5000, "s": 1.23456}, {"codec": "c", "why": "absent"}])


def test_markdown_shows_what_a_row_lacks_as_a_dash_and_numbers_to_the_right() -> None:
    assert TABLE.markdown().splitlines() == [
        "| codec | bytes | s | why |",
        "| --- | ---: | ---: | --- |",
        "| a & b | 5,000 | 1.23 | - |",
        "| c | - | - | absent |",
    ]


def test_html_is_escaped() -> None:
    html = TABLE.html()
    assert "<caption>A &lt;caption&gt;</caption>" in html
    assert '<tr><th class="text">a &amp; b</th><td>5,000</td><td>1.23</td><td class="text">-</td></tr>' in html


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0268, "0.0268"), (51.54, "51.5"), (0.1, "0.100"), (46.0, "46.0"), (99.99, "100"), (5304.2, "5,304"), ("", "-")],
)
def test_numbers_have_their_significant_digits(value: object, text: str) -> None:
    assert [*Table("x", "", [{"a": value}]).cells()] == [[text]]


def test_an_estimate_has_its_error() -> None:
    assert plus_minus({"mean": 4.12345, "standard_error": 0.0126}) == "4.123 ± 0.013"
    assert plus_minus({"mean": 4.12345, "standard_error": None}, 2) == "4.12"
    assert plus_minus(None) is None
