"""How the colours of an image weigh what comes next, without ddpmcodec: written from docs/format.md alone."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from logistics import EIGHT_SCALES, ONE, clamp, search
from mixtures import Mixture

KINDS = 80
NEAR = (1, 6, 64)
FAR = ((4, 12, 80), (3, 8, 80), (6, 15, 80))
RENEWAL, MEMORY, TRIAL, REST = 128, 2048, 8192, 1 << 15
FIRST, LEAST, UNIT, LARGEST, RARE = 2 << 24, 1 << 16, 256, 1 << 14, 100
SPARSE, LEAST_SAVED = 10, (1 << 16) // 512


def binary_logarithm(x: int) -> int:
    fraction, exponent = math.frexp(float(x))
    line = (exponent - 1 << 16) + int((2 * fraction - 1) * 65536)
    part = line & 0xFFFF
    return line + ((22708 * part >> 16) * (0x10000 - part) >> 16)


class Record:
    """How often something came, how often something near it did, and whether it is one of YCbCr: arrays by place."""

    def __init__(self, size: int) -> None:
        self.times, self.near, self.ycbcr = bytearray(size), bytearray(size), bytearray(size)

    def count(self, at: int) -> None:
        self.times[at] = min(self.times[at] + 1, 15)

    def count_blue(self, first: int, blue: int) -> None:
        """first: the place of blue 0."""
        if not self.times[first + blue]:
            for b in range(max(blue - 3, 0), min(blue + 3, 255) + 1):
                self.near[first + b] = min(self.near[first + b] + 4 - abs(b - blue), 7)
        self.count(first + blue)


def steps(number: int, ends: tuple[int, ...]) -> int:
    return sum(number >= end for end in ends)


class Expected(NamedTuple):
    """Of a channel: mean and scale of its distribution; of red the blue beside it."""

    mean: int
    scale: int
    blue_at_zero: int = 0
    blue_by_red: int = 0


def triple(green: int, red: int) -> int:
    return ((red - green + 256 << 8 | green) * 0x9E3779B1 % (1 << 32)) >> 12


def difference(green: int, red: int) -> int:
    return (red - green + 256 << 9) + 256 - green


class SeenColours:
    def __init__(self) -> None:
        self.levels, self.pairs = Record(3 * 256), Record(1 << 16)
        self.triples, self.differences = Record((1 << 20) + 256), Record(1 << 18)
        b, r = np.mgrid[-128:128, -128:128]
        red, blue = (91881 * r + 32768) >> 16, (116130 * b + 32768) >> 16
        green = (-22554 * b - 46802 * r + 32768) >> 16
        inside = (abs(red - green) < 256) & (abs(blue - green) < 256)
        for place in ((red - green + 256) * 512 + blue - green + 256)[inside].tolist():
            self.differences.ycbcr[place] = 1

    def count(self, green: int, red: int, blue: int) -> None:
        for c, value in enumerate((green, red, blue)):
            self.levels.count(256 * c + value)
        self.pairs.count(green << 8 | red)
        self.triples.count_blue(triple(green, red), blue)
        self.differences.count_blue(difference(green, red), blue)

    def kind(self, channel: int, before: list[int], value: int, expected: Expected) -> int:
        if channel == 0:
            return steps(self.levels.times[value], (1, 2, 4, 8, 15))
        green = before[0]
        if channel == 1:
            blue = clamp((expected.blue_at_zero + expected.blue_by_red * value + 2048) >> 12, 0, 255)
            by_pair = steps(self.pairs.times[green << 8 | value], (1, 4)) + (self.levels.times[256 + value] > 0)
            by_triple = 16 * ((self.triples.near[triple(green, value) + blue] + 1) >> 1)
            return by_pair + by_triple + 4 * steps(self.differences.near[difference(green, value) + blue], (1, 3, 5))
        place, shared = triple(green, before[1]) + value, difference(green, before[1]) + value
        times, near = self.triples.times[place], self.triples.near[place]
        by_triple = 3 + steps(times, (1, 2, 4, 8, 15)) if times else 1 + steps(near, (1, 4))
        by_difference = 36 * self.differences.ycbcr[shared] + 9 * steps(self.differences.times[shared], (1, 4, 15))
        return (by_triple if self.levels.times[512 + value] else 0) + by_difference


class Weighed:
    """A mixture of which some values are weighed."""

    def __init__(self, mixture: Mixture, first: int, kinds: list[int], weights: list[int]) -> None:
        self.mixture, self.lo, self.hi, self.first, self.kinds = mixture, mixture.lo, mixture.hi, first, kinds
        before = [self.mass(first + k) for k in range(len(kinds) + 1)]
        self.masses = [after - one for one, after in pairwise(before)]
        self.sums = [before[0] * UNIT]
        for mass, kind in zip(self.masses, kinds, strict=True):
            self.sums.append(self.sums[-1] + mass * weights[kind])
        self.whole = self.sums[-1] + (self.mass(mixture.hi + 1) - before[-1]) * UNIT
        self.rate = float(mixture.room) / float(self.whole)

    def mass(self, x: int) -> int:
        return self.mixture.mass_before(x) >> 14

    def before(self, x: int) -> int:
        if x < self.first:
            return self.mass(x) * UNIT
        end = self.first + len(self.kinds)
        return self.sums[x - self.first] if x <= end else self.sums[-1] + (self.mass(x) - self.mass(end)) * UNIT

    def start(self, x: int) -> int:
        return ONE if x > self.hi else int(float(self.before(x)) * self.rate) + (x - self.lo)

    def find(self, slot: int) -> int:
        return search(self.lo, self.hi, lambda x: self.start(x) <= slot)


class Colours:
    def __init__(self) -> None:
        self.seen = SeenColours()
        self.coded, self.rest, self.saved = [0] * 3, [0] * 3, [0] * 3
        self.observed, self.expected = [[FIRST] * KINDS for _ in range(3)], [[FIRST] * KINDS for _ in range(3)]
        self.weights, self.reach = [[UNIT] * KINDS for _ in range(3)], [NEAR] * 3
        self.new_coded, self.pixels = [0] * 3, list[tuple[int, int, int]]()

    def weighs(self, channel: int, scale: int) -> bool:
        return not self.rest[channel] and scale <= self.reach[channel][2]

    def weigh(self, mixture: Mixture, channel: int, before: list[int], expected: Expected) -> Weighed:
        scales, most, _ = self.reach[channel]
        centre, reach = expected.mean + 32 >> 6, min(most, 2 + (scales * EIGHT_SCALES[expected.scale] >> 9))
        first = clamp(centre - reach, mixture.lo, mixture.hi)
        last = clamp(centre + reach, mixture.lo, mixture.hi)
        kinds = [self.seen.kind(channel, before, value, expected) for value in range(first, last + 1)]
        return Weighed(mixture, first, kinds, self.weights[channel])

    def observe(self, weighed: Weighed, channel: int, value: int, new: dict[tuple[int, int, int], int]) -> None:
        """new: what the wave observed (0) and expected (1), by channel and kind."""
        for kind, mass in zip(weighed.kinds, weighed.masses, strict=True):
            new[1, channel, kind] = new.get((1, channel, kind), 0) + mass
        weight = UNIT
        if 0 <= value - weighed.first < len(weighed.kinds):
            kind = weighed.kinds[value - weighed.first]
            new[0, channel, kind] = new.get((0, channel, kind), 0) + ONE
            weight = self.weights[channel][kind]
        self.saved[channel] += binary_logarithm(weight * ONE) - binary_logarithm(weighed.whole)
        self.new_coded[channel] += 1

    def learn(self, new: dict[tuple[int, int, int], int]) -> None:
        """After a wave."""
        for (which, channel, kind), total in new.items():
            (self.observed, self.expected)[which][channel][kind] += total
        new.clear()
        for c in range(3):
            before, now = self.coded[c], self.coded[c] + self.new_coded[c]
            is_full = before // MEMORY != now // MEMORY
            if before // RENEWAL != now // RENEWAL:
                self.renew(c, is_full)
            self.coded[c], self.new_coded[c] = now, 0
            self.rest[c] = max(self.rest[c] - len(self.pixels), 0)
            if is_full:
                if now >= TRIAL and self.saved[c] < LEAST_SAVED * MEMORY:
                    self.rest[c] = REST
                self.saved[c] = 0
        for pixel in self.pixels:
            self.seen.count(*pixel)
        self.pixels.clear()

    def renew(self, c: int, halves: bool) -> None:
        observed, expected, weights = self.observed[c], self.expected[c], self.weights[c]
        for k in range(KINDS):
            if halves:
                observed[k], expected[k] = max(observed[k] >> 1, LEAST), max(expected[k] >> 1, LEAST)
            weights[k] = clamp(int(float(UNIT * observed[k]) / float(expected[k])), 1, LARGEST)
        rare = sum(mass for mass, weight in zip(expected, weights, strict=True) if weight < RARE)
        self.reach[c] = FAR[c] if rare * SPARSE > sum(expected) else NEAR
