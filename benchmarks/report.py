"""ddpmcodec bench report: one HTML page of all results in a folder, with nothing outside it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from ._results import KINDS, Document, as_written, benchmark, of_images, read_tree

MEDIA = {".svg": "image/svg+xml", ".png": "image/png"}  # of a figure, the sharper kind first
STYLE = """
:root { color-scheme: light; --ink: #1d2733; --faint: #5c6a79; --line: #dfe4ea; --accent: #1f5fa8; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #f5f7f9; font: 15px/1.55 system-ui, "DejaVu Sans", sans-serif; }
header, main { max-width: 1040px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 40px; }
h1 { margin: 0; font-size: 28px; letter-spacing: -0.01em; }
h2 { margin: 0 0 4px; font-size: 20px; }
nav { margin-top: 12px; display: flex; flex-wrap: wrap; gap: 6px 18px; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
section { margin: 28px 0; padding: 24px 28px; background: white; border: 1px solid var(--line); border-radius: 8px; }
p.of { margin: 0 0 16px; color: var(--faint); }
figure { margin: 20px 0 28px; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption, caption { color: var(--faint); font-size: 13px; text-align: left; }
figcaption { margin-top: 6px; }
caption { padding-bottom: 6px; }
.wide { overflow-x: auto; margin: 20px 0; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 14px 4px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--faint); font-weight: 600; border-bottom-color: #b9c3cd; }
th.text, td.text, tbody th { text-align: left; }
td.text:last-child { white-space: normal; min-width: 16em; }
tbody th { font-weight: 500; }
details { margin-top: 12px; color: var(--faint); font-size: 13px; }
summary { cursor: pointer; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 8px 0 0; }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
@media print { body { background: white; } section { break-inside: avoid; border: 0; padding: 0; } }
"""
PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ddpmcodec: benchmarks</title>
<style>$style</style>
</head>
<body>
<header>
<h1>ddpmcodec: benchmarks</h1>
<nav>$links</nav>
</header>
<main>
$sections
</main>
</body>
</html>
""")


def page(folder: Path) -> str:
    """HTML of the result files in a folder and in its folders, each with its figures, tables and origin.

    Raises DdpmError when there are none, or one is damaged.
    """
    documents = {name: each for name, each in read_tree(folder).items() if each["kind"] in KINDS}
    ordered = sorted(documents.items(), key=lambda pair: (KINDS.index(pair[1]["kind"]), pair[0]))
    links = "\n".join(f'<a href="#{escape(name)}">{escape(_link(each))}</a>' for name, each in ordered)
    sections = "\n".join(_section(folder, name, each) for name, each in ordered)
    return PAGE.substitute(style=STYLE, links=links, sections=sections)


def _link(document: Document) -> str:
    data = document["dataset"]
    return f"{document['kind']}: {data['name']}" if data else str(document["kind"])


def _section(folder: Path, name: str, document: Document) -> str:
    with as_written(name):
        return "\n".join(_parts(folder, name, document))


def _parts(folder: Path, name: str, document: Document) -> list[str]:
    module = benchmark(document["kind"])
    result_folder = (folder / name).parent
    return [
        f'<section id="{escape(name)}">',
        f"<h2>{escape(_heading(module.TITLE, document))}</h2>",
        f'<p class="of">{escape(_subject(document))}</p>',
        *(_figure(result_folder, figure, caption) for figure, caption in module.figures(document).items()),
        *(f'<div class="wide">{table.html()}</div>' for table in module.tables(document) if table.rows),
        f"<details><summary>How this was measured</summary><dl>{''.join(_origin(document))}</dl></details>",
        "</section>",
    ]


def _heading(title: str, document: Document) -> str:
    return f"{title}, {document['dataset']['name']}" if document["dataset"] else title


def _subject(document: Document) -> str:
    model = document["model"]
    words = [of_images(document)] if document["dataset"] else []
    return "; ".join([*words, f"model {model['name']} ({model['id'][:8]})"] if model else words)


def _figure(folder: Path, name: str, caption: str) -> str:
    text = f"<figcaption>{escape(caption)}</figcaption>"
    for suffix, media in MEDIA.items():
        path = folder / f"{name}{suffix}"
        if path.is_file():
            data = b64encode(path.read_bytes()).decode()
            return f'<figure><img src="data:{media};base64,{data}" alt="{escape(caption)}">{text}</figure>'
    return f"<figure><p>{escape(name)}.png is not in the folder.</p>{text}</figure>"


def _origin(document: Document) -> Iterator[str]:
    """Command, machine, versions and data, as entries of a list of definitions."""
    yield f"<dt>Command</dt><dd><code>{escape(document['command'])}</code></dd>"
    yield from _entries("Machine", document["machine"])
    yield from _entries("Versions", {name: value for name, value in document["versions"].items() if value})
    if document["model"]:
        yield from _entries("Model", document["model"])
    if document["dataset"]:
        yield from _entries("Images", {key: document["dataset"][key] for key in ("name", "images", "of", "sha256")})


def _entries(title: str, facts: Mapping[str, Any]) -> Iterator[str]:
    text = ", ".join(f"{key} {value}" for key, value in facts.items())
    yield f"<dt>{title}</dt><dd>{escape(text)}</dd>"
