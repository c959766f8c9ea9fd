"""Local networks: what they see, that they compute what the plain operations say, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddpmcodec.networks import local
from ddpmcodec.networks.eager import activation
from ddpmcodec.networks.local import (
    CAUSAL,
    FIRST_SHAPE,
    INPUTS,
    OFFSETS,
    OUTPUTS,
    WINDOW,
    Local,
    Shape,
    local_network,
)
from ddpmcodec.schedule import Step

Integers = NDArray[np.int64]
STEP = Step(0, 8, 16, 64)
HERE = (4, 4)


def random_network(seed: int, leave: float = 1.0, shape: Shape = FIRST_SHAPE) -> Local:
    rng = torch.Generator().manual_seed(seed)
    params = {}
    for layer, (outputs, inputs) in shape.layers.items():
        params[f"{layer}.weight"] = torch.randint(-127, 128, (outputs, inputs), generator=rng, dtype=torch.int8)
        params[f"{layer}.factor"] = torch.rand(outputs, generator=rng) * 1e-4 * (leave if layer == "leave" else 1)
        params[f"{layer}.bias"] = torch.randn(outputs, generator=rng) * (leave if layer == "leave" else 1)
    if shape.adapts:
        params["law"] = torch.zeros(3, local.CONTEXTS + local.GAINS, dtype=torch.int32)
    return local_network(params, "", STEP, shape)


def flat_prediction(height: int = 9, width: int = 9) -> tuple[NDArray[np.generic], ...]:
    shape = (height, width, 3)
    return np.full(shape, 6400, np.int32), np.full(shape, 70, np.uint8), np.full(shape, 50, np.int16)


def seen(before: Integers, after: Integers, distance: int = 1) -> tuple[Integers, Integers]:
    """Inputs and local mean in the middle of 9x9 pixels; -1 in the grey levels [9, 9] stands for unknown."""
    states = []
    for levels in (before, after):
        exact = np.repeat(levels[..., None], 3, -1)
        states += [np.where(exact < 0, 0, exact).astype(np.uint8), np.where(exact < 0, 255, exact).astype(np.uint8)]
    row, middle = np.empty(INPUTS, np.float32), np.empty(3, np.int64)
    local.look(*states, flat_prediction(), *HERE, distance, 1, row, middle)
    return row.astype(np.int64), middle


def differences(row: Integers) -> Integers:
    """[7, 7], of the first channel."""
    return row[: 3 * WINDOW : 3].reshape(7, 7)


# --- what they see


def test_where_nothing_is_known_nothing_is_seen() -> None:
    unknown = np.full((9, 9), -1)
    row, middle = seen(unknown, unknown)
    assert (middle == 128).all()
    assert not row[: 4 * WINDOW].any()


def test_known_neighbours_are_seen_by_their_difference_from_the_local_mean() -> None:
    before = np.full((9, 9), -1)
    before[3, 4], before[4, 5], before[7, 7] = 90, 110, 140
    row, middle = seen(before, before)
    assert np.abs(middle - 100).max() <= 1  # what is unknown pulls a little
    found = middle[0] + np.array([differences(row)[place] for place in ((2, 3), (3, 4), (6, 6))])
    assert found.tolist() == [90, 110, 140]
    known = row[3 * WINDOW : 4 * WINDOW].reshape(7, 7)
    assert set(zip(*np.nonzero(known == 127), strict=True)) == {(2, 3), (3, 4), (6, 6)}


def test_earlier_places_are_those_after_the_step_and_later_ones_those_before() -> None:
    before, after = np.full((9, 9), -1), np.full((9, 9), 77)
    row, _ = seen(before, after)
    known = row[3 * WINDOW : 4 * WINDOW]
    assert (known[:CAUSAL] == 127).all()
    assert not known[CAUSAL:].any()
    assert OFFSETS[CAUSAL] == (0, 0)


def test_places_outside_the_image_are_unknown_and_distances_count() -> None:
    exact = np.full((9, 9), 50)
    row, _ = seen(exact, exact, distance=2)
    known = row[3 * WINDOW : 4 * WINDOW].reshape(7, 7)
    assert np.array_equal(known == 127, np.pad(np.ones((5, 5), bool), 1))


def test_the_denoisers_prediction_is_seen() -> None:
    unknown = np.full((9, 9), -1)
    row, _ = seen(unknown, unknown)
    ahead, scale, pull = row[4 * WINDOW + 3 :].reshape(3, 3).T[0]
    assert (ahead, scale, pull) == (-127, 70 - 48, 50)


@pytest.mark.parametrize(("last", "distance"), [(64, 1), (32, 1), (17, 1), (16, 2), (5, 2), (4, 4), (1, 8)])
def test_they_look_as_far_as_the_lattice_is_wide(last: int, distance: int) -> None:
    assert local.dilation(Step(0, 8, 0, last)) == distance


# --- what they compute


@pytest.mark.parametrize("shape", [FIRST_SHAPE, Shape(), Shape(width=20, depth=1)], ids=str)
def test_the_kernel_computes_what_the_plain_operations_say(shape: Shape) -> None:
    network, rng = random_network(1, shape=shape), np.random.default_rng(2)
    for _ in range(5):
        row = rng.integers(-127, 128, INPUTS).astype(np.float32)
        out, trace = np.empty(OUTPUTS, np.int64), local.trace_of(network)
        trace.row[0] = row
        local.run(network, trace, 0, out)
        assert np.array_equal(out, plainly(network, row))
        assert len(set(out.tolist())) > 10


def plainly(network: Local, row: NDArray[np.float32]) -> Integers:
    """Sums in int64, then single operations of float32 tensors."""
    q = torch.from_numpy(row)
    for k, weight in enumerate([network.enter, *network.blocks]):
        sums = torch.from_numpy(row_times(q, weight)).float()
        real = sums * torch.from_numpy(network.factors[k]) + torch.from_numpy(network.biases[k])
        limit = float(network.limit)
        branch = torch.round((activation(real) * float(network.levels)).clamp(-limit, limit))
        q = branch if k == 0 else (q + branch).clamp(-limit, limit)
    out = torch.from_numpy(row_times(q, network.leave)).float() * torch.from_numpy(network.out_factor)
    out = out + torch.from_numpy(network.out_bias)
    return torch.round(out.clamp(-local.OUTPUT_LIMIT, local.OUTPUT_LIMIT)).long().numpy()


def test_the_largest_sums_are_exact() -> None:
    shape = Shape()
    for layer, (_, inputs) in shape.layers.items():
        assert shape.largest_input(layer) * 127 * inputs < 2**24


def row_times(q: torch.Tensor, weight: NDArray[np.float32]) -> Integers:
    found: Integers = q.numpy().astype(np.int64) @ weight.astype(np.int64)
    return found


def test_a_network_that_says_nothing_moves_nothing() -> None:
    network = random_network(3, leave=0.0)
    network.out_bias[9:12] = local.SHARE_UNIT  # all of the denoiser's mean
    rng = np.random.default_rng(4)
    lo = rng.integers(0, 100, (9, 9, 3)).astype(np.uint8)
    prediction = flat_prediction()
    local.refine(network, lo, lo + np.uint8(90), prediction, *HERE, local.trace_of(network), 0)
    assert all(np.array_equal(a, b) for a, b in zip(prediction, flat_prediction(), strict=True))


def test_refined_predictions_stay_within_the_coders_limits() -> None:
    network = random_network(5, leave=400.0)
    lo = np.random.default_rng(6).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    mean, scale, coupling = prediction = flat_prediction()
    for y in range(9):
        for x in range(9):
            local.refine(network, lo, lo, prediction, y, x, local.trace_of(network), 0)
    assert (np.abs(mean.astype(int)).max() <= 32767, scale.max() <= 127) == (True, True)
    assert np.abs(coupling.astype(int)).max() <= 1023
    assert len(np.unique(mean)) > 20
