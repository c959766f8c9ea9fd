"""Muon: steps whose singular values are all alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from ddpmcodec.errors import TrainingError
from ddpmcodec.training import optim as device
from ddpmcodec.training.optim import Muon, device_of, orthogonalise, product_type


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
    Muon([weight]).step()
    assert weight.equal(torch.ones(3, 3))


def test_it_finds_the_least_square() -> None:
    target, weight = torch.randn(5, 7), nn.Parameter(torch.randn(5, 7))
    optimizer, before = Muon([weight]), (weight - target).norm().item()
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 200)
        optimizer.zero_grad()
        (weight - target).square().sum().backward()
        optimizer.step()
    assert (weight - target).norm() < 0.1 * before


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    product_type.cache_clear()
    yield
    product_type.cache_clear()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx512f avx512_vnni", torch.float32),
        ("fpu avx512_bf16 amx_tile", torch.bfloat16),
        ("amx_bf16", torch.bfloat16),
    ],
)
def test_products_are_in_bfloat16_where_that_is_fast(
    flags: str, expected: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"model name\t: some\nflags\t\t: {flags}\nbugs\t: amx_bf16\n")
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "cpuinfo")
    assert product_type(torch.device("cpu")) == expected


def test_a_processor_that_is_not_described_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "CPUINFO", Path("/nowhere"))
    assert product_type(torch.device("cpu")) == torch.float32
    assert product_type(torch.device("cuda")) == torch.bfloat16


def test_a_device_that_is_not_there_is_named() -> None:
    assert device_of("cpu") == torch.device("cpu")
    with pytest.raises(TrainingError, match="device=nowhere"):
        device_of("nowhere")
