"""ddpmcodec bench readme: the tables and figures of README.md and docs/benchmarks.md, from results and not typed.

Between `<!-- bench: RESULT table NAME -->` and `<!-- /bench -->` stands that table of a result, and with `figure` for
`table` that figure. RESULT is the result's folder and kind under benchmarks/results, such as cifar10/bpd; `summary` is
put together from several results: sizes and times of every setting beside the baselines.
"""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from ddpmcodec.codec.efforts import Coding
from ddpmcodec.errors import DdpmError

from ._codecs import name_of
from ._results import (
    Document,
    Row,
    Table,
    as_written,
    benchmark,
    dimensions,
    of_images,
    read_tree,
)

MARKED = re.compile(r"<!-- bench: (\S+) (table|figure) (\S+) -->\n.*?<!-- /bench -->", re.DOTALL)
BEGIN = "<!-- bench:"

SUMMARY = "summary"  # in place of a result
KODAK, CID22, CIFAR10, SPEED = "kodak/bpd", "cid22/bpd", "cifar10/bpd", "kodak/speed"
CURVES = ("kodak/rd", "cid22/rd")
BESIDE = (  # a baseline, and the measure of quality; of PSNR, which most literature has, no name
    *((name, "") for name in ("JPEG", "WebP", "JPEG XL", "AVIF", "AVIF slow, for PSNR")),
    *((name, "SSIMULACRA 2") for name in ("AVIF", "AVIF slow")),
)
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
    return _table(document, which) if part == "table" else _figure(document, which, folder, result)


def _table(document: Document, name: str) -> str:
    table = _named(benchmark(document["kind"]).tables(document), name)
    return f"{table.markdown()}\n\n*{table.caption}. {_origin(document)}*"


def _named(tables: Iterable[Table], name: str) -> Table:
    by_name = {table.name: table for table in tables}
    return by_name[_known(name, by_name)]


def _figure(document: Document, name: str, folder: Path, result: Path) -> str:
    figures = benchmark(document["kind"]).figures(document)
    caption = figures[_known(name, figures)]
    picture = Path(os.path.relpath(result.parent / f"{name}.png", folder)).as_posix()
    return f"![{caption}]({picture})\n\n*{caption} {_origin(document)}*"


def _known(name: str, there: Mapping[str, object]) -> str:
    if name not in there:
        raise DdpmError(f"{name!r} is not in the result; it has {', '.join(there)}")
    return name


def _origin(document: Document) -> str:
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
    """Of whole files. documents: all results by name. Raises DdpmError where one that is needed is missing."""
    _require(documents, [*COLUMNS, SPEED])
    sizes, times = {column: _sizes(documents[name]) for name, column in COLUMNS.items()}, _times(documents[SPEED])
    every = dict.fromkeys(chain.from_iterable(sizes.values()))
    codecs = [codec for codec in every if codec in times or all(codec in of for of in sizes.values())]
    rows = [_row(codec, {column: of.get(codec) for column, of in sizes.items()}, times.get(codec)) for codec in codecs]
    return Table("sizes-and-times", _caption(documents, times), rows)


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


SUMMARIES = {"sizes-and-times": sizes_and_times, "prefixes": prefixes}


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
