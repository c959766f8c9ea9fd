"""ddpmcodec bench compare: what got better or worse between two results, beyond noise.

Sizes and qualities are compared image by image where both results have the image (the hash of its pixels): the noise is
the standard error of the mean difference. Results without images in common, and repeated timings, are two samples: the
noise is the error of the difference of their means. A change counts from three standard errors on, a timing moreover
from 5 % on, and only on the same machine. One image, or one archive of the same images, has no noise: codecs repeat
themselves, and a change counts from 0.1 % (0.001 dB) on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._results import KINDS, Document, Measure, Table, as_written, benchmark, read_tree

Verdict = Literal["worse", "better", "same", "unknown"]
Values = NDArray[np.float64]

STANDARD_ERRORS = 3.0
TIMING_FLOOR = math.log(1.05)
EXACT_FLOOR = 0.001
VERDICTS: tuple[Verdict, ...] = ("worse", "better", "unknown", "same")


class Change(NamedTuple):
    """old, new: means over n images or repeats. change: their difference, or the logarithm of their ratio.

    error: its standard error; None where there is a single value.
    """

    name: str
    old: float
    new: float
    change: float
    error: float | None
    n: int
    measure: Measure

    @property
    def verdict(self) -> Verdict:
        if self.change == 0:
            return "same"
        if self.error is None:
            return "unknown"
        least = TIMING_FLOOR if self.measure.timing else EXACT_FLOOR
        if abs(self.change) <= max(STANDARD_ERRORS * self.error, least):
            return "same"
        return "better" if (self.change > 0) == self.measure.higher_is_better else "worse"


class Comparison(NamedTuple):
    """changes: of what both results have. notes: what could not be compared, a sentence each."""

    changes: list[Change]
    notes: list[str]

    def count(self, verdict: Verdict) -> int:
        return sum(change.verdict == verdict for change in self.changes)

    def table(self) -> Table:
        """The worst first."""
        ordered = sorted(self.changes, key=lambda change: VERDICTS.index(change.verdict))
        return Table("changes", "Changes", [_line(change) for change in ordered])


def compare(old: Path, new: Path) -> Comparison:
    """Compare result files, or folders of them. Raises DdpmError for other files."""
    before, after = read_tree(old), read_tree(new)
    changes: list[Change] = []
    notes = [*_only(old, before, after), *_only(new, after, before)]
    for name in sorted(before.keys() & after.keys()):
        with as_written(name):
            changed, remarks = _compare(name, before[name], after[name])
        changes += changed
        notes += remarks
    return Comparison(changes, notes)


def _only(source: Path, these: Mapping[str, object], those: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(these.keys() - those.keys()):
        yield f"only in {source}: {name}"


def _compare(name: str, old: Document, new: Document) -> tuple[list[Change], list[str]]:
    before, after = ({measure.name: measure for measure in _measures(document)} for document in (old, new))
    notes = [f"only in the {which} {name}: {each}" for which, each in _different(before, after)]
    common = [each for each in before if each in after]
    if old["machine"] != new["machine"] and any(before[each].timing for each in common):
        notes.append(f"{name}: timings are of different machines and not compared")
        common = [each for each in common if not before[each].timing]
    return [change(f"{name}: {each}", before[each], after[each]) for each in common], notes


def _measures(document: Document) -> Sequence[Measure]:
    return list(benchmark(document["kind"]).measures(document)) if document["kind"] in KINDS else []


def _different(before: Mapping[str, Measure], after: Mapping[str, Measure]) -> Iterator[tuple[str, str]]:
    yield from (("old", name) for name in before if name not in after)
    yield from (("new", name) for name in after if name not in before)


def change(name: str, old: Measure, new: Measure) -> Change:
    """Compares the images that both have one by one; repeats, and other images, as two samples."""
    common = [] if old.timing else [key for key in old.values if key in new.values]
    before, after = (
        np.array([measure.values[key] for key in common or measure.values], np.float64) for measure in (old, new)
    )
    a, b = (before, after) if old.higher_is_better else (np.log(before), np.log(after))
    if common:
        difference, error = _mean(b - a)
        error = error or 0.0
    else:
        (mean_a, error_a), (mean_b, error_b) = _mean(a), _mean(b)
        difference = mean_b - mean_a
        error = None if error_a is None or error_b is None else math.hypot(error_a, error_b)
    means = float(before.mean()), float(after.mean())
    return Change(name, *means, change=difference, error=error, n=len(after), measure=old)


def _mean(values: Values) -> tuple[float, float | None]:
    """(mean, its standard error)"""
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
    return float(values.mean()), error


def _line(change: Change) -> dict[str, str | int]:
    return {
        "": change.verdict,
        "of": change.name,
        "old": f"{change.old:.4g}",
        "new": f"{change.new:.4g}",
        "change": _amount(change, change.change, "+"),
        "±": "?" if change.error is None else _amount(change, change.error, ""),
        "n": change.n,
    }


def _amount(change: Change, value: float, sign: str) -> str:
    if change.measure.higher_is_better:
        return f"{value:{sign}.3f}"
    return f"{100 * math.expm1(value):{sign}.2f}%"
