"""What `report`, `readme` and `compare` ask of a benchmark: its module, benchmarks/KIND.py, has the functions below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from ._results import Document
from ._tables import Table

KINDS = ("bpd", "rd", "speed", "strips")  # in the order of a report


class Measure(NamedTuple):
    """Numbers that two result files can be compared by.

    values: by what they are of: the id of an image (`Dataset.describe`), say. timing: of the machine as much as of the
    code; the keys are then those of repeats, and repeats of two runs are no pairs. higher_is_better: decibels, say;
    compared by their difference, and other numbers, which are all positive, by their ratio.
    """

    name: str
    values: Mapping[str, float]
    timing: bool = False
    higher_is_better: bool = False


class Benchmark(Protocol):
    """A module of this package that makes result files of its kind."""

    TITLE: str  # heading of its part of a report

    def tables(self, found: Document) -> Sequence[Table]:
        """What the result says, for people."""

    def figures(self, found: Document) -> Mapping[str, str]:
        """Caption of every figure by its name, NAME.png and NAME.svg beside the result file."""

    def measures(self, found: Document) -> Sequence[Measure]:
        """What the result says, to compare with another."""


def benchmark(kind: str) -> Benchmark:
    return cast(Benchmark, import_module(f"{__package__}.{kind}"))
