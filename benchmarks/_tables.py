"""Tables of results, as Markdown and as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

Row = Mapping[str, Any]  # one line of a table, by column


class Table(NamedTuple):
    """name: one word, by which README.md asks for it. The columns are those of all rows, in order of appearance."""

    name: str
    caption: str
    rows: Sequence[Row]

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for row in self.rows for column in row))

    def cells(self) -> Iterator[list[str]]:
        """The lines below the head; what a row lacks is a dash."""
        for row in self.rows:
            yield [_text(row.get(column)) for column in self.columns]

    def _numeric(self) -> list[bool]:
        """Of each column, whether it stands to the right."""
        return [
            all(cell == "-" or cell.lstrip("+-")[:1].isdigit() for cell in column)
            for column in zip(*self.cells(), strict=True)
        ]

    def markdown(self) -> str:
        lines = [self.columns, ["---:" if numbers else "---" for numbers in self._numeric()], *self.cells()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def html(self) -> str:
        kinds = ["" if number else ' class="text"' for number in self._numeric()]
        head = "".join(f"<th{kind}>{escape(column)}</th>" for kind, column in zip(kinds, self.columns, strict=True))
        body = "\n".join(_html_line(kinds, line) for line in self.cells())
        caption = f"<caption>{escape(self.caption)}</caption>"
        return f"<table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _html_line(kinds: Sequence[str], line: Sequence[str]) -> str:
    """The first cell is the head of its line."""
    first, *others = (escape(cell) for cell in line)
    cells = "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds[1:], others, strict=True))
    return f"<tr><th{kinds[0]}>{first}</th>{cells}</tr>"


def _text(value: Any) -> str:
    """Floats with three or four significant digits; ready-made text as it is."""
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:#.3g}".rstrip(".") if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def plus_minus(estimate: Mapping[str, float | None] | None, digits: int = 3) -> str | None:
    """`mean ± standard error` of a `_results.estimate`."""
    if estimate is None or estimate["mean"] is None:
        return None
    error = estimate["standard_error"]
    return f"{estimate['mean']:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
