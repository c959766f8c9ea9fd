"""Networks of coefficients in training: their distributions, and what their predictors begin as and keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from coefficient_files import Planes, made, random_planes

from ddpmcodec.training.coefficients import order
from ddpmcodec.training.coefficients.coefficient_network import (
    CHROMA,
    KEPT_WEIGHTS,
    LUMA,
    REFINE_CHROMA,
    REFINE_LUMA,
    ROLES,
    CoefficientNetwork,
    CoefficientShape,
    code_lengths,
    loss,
)
from ddpmcodec.training.coefficients.positions import Seen, seen
from ddpmcodec.training.coefficients.predictors import measure, patterns


@pytest.fixture(scope="module")
def planes() -> Planes:
    """Blocks that continue the block to the left: its frequencies of the first column, as in smooth images."""
    planes = random_planes((2, 2), rows=12, columns=14)
    for values in planes:
        for column in range(1, values.shape[1]):
            values[:, column, :3] += (0.9 * values[:, column - 1, :3]).astype(np.int16)
    return planes


def groups(planes: Planes, role: str, count: int = 24) -> Seen:
    shape, rng = CoefficientShape(role, 32, 2), np.random.default_rng(0)
    file = made(planes, (2, 2), 2, 0 if shape.refines else None)
    return seen([file.draw(shape.is_chroma, 16, rng) for _ in range(count)])


def network_of(role: str) -> CoefficientNetwork:
    """A network that computes something."""
    torch.manual_seed(0)
    network = CoefficientNetwork(CoefficientShape(role, 32, 2))
    for parameter in (network.head, network.skip, network.bias, network.linear):
        torch.nn.init.normal_(parameter, 0, 0.01)
    return network


@pytest.mark.parametrize("role", [REFINE_LUMA, REFINE_CHROMA])
@torch.no_grad()
def test_a_cell_has_three_parts(planes: Planes, role: str) -> None:
    positions = groups(planes, role)
    prediction = network_of(role)(positions)
    parts = torch.arange(-1.0, 2)[:, None, None].expand(-1, *positions.value.shape)
    assert set(positions.value.flatten().tolist()) == {-1, 0, 1}
    lengths = torch.stack([code_lengths(prediction, positions._replace(value=each)) for each in parts])
    assert (torch.exp2(-lengths).sum(0) - 1).abs().max() < 1e-4


@torch.no_grad()
def test_files_with_other_signs_cost_as_much(planes: Planes) -> None:
    """What finer levels see of coefficients is multiplied by the sign of the cell, or of what is predicted."""
    network, mirrored = network_of(REFINE_LUMA), [-values for values in planes]
    one, other = (groups(each, REFINE_LUMA) for each in (planes, mirrored))
    assert not one.value.equal(other.value)
    lengths = [code_lengths(network(positions), positions) for positions in (one, other)]
    assert lengths[0].allclose(lengths[1], atol=1e-3)


@pytest.mark.parametrize("role", [LUMA, CHROMA])
@torch.no_grad()
def test_probabilities_add_up_to_one(planes: Planes, role: str) -> None:
    positions = groups(planes, role)
    prediction = network_of(role)(positions)
    values = torch.arange(-3000.0, 3001)[:, None, None].expand(-1, *positions.value.shape)
    probabilities = torch.exp2(-code_lengths(prediction, positions._replace(value=values)))
    total = torch.where(positions.is_flag[:, None], probabilities[3000:3002].sum(0), probabilities.sum(0))
    assert positions.is_flag.any()
    assert (total - 1).abs().max() < 2e-3


@pytest.mark.parametrize("role", ROLES)
def test_all_parameters_learn(planes: Planes, role: str) -> None:
    network = network_of(role)
    loss(network, groups(planes, role, 60)).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize("role", [LUMA, CHROMA])
def test_magnitudes_begin_as_means_of_what_is_known(role: str) -> None:
    weights = patterns(CoefficientShape(role, 16, 1).entries).exp()
    condition = 12
    own = weights[condition, 0].reshape(-1, order.VALUES)[order.OWN]
    assert own[:condition].sum() == pytest.approx(1, abs=0.01)
    assert own[condition:].sum() < 0.01
    assert weights[:, 3].sum(1)[1:].min() > 0.99


def test_what_is_measured_predicts(planes: Planes) -> None:
    """The first linear sum is nearer to the coefficient than zero is, on other positions."""
    shape, file = CoefficientShape(LUMA, 16, 1), made(planes, (2, 2))

    def draw(condition: int, seed: int = 0) -> Seen:
        rng, group = np.random.default_rng((seed, condition)), file.group(0, condition)
        blocks = rng.choice(group.blocks, (40, 16))
        return seen([group._replace(blocks=each) for each in blocks])

    network = CoefficientNetwork(shape, measure(draw, shape.entries, last=36))
    for rank in range(3):
        positions = draw(rank, 1)
        error = positions.value - network(positions).sum.detach()
        assert error.square().mean() < 0.8 * positions.value.square().mean()
    known = network.scale[5].reshape(-1, order.VALUES) > 0
    assert known[order.OWN, :5].any()
    assert not known[order.OWN, 5:].any()


@pytest.mark.parametrize("role", ROLES)
@torch.no_grad()
def test_the_largest_weights_of_sums_are_kept(planes: Planes, role: str) -> None:
    network, positions = network_of(role), groups(planes, role)
    assert not network.is_sparse
    before = network.weights()
    network.prune()
    assert network.is_sparse
    for dense, sparse in zip(before, network.weights(), strict=True):
        assert (sparse != 0).sum(2).max() == KEPT_WEIGHTS
        dropped, kept = torch.where(sparse == 0, dense.abs(), 0), torch.where(sparse == 0, torch.inf, dense.abs())
        assert (dropped.amax(2) <= kept.amin(2)).all()
    assert network.weights()[1].sum(2).allclose(before[1].sum(2))
    again = code_lengths(network(positions), positions)
    network.prune()
    assert code_lengths(network(positions), positions).allclose(again)


def test_macs_are_those_of_the_experiments() -> None:
    assert CoefficientShape(LUMA, 192, 3).macs == pytest.approx(127e3, rel=0.01)
    assert CoefficientShape(CHROMA, 128, 3).macs == pytest.approx(70e3, rel=0.01)
