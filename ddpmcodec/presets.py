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


PRESETS: dict[int, tuple[Step, ...]] = {
    1: (*lattice(4, 1, 2, 4)[:3], *groups(4, 4, 8, levels=[10])[2:]),
    5: (*lattice(8, 1, 2, 4, 8)[:4], *groups(8, 8, 16, 24, 32, 48, levels=[12])[2:]),
}
