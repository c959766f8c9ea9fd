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


def geometric(first: float, last: float, count: int) -> list[float]:
    return [first * (last / first) ** (i / max(count - 1, 1)) for i in range(count)]


PRESETS: dict[int, tuple[Step, ...]] = {
    1: (*noise(geometric(40, 6.3, 4)), *lattice(2, 1, 2, 3)),
    2: (*noise(geometric(40, 6.3, 6)), *lattice(2, 1, 2, 3)),
    3: (*noise(geometric(40, 6.3, 4)), *lattice(4, 1, 2, 4, 6, 8, 10, 12, 14)),
    4: (*noise(geometric(40, 6.3, 5)), *lattice(4, 1, 2, 4, 6, 8, 10, 12, 14)),
    5: (*noise(geometric(40, 6.3, 6)), *lattice(4, 1, 2, 4, 6, 8, 10, 12, 14)),
    6: (*noise(geometric(40, 6.3, 8)), *lattice(4, *range(1, 16))),
    7: (*noise(geometric(40, 6.3, 16)), *lattice(4, *range(1, 16))),
    8: (*noise(geometric(40, 6.3, 16)), *lattice(8, *range(2, 64, 2))),
    9: (*noise(geometric(40, 6.3, 16)), *lattice(8, *range(2, 32, 2), *range(32, 64))),
}
