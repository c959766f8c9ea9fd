"""The network in integers against plain float32 arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddpmcodec.networks.context.network import BLOCK_ROWS, network_of, outputs_of, run, workspace
from ddpmcodec.networks.context.shape import OUTPUT_LIMIT, OUTPUTS, SHAPE, SITUATIONS, Shape, band_kind, situation
from ddpmcodec.networks.context.window import INPUTS, ZERO

SMALL = Shape(32, 2)
Params = dict[str, np.ndarray]


def drawn(shape: Shape, seed: int, gain: float = 1.0) -> Params:
    rng = np.random.default_rng(seed)
    found: Params = {}
    for layer, (outputs, inputs) in shape.layers().items():
        found[f"{layer}.weight"] = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
        found[f"{layer}.factor"] = (gain * rng.uniform(0.001, 0.01, outputs)).astype(np.float32)
        if layer in ("enter", "leave"):
            found[f"{layer}.bias"] = rng.normal(0, 20, (SITUATIONS, outputs)).astype(np.float32)
    return found


def rows_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, INPUTS)).astype(np.uint8)


def sums(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return (x.astype(np.int64) @ w.T.astype(np.int64)).astype(np.float32)


def plain(params: Params, shape: Shape, chosen: int, rows: np.ndarray) -> np.ndarray:
    """The same in numpy: elementwise float32, rounded to even."""

    def activation(trunk: np.ndarray) -> np.ndarray:
        return np.rint(np.clip(trunk, np.float32(0), np.float32(255)))

    signed = rows.astype(np.int64) - ZERO
    trunk = sums(signed, params["enter.weight"]) * params["enter.factor"] + params["enter.bias"][chosen]
    for k in range(shape.depth):
        trunk = trunk + sums(activation(trunk), params[f"block{k}.weight"]) * params[f"block{k}.factor"]
    last = sums(activation(trunk), params["leave.weight"]) * params["leave.factor"] + params["leave.bias"][chosen]
    return np.rint(np.clip(last, -OUTPUT_LIMIT, OUTPUT_LIMIT)).astype(np.int64)


@pytest.mark.parametrize("count", [1, 5, BLOCK_ROWS, BLOCK_ROWS + 3])
@pytest.mark.parametrize("shape", [SMALL, SHAPE], ids=str)
def test_outputs_are_those_of_plain_arithmetic(shape: Shape, count: int) -> None:
    params, rows = drawn(shape, 3), rows_of(count)
    for chosen in (0, 7, SITUATIONS - 1):
        found = outputs_of(network_of(params, shape), chosen, rows)
        np.testing.assert_array_equal(found, plain(params, shape, chosen, rows))


@pytest.mark.parametrize("gain", [0.0, 100.0, 1e6])
def test_extreme_factors_stay_within_limits(gain: float) -> None:
    params, rows = drawn(SMALL, 4, gain), rows_of(70)
    found = outputs_of(network_of(params, SMALL), 0, rows)
    np.testing.assert_array_equal(found, plain(params, SMALL, 0, rows))
    assert np.abs(found).max() <= OUTPUT_LIMIT


def test_a_row_does_not_depend_on_the_others() -> None:
    network, rows = network_of(drawn(SMALL, 5), SMALL), rows_of(150)
    together = outputs_of(network, 2, rows)
    for first in (0, 63, 64, 149):
        np.testing.assert_array_equal(outputs_of(network, 2, rows[first : first + 1])[0], together[first])
    np.testing.assert_array_equal(outputs_of(network, 2, rows[::-1].copy()), together[::-1])


def test_only_the_rows_that_are_asked_for_are_written() -> None:
    network, rows, space = network_of(drawn(SMALL, 6), SMALL), rows_of(90), workspace(SMALL)
    outputs, kept = np.full((90, OUTPUTS), -7, np.int32), np.full((2, 90, SMALL.width), 9, np.uint8)
    run(network, 1, rows, outputs, space, 70, kept)
    assert (outputs[70:] == -7).all()
    assert (kept[:, 70:] == 9).all()
    np.testing.assert_array_equal(outputs[:70], outputs_of(network, 1, rows[:70]))


def test_activations_are_kept_for_layers_that_learn() -> None:
    """Of the last block, and of the last layer."""
    params, rows = drawn(SMALL, 7), rows_of(BLOCK_ROWS + 9)
    network = network_of(params, SMALL)
    outputs, kept = np.empty((len(rows), OUTPUTS), np.int32), np.empty((2, len(rows), SMALL.width), np.uint8)
    run(network, 4, rows, outputs, workspace(SMALL), len(rows), kept)
    last = sums(kept[1], params["leave.weight"]) * params["leave.factor"] + params["leave.bias"][4]
    np.testing.assert_array_equal(outputs, np.rint(last))
    trunk = sums(rows.astype(np.int64) - ZERO, params["enter.weight"]) * params["enter.factor"]
    trunk = trunk + params["enter.bias"][4]
    for k in range(SMALL.depth):
        seen = np.rint(np.clip(trunk, np.float32(0), np.float32(255)))
        trunk = trunk + sums(seen, params[f"block{k}.weight"]) * params[f"block{k}.factor"]
    np.testing.assert_array_equal(kept[0], seen)


def test_products_of_a_position_are_those_of_its_layers() -> None:
    assert Shape(16, 1).products == 16 * INPUTS + 16 * 16 + 16 * OUTPUTS


def test_every_step_and_band_has_a_situation() -> None:
    found: set[Any] = {situation(step, band) for step in range(9) for band in range(1, 13)}
    assert found == set(range(SITUATIONS))
    assert situation(3, 12) == situation(3, 25)
    assert [band_kind(band) for band in (1, 2, 3, 20)] == [0, 1, 2, 2]
