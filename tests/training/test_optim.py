"""Muon: steps whose singular values are all alike."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ddpmcodec.training.optim import Muon, orthogonalise


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", [(24, 24), (16, 90), (90, 16), (1, 9)], ids=str)
def test_orthogonalised_singular_values_are_near_one(shape: tuple[int, int]) -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert values.min() > 0.3
    assert values.max() < 1.3
    assert 0.65 < values.mean() < 1.2


def test_orthogonalising_keeps_the_directions() -> None:
    u, _, v = torch.linalg.svd(torch.randn(12, 30), full_matrices=False)
    stretched = u @ torch.diag(torch.logspace(0, -1, 12)) @ v
    assert (u.mT @ orthogonalise(stretched) @ v.mT).diagonal().min() > 0.5
    assert (orthogonalise(stretched) - orthogonalise(1e-4 * stretched)).abs().max() < 0.05


def test_orthogonalising_nothing_gives_nothing() -> None:
    assert not orthogonalise(torch.zeros(4, 6)).any()


def test_a_step_has_the_size_of_adam_s() -> None:
    weight = nn.Parameter(torch.zeros(8, 4, 3, 3))
    optimizer = Muon([weight], lr=0.5)
    weight.grad = torch.randn(weight.shape)
    optimizer.step()
    assert weight.square().mean().sqrt().item() == pytest.approx(0.5 * 0.2, rel=0.2)
    assert (weight * weight.grad).sum() < 0


def test_momentum_outlives_its_gradient() -> None:
    weight = nn.Parameter(torch.zeros(6, 6))
    optimizer = Muon([weight], lr=0.1, momentum=0.9)
    weight.grad = torch.eye(6)
    optimizer.step()
    first = weight.detach().clone()
    weight.grad = torch.zeros(6, 6)
    optimizer.step()
    assert torch.allclose(weight - first, first, atol=0.01)


def test_what_has_no_gradient_stays() -> None:
    weight = nn.Parameter(torch.ones(3, 3))
    Muon([weight], weight_decay=0.5).step()
    assert weight.equal(torch.ones(3, 3))


def test_decay_shrinks_the_weight() -> None:
    weight = nn.Parameter(torch.ones(3, 3))
    optimizer = Muon([weight], lr=0.1, weight_decay=0.5)
    weight.grad = torch.zeros(3, 3)
    optimizer.step()
    assert torch.allclose(weight, torch.full((3, 3), 0.95))


def test_it_finds_the_least_square() -> None:
    target, weight = torch.randn(5, 7), nn.Parameter(torch.randn(5, 7))
    optimizer, before = Muon([weight]), (weight - target).norm().item()
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 200)
        optimizer.zero_grad()
        (weight - target).square().sum().backward()
        optimizer.step()
    assert (weight - target).norm() < 0.1 * before
