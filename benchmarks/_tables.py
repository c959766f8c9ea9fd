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
        return [all(cell == "-" or cell[0].isdigit() for cell in column) for column in zip(*self.cells(), strict=True)]

    def markdown(self) -> str:
        lines = [self.columns, ["---:" if numbers else "---" for numbers in self._numeric()], *self.cells()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def html(self) -> str:
        head = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        body = "\n".join(_html_row(row, line) for row, line in zip(self.rows, self.cells(), strict=True))
        caption = f"<caption>{escape(self.caption)}</caption>"
        return f"<table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _html_row(row: Row, line: Sequence[str]) -> str:
    first, *others = map(escape, line)
    kind = ' class="literature"' if "source" in row else ""
    return f"<tr{kind}><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"


def _text(value: Any) -> str:
    """Floats with three or four digits that tell; ready-made text as it is."""
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def plus_minus(estimate: Mapping[str, float | None] | None, digits: int = 3) -> str | None:
    """`mean ± standard error` of a `_results.estimate`."""
    if estimate is None or estimate["mean"] is None:
        return None
    error = estimate["standard_error"]
    return f"{estimate['mean']:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
