"""bench report: one page with nothing outside it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ddpmcodec.benchmarks import _results, bpd
from ddpmcodec.benchmarks.compare import compare
from ddpmcodec.benchmarks.report import page
from ddpmcodec.cli import run
from ddpmcodec.errors import DdpmError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


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
    with pytest.raises(DdpmError, match=r"^bpd: .*this version"):
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
        "ddpmcodec <e2>",
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
    assert "ddpmcodec &lt;e2&gt;" in shown.stdout


def test_the_command_writes_report_html_and_overwrites_it_when_asked(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(results, tmp_path / "copy")
    assert run(["bench", "report", str(folder)]) == 0
    assert (folder / "report.html").read_text() == page(folder)
    assert run(["bench", "report", str(folder)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert run(["bench", "report", str(folder), "-f"]) == 0
