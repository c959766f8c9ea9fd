"""bench readme: tables and figures that are generated, not typed."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

from ddpmcodec.benchmarks import _results, report
from ddpmcodec.benchmarks._codecs import name_of
from ddpmcodec.cli import bench, run
from ddpmcodec.codec.efforts import Coding
from ddpmcodec.errors import DdpmError

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
MARKED = "Intro.\n\n<!-- bench: set/bpd table sizes -->\nold\n<!-- /bench -->\n\nEnd.\n"


def test_a_marked_table_is_filled_in_and_all_else_stays(results: Path, tmp_path: Path) -> None:
    text = report.updated(MARKED, tmp_path, results)
    assert text.startswith("Intro.\n\n<!-- bench: set/bpd table sizes -->\n|  | bits/dim | ratio to JPEG XL e9 |")
    assert "| ddpmcodec <e2> | 4.125 ± 0.050 | - | 4.062 | 21.0 | 600,000 |" in text
    assert text.endswith("`ddpmcodec bench bpd --data <x>`*\n<!-- /bench -->\n\nEnd.\n")
    assert report.updated(text, tmp_path, results) == text


def test_a_marked_figure_is_the_picture_beside_the_result(results: Path) -> None:
    text = report.updated(MARKED.replace("table sizes", "figure bpd"), results.parent, results)
    (picture,) = re.findall(r"\]\((.*?)\)", text)
    assert (results.parent / picture).is_file()


@pytest.mark.parametrize(
    ("marker", "problem"),
    [
        ("other/bpd table sizes", "no such result"),
        ("set/bpd table weights", "'weights'"),
        ("set/bpd figure sizes", "'sizes'"),
        ("set/bpd picture bpd", "<!-- /bench -->"),
    ],
)
def test_a_marker_that_names_nothing_is_an_error(results: Path, marker: str, problem: str) -> None:
    with pytest.raises(DdpmError, match=re.escape(problem)):
        report.updated(MARKED.replace("set/bpd table sizes", marker), results.parent, results)


def test_the_command_fills_in_and_checks(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text(MARKED)
    arguments = ["bench", "readme", str(tmp_path / "README.md"), "--results", str(results)]
    assert run([*arguments, "--check"]) == 1
    assert "bench readme" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == MARKED
    assert [run(arguments), run([*arguments, "--check"])] == [0, 0]
    assert "4.125" in (tmp_path / "README.md").read_text()


def test_the_command_takes_several_files_and_goes_on_after_one_that_is_wrong(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, right = tmp_path / "wrong.md", tmp_path / "right.md"
    wrong.write_text(MARKED.replace("set/bpd", "other/bpd"))
    right.write_text(MARKED)
    assert run(["bench", "readme", str(wrong), str(right), "--results", str(results)]) == 1
    assert "no such result" in capsys.readouterr().err
    assert "4.125" in right.read_text()


@pytest.mark.skipif(not RESULTS.is_dir(), reason="no results are committed yet")
@pytest.mark.parametrize("file", bench.FILES, ids=str)
def test_the_projects_own_figures_are_those_of_its_results(file: Path) -> None:
    text = (ROOT / file).read_text()
    assert report.BEGIN in text
    assert report.updated(text, (ROOT / file).parent, RESULTS) == text


@pytest.mark.skipif(not RESULTS.is_dir(), reason="no results are committed yet")
def test_the_projects_own_results_name_no_folder_of_a_machine() -> None:
    commands = [document["command"] for document in _results.read_tree(RESULTS).values()]
    assert not [command for command in commands if " /" in command]


# --- the summary


SUMMARY = "<!-- bench: summary table sizes-and-times -->\n<!-- /bench -->\n"


def summarised(folder: Path) -> str:
    return report.updated(SUMMARY, folder, folder)


@pytest.fixture
def measured(results: Path, tmp_path: Path) -> Path:
    """The four results that the summary is put together from."""
    kodak = _results.read(results / "set" / "bench-bpd.json")
    kodak["model"] = {"name": "tiny", "id": "0123456789"}
    kodak["results"]["codecs"][0]["codec"] = name_of(Coding())
    cifar10 = copy.deepcopy(kodak)
    archive = {"codec": "ddpmcodec archive e2", "images_a_file": 512}
    cifar10["results"]["codecs"] += [cifar10["results"]["codecs"][0] | archive]
    row = {"codec": "PNG", "threads": 2, "images": 2, "encode_seconds": [2.0, 9.0, 4.0], "decode_seconds": [1.0]}
    alone = {**row, "threads": 1, "encode_seconds": [77.0]}
    speed = {**kodak, "kind": "speed", "results": {"throughput": [row, alone, {"codec": "x", "skipped": "why"}]}}
    png = {"codec": "PNG", "images_a_file": 1, "bits_per_dim": {"mean": 5.0, "standard_error": None}}
    kodak["results"]["codecs"].append(png)
    for name, found in (("kodak", kodak), ("cid22", kodak), ("cifar10", cifar10), ("kodak", speed)):
        (tmp_path / name).mkdir(exist_ok=True)
        _results.write(tmp_path / name, found)
    return tmp_path


def test_the_summary_has_sizes_and_times(measured: Path) -> None:
    text = summarised(measured)
    assert "|  | Kodak, bits/dim | CID22, bits/dim | CIFAR-10, bits/dim | encode, s | decode, s |" in text
    assert f"| **{name_of(Coding())}, the default** | 4.125 | 4.125 | 4.125 | - | - |" in text
    assert "| PNG | 5.000 | 5.000 | - | 2.00 | 0.500 |" in text
    assert "archive" not in text
    assert "Models tiny (01234567) and tiny (01234567)" in text
    assert report.updated(text, measured, measured) == text


def test_the_overview_has_a_few_rows_of_the_summary(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overview = SUMMARY.replace("sizes-and-times", "overview")
    default = f"| **{name_of(Coding())}, the default** | 4.125 |"
    assert default in report.updated(overview, measured, measured)
    monkeypatch.setattr(report, "BRIEF", ("PNG",))
    text = report.updated(overview, measured, measured)
    assert "| PNG | 5.000 |" in text
    assert default not in text


def test_a_summary_without_a_result_says_which(measured: Path) -> None:
    (measured / "kodak" / "bench-speed.json").unlink()
    with pytest.raises(DdpmError, match="kodak/speed"):
        summarised(measured)
