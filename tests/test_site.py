"""The documents are a site: every page is there, links and anchors exist, nothing comes from another server."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs")
ROOT = Path(__file__).parents[1]
ELSEWHERE = "benchmarks/README.md", "tests/conformance/README.md"


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", root / "docs" / "site" / "mkdocs.yml"]
    return subprocess.run([*command, "-d", out], capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    built = build(ROOT, out)
    assert built.returncode == 0, built.stderr
    return out


def pages(site: Path) -> list[Path]:
    return [page for page in site.rglob("*.html") if page.name not in ("404.html", "search.html")]


def test_every_document_is_a_page(site: Path) -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *(ROOT / name for name in ELSEWHERE)]
    expected = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in documents}
    found = {page.relative_to(site).as_posix().replace("index.html", "README.html") for page in pages(site)}
    assert found == expected


def test_links_and_pictures_of_every_page_exist(site: Path) -> None:
    for page in pages(site):
        text = page.read_text()
        for target in re.findall(r'<(?:a|img|link|script)[^>]* (?:href|src)="(?!https?:|#)([^"#?]+)', text):
            assert (page.parent / target).exists(), (page, target)


def test_nothing_is_fetched_from_other_servers(site: Path) -> None:
    for page in pages(site):
        fetched = re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', page.read_text())
        assert [tag for tag in fetched if 'rel="canonical"' not in tag] == []
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\W*(?:https?:)?//", sheet.read_text()), sheet


@pytest.mark.parametrize("link", ["[a](nowhere.md)", "[a](limits.md#nowhere)", "[a](../nowhere.png)"])
def test_a_link_that_leads_nowhere_fails(link: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "site", tmp_path / "docs" / "site")
    config = tmp_path / "docs" / "site" / "mkdocs.yml"
    config.write_text(config.read_text().split("\nnav:\n")[0])
    (tmp_path / "docs" / "limits.md").write_text("# Limits\n")
    (tmp_path / "README.md").write_text("[limits](docs/limits.md)\n")
    for name in ELSEWHERE:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("# Page\n")
    assert build(tmp_path, tmp_path / "out").returncode == 0
    (tmp_path / "docs" / "api.md").write_text(link)
    failed = build(tmp_path, tmp_path / "out")
    assert failed.returncode != 0
    assert "nowhere" in failed.stderr
