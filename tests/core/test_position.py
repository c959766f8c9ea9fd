"""A position: what its outputs mean, and the gradients of the code length that weights learn from while coding.

Beside the core stands a smooth code length in floating point, whose gradients are taken numerically.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from ddpmcodec import _native as native
from native_testing import testing

UNIT = 1 << 16
PIXEL = [(0, 255)] * 3
OCTAVE_SIXTEENTH = np.log(2) / 16


class Case(NamedTuple):
    """A pixel near where it is expected, and the outputs of a network for it."""

    outputs: list[int]
    components: int
    value: list[int]
    base: list[int]


def case(components: int, seed: int) -> Case:
    rng, count = np.random.default_rng([components, seed]), components
    base = rng.integers(60, 200, 3)
    drawn = [rng.integers(-12, 13, count), rng.integers(-200, 201, 3 * count), rng.integers(54, 74, 3 * count)]
    outputs = np.concatenate([*drawn, rng.integers(-80, 81, 3)])
    return Case(outputs.tolist(), components, (base + rng.integers(-5, 6, 3)).tolist(), base.tolist())


def coded(own: Case, known: Any = PIXEL, width: int = UNIT) -> dict[str, Any]:
    found: dict[str, Any] = testing.coded(
        own.outputs, own.components, own.value, known, [width] * len(own.value), own.base
    )
    return found


def smooth(own: Case, outputs: Any, ranges: Any = None) -> float:
    """The code length in nats. ranges: (lo, hi, new lo, new hi) of each channel, of pixels if not given."""
    count = own.components
    logits, means, scales, cross = np.split(np.asarray(outputs, float), [count, 4 * count, 7 * count])
    weights = np.exp((logits - logits.max()) * OCTAVE_SIXTEENTH)
    weights /= weights.sum()
    likelihood, residual = np.log(weights), np.zeros(3)
    for c in range(3):
        moved = (0.0, cross[0] * residual[0], cross[1] * residual[0] + cross[2] * residual[1])[c] / 64
        mean = own.base[c] + moved + means[count * c : count * (c + 1)] / 64
        unit = 2 ** ((scales[count * c : count * (c + 1)] - 48) / 8)
        lo, hi, first, last = (0, 255, own.value[c], own.value[c]) if ranges is None else ranges[c]
        cdf = [np.tanh((x - mean) / unit / 2) / 2 for x in (lo - 0.5, hi + 0.5, first - 0.5, last + 0.5)]
        likelihood = likelihood + np.log((cdf[3] - cdf[2]) / (cdf[1] - cdf[0]))
        residual[c] = own.value[c] - (weights * mean).sum()
    return float(-np.logaddexp.reduce(likelihood))


def numerical(own: Case, step: float = 1e-3, **options: Any) -> Any:
    outputs = np.array(own.outputs, float)
    moves = step * np.eye(len(outputs))
    return (
        np.array([smooth(own, outputs + m, **options) - smooth(own, outputs - m, **options) for m in moves]) / step / 2
    )


@pytest.mark.parametrize("components", [1, 2, 3, 4])
def test_the_code_length_is_that_of_the_mixture(components: int) -> None:
    for seed in range(30):
        own = case(components, seed)
        assert coded(own)["nats"] == pytest.approx(smooth(own, own.outputs), abs=0.02)


@pytest.mark.parametrize("components", [1, 2, 3, 4])
def test_gradients_are_those_of_the_code_length(components: int) -> None:
    for seed in range(30):
        own = case(components, seed)
        expected = numerical(own)
        np.testing.assert_allclose(coded(own)["gradients"], expected, rtol=0.01, atol=2e-3)


@pytest.mark.parametrize("components", [1, 3])
def test_gradients_say_how_the_coders_own_code_length_changes(components: int) -> None:
    """In whole steps of the outputs that have none through weights: Simpson's rule from one side to the other."""
    for seed in range(8):
        own = case(components, seed)
        here = coded(own)["gradients"]
        for output in range(components, len(own.outputs)):
            step = 2 if output >= 4 * components else 8
            below, above = list(own.outputs), list(own.outputs)
            below[output], above[output] = below[output] - step, above[output] + step
            a, b = coded(own._replace(outputs=below)), coded(own._replace(outputs=above))
            expected = float(a["gradients"][output] + 4 * here[output] + b["gradients"][output]) / 6 * 2 * step
            assert b["nats"] - a["nats"] == pytest.approx(expected, abs=0.03 * abs(expected) + 0.02)


@pytest.mark.parametrize("seed", range(10))
def test_gradients_of_a_cell_in_a_range(seed: int) -> None:
    """As of noise levels: one component, channels on their own."""
    rng = np.random.default_rng(seed)
    own = case(1, seed)._replace(base=[0, 0, 0], value=rng.integers(-12, 13, 3).tolist())
    own = own._replace(outputs=[*own.outputs[:-3], 0, 0, 0])
    width = 8 * UNIT
    found = coded(own, known=[(-15, 15)] * 3, width=width)
    cells = [testing.cell_of(value, (-15, 15), width) for value in own.value]
    assert found["known"] == cells
    expected = numerical(own, ranges=[(-15, 15, *cell) for cell in cells])
    np.testing.assert_allclose(found["gradients"][:-3], expected[:-3], rtol=0.01, atol=1e-3)


def test_what_is_not_coded_has_no_gradients() -> None:
    own = case(2, 0)
    found = coded(own, known=[(value, value) for value in own.value])
    assert found["nats"] == 0
    assert not found["gradients"][:-3].any()


def test_grey_is_the_first_channel() -> None:
    own = case(3, 1)
    grey = own._replace(value=own.value[:1], base=own.base[:1])
    found = coded(grey, known=PIXEL[:1])
    assert found["predicted"] == coded(own)["predicted"][:1]
    assert found["nats"] < coded(own)["nats"]
    assert not found["gradients"][-3:].any()


@pytest.mark.parametrize("output", [-(1 << 31), -(1 << 20), 1 << 20, (1 << 31) - 1])
@pytest.mark.parametrize("components", [1, 4])
def test_any_outputs_make_a_code(components: int, output: int) -> None:
    """All that int32 holds: everything is bounded before it is used, and gradients are numbers."""
    count = native.contract("direct", components)[1]
    for value in (0, 128, 255):
        own = Case([output] * count, components, [value] * 3, [128] * 3)
        found = coded(own)
        assert 0 < found["nats"] < 3 * 24 * np.log(2)
        assert found["known"] == [(value, value)] * 3
        assert np.isfinite(found["gradients"]).all()


def test_gradients_of_scales_are_bounded() -> None:
    """A value far out must not drown the rest."""
    own = Case([0, 0, 0, 0, 40, 40, 40, 0, 0, 0], 1, [250] * 3, [10] * 3)
    assert np.abs(coded(own)["gradients"][4:7]).max() <= 8 / (8 / np.log(2)) + 1e-6
