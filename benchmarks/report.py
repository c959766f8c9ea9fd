"""ddpmcodec bench report, ddpmcodec bench readme: results as documents, and not typed.

A report is one HTML page of all results in a folder, with nothing outside it. README.md and docs/benchmarks.md have
marked parts: between `<!-- bench: RESULT table NAME -->` and `<!-- /bench -->` stands that table of a result, and with
`figure` for `table` that figure. RESULT is the result's folder and kind under benchmarks/results, such as cifar10/bpd;
`summary` is put together from several results: sizes and times of every setting beside the baselines.
"""

from __future__ import annotations

import os
import re
import statistics
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import chain
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from ddpmcodec.codec.efforts import Coding
from ddpmcodec.errors import DdpmError

from ._codecs import name_of
from ._results import (
    KINDS,
    Document,
    Row,
    Table,
    as_written,
    benchmark,
    dimensions,
    of_images,
    read_tree,
)

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


# --- ddpmcodec bench readme: marked parts of Markdown files

MARKED = re.compile(r"<!-- bench: (\S+) (table|figure) (\S+) -->\n.*?<!-- /bench -->", re.DOTALL)
BEGIN = "<!-- bench:"

SUMMARY = "summary"  # in place of a result
KODAK, CID22, CIFAR10, SPEED = "kodak/bpd", "cid22/bpd", "cifar10/bpd", "kodak/speed"
CURVES = ("kodak/rd", "cid22/rd")
BESIDE = (  # a baseline, and the measure of quality; of PSNR, which most literature has, no name
    *((name, "") for name in ("JPEG", "WebP", "JPEG XL", "AVIF", "AVIF slow, for PSNR")),
    *((name, "SSIMULACRA 2") for name in ("AVIF", "AVIF slow")),
)
BRIEF = ("ddpmcodec e1 levels 0", name_of(Coding()), "ddpmcodec e3 levels 0", "PNG", "WebP lossless", "JPEG XL e9")
COLUMNS = {KODAK: "Kodak, bits/dim", CID22: "CID22, bits/dim", CIFAR10: "CIFAR-10, bits/dim"}


def updated(text: str, folder: Path, results: Path) -> str:
    """The text of a Markdown file in `folder` with its marked parts as the results have them.

    Raises DdpmError for a marker that names no result, no table or no figure, or that has no end.
    """
    documents = read_tree(results)
    if len(MARKED.findall(text)) != text.count(BEGIN):
        raise DdpmError(f"a part that begins with {BEGIN} ... --> does not end with <!-- /bench -->")

    def fill(match: re.Match[str]) -> str:
        name, part, which = match.groups()
        if (name, part) == (SUMMARY, "table"):
            with as_written(name):
                return _marked(match, _summary(documents, which))
        if name not in documents:
            raise DdpmError(f"{match[0].splitlines()[0]}: {results} has no such result; it has {', '.join(documents)}")
        with as_written(name):
            return _marked(match, _content(documents[name], part, which, folder, results / name))

    return MARKED.sub(fill, text)


def _marked(match: re.Match[str], content: str) -> str:
    return f"<!-- bench: {' '.join(match.groups())} -->\n{content}\n<!-- /bench -->"


def _summary(documents: Mapping[str, Document], which: str) -> str:
    table = SUMMARIES[_known(which, SUMMARIES)](documents)
    return f"{table.markdown()}\n\n*{table.caption}.*"


def _content(document: Document, part: str, which: str, folder: Path, result: Path) -> str:
    return _marked_table(document, which) if part == "table" else _marked_figure(document, which, folder, result)


def _marked_table(document: Document, name: str) -> str:
    table = _named(benchmark(document["kind"]).tables(document), name)
    return f"{table.markdown()}\n\n*{table.caption}. {_origin_line(document)}*"


def _named(tables: Iterable[Table], name: str) -> Table:
    by_name = {table.name: table for table in tables}
    return by_name[_known(name, by_name)]


def _marked_figure(document: Document, name: str, folder: Path, result: Path) -> str:
    figures = benchmark(document["kind"]).figures(document)
    caption = figures[_known(name, figures)]
    picture = Path(os.path.relpath(result.parent / f"{name}.png", folder)).as_posix()
    return f"![{caption}]({picture})\n\n*{caption} {_origin_line(document)}*"


def _known(name: str, there: Mapping[str, object]) -> str:
    if name not in there:
        raise DdpmError(f"{name!r} is not in the result; it has {', '.join(there)}")
    return name


def _origin_line(document: Document) -> str:
    used = {what: document.get(what) for what in ("model", "denoiser")}
    words = ", ".join(f"{what} {each['name']} ({each['id'][:8]})" for what, each in used.items() if each)
    return f"{words[:1].upper()}{words[1:]}. `{document['command']}`" if words else f"`{document['command']}`"


# --- the summary


class Times(NamedTuple):
    """Medians in seconds an image, and of how many threads."""

    encode: float
    decode: float
    threads: int


def sizes_and_times(documents: Mapping[str, Document]) -> Table:
    """Return the table of whole files. documents: all results by name. Raises DdpmError if one of them is missing."""
    _require(documents, [*COLUMNS, SPEED])
    sizes, times = {column: _sizes(documents[name]) for name, column in COLUMNS.items()}, _times(documents[SPEED])
    every = dict.fromkeys(chain.from_iterable(sizes.values()))
    codecs = [codec for codec in every if codec in times or all(codec in of for of in sizes.values())]
    rows = [_row(codec, {column: of.get(codec) for column, of in sizes.items()}, times.get(codec)) for codec in codecs]
    return Table("sizes-and-times", _caption(documents, times), rows)


def overview(documents: Mapping[str, Document]) -> Table:
    """Return the rows of `sizes_and_times` that a first reader needs. Raises DdpmError as that does."""
    every = sizes_and_times(documents)
    shown = [row for row in every.rows if str(row[""]).strip("*").removesuffix(", the default") in BRIEF]
    return Table("overview", every.caption, shown)


def prefixes(documents: Mapping[str, Document]) -> Table:
    """BD-rates of prefixes, of each set of images. documents: all results by name. Raises DdpmError where one that is
    needed is missing."""
    _require(documents, CURVES)
    rates = [{(row["codec"], row["against"]): row for row in documents[name]["results"]["bd_rates"]} for name in CURVES]
    ours = dict.fromkeys(codec for codec, _ in rates[0])
    rows = [
        {"": f"**{codec}, the default**" if codec == name_of(Coding()) else codec}
        | {
            against + (f" ({measure})" if measure else ""): ", ".join(
                _percent(of[codec, against], measure) for of in rates
            )
            for against, measure in BESIDE
        }
        for codec in ours
    ]
    sets = ", then ".join(of_images(documents[name]) for name in CURVES)
    caption = (
        f"Bytes of prefixes less those of lossy files at the same PSNR, or SSIMULACRA 2 score where that is named, on"
        f" average over common qualities (BD-rate): {sets}. Below zero prefixes are smaller"
    )
    return Table("prefixes", caption, rows)


def _percent(row: Mapping[str, Any], measure: str) -> str:
    percent = row[measure.lower().replace(" ", "")]["percent"] if measure else row["percent"]
    if percent is None:
        return "-"
    return f"{whole:+d}%" if (whole := round(percent["mean"])) else "0%"


SUMMARIES = {"overview": overview, "sizes-and-times": sizes_and_times, "prefixes": prefixes}


def _require(documents: Mapping[str, Document], names: Iterable[str]) -> None:
    if missing := [name for name in names if name not in documents]:
        raise DdpmError(f"the summary needs the result {missing[0]}: measure it (benchmarks/README.md)")


def _sizes(document: Document) -> dict[str, str]:
    """Bits/dim by codec, of one file an image."""
    rows = document["results"]["codecs"]
    return {row["codec"]: f"{row['bits_per_dim']['mean']:.3f}" for row in rows if row.get("images_a_file") == 1}


def _times(document: Document) -> dict[str, Times]:
    """Times by codec, on the most threads that were measured."""
    rows = [row for row in document["results"]["throughput"] if "skipped" not in row]
    return {row["codec"]: _times_of(row) for row in sorted(rows, key=lambda row: row["threads"])}


def _times_of(row: Mapping[str, Any]) -> Times:
    encode, decode = (statistics.median(row[f"{name}_seconds"]) / row["images"] for name in ("encode", "decode"))
    return Times(encode, decode, row["threads"])


def _row(codec: str, sizes: Mapping[str, str | None], times: Times | None) -> Row:
    return {
        "": f"**{codec}, the default**" if codec == name_of(Coding()) else codec,
        **sizes,
        "encode, s": None if times is None else times.encode,
        "decode, s": None if times is None else times.decode,
    }


def _caption(documents: Mapping[str, Document], times: Mapping[str, Times]) -> str:
    threads = max((each.threads for each in times.values()), default=1)
    speed = documents[SPEED]
    megapixels = sum(dimensions(speed)) / len(dimensions(speed)) / 3e6
    models = (f"{documents[name]['model']['name']} ({documents[name]['model']['id'][:8]})" for name in (KODAK, CIFAR10))
    return (
        "Bits per colour sample of whole lossless files, which were decoded and compared:"
        f" {'; '.join(of_images(documents[name]) for name in COLUMNS)}. Models {' and '.join(models)}. Medians of"
        f" seconds, without the check of what was encoded, an image of {megapixels:.2f} megapixels,"
        f" {of_images(speed)}, on {threads} threads of {speed['machine']['processor']}, kernels:"
        f" {speed['machine']['kernel']}"
    )
