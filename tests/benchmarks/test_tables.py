"""Tables in Markdown and HTML."""

from __future__ import annotations

import pytest

from ddpmcodec.benchmarks._tables import Table, plus_minus

TABLE = Table("x", "A <caption>", [{"codec": "a & b", "bytes": 5000, "s": 1.23456}, {"codec": "c", "why": "absent"}])


def test_markdown_shows_what_a_row_lacks_as_a_dash_and_numbers_to_the_right() -> None:
    assert TABLE.markdown().splitlines() == [
        "| codec | bytes | s | why |",
        "| --- | ---: | ---: | --- |",
        "| a & b | 5,000 | 1.23 | - |",
        "| c | - | - | absent |",
    ]


def test_html_is_escaped() -> None:
    html = TABLE.html()
    assert "<caption>A &lt;caption&gt;</caption>" in html
    assert '<tr><th class="text">a &amp; b</th><td>5,000</td><td>1.23</td><td class="text">-</td></tr>' in html


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0268, "0.0268"), (51.54, "51.5"), (0.1, "0.100"), (46.0, "46.0"), (99.99, "100"), (5304.2, "5,304"), ("", "-")],
)
def test_numbers_have_their_significant_digits(value: object, text: str) -> None:
    assert [*Table("x", "", [{"a": value}]).cells()] == [[text]]


def test_an_estimate_has_its_error() -> None:
    assert plus_minus({"mean": 4.12345, "standard_error": 0.0126}) == "4.123 ± 0.013"
    assert plus_minus({"mean": 4.12345, "standard_error": None}, 2) == "4.12"
    assert plus_minus(None) is None
