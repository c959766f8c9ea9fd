"""Logistic distributions of the context model in integers, without ddpmcodec: written from docs/format.md alone."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import NamedTuple, TypeVar

WHOLE, PROBABILITY_BITS = 1 << 38, 24
ONE = 1 << PROBABILITY_BITS
LEAST_MASS = 1 << 14
WEIGHT_BITS = 14
Number = TypeVar("Number", int, float)


def nearest(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_HALF_EVEN))


def tables() -> tuple[list[int], list[int], list[int], list[int]]:
    with localcontext() as context:
        context.prec = 60
        powers = [Decimal(2) ** (Decimal(i) / 8) for i in range(128)]
        masses = [nearest(WHOLE * (1 / (1 + (Decimal(-k) / 64).exp()) - Decimal("0.5"))) for k in range(1793)]
        inverses = [nearest(2**30 / power) for power in powers]
        eights = [nearest(8 * power) for power in powers]
        sixteenths = [nearest(2**30 / Decimal(2) ** (Decimal(i) / 16)) for i in range(16)]
    return masses, inverses, eights, sixteenths


LOGISTIC, RECIPROCAL, EIGHT_SCALES, SIXTEENTHS = tables()
LAST = (1792 << 24) - 1


def centred(distance: int, scale: int) -> int:
    t = min(abs(distance) * RECIPROCAL[scale], LAST)
    low, high = LOGISTIC[t >> 24], LOGISTIC[(t >> 24) + 1]
    value = low + ((high - low) * (t & 0xFFFFFF) >> 24)
    return -value if distance < 0 else value


def normalised(distance: int, scale: int) -> int:
    size = min(min(abs(distance) * RECIPROCAL[scale], LAST) >> 24, 32767)
    return -size if distance < 0 else size


def clamp(value: Number, least: Number, most: Number) -> Number:
    return min(max(value, least), most)


def search(lo: int, hi: int, starts: Callable[[int], bool]) -> int:
    """The largest x of lo..hi that starts at or before the slot; lo does."""
    while lo < hi:
        middle = (lo + hi + 1) >> 1
        lo, hi = (middle, hi) if starts(middle) else (lo, middle - 1)
    return lo


class Span(NamedTuple):
    """The distances of the ends of a range from the mean, and `centred` there."""

    below: int
    above: int
    low: int
    high: int


def span(lo: int, hi: int, mean: int, scale: int) -> Span:
    below, above = 64 * lo - 32 - mean, 64 * hi + 32 - mean
    return Span(below, above, centred(below, scale), centred(above, scale))


def unit_of(scale: int) -> float:
    return 8.0 / EIGHT_SCALES[scale]


def mass_gradients(part: Span, scale: int) -> tuple[float, float]:
    """How the logarithm of a mass changes with the mean, in scales, and with the logarithm of the scale."""
    unit = unit_of(scale)
    if part.high - part.low < LEAST_MASS:
        wide = (part.above - part.below) * unit
        away = (part.below if part.below > 0 else -part.above) * unit
        return (1.0 if part.below > 0 else -1.0), away - 1.0 / ((1.0 + wide / 2.0) + wide * wide / 6.0)
    low, high = part.low / WHOLE, part.high / WHOLE
    share = 1.0 / (high - low)
    low_density, high_density = 0.25 - low * low, 0.25 - high * high
    by_scale = ((part.below * unit) * low_density - (part.above * unit) * high_density) * share
    return (low_density - high_density) * share, by_scale


class SingleLogistic:
    """One logistic over 0 to 255, whose tails belong to 0 and 255."""

    def __init__(self, mean: int, scale: int) -> None:
        self.origin, self.scale = mean + 32, scale

    def centred_at(self, x: int) -> int:
        if x <= 0:
            return -WHOLE // 2
        return WHOLE // 2 if x > 255 else centred(64 * x - self.origin, self.scale)

    def start(self, x: int) -> int:
        return ONE if x > 255 else ((self.centred_at(x) + WHOLE // 2) * (ONE - 256) >> 38) + x

    def find(self, slot: int) -> int:
        return search(0, 255, lambda x: self.start(x) <= slot)
