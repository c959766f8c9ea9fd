"""Local networks that learn: by the gradient of the code length, as automatic differentiation says, and alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddpmcodec.networks import learning, local
from ddpmcodec.networks.eager import activation
from ddpmcodec.networks.features import SCALE_UNIT
from ddpmcodec.networks.learning import (
    BATCH,
    MOMENTUM,
    RATE,
    SCALE_INDICES,
    SCORE_LIMIT,
    SQUARES,
    Learner,
    fingerprint,
    learn,
    learner,
    told,
)
from ddpmcodec.networks.local import INPUTS, OUTPUTS, Local, Shape, local_network
from ddpmcodec.networks.prediction import range_bits
from ddpmcodec.schedule import Step
from ddpmcodec.training.local import LatentLocal, Places, refined

SHAPE = Shape(width=24, depth=2)
STEP = Step(0, 8, 16, 64)


@pytest.fixture
def network() -> Local:
    torch.manual_seed(3)
    latent = LatentLocal(SHAPE)
    torch.nn.init.normal_(latent.weights["leave"], std=0.05)
    return local_network(latent.exported(), "", STEP, SHAPE)


class Told:
    """What a step told at BATCH places: rows, the denoiser's integers and ranges before and after [BATCH, 3]."""

    def __init__(self, exact: bool) -> None:
        rng = np.random.default_rng(4)
        self.rows = rng.integers(-60, 61, (BATCH, INPUTS)).astype(np.float32)
        self.middle = rng.integers(60, 190, (BATCH, 3))
        self.mean = 64 * self.middle + rng.integers(-500, 500, (BATCH, 3))
        self.scale = rng.integers(SCALE_UNIT, SCALE_UNIT + 24, (BATCH, 3))
        self.coupling = rng.integers(-60, 60, (BATCH, 3))
        self.lo = np.zeros((BATCH, 3), int) if exact else np.maximum(self.middle - 40, 0)
        self.hi = np.full((BATCH, 3), 255) if exact else np.minimum(self.middle + 60, 255)
        self.new_lo = rng.integers(self.lo + 5, self.hi - 20)
        self.new_hi = self.new_lo + (0 if exact else 12)

    def places(self) -> Places:
        rest = (self.middle, self.mean, self.scale, self.coupling, self.lo, self.hi, self.new_lo, self.new_hi)
        return Places(torch.from_numpy(self.rows), *(torch.from_numpy(a).double() for a in rest))

    def teach(self, own: Local, learning_: Learner) -> NDArray[np.float32]:
        """Everything is told; returns the slopes by the outputs [BATCH, OUTPUTS]."""
        for n in range(BATCH):
            prediction = [np.zeros((1, 1, 3), dtype) for dtype in (np.int32, np.uint8, np.int16)]
            prediction[0][0, 0], prediction[1][0, 0], prediction[2][0, 0] = (
                self.mean[n],
                self.scale[n],
                self.coupling[n],
            )
            learning_.traces.row[n] = self.rows[n]
            out = np.empty(OUTPUTS, np.int64)
            local.run(own, learning_.traces, n, out)
            learning_.traces.scale[n], learning_.traces.ahead[n] = self.scale[n], self.mean[n] - 64 * self.middle[n]
            law = refined(torch.from_numpy(out[None]).double(), one(self.places(), n))
            means, log_scales, couplings = (x[0, :, 0, 0].numpy() for x in law)
            coupling, residuals = np.round(64 * couplings).astype(np.int64), np.zeros(3)
            for c in range(3):
                pull = (0, coupling[0] * residuals[0], coupling[1:] @ residuals[:2])[c]
                mean = means[c] + pull / 64
                ranges = (int(self.lo[n, c]), int(self.hi[n, c])), (int(self.new_lo[n, c]), int(self.new_hi[n, c]))
                quarter = (ranges[1][1] - ranges[1][0]) / 4
                residuals[c] = min(max(mean, ranges[1][0] + quarter), ranges[1][1] - quarter) - mean
                index = round(float(SCALE_UNIT + learning.SCALE_INDICES * log_scales[c]))
                told(learning_, c, (round(64 * mean), index), *ranges, round(64 * residuals[c]))
            if n == BATCH - 1:
                before = learning_.slopes.copy()
            learn(own, learning_, coupling)
        return np.concatenate([before[:-1], learning_.slopes[-1:]])


def one(places: Places, n: int) -> Places:
    return Places(*(part[n : n + 1] for part in places))


def outputs(network: Local, rows: NDArray[np.float32]) -> NDArray[np.int64]:
    found, trace = np.empty((len(rows), OUTPUTS), np.int64), local.trace_of(network)
    for row, out in zip(rows, found, strict=True):
        trace.row[0] = row
        local.run(network, trace, 0, out)
    return found


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "through noise"])
def test_slopes_are_those_of_the_code_length(network: Local, exact: bool) -> None:
    data = Told(exact)
    places = data.places()
    out = torch.from_numpy(outputs(network, data.rows)).double().requires_grad_()
    ranges = (x[..., None, None] for x in (places.lo, places.hi, places.new_lo, places.new_hi))
    (range_bits(refined(out, places), *ranges).sum() * np.log(2)).backward()  # type: ignore[no-untyped-call]
    found = data.teach(*learner(network))
    assert out.grad is not None
    expected = out.grad.numpy()
    assert np.abs(expected).max() > 0.01
    limit = SCORE_LIMIT / SCALE_INDICES
    expected[:, 3:6] = expected[:, 3:6].clip(-limit, limit)
    near = np.isclose(found, expected, rtol=0.02, atol=2e-3 * np.abs(expected).max(0))
    assert near.mean() > 0.99


def plain_gradients(
    network: Local, rows: NDArray[np.float32], slopes: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """By automatic differentiation, where rounding and clipping pass gradients: of the blocks and of the outputs."""
    weights = [torch.from_numpy(w.astype(np.float64)).requires_grad_() for w in (*network.blocks, network.leave)]
    levels, limit = float(network.levels), float(network.limit)

    def through(x: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
        return x + (rounded - x).detach()

    q = torch.from_numpy(rows).double()
    for k, weight in enumerate([torch.from_numpy(network.enter.astype(np.float64)), *weights[:-1]]):
        real = (q @ weight) * torch.from_numpy(network.factors[k]) + torch.from_numpy(network.biases[k])
        branch = activation(real, torch.sqrt) * levels
        branch = through(branch, branch.round().clamp(-limit, limit))
        q = branch if k == 0 else through(q + branch, (q + branch).clamp(-limit, limit))
    out = (q @ weights[-1]) * torch.from_numpy(network.out_factor)
    (out * torch.from_numpy(slopes)).sum().backward()  # type: ignore[no-untyped-call]
    return [weight.grad.numpy() for weight in weights if weight.grad is not None]


def test_a_batch_moves_weights_against_their_gradient(network: Local) -> None:
    data = Told(exact=True)
    own, learning_ = learner(network)
    gradients = plain_gradients(network, data.rows, data.teach(own, learning_))
    moved = [*learning_.blocks, learning_.leave]
    for before, after, gradient in zip((*network.blocks, network.leave), moved, gradients, strict=True):
        size = np.sqrt((gradient**2).mean(0)) + 1e-10
        expected = np.clip(before - RATE * gradient / size, -127, 127)
        assert np.allclose(after, expected, atol=1e-4)
        assert np.abs(after - before).max() > RATE


def test_the_network_runs_with_the_nearest_integers(network: Local) -> None:
    own, learning_ = learner(network)
    for _ in range(30):
        Told(exact=True).teach(own, learning_)
    assert np.array_equal(own.leave, np.round(learning_.leave).astype(np.int8))
    assert np.array_equal(own.blocks, np.round(learning_.blocks).astype(np.int8))
    assert (own.leave != network.leave).any()
    assert (own.blocks != network.blocks).any()


def test_what_is_told_again_and_again_costs_less(network: Local) -> None:
    data, (own, learning_) = Told(exact=True), learner(network)
    places = data.places()
    ranges = [x[..., None, None] for x in (places.lo, places.hi, places.new_lo, places.new_hi)]

    def bits() -> float:
        return float(range_bits(refined(torch.from_numpy(outputs(own, data.rows)).double(), places), *ranges).mean())

    before = bits()
    for _ in range(60):
        data.teach(own, learning_)
    assert bits() < before - 0.3


def test_averages_are_adams(network: Local) -> None:
    """Two equal batches: after bias correction both moments are those of one."""
    data, (own, learning_) = Told(exact=True), learner(network)
    data.teach(own, learning_)
    first = learning_.leave_momentum.copy()
    assert np.allclose(learning_.powers, [MOMENTUM, SQUARES])
    data.teach(own, learning_)
    assert np.allclose(learning_.powers, [MOMENTUM**2, SQUARES**2])
    assert np.allclose(learning_.leave_momentum, first * (1 + MOMENTUM), rtol=0.2, atol=np.abs(first).max() * 0.2)


def test_where_nothing_can_be_learned_nothing_moves(network: Local) -> None:
    own, learning_ = learner(network)
    for _ in range(3 * BATCH):
        learn(own, learning_, np.zeros(3, np.int64))  # no channel was told anything
    assert np.array_equal(learning_.blocks, network.blocks)
    assert np.array_equal(learning_.leave, network.leave)


def test_one_value_far_out_does_not_end_learning(network: Local) -> None:
    """Of a law of 1/64 grey level, 200 grey levels away: the slope by its scale would be 12,800."""
    _, learning_ = learner(network)
    law = np.int64(64 * 20), np.int64(0)
    told(learning_, 0, law, (np.int64(0), np.int64(255)), (np.int64(220), np.int64(220)), np.int64(64 * 200))
    assert learning_.by_scale[0] == -SCORE_LIMIT
    assert abs(learning_.by_mean[0]) <= 64


def test_a_network_that_learns_is_a_copy(network: Local) -> None:
    before = network.blocks.copy(), network.leave.copy()
    own, learning_ = learner(network)
    for _ in range(10):
        Told(exact=True).teach(own, learning_)
    assert np.array_equal(network.blocks, before[0])
    assert np.array_equal(network.leave, before[1])


def test_fingerprints_are_of_what_was_learned(network: Local) -> None:
    other = network._replace(leave=network.leave + np.int8(network.leave < 0))
    assert fingerprint(network) == fingerprint(network)
    assert fingerprint(network) != fingerprint(other)
    assert fingerprint(network) != network.blocks.astype("<f4").tobytes() + network.leave.astype("<f4").tobytes()
