"""A position that mixtures code, from outputs of a network to values, without ddpmcodec: from docs/format.md alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

import numpy as np

from colours import Colours, Expected
from image_reader import PRECISION, pop
from logistics import clamp, normalised, unit_of
from mixtures import WEIGHTS, Mixture, weights_of
from pyramid import NO_BOUNDS, Bounds, Range, cell_of, remaining
from repeats import Without, Wrong
from scales import Biases, residual_class, scale_class

LARGEST_MEAN = 32767
INDICES, SIXTEENTH = 11.541560327111707, 0.043321698784996581
EXACT = 1 << 16


class Distribution(Protocol):
    lo: int
    hi: int

    def start(self, x: int) -> int: ...
    def find(self, slot: int) -> int: ...


class Coder(Protocol):
    def code(self, c: int, distribution: Distribution) -> int: ...


class Lane:
    """A stream, as far as it is decoded."""

    def __init__(self, state: int, words: list[int]) -> None:
        self.state, self.words = state, words

    @property
    def slot(self) -> int:
        return self.state % (1 << PRECISION)

    def take(self, start: int, end: int) -> None:
        self.state = pop(self.state, self.words, lambda _: (start, end - start))

    def code(self, c: int, distribution: Distribution) -> int:
        value = distribution.find(self.slot)
        self.take(distribution.start(value), distribution.start(value + 1))
        return value


class Guess:
    """Values that a stream does not say, and how long their intervals would be."""

    def __init__(self, values: list[int]) -> None:
        self.values, self.freqs = values, [1 << PRECISION] * 3

    def code(self, c: int, distribution: Distribution) -> int:
        value = self.values[c]
        self.freqs[c] = distribution.start(value + 1) - distribution.start(value)
        return value


@dataclass
class Values:
    """What is known of a position. near: normalised residuals of four others, by channel; None: not coded."""

    known: list[Range]
    base: list[int]
    near: list[list[int | None]]
    widths: list[int] = field(default_factory=lambda: [EXACT] * 3)
    bounds: Bounds = field(default_factory=lambda: NO_BOUNDS)
    residual: list[int | None] = field(default_factory=lambda: [None] * 3)


@dataclass
class Learned:
    """What is learned from an image."""

    biases: Biases
    colours: Colours | None = None
    observed: dict[tuple[int, int, int], int] = field(default_factory=dict)
    wrong: list[Wrong] = field(default_factory=list)
    channels: int = 3
    is_trial: bool = False  # nothing is learned


def residual_of(mean: int, known: Range) -> int:
    quarter = 16 * (known.hi - known.lo)
    return clamp(mean, 64 * known.lo + quarter, 64 * known.hi - quarter) - mean


def classes_of(scale: int, near: list[int | None]) -> tuple[int, int]:
    sizes = [abs(one) for one in near if one is not None]
    return scale_class(scale), residual_class(sum(sizes) // len(sizes)) if sizes else 8


class Position:
    def __init__(self, output: list[int], components: int) -> None:
        self.output, self.k = output, components
        self.weights = self.first = weights_of(output[:components])
        self.residual, self.expected = [0] * 3, [0] * 3
        self.means = [[0] * components for _ in range(3)]
        self.slopes: list[list[tuple[float, float]] | None] = [None] * 3
        self.used = [[0] * components for _ in range(3)]

    def cross(self, pair: int) -> int:
        return self.output[7 * self.k + pair]

    def origin(self, c: int, base: int) -> int:
        moved = (
            0,
            self.cross(0) * self.residual[0],
            self.cross(1) * self.residual[0] + self.cross(2) * self.residual[1],
        )
        return 64 * base + (moved[c] >> 6)

    def decode(self, values: Values, channels: int, coder: Coder, learned: Learned) -> None:
        for c in range(channels):
            self.decode_channel(values, c, coder, learned)

    def weighed_sum(self, numbers: list[int]) -> int:
        return sum(weight * number for weight, number in zip(self.weights, numbers, strict=True)) >> 14

    def decode_channel(self, values: Values, c: int, coder: Coder, learned: Learned) -> None:
        k = self.k
        known = remaining(values.bounds, c, values.known[0].lo, values.known[1].lo, values.known[c])
        origin = self.origin(c, values.base[c])
        scales = [clamp(scale, 0, 127) for scale in self.output[k * (4 + c) : k * (5 + c)]]
        typical = self.weighed_sum(scales)
        classes = classes_of(typical, values.near[c])
        bias = learned.biases.of(c, classes)
        shifts = self.output[k * (1 + c) : k * (2 + c)]
        means = self.means[c] = [clamp(origin + shift, -LARGEST_MEAN, LARGEST_MEAN) for shift in shifts]
        scales = [clamp(scale + bias, 0, 127) for scale in scales]
        middle, typical = self.weighed_sum(means), clamp(typical + bias, 0, 127)
        self.expected[c] = sum(w * mean for w, mean in zip(self.first, means, strict=True)) >> 14
        if not known.is_exact:
            mixture = Mixture(self.weights, known.lo, known.hi, means, scales)
            found = self.decode_value(values, c, mixture, (middle, typical), coder, learned)
            self.weights = mixture.posterior(*found)
            slopes = self.slopes[c] = [mixture.gradients(one, *found) for one in range(k)]
            self.used[c], known = scales, found
            gradient = 0.0
            for weight, (_, by_scale) in zip(self.weights, slopes, strict=True):
                gradient += float(weight) * by_scale
            if not learned.is_trial:
                learned.biases.add(c, classes, gradient / WEIGHTS, typical)
            values.residual[c] = normalised(residual_of(middle, known), typical)
        values.known[c] = known
        self.residual[c] = residual_of(self.expected[c], known)

    def decode_value(
        self, values: Values, c: int, mixture: Mixture, typical: tuple[int, int], coder: Coder, learned: Learned
    ) -> Range:
        if values.widths[c] != EXACT:
            assert isinstance(coder, Lane)
            return decode_cell(mixture, values.widths[c], coder)
        before = [known.lo for known in values.known[:c]]
        weighed = None
        if learned.colours and learned.colours.weighs(c, typical[1]):
            blue = self.expected_blue(values) if c == 1 else (0, 0)
            weighed = learned.colours.weigh(mixture, c, before, Expected(*typical, *blue))
        distribution: Distribution = weighed or mixture
        if learned.wrong:
            distribution = Without(distribution, learned.wrong, before, learned.channels)
        value = coder.code(c, distribution)
        if learned.colours and weighed and not learned.is_trial:
            learned.colours.observe(weighed, c, value, learned.observed)
        return Range(value, value)

    def expected_blue(self, values: Values) -> tuple[int, int]:
        """The blue beside red 0, and how it changes with red, in 2^-12."""
        mean = 64 * values.base[2] + self.weighed_sum(self.output[3 * self.k : 4 * self.k])
        by_green, by_red = self.cross(1) * self.residual[0], self.cross(2)
        return 64 * mean + by_green - by_red * self.expected[1], 64 * by_red

    def gradients(self) -> list[float]:
        """Gradients of the code length by the outputs, before they are rounded to 32 bits."""
        k, by_base = self.k, [0.0] * 3
        share = [weight / WEIGHTS for weight in self.weights]
        first = [weight / WEIGHTS for weight in self.first]
        logits = [single((before - now) * SIXTEENTH) for before, now in zip(first, share, strict=True)]
        means, scales = [[0.0] * k for _ in range(3)], [[0.0] * k for _ in range(3)]
        for c, slopes in enumerate(self.slopes):
            for one, (by_mean, by_scale) in enumerate(slopes or ()):
                mean = share[one] * by_mean * unit_of(self.used[c][one])
                means[c][one] = single(mean)
                scales[c][one] = single(clamp(share[one] * by_scale, -8.0, 8.0) / INDICES)
                by_base[c] += mean
        third = by_base[2]
        second = by_base[1] - third * self.cross(2) / 64.0
        start = by_base[0] - (second * self.cross(0) + third * self.cross(1)) / 64.0
        later = start - by_base[0], second - by_base[1], 0.0
        for c in range(3):
            for one in range(k):
                part = later[c] * self.first[one] / WEIGHTS
                means[c][one] = single(means[c][one] + single(part))
                away = self.means[c][one] - self.expected[c]
                logits[one] = single(logits[one] + single(part * away * SIXTEENTH))
        crosses = second * self.residual[0], third * self.residual[0], third * self.residual[1]
        return [*logits, *chain(*means, *scales), *(cross / 64.0 for cross in crosses)]


def decode_cell(mixture: Mixture, width: int, lane: Lane) -> Range:
    known, value = Range(mixture.lo, mixture.hi), mixture.find(lane.slot)
    found = cell_of(value, known, width)
    if found != known:
        lane.take(mixture.start(found.lo), mixture.start(found.hi + 1))
    return found


def single(value: float) -> float:
    return float(np.float32(value))
