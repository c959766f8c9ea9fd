"""bench report: one page with nothing outside it; bench readme: figures that are generated, not typed."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ddpmcodec.benchmarks import _results, bpd, readme, summary
from ddpmcodec.benchmarks.compare import compare
from ddpmcodec.benchmarks.report import page
from ddpmcodec.cli import bench_readme, run
from ddpmcodec.codec.efforts import DEFAULT_EFFORT
from ddpmcodec.errors import DdpmError

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the folder `set`, which has a result of bench bpd and its figure."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "set").mkdir()
    row = {
        "codec": "ddpmcodec <effort 2>",
        "products": 600000.4,
        "images_a_file": 1,
        "bits_per_dim": {"mean": 4.125, "standard_error": 0.05},
        "ideal": 4.0625,
        "webp": 0,
        "overhead_bytes": 21.0,
        "bytes": [1600, 1568],
    }
    data = {
        "name": "A & B",
        "split": None,
        "images": 2,
        "of": 9,
        "sha256": "",
        "dimensions": 3072,
        "ids": ["a", "b"],
        "names": None,
    }
    skipped = {"codec": "JPEG XL", "skipped": "skipped: needs pillow-jxl-plugin"}
    found = _results.document(
        "bpd", "ddpmcodec bench bpd --data <x>", {"codecs": [row, skipped], "literature": []}, model=None, dataset=data
    )
    _results.write(folder / "set", found)
    bpd.draw(found, folder / "set")
    return folder


NONE = lambda found: found["results"].clear()  # noqa: E731
NO_LIST = lambda found: found["results"].update(codecs=5)  # noqa: E731
NO_SIZES = lambda found: found["results"]["codecs"][0].pop("bytes")  # noqa: E731
NO_COUNT = lambda found: found["dataset"].pop("images")  # noqa: E731


@pytest.mark.parametrize(
    ("use", "damage"),
    [(page, NONE), (page, NO_LIST), (page, NO_COUNT)]
    + [(lambda folder: compare(folder, folder), damage) for damage in (NONE, NO_LIST, NO_SIZES)],
)
def test_results_under_a_good_head_that_are_none_are_named(
    results: Path, tmp_path: Path, use: Callable[[Path], object], damage: Callable[[Any], object]
) -> None:
    found = _results.read(results / "set" / "bench-bpd.json")
    damage(found)
    _results.write(tmp_path, found)
    with pytest.raises(DdpmError, match=r"^bpd: its results are not those of this version \(.+\): measure again"):
        use(tmp_path)


class Elements(HTMLParser):
    """Every tag with its attributes, and all text. Raises where tags are not closed in turn."""

    EMPTY = ("meta", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_tables_figures_and_origin_of_every_result(results: Path) -> None:
    elements = Elements(page(results))
    for words in (
        bpd.TITLE,
        "ddpmcodec <effort 2>",
        "4.125 ± 0.050",
        "skipped: needs pillow-jxl-plugin",
        "2 of the 9 images of A & B",
        "ddpmcodec bench bpd --data <x>",
    ):
        assert words in elements.text
    assert [tag for tag, _ in elements.tags].count("section") == 1
    assert ("a", {"href": "#set/bpd"}) in elements.tags


def test_the_page_needs_nothing_outside_it(results: Path) -> None:
    elements = Elements(page(results))
    sources = [attributes["src"] for tag, attributes in elements.tags if tag == "img"]
    assert [(source or "")[:26] for source in sources] == ["data:image/svg+xml;base64,"]
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in elements.tags}
    assert "url(" not in page(results)


def test_a_figure_that_is_gone_is_said_to_be_missing(results: Path, tmp_path: Path) -> None:
    shutil.copy(results / "set" / "bench-bpd.json", tmp_path)
    assert "bpd.png is not in the folder" in Elements(page(tmp_path)).text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_shows_the_page(results: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page(results))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    private = [f"--user-data-dir={tmp_path / 'profile'}", "--disable-component-update", "--disable-sync"]
    shown = subprocess.run(
        [str(CHROMIUM), *flags, *private, "--dump-dom", (tmp_path / "report.html").as_uri()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ddpmcodec &lt;effort 2&gt;" in shown.stdout


def test_the_command_writes_report_html_and_overwrites_it_when_told(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(results, tmp_path / "copy")
    assert run(["bench", "report", str(folder)]) == 0
    assert (folder / "report.html").read_text() == page(folder)
    assert run(["bench", "report", str(folder)]) == 1
    assert "exists already: use -f to overwrite it" in capsys.readouterr().err
    assert run(["bench", "report", str(folder), "-f"]) == 0


# --- the README


MARKED = "Intro.\n\n<!-- bench: set/bpd table sizes -->\nold\n<!-- /bench -->\n\nEnd.\n"


def test_a_marked_table_is_filled_in_and_all_else_stays(results: Path, tmp_path: Path) -> None:
    text = readme.updated(MARKED, tmp_path, results)
    assert text.startswith("Intro.\n\n<!-- bench: set/bpd table sizes -->\n|  | bits/dim | ratio to JPEG XL e9 |")
    assert "| ddpmcodec <effort 2> | 4.125 ± 0.050 | - | 4.062 | 21.0 | 600,000 |" in text
    assert text.endswith("`ddpmcodec bench bpd --data <x>`*\n<!-- /bench -->\n\nEnd.\n")
    assert readme.updated(text, tmp_path, results) == text


def test_a_marked_figure_is_the_picture_beside_the_result(results: Path) -> None:
    text = readme.updated(MARKED.replace("table sizes", "figure bpd"), results.parent, results)
    (picture,) = re.findall(r"\]\((.*?)\)", text)
    assert (results.parent / picture).is_file()


@pytest.mark.parametrize(
    ("marker", "problem"),
    [
        ("other/bpd table sizes", "has no such result; it has set/bpd"),
        ("set/bpd table weights", "'weights' is not in the result; it has sizes"),
        ("set/bpd figure sizes", "'sizes' is not in the result; it has bpd"),
        ("set/bpd picture bpd", "does not end with <!-- /bench -->"),
    ],
)
def test_a_marker_that_names_nothing_is_an_error(results: Path, marker: str, problem: str) -> None:
    with pytest.raises(DdpmError, match=re.escape(problem)):
        readme.updated(MARKED.replace("set/bpd table sizes", marker), results.parent, results)


def test_the_command_fills_in_and_checks(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text(MARKED)
    arguments = ["bench", "readme", str(tmp_path / "README.md"), "--results", str(results)]
    assert run([*arguments, "--check"]) == 1
    assert "is not as in the results: run ddpmcodec bench readme" in capsys.readouterr().err
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
    assert "has no such result; it has set/bpd" in capsys.readouterr().err
    assert "4.125" in right.read_text()


@pytest.mark.skipif(not RESULTS.is_dir(), reason="no results are committed yet")
@pytest.mark.parametrize("file", bench_readme.FILES, ids=str)
def test_the_projects_own_figures_are_those_of_its_results(file: Path) -> None:
    text = (ROOT / file).read_text()
    assert readme.BEGIN in text
    assert readme.updated(text, (ROOT / file).parent, RESULTS) == text


# --- the summary


SUMMARY = "<!-- bench: summary table sizes-and-times -->\n<!-- /bench -->\n"


def summarised(folder: Path) -> str:
    return readme.updated(SUMMARY, folder, folder)


@pytest.fixture
def measured(results: Path, tmp_path: Path) -> Path:
    """The three results that the summary is put together from."""
    kodak = _results.read(results / "set" / "bench-bpd.json")
    kodak["model"] = {"name": "tiny", "id": "0123456789"}
    kodak["results"]["codecs"][0]["codec"] = f"ddpmcodec effort {DEFAULT_EFFORT}"
    cifar10 = copy.deepcopy(kodak)
    cifar10["results"]["codecs"] += [{**cifar10["results"]["codecs"][0], "codec": "ddpmcodec archive effort 2"}]
    row = {"codec": "PNG", "threads": 2, "images": 2, "encode_seconds": [2.0, 9.0, 4.0], "decode_seconds": [1.0]}
    alone = {**row, "threads": 1, "encode_seconds": [77.0]}
    speed = {**kodak, "kind": "speed", "results": {"throughput": [row, alone, {"codec": "x", "skipped": "why"}]}}
    png = {"codec": "PNG", "bits_per_dim": {"mean": 5.0, "standard_error": None}}
    kodak["results"]["codecs"].append(png)
    for name, found in (("kodak", kodak), ("cifar10", cifar10), ("kodak", speed)):
        (tmp_path / name).mkdir(exist_ok=True)
        _results.write(tmp_path / name, found)
    return tmp_path


def test_the_summary_has_sizes_times_and_the_literature(measured: Path) -> None:
    text = summarised(measured)
    assert "|  | Kodak, bits/dim | CIFAR-10, bits/dim | encode, s | decode, s |" in text
    assert f"| **ddpmcodec effort {DEFAULT_EFFORT}, the default** | 4.12 ± 0.05 | 4.12 ± 0.05 | - | - |" in text
    assert "| PNG | 5.00 | - | 2.00 | 0.500 |" in text
    assert "| ARDM-Upscale 4 (literature) | - | 2.71 | - | - |" in text
    assert "archive" not in text
    assert "Models tiny (01234567) and tiny (01234567)" in text
    assert readme.updated(text, measured, measured) == text


def test_everything_that_the_summary_shows_of_the_literature_is_there() -> None:
    assert len(summary._literature()) == len(summary.SHOWN)


def test_a_summary_without_a_result_says_which(measured: Path) -> None:
    (measured / "kodak" / "bench-speed.json").unlink()
    with pytest.raises(DdpmError, match="the summary needs the result kodak/speed: measure it"):
        summarised(measured)
