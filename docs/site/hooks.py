"""Hooks of MkDocs: pages at the places that they have in the repository, with the files that they link to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = "benchmarks/README.md", "tests/conformance/README.md"  # documents that are not in docs/
CELL = re.compile(r"<td[^>]*>.*?</td>", re.DOTALL)
LINK = re.compile(r"\[([^][]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def github_slug(heading: str, separator: str) -> str:
    """The anchor of a heading on GitHub, which links of the documents name."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", separator)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.mdx_configs["toc"] = {**config.mdx_configs.get("toc", {}), "slugify": github_slug}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of `docs` by all documents, and add the files that these link to."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *(ROOT / name for name in ELSEWHERE)]
    linked = {target for page in pages for target in _linked(page) if target.is_file() and target.suffix != ".md"}
    for path in sorted({*pages, *linked, ROOT / "docs" / "site" / "site.css"}):
        name = path.relative_to(ROOT).as_posix()
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Lead links to folders to their README.md. A folder without one is not on the site: its link becomes text."""
    folder = (ROOT / page.file.src_uri).parent

    def replaced(link: re.Match[str]) -> str:
        text, target, _ = link.groups()
        if not (folder / target).is_dir():
            return link[0]
        return f"[{text}]({target.rstrip('/')}/README.md)" if (folder / target / "README.md").exists() else text

    return LINK.sub(replaced, markdown)


def on_page_content(html: str, **_: object) -> str:
    """Show the bars that code in a table escapes as GitHub shows them."""
    return CELL.sub(lambda cell: cell[0].replace("\\|", "|"), html)


def _linked(page: Path) -> Iterator[Path]:
    for _, target, _ in LINK.findall(page.read_text()):
        yield (page.parent / target).resolve()
