"""The coder spends what the model says: against the ideal code length in floating point, and against constriction."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from ddpmcodec.paper.ans import LOGISTIC_PRECISION, Stack, encode_values

Floats = NDArray[np.float64]


class Sample(NamedTuple):
    """Values x, int64 [n], of logistics (mean in 1/64 grey level, scale index) truncated to lo..hi."""

    lo: NDArray[np.int64]
    hi: NDArray[np.int64]
    mean: NDArray[np.int64]
    scale: NDArray[np.int64]
    x: NDArray[np.int64]

    def z(self, edge: NDArray[np.int64]) -> Floats:
        return (edge - 0.5 - self.mean / 64) / np.exp2((self.scale - 48) / 8)

    def length(self) -> int:
        """Bits on a stack."""
        stack = Stack.empty()
        stack.push(*encode_values(self.lo, self.hi, self.x, self.x, self.mean, self.scale), LOGISTIC_PRECISION)
        return 32 * stack.size + int(stack.head).bit_length() - 31


def sample(n: int, widths: float, seed: int) -> Sample:
    """Means anywhere, scales 0.5 to 20; ranges up to `widths` scales beyond the value to either side."""
    rng = np.random.default_rng(seed)
    scale, mean = rng.integers(40, 83, n), rng.integers(0, 255 * 64, n)
    width = np.exp2((scale - 48) / 8)
    x = np.clip(np.rint(mean / 64 + width * rng.logistic(size=n)), 0, 255).astype(np.int64)
    below, above = (np.ceil(np.minimum(widths * width, 255) * rng.random(n)).astype(np.int64) for _ in range(2))
    return Sample(np.maximum(x - below, 0), np.minimum(x + above, 255), mean, scale, x)


def log_mass(below: Floats, above: Floats) -> Floats:
    """log of the logistic mass between two arguments, stable in both tails."""
    return -np.logaddexp(0, -above) - np.logaddexp(0, below) + np.log(-np.expm1(below - above))


def ideal_bits(s: Sample) -> Floats:
    value, whole = log_mass(s.z(s.x), s.z(s.x + 1)), log_mass(s.z(s.lo), s.z(s.hi + 1))
    return (whole - value) * (1 / math.log(2))


@pytest.mark.parametrize("widths", [2.0, 10.0, 1e4])
def test_stacks_are_within_a_thousandth_of_the_ideal_length(widths: float) -> None:
    s = sample(50_000, widths, seed=1)
    assert s.length() == pytest.approx(ideal_bits(s).sum(), rel=1e-3)


@pytest.mark.parametrize("away", [5, 12, 30, 1000])
def test_ranges_in_the_far_tail_are_within_a_thousandth_too(away: int) -> None:
    """The mean lies `away` scales below a range of twenty integers; values drawn from the truncated logistic."""
    n, rng = 50_000, np.random.default_rng(2)
    scale = rng.integers(56, 90, n)
    lo = rng.integers(0, 230, n)
    mean = np.rint(64 * (lo - away * np.exp2((scale - 48) / 8))).astype(np.int64)
    s = Sample(lo, lo + 19, mean, scale, lo)
    bounds, u = (log_mass(s.z(s.lo), s.z(s.lo + k)) for k in range(1, 20)), np.log(rng.random(n))
    whole = log_mass(s.z(s.lo), s.z(s.hi + 1))
    s = s._replace(x=lo + sum((u > bound - whole).astype(np.int64) for bound in bounds))
    assert s.length() == pytest.approx(ideal_bits(s).sum(), rel=1e-3)


def test_a_stack_has_the_length_its_frequencies_say() -> None:
    s = sample(50_000, 1e4, seed=3)
    _, freqs = encode_values(s.lo, s.hi, s.x, s.x, s.mean, s.scale)
    assert 0 < s.length() - (LOGISTIC_PRECISION - np.log2(freqs)).sum() <= 64


def test_constriction_needs_as_many_bits() -> None:
    """The same values under the same distribution, as constriction's categorical distribution on its own rANS coder."""
    constriction = pytest.importorskip("constriction")
    s = sample(40_000, 1e4, seed=4)
    coder = constriction.stream.stack.AnsCoder()
    family = constriction.stream.model.Categorical(perfect=False)
    for chunk in range(0, 40_000, 5000):
        part = Sample(*(a[chunk : chunk + 5000] for a in s))
        edges = np.arange(257)[None] - 0.5
        z = (edges - part.mean[:, None] / 64) / np.exp2((part.scale[:, None] - 48) / 8)
        inside = (edges[:, 1:] > part.lo[:, None]) & (edges[:, :-1] < part.hi[:, None])
        masses = np.where(inside, np.exp(log_mass(z[:, :-1], z[:, 1:])), 0)
        probabilities = (masses / masses.sum(1, keepdims=True)).astype(np.float32)
        coder.encode_reverse(part.x.astype(np.int32), family, probabilities)
    assert s.length() == pytest.approx(coder.num_bits(), rel=1e-3)
