"""The default step lists of the uniform channel by effort: noise levels first, then lattice phases made exact.

An exported model carries its own copy, so that a file written with it decodes the same whatever this module becomes.
"""

from __future__ import annotations

from collections.abc import Sequence

from ddpmcodec.schedule import Step


def noise(levels: Sequence[float]) -> list[Step]:
    """Steps of all pixels to each noise level (grey levels)."""
    return [Step(round(256 * s), 1, 0, 1) for s in levels]


def lattice(period: int, *bounds: int) -> list[Step]:
    """Steps to exact pixels: lattice phases 0..bounds[0], bounds[0]..bounds[1], ... of period x period."""
    return [Step(0, period, first, last) for first, last in zip((0, *bounds), (*bounds, period * period), strict=True)]


def groups(period: int, *bounds: int, levels: Sequence[float] = ()) -> list[Step]:
    """The steps of `lattice`, each group of phases going through the noise levels before it becomes exact."""
    exact = lattice(period, *bounds)
    return [part for step in exact for part in (*(step._replace(level=round(256 * s)) for s in levels), step)]


def doubling(period: int, last: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to `last`."""
    return tuple(1 << i for i in range(last.bit_length()))


def geometric(first: float, last: float, count: int) -> list[float]:
    return [first * (last / first) ** (i / max(count - 1, 1)) for i in range(count)]


BUDGETS = {1: 8, 2: 10, 3: 12, 4: 14, 5: 16, 6: 20, 7: 32, 8: 48, 9: 64}  # network calls an effort may take

_START = lattice(8, 1, 2, 4, 8, 16, 32)[:3]  # phases 0, 1, 2 and 3

PRESETS: dict[int, tuple[Step, ...]] = {
    1: (*_START, *lattice(8, 4, 8, 16, 32)[1:4], *groups(8, 32, levels=[7])[2:]),
    2: (*_START, *groups(8, 4, 8, levels=[7])[2:4], *lattice(8, 8, 16)[1:2], *groups(8, 16, 32, levels=[6])[2:]),
    3: (*_START, *groups(8, 4, 8, levels=[7])[2:4], *lattice(8, 8, 16)[1:2], *groups(8, 16, 32, 48, levels=[6])[2:]),
    4: (
        *_START,
        *groups(8, 4, 8, 16, 32, 48, levels=[6])[2:],
    ),
    5: (*_START, *groups(8, 4, 8, 16, 24, 32, 48, levels=[6])[2:]),
    6: (*_START, *groups(8, 4, 8, 12, 16, 24, 32, 40, 48, levels=[6])[2:]),
    7: (*_START, *groups(8, 4, 6, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 56, levels=[6])[2:]),
    8: (*_START, *groups(8, *range(4, 16, 2), *range(16, 32, 4), *range(32, 64, 3), levels=[6])[2:]),
    9: (*_START, *groups(8, *range(4, 16, 2), *range(16, 64, 2), levels=[6])[2:]),
}
