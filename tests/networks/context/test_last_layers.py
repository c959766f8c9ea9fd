"""Last layers that go on learning: their gradients are those of the code length, and they do not leave their bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpmcodec.ans.logistic import slopes
from ddpmcodec.channels.band_coder import _predicted, _residual
from ddpmcodec.networks.context import last_layers, learning_layer
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.network import outputs_of
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
    network, last = last_layers.start(model.networks[0], 1)
    last_layers.begin(last)
    luma = orange = np.int64(0)
    for c in range(3):
        mean, scale = _predicted(outputs, around, c, luma, orange)
        residual = _residual(mean, np.int64(new[c, 0]), np.int64(new[c, 1]))
        ranges = [np.int64(edge) for edge in (*known[c], *new[c])]
        last_layers.coded(last, c, tuple(ranges[2:]), slopes(*ranges, mean, scale), scale, residual)
        luma, orange = (residual, orange) if c == 0 else (luma, residual)
    last_layers.finish(last, network, outputs, around, np.zeros((2, SHAPE.width), np.uint8))
    found: np.ndarray = last.leave.steps[0] / network.leave_factor[:OUTPUTS]
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
    most = last_layers.SCALE_SLOPE_LIMIT / last_layers.SCALE_INDICES
    scales = slice(SCALE, CROSS_CHANNEL)
    for seed in range(25):
        place = a_position(seed, levels, offset)
        found, expected = by_kernels(context_model, place), by_autograd(place)
        bounded = np.clip(expected[scales], -most, most) if offset == 0 else found[scales]
        expected[scales] = np.where(np.abs(expected[scales]) < most / 2, expected[scales], bounded)
        np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max(), rtol=0.05)


@pytest.mark.parametrize("name", ["leave", "block"])
def test_gradients_of_positions_add_up(context_model: ContextModel, name: str) -> None:
    """Slopes times inputs, over all positions, whatever their number: exactly, but for the eight bits of slopes."""
    rng = np.random.default_rng(0)
    for count in (1, 7, 8, 21):
        layer = getattr(last_layers.start(context_model.networks[0], 21)[1], name)
        layer.steps[:] = rng.normal(0, 1, layer.steps.shape)
        layer.steps[:, 5] = 0
        layer.inputs[:] = rng.integers(0, 256, layer.inputs.shape)
        learning_layer._add_up(layer, count)
        slopes, inputs = layer.steps[:count], layer.inputs[:count].astype(np.int64)
        largest = np.abs(slopes).max(0)
        integers = np.rint(slopes * np.divide(127, largest, out=np.zeros_like(largest), where=largest > 0))
        np.testing.assert_array_equal(layer.sums[:-1], integers.T.astype(np.int64) @ inputs)
        np.testing.assert_allclose(layer.units, largest / 127, rtol=1e-6)


def test_slopes_go_back_through_the_last_layer(context_model: ContextModel) -> None:
    """As by the transposed weights, but for eight bits of the slopes; nothing goes back through what is at a bound."""
    network, last = last_layers.start(context_model.networks[0], 9)
    rng = np.random.default_rng(3)
    last.leave.steps[:] = rng.normal(0, 1, last.leave.steps.shape)
    last.leave.inputs[:] = rng.integers(0, 256, last.leave.inputs.shape)
    last.leave.inputs[:, 2:4] = (0, 255)
    last_layers._turn(last, network.leave)
    last_layers._back(last, network, 9)
    found, steps = last.block.steps[:9], last.leave.steps[:9].astype(np.float64)
    units = np.abs(steps).max(1, keepdims=True) / 127
    inputs = last.leave.inputs[:9]
    weights = np.rint(last.leave.weights)
    expected = np.rint(steps / units) @ weights * units * network.block_factor[-1]
    expected[(inputs == 0) | (inputs == 255)] = 0
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def moved(
    layer: learning_layer.LearningLayer, packed: np.ndarray, steps: Any, inputs: Any, count: int, rate: float
) -> None:
    """A step of the optimiser after so many positions."""
    layer.steps[:], layer.inputs[:] = steps, inputs
    learning_layer.move(layer, count, packed, np.float32(rate))


def layers_of(model: ContextModel, network: int, positions: int) -> list[tuple[learning_layer.LearningLayer, Any]]:
    """Both that learn, with the weights that the network runs with."""
    own, last = last_layers.start(model.networks[network], positions)
    return [(last.leave, own.leave), (last.block, own.blocks[-1])]


def test_weights_move_against_the_gradient_by_about_the_rate(context_model: ContextModel) -> None:
    for layer, packed in layers_of(context_model, 0, 1):
        before, steps = layer.weights.copy(), np.ones_like(layer.steps)
        steps[0, 4] = -3.0
        moved(layer, packed, steps, 2, 1, 0.25)
        change, inner = layer.weights - before, np.abs(before) < LARGEST_WEIGHT
        np.testing.assert_allclose(change[4][inner[4]], 0.25, rtol=1e-3)
        np.testing.assert_allclose(change[3][inner[3]], -0.25, rtol=1e-3)


def test_the_network_runs_with_the_nearest_weights(context_model: ContextModel) -> None:
    rng = np.random.default_rng(1)
    for layer, packed in layers_of(context_model, 1, 3):
        before = np.rint(layer.weights)
        for _ in range(60):
            steps = rng.normal(0.5, 1, layer.steps.shape)
            moved(layer, packed, steps, rng.integers(0, 256, layer.inputs.shape), 3, 0.1)
        blocks, quads, vector, quad = packed.shape
        unpacked = packed.transpose(0, 2, 1, 3).reshape(blocks * vector, quads * quad)
        outputs = len(before)
        np.testing.assert_array_equal(unpacked[:outputs], np.rint(layer.weights))
        assert not unpacked[outputs:].any()
        assert (unpacked[:outputs] != before).any()


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e12])
def test_whatever_the_gradient_weights_stay_within_bounds(context_model: ContextModel, size: float) -> None:
    for layer, packed in layers_of(context_model, 2, 2):
        for sign in (1, 1, 1, -1) * 5:
            moved(layer, packed, sign * size, 255, 2, 0.1)
        assert np.isfinite(layer.weights).all()
        assert np.abs(layer.weights).max() <= LARGEST_WEIGHT


def test_a_step_moves_both_layers_and_begins_anew(context_model: ContextModel) -> None:
    network, last = last_layers.start(context_model.networks[0], 4)
    before = [layer.weights.copy() for layer in (last.leave, last.block)]
    last.leave.steps[:] = np.random.default_rng(4).normal(0, 1, last.leave.steps.shape)
    last.leave.inputs[:], last.block.inputs[:] = 9, 30
    last.filled[0] = 4
    last_layers.update(last, network)
    assert last.filled[0] == 0
    for layer, old in zip((last.leave, last.block), before, strict=True):
        assert (layer.weights != old).any()


def test_a_network_that_does_not_learn_is_the_models_own(context_model: ContextModel) -> None:
    network, last = last_layers.start(context_model.networks[0], 0)
    assert network is context_model.networks[0]
    assert last.leave.weights.size == last.block.weights.size == 0


def test_before_the_first_wave_a_learning_network_computes_the_same(context_model: ContextModel) -> None:
    rows = np.random.default_rng(2).integers(0, 256, (5, INPUTS)).astype(np.uint8)
    for network in context_model.networks:
        own, _ = last_layers.start(network, 4)
        assert own.leave is not network.leave
        assert own.blocks is not network.blocks
        np.testing.assert_array_equal(outputs_of(own, 3, rows), outputs_of(network, 3, rows))
