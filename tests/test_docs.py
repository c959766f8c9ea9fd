"""The documents are true: their examples run, their commands and links exist, what is generated is up to date."""

from __future__ import annotations

import doctest
import gzip
import importlib.util
import re
import shutil
import subprocess
from importlib import import_module
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import pyramid
from ddpmcodec import models
from ddpmcodec.cli import COMMANDS, run

ROOT = Path(__file__).parents[1]
ELSEWHERE_PAGES = "benchmarks/README.md", "tests/conformance/README.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *(ROOT / name for name in ELSEWHERE_PAGES)])
HISTORY = ("CHANGELOG.md", "second-design.md")  # which name options that are gone
PROSE = [page for page in PAGES if page.name not in (*HISTORY, "cli.md")]
FOLDERS = {"ddpmcodec": ROOT / "ddpmcodec", "ddpmcodec.cli": ROOT / "cli", "ddpmcodec.benchmarks": ROOT / "benchmarks"}
ELSEWHERE = {"ddpmcodec.plugins.cluster"}  # tests/plugins/test_cluster.py runs its examples, which need a cluster


def modules_with_examples() -> list[str]:
    named = {
        ".".join([package, *path.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__")
        for package, folder in FOLDERS.items()
        for path in folder.rglob("*.py")
        if ">>> " in path.read_text()
    }
    return sorted(named - ELSEWHERE)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_of_docstrings_run(name: str) -> None:
    found = doctest.testmod(import_module(name))
    assert found.failed == 0
    assert found.attempted > 0


@pytest.mark.parametrize(("page", "least"), [("api.md", 20), ("how-it-works.md", 15), ("paper.md", 10)])
def test_examples_of_pages_run(page: str, least: int) -> None:
    found = doctest.testfile(str(ROOT / "docs" / page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
    assert found.attempted > least


def test_every_public_function_has_an_example() -> None:
    import ddpmcodec

    functions = [getattr(ddpmcodec, name) for name in {*ddpmcodec.__all__} - {*ddpmcodec.PACKAGES} if name[0].islower()]
    functions += [getattr(ddpmcodec.archive, name) for name in ddpmcodec.archive.__all__ if name[0].islower()]
    for function in functions:
        text = function.__doc__ or ""
        assert ">>> " in text, function.__name__
        assert text.splitlines()[0].endswith("."), function.__name__


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_cli() -> ModuleType:
    return script("make_cli")


def test_the_page_of_commands_is_up_to_date() -> None:
    """If it is not: python docs/make_cli.py"""
    page = make_cli()
    assert page.PAGE.read_text() == page.page().rstrip() + "\n"
    assert page.MAN_PAGE.read_text() == page.man_page()


def test_the_page_of_commands_names_all() -> None:
    text = make_cli().page()
    assert all(f"## ddpmcodec {command}\n" in text for command in COMMANDS)
    assert all(f"## ddpmcodec archive {command}\n" in text for command in ("create", "extract", "list", "test"))
    assert "## ddpmcodec bench compare\n" in text


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff here")
def test_the_manual_page_has_no_faults_and_shows_every_command() -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", make_cli().MAN_PAGE]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    assert all(f"   ddpmcodec {command}\n" in ended.stdout for command in COMMANDS)


def commands_of(text: str) -> list[list[str]]:
    """The words behind `ddpmcodec` in blocks and in code between words; codecs of results are no commands."""
    blocks = [line for line in text.splitlines() if line.startswith("    ") and ">>>" not in line]
    inline = re.findall(r"`(ddpmcodec (?!effort|archive effort|e\d|archive e\d|bits back)[^`]+)`", text)
    found = (re.findall(r"ddpmcodec(?:\.cli)? ([a-z][^|&#]*)", line) for line in [*blocks, *inline])
    return [command.split() for commands in found for command in commands]


@pytest.mark.parametrize("page", PROSE, ids=name_of)
def test_commands_and_options_of_a_page_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands_of(page.read_text()):
        depth = 2 if words[0] in ("archive", "bench") and words[1:] and words[1].islower() else 1
        assert run([*words[:depth], "--help"]) == 0, words
        options = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", capsys.readouterr().out))
        assert {word for word in words[depth:] if re.fullmatch("--?[a-z][a-z-]*", word)} <= options, words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)", text):
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", place.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor[1:] in anchors, anchor


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tables_that_are_measured_end(page: Path) -> None:
    text = page.read_text()
    assert text.count("\n<!-- bench:") == text.count("\n<!-- /bench -->")


def test_figures_show_the_middles_of_the_cells_of_the_format() -> None:
    figures = script("make_figures")
    values = np.arange(-510, 511)[:, None, None].repeat(3, -1)
    for band, level in product((1, 2, 9), figures.CELLS):
        shown = figures.middle_of_cell(values, band, level)
        for c in range(3):
            widest = pyramid.Range(-pyramid.FAR, pyramid.FAR)
            cells = [pyramid.cell_of(v, widest, pyramid.cell_width(band, c, level)) for v in values[:, 0, c].tolist()]
            lo, hi = np.array(cells).T
            assert np.array_equal(shown[:, 0, c], pyramid.estimate_of(lo, hi))
    photo = np.asarray(Image.open(figures.PHOTO))
    assert np.array_equal(figures.to_rgb(figures.to_ycocg(photo)), photo)


def folders_of(place: str) -> set[str]:
    files = [path.relative_to(ROOT / place) for path in (ROOT / place).rglob("*.*") if path.suffix != ".pyc"]
    return {file.parts[0] for file in files if file.parts[1:]} - {"__pycache__"}


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_pages_about_the_code_name_every_folder_and_no_file_that_does_not_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    folders = folders_of("ddpmcodec") | folders_of("ddpmcodec/_core")
    if page == "CONTRIBUTING.md":
        folders |= folders_of("tests")
    assert {folder for folder in folders if not re.search(rf"(?<![\w.-]){folder}/", text)} == set()
    named = set(re.findall(r"`((?!build/)[\w./*-]*(?:/|\w\.(?:py|pyi|h|cpp|txt|md|cfg)))`", text))
    assert len(named) > 10
    core = ROOT / "ddpmcodec" / "_core"
    places = ROOT, ROOT / "benchmarks", ROOT / "ddpmcodec", core, *core.iterdir()
    assert {name for name in named if not any([*place.glob(name)] for place in places)} == set()


@pytest.mark.parametrize("name", models.CONTEXT_MODELS)
def test_the_sizes_of_models_for_browsers_are_theirs(name: str) -> None:
    (row,) = re.findall(rf"^\| model `{name}`.*$", (ROOT / "docs" / "web.md").read_text(), re.MULTILINE)
    size, packed, _ = (int(cell.replace(",", "")) for cell in row.split("|")[2:5])
    data = models.read(name)
    assert size == len(data)
    assert packed == pytest.approx(len(gzip.compress(data, 9)), rel=1e-3)  # libraries differ by a few bytes
