"""Mixtures of truncated logistics in integers, without ddpmcodec: written from docs/format.md alone."""

from __future__ import annotations

from collections.abc import Sequence

from logistics import (
    EIGHT_SCALES,
    ONE,
    SIXTEENTHS,
    WEIGHT_BITS,
    Span,
    centred,
    clamp,
    mass_gradients,
    search,
    span,
)

WEIGHTS = 1 << WEIGHT_BITS
LEAST_SUM = 1 << 10


def settled(shares: list[int], largest: int) -> list[int]:
    """The largest weight takes what rounding left over."""
    shares[largest] = WEIGHTS - (sum(shares) - shares[largest])
    return shares


def in_shares(parts: Sequence[int]) -> list[int]:
    unit = WEIGHTS / float(sum(parts))
    return [max(int(float(part) * unit), 1) for part in parts]


def weights_of(logits: Sequence[int]) -> list[int]:
    if len(logits) == 1:
        return [WEIGHTS]
    largest = max(range(len(logits)), key=lambda k: (logits[k], -k))
    below = [logits[largest] - logit for logit in logits]
    powers = [0 if depth >= 480 else SIXTEENTHS[depth % 16] >> depth // 16 for depth in below]
    return settled(in_shares(powers), largest)


class Truncated:
    """One logistic, truncated to lo..hi."""

    def __init__(self, lo: int, hi: int, mean: int, scale: int) -> None:
        margin = EIGHT_SCALES[scale]
        self.mean, self.scale = mean, scale
        self.origin = clamp(mean, 64 * lo - 32 - margin, 64 * hi + 32 + margin) + 32
        self.below = centred(64 * lo - self.origin, scale)
        self.total = centred(64 * (hi + 1) - self.origin, scale) - self.below

    def before(self, x: int) -> int:
        return centred(64 * x - self.origin, self.scale) - self.below


class Mixture:
    """A mixture of logistics over lo..hi."""

    def __init__(self, weights: list[int], lo: int, hi: int, means: Sequence[int], scales: Sequence[int]) -> None:
        self.weights, self.lo, self.hi, self.room = weights, lo, hi, ONE - (hi - lo + 1)
        self.parts = [Truncated(lo, hi, mean, scale) for mean, scale in zip(means, scales, strict=True)]
        self.rates = [
            int(float(weight << 48) / float(part.total)) for weight, part in zip(weights, self.parts, strict=True)
        ]

    def mass_before(self, x: int) -> int:
        return sum(part.before(x) * rate >> 24 for part, rate in zip(self.parts, self.rates, strict=True))

    def start(self, x: int) -> int:
        return ONE if x > self.hi else (self.mass_before(x) * self.room >> 38) + (x - self.lo)

    def find(self, slot: int) -> int:
        return search(self.lo, self.hi, lambda x: self.start(x) <= slot)

    def posterior(self, first: int, last: int) -> list[int]:
        """The weights once the value is known to be one of first..last."""
        if len(self.parts) == 1:
            return self.weights
        masses = [
            (part.before(last + 1) - part.before(first)) * rate >> 24
            for part, rate in zip(self.parts, self.rates, strict=True)
        ]
        if sum(masses) < LEAST_SUM:
            return self.weights
        return settled(in_shares(masses), max(range(len(masses)), key=lambda k: (masses[k], -k)))

    def gradients(self, k: int, first: int, last: int) -> tuple[float, float]:
        """How the code length of first..last changes with the mean and the scale of a component."""
        part = self.parts[k]
        if part.origin == part.mean + 32:
            low, whole = part.below, (64 * self.lo - 32 - part.mean, 64 * self.hi + 32 - part.mean)
            own = 64 * first - 32 - part.mean, 64 * last + 32 - part.mean
            outer = Span(*whole, low, low + part.total)
            inner = Span(*own, low + part.before(first), low + part.before(last + 1))
        else:
            outer, inner = span(self.lo, self.hi, part.mean, part.scale), span(first, last, part.mean, part.scale)
        by_whole, by_part = mass_gradients(outer, part.scale), mass_gradients(inner, part.scale)
        return by_whole[0] - by_part[0], by_whole[1] - by_part[1]
