"""Last layers that go on learning: their gradient is that of the code length, and they do not leave their bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpmcodec.ans.logistic import slopes
from ddpmcodec.channels.band_coder import _predicted, _residual
from ddpmcodec.networks.context import last_layer
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.network import Network, outputs_of
from ddpmcodec.networks.context.shape import CROSS_CHANNEL, LARGEST_WEIGHT, OUTPUTS, SCALE, SHAPE
from ddpmcodec.networks.context.window import INPUTS, PLACES
from ddpmcodec.training.context import Positions, bits

LN2 = math.log(2)


def a_position(seed: int, levels: int, offset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Outputs [OUTPUTS], surroundings [3, PLACES], known and new ranges [3, 2]. offset: the largest of a mean."""
    rng = np.random.default_rng(seed)
    outputs = np.zeros(OUTPUTS, np.int32)
    outputs[:3] = rng.integers(-offset, offset + 1, 3)
    outputs[3:6], outputs[6:9] = rng.integers(40, 75, 3), rng.integers(-30, 31, 3)
    outputs[9:] = rng.integers(-9, 10, 2 * PLACES)
    around = rng.integers(-20, 21, (3, PLACES)).astype(np.int16)
    value = rng.integers(-12, 13, 3)
    known = np.stack([value - rng.integers(1, 40, 3), value + rng.integers(1, 40, 3)], 1)
    new = np.stack([np.maximum(value - levels, known[:, 0]), np.minimum(value + levels, known[:, 1])], 1)
    return outputs, around, known, new


def by_kernels(model: ContextModel, place: tuple[np.ndarray, ...]) -> np.ndarray:
    """Slopes of the code length by the outputs, nats, as learning finds them."""
    outputs, around, known, new = place
    network, last = last_layer.start(model.networks[0], 1)
    last_layer.begin(last)
    luma = orange = np.int64(0)
    for c in range(3):
        mean, scale = _predicted(outputs, around, c, luma, orange)
        residual = _residual(mean, np.int64(new[c, 0]), np.int64(new[c, 1]))
        ranges = [np.int64(edge) for edge in (*known[c], *new[c])]
        last_layer.coded(last, c, tuple(ranges[2:]), slopes(*ranges, mean, scale), scale, residual)
        luma, orange = (residual, orange) if c == 0 else (luma, residual)
    last_layer.finish(last, network, outputs, around, np.zeros(SHAPE.width, np.uint8))
    found: np.ndarray = last.steps[0] / network.leave_factor[:OUTPUTS]
    return found


def by_autograd(place: tuple[np.ndarray, ...]) -> np.ndarray:
    outputs, around, known, new = place
    leaf = torch.from_numpy(outputs.astype(np.float64))[:, None].requires_grad_()
    columns = [torch.from_numpy(a.astype(np.float64))[:, None] for a in (*known.T, *new.T)]
    positions = Positions(
        torch.zeros(1, INPUTS, dtype=torch.uint8), *columns,
        torch.from_numpy(around.astype(np.float64))[..., None], torch.zeros(1, dtype=torch.int64),
    )  # fmt: skip

    def network(*_: Any) -> Tensor:
        return leaf

    bits(network, positions).sum().backward()  # type: ignore[arg-type, no-untyped-call]
    assert leaf.grad is not None
    return leaf.grad[:, 0].numpy() * LN2


@pytest.mark.parametrize("offset", [0, 40])
@pytest.mark.parametrize("levels", [0, 4])
def test_the_gradient_is_that_of_the_code_length(context_model: ContextModel, levels: int, offset: int) -> None:
    """Up to a bound of the scales' slopes."""
    most = last_layer.SCALE_SLOPE_LIMIT / last_layer.SCALE_INDICES
    scales = slice(SCALE, CROSS_CHANNEL)
    for seed in range(25):
        place = a_position(seed, levels, offset)
        found, expected = by_kernels(context_model, place), by_autograd(place)
        bounded = np.clip(expected[scales], -most, most) if offset == 0 else found[scales]
        expected[scales] = np.where(np.abs(expected[scales]) < most / 2, expected[scales], bounded)
        np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max(), rtol=0.05)


def test_gradients_of_positions_add_up(context_model: ContextModel) -> None:
    """Slopes times inputs, over all positions, whatever their number: exactly, but for the eight bits of slopes."""
    rng = np.random.default_rng(0)
    for count in (1, 7, 8, 21):
        _, last = last_layer.start(context_model.networks[0], 21)
        last.steps[:] = rng.normal(0, 1, last.steps.shape)
        last.steps[:, 5] = 0
        last.inputs[:] = rng.integers(0, 256, last.inputs.shape)
        last_layer._add_up(last, count)
        slopes, inputs = last.steps[:count], last.inputs[:count].astype(np.int64)
        largest = np.abs(slopes).max(0)
        integers = np.rint(slopes * np.divide(127, largest, out=np.zeros(OUTPUTS, np.float32), where=largest > 0))
        np.testing.assert_array_equal(last.sums[:OUTPUTS], integers.T.astype(np.int64) @ inputs)
        np.testing.assert_allclose(last.units, largest / 127, rtol=1e-6)


def updated(last: last_layer.LastLayer, network: Network, count: int) -> None:
    """A step after so many positions."""
    last.filled[0] = count
    last_layer.update(last, network)
    assert last.filled[0] == 0


def test_weights_move_against_the_gradient_by_about_the_rate(context_model: ContextModel) -> None:
    network, last = last_layer.start(context_model.networks[0], 1)
    before = last.weights.copy()
    last.steps[:], last.inputs[:] = 1.0, 2.0
    last.steps[0, 4] = -3.0
    updated(last, network, 1)
    moved = last.weights - before
    inner = np.abs(before) < LARGEST_WEIGHT
    np.testing.assert_allclose(moved[4][inner[4]], last_layer.RATE, rtol=1e-3)
    np.testing.assert_allclose(moved[3][inner[3]], -last_layer.RATE, rtol=1e-3)


def test_the_network_runs_with_the_nearest_weights(context_model: ContextModel) -> None:
    network, last = last_layer.start(context_model.networks[1], 3)
    rng = np.random.default_rng(1)
    for _ in range(60):
        last.steps[:] = rng.normal(0.5, 1, last.steps.shape)
        last.inputs[:] = rng.integers(0, 256, last.inputs.shape)
        updated(last, network, 3)
    blocks, quads, outputs, quad = network.leave.shape
    unpacked = network.leave.transpose(0, 2, 1, 3).reshape(blocks * outputs, quads * quad)
    np.testing.assert_array_equal(unpacked[:OUTPUTS], np.rint(last.weights))
    assert not unpacked[OUTPUTS:].any()
    assert (unpacked[:OUTPUTS] != np.rint(last_layer.start(context_model.networks[1], 1)[1].weights)).any()


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e12])
def test_whatever_the_gradient_weights_stay_within_bounds(context_model: ContextModel, size: float) -> None:
    network, last = last_layer.start(context_model.networks[2], 2)
    for sign in (1, 1, 1, -1) * 5:
        last.steps[:], last.inputs[:] = sign * size, 255
        updated(last, network, 2)
    assert np.isfinite(last.weights).all()
    assert np.abs(last.weights).max() <= LARGEST_WEIGHT


def test_a_network_that_does_not_learn_is_the_models_own(context_model: ContextModel) -> None:
    network, last = last_layer.start(context_model.networks[0], 0)
    assert network is context_model.networks[0]
    assert last.weights.size == 0


def test_before_the_first_wave_a_learning_network_computes_the_same(context_model: ContextModel) -> None:
    rows = np.random.default_rng(2).integers(0, 256, (5, INPUTS)).astype(np.uint8)
    for network in context_model.networks:
        own, _ = last_layer.start(network, 4)
        assert own.leave is not network.leave
        np.testing.assert_array_equal(outputs_of(own, 3, rows), outputs_of(network, 3, rows))
