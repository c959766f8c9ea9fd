"""Decodes low bits of 9 to 16-bit samples without ddpmcodec: written from docs/format.md alone, to test that page.

Products of NumPy are elementwise here, so that every operation is rounded by itself.
"""

from __future__ import annotations

import math
import zlib
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from image_reader import PRECISION, pop, require

Plane = NDArray[np.float64]
LOG_2, LOG_2_INVERSE = 0.6931471805599453, 1.4426950408889634
OWN = ((-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, 2), (-2, 1), (-1, -2), (0, 1), (1, -1), (1, 0), (1, 1))
EARLIER, LATER = ((0, 0), (-1, 0), (-1, 1), (0, 1), (1, 0)), ((0, 0), (-1, 0), (0, 1))
DECAYS = (0.96, 0.995, 0.9998)
FIRST_WEIGHTS = (0.3, 0.3, 0.3, 0.2, 0.1, 0.1)


def clamp(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)


# --- curves


def exponential(z: float) -> float:
    whole = int(z * LOG_2_INVERSE - 0.5)
    rest, total = z - whole * LOG_2, 1.0
    for i in range(12, 0, -1):
        total = 1 + total * rest / i
    return math.ldexp(total, whole)


def points() -> Iterator[tuple[float, float]]:
    """Softplus and logistic of k / 64."""
    for k in range(1538):
        tail = exponential(-k / 64)
        ratio, total = tail / (2 + tail), 0.0
        for i in range(35, 0, -2):
            total = total * (ratio * ratio) + 1 / i
        yield 2 * ratio * total, 1 / (1 + tail)


SOFTPLUS, LOGISTIC = zip(*points(), strict=True)


def between(curve: tuple[float, ...], x: float) -> float:
    k = int(64 * x)
    return curve[k] + (curve[k + 1] - curve[k]) * (64 * x - k)


def softplus(x: float) -> float:
    return max(x, 0.0) if abs(x) >= 24 else max(x, 0.0) + between(SOFTPLUS, abs(x))


def logistic(x: float) -> float:
    upper = between(LOGISTIC, min(abs(x), 24.0))
    return 1 - upper if x < 0 else upper


# --- what is learned


class Predictor:
    def __init__(self, inputs: int, decay: float) -> None:
        self.decay, self.seen = decay, 0
        self.matrix, self.vector, self.weights = np.zeros((inputs, inputs)), np.zeros(inputs), np.zeros(inputs)

    def predict(self, inputs: Plane) -> float:
        total = 0.0
        for product in (self.weights * inputs).tolist():
            total += product
        return total

    def learn(self, inputs: Plane, target: float) -> None:
        self.matrix = self.decay * self.matrix + inputs[:, None] * inputs
        self.vector = self.decay * self.vector + inputs * target
        self.seen += 1
        if self.seen % 8 == 0:
            self.solve()

    def solve(self) -> None:
        left, size = self.matrix + np.diag(np.full(len(self.vector), 0.002)), len(self.vector)
        for j in range(size):
            if not left[j, j] > 1e-9:
                return
            left[j, j] = math.sqrt(left[j, j])
            left[j + 1 :, j] /= left[j, j]
            left[j + 1 :, j + 1 :] -= left[j + 1 :, j, None] * left[j + 1 :, j]
        weights = self.vector.copy()
        for i in range(size):
            weights[i] /= left[i, i]
            weights[i + 1 :] -= left[i + 1 :, i] * weights[i]
        for i in reversed(range(size)):
            for k in range(i + 1, size):
                weights[i] -= left[k, i] * weights[k]
            weights[i] /= left[i, i]
        self.weights = weights


class LearnedOdds:
    def __init__(self) -> None:
        self.odds, self.count = 0.0, 0

    def learn(self, bit: int) -> None:
        self.count = min(self.count + 1, 30)
        changed = self.odds + (bit - logistic(self.odds)) * 2 / (self.count + 1)
        self.odds = float(np.float32(clamp(changed, -12, 12)))


def first_error(group: int) -> float:
    return 2.0 ** (group // 2) / 512 * (1.5 if group % 2 else 1)


# --- a tile


class LowBits:
    """Decodes one tile. high: (height, width, channels). bits: low bits of a sample."""

    def __init__(self, high: NDArray[np.uint8], bits: int, stream: tuple[int, list[int]]) -> None:
        self.high, self.bits, (self.state, self.words) = high, bits, stream
        height, width, channels = high.shape
        self.order = (1, 0, 2, 3)[:channels] if channels > 2 else (0, 1)[:channels]
        self.colours = 3 if channels > 2 else 1
        self.seen = np.pad(high + 0.5, ((2, 2), (2, 2), (0, 0)), "edge")
        self.errors = np.zeros((3, height + 1, width + 2, channels))
        self.means = {(k, p, n): first_error(n) for k in range(channels) for p in range(3) for n in range(24)}
        self.predictors: dict[tuple[int, int, int], Predictor] = {}
        self.learned = defaultdict[tuple[int, ...], LearnedOdds](LearnedOdds)
        self.weights = defaultdict[tuple[int, int, int], list[float]](lambda: list(FIRST_WEIGHTS))

    def decode(self) -> NDArray[np.uint8]:
        low = np.zeros(self.high.shape, np.uint8)
        for y, x in np.ndindex(*self.high.shape[:2]):
            for k, channel in enumerate(self.order):
                low[y, x, channel] = self.decode_sample(y, x, k)
        require(not self.words, "words of low bits are left over")
        require(self.state == (1 << 24) + zlib.crc32(low.tobytes()) % (1 << 24), "the check of low bits does not match")
        return low

    def inputs(self, y: int, x: int, k: int) -> Plane:
        places = [(self.order[k], OWN), *((self.order[c], EARLIER) for c in range(k))]
        places += [(self.order[c], LATER) for c in range(k + 1, self.colours)]
        here = self.seen[y : y + 5, x : x + 5]
        return np.array([here[2 + dy, 2 + dx, c] - here[2, 1, c] for c, group in places for dy, dx in group])

    def class_of(self, p: int, y: int, x: int, k: int) -> int:
        errors, (row, column) = self.errors[p].item, (y + 1, x + 1)
        west, north = errors(row, column - 1, k), errors(row - 1, column, k)
        total = 2 * west + 2 * north + errors(row - 1, column - 1, k) + errors(row - 1, column + 1, k)
        if k:
            total = 0.5 * total + 3 * errors(row, column, k - 1)
        fraction, exponent = math.frexp(512 * clamp(total / 6, 1 / 512, 64.0))
        return min(2 * (exponent - 1) + (fraction >= 0.75), 23)

    def decode_sample(self, y: int, x: int, k: int) -> int:
        channel = self.order[k]
        high, left, inputs = int(self.high[y, x, channel]), self.seen.item(y + 2, x + 1, channel), self.inputs(y, x, k)
        sources = []
        for p in range(3):
            key = (k, p, x // 16 if p < 2 else 0)
            predictor = self.predictors.setdefault(key, Predictor(len(inputs), DECAYS[p]))
            mean = clamp(left + predictor.predict(inputs), high - 32, high + 33)
            sources.append((predictor, mean, (k, p, self.class_of(p, y, x, k))))
        intervals = []
        for _, mean, group in sources:
            scale = 0.7213475204444817 * self.means[group]
            intervals.append([(high - mean) / scale, (high + 1 - mean) / scale])
        guesses = [math.floor((value - high) * 2**self.bits + 65536) - 65536 for value in (sources[1][1], left)]
        low = self.decode_bits(k, high, sources[1][2][2], intervals, guesses)
        value = high + (low + 0.5) / 2**self.bits
        for p, (predictor, mean, group) in enumerate(sources):
            error = self.errors[p, y + 1, x + 1, k] = abs(value - mean)
            self.means[group] += (max(error, 1 / 2048) - self.means[group]) * 0.01
            predictor.learn(inputs, value - left)
        self.seen[y + 2, x + 2, channel] = value
        return low

    def decode_bits(self, k: int, high: int, group: int, intervals: list[list[float]], guesses: list[int]) -> int:
        found = 0
        for i in range(self.bits):
            rest, odds, middles = self.bits - i, list[float](), list[float]()
            for low, top in intervals:
                middles.append((low + top) * 0.5)
                odds.append(clamp(middles[-1] - low + softplus(low) - softplus(top), -12, 12))
            learned = [self.learned[k, high, i, found]]
            for n, guess in enumerate(guesses):
                place = int(clamp(guess - found * 2**rest, -16, 2**rest + 15))
                learned.append(self.learned[k, n, group, rest, place])
            odds += [one.odds for one in learned]
            weights, total = self.weights[k, i, group], 0.0
            for weight, one in zip(weights, odds, strict=True):
                total += weight * one
            bit = self.pop_bit(probability := logistic(total))
            self.weights[k, i, group] = [
                weight + 0.012 * (bit - probability) * one for weight, one in zip(weights, odds, strict=True)
            ]
            for situation in learned:
                situation.learn(bit)
            for interval, middle in zip(intervals, middles, strict=True):
                interval[1 - bit] = middle
            found = 2 * found + bit
        return found

    def pop_bit(self, probability: float) -> int:
        ones = int(64 + probability * (2**24 - 128))
        bit = int(self.state % (1 << PRECISION) < ones)
        self.state = pop(self.state, self.words, lambda _: (0, ones) if bit else (ones, 2**24 - ones))
        return bit
