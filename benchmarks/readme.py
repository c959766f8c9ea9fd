"""ddpmcodec bench readme: the tables and figures of README.md and docs/benchmarks.md, from results and not typed.

Between `<!-- bench: RESULT table NAME -->` and `<!-- /bench -->` stands that table of a result, and with `figure` for
`table` that figure. RESULT is the result's folder and kind under benchmarks/results, such as cifar10/bpd; `summary` is
a table of several results (`summary`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ddpmcodec.errors import DdpmError

from . import summary
from ._kinds import benchmark
from ._results import Document, as_written, read_tree
from ._tables import Table

MARKED = re.compile(r"<!-- bench: (\S+) (table|figure) (\S+) -->\n.*?<!-- /bench -->", re.DOTALL)
BEGIN = "<!-- bench:"


def updated(text: str, folder: Path, results: Path) -> str:
    """The text of a Markdown file in `folder` with its marked parts as the results have them.

    Raises DdpmError for a marker that names no result, no table or no figure, or that has no end.
    """
    found = read_tree(results)
    if len(MARKED.findall(text)) != text.count(BEGIN):
        raise DdpmError(f"a part that begins with {BEGIN} ... --> does not end with <!-- /bench -->")

    def fill(match: re.Match[str]) -> str:
        name, part, which = match.groups()
        if (name, part) == (summary.NAME, "table"):
            with as_written(name):
                return _marked(match, _summary(found, which))
        if name not in found:
            raise DdpmError(f"{match[0].splitlines()[0]}: {results} has no such result; it has {', '.join(found)}")
        with as_written(name):
            return _marked(match, _content(found[name], part, which, folder, results / name))

    return MARKED.sub(fill, text)


def _marked(match: re.Match[str], content: str) -> str:
    name, part, which = match.groups()
    return f"<!-- bench: {name} {part} {which} -->\n{content}\n<!-- /bench -->"


def _summary(found: Mapping[str, Document], which: str) -> str:
    table = _named(summary.tables(found), which)
    return f"{table.markdown()}\n\n*{table.caption}.*"


def _content(found: Document, part: str, which: str, folder: Path, result: Path) -> str:
    return _table(found, which) if part == "table" else _figure(found, which, folder, result)


def _table(found: Document, name: str) -> str:
    table = _named(benchmark(found["kind"]).tables(found), name)
    return f"{table.markdown()}\n\n*{table.caption}. {_origin(found)}*"


def _named(tables: Iterable[Table], name: str) -> Table:
    by_name = {table.name: table for table in tables}
    return by_name[_known(name, by_name)]


def _figure(found: Document, name: str, folder: Path, result: Path) -> str:
    figures = benchmark(found["kind"]).figures(found)
    caption = figures[_known(name, figures)]
    picture = Path(os.path.relpath(result.parent / f"{name}.png", folder)).as_posix()
    return f"![{caption}]({picture})\n\n*{caption} {_origin(found)}*"


def _known(name: str, there: Mapping[str, object]) -> str:
    if name not in there:
        raise DdpmError(f"{name!r} is not in the result; it has {', '.join(there)}")
    return name


def _origin(found: Document) -> str:
    model = f"Model {found['model']['name']} ({found['model']['id'][:8]}). " if found["model"] else ""
    return f"{model}`{found['command']}`"
