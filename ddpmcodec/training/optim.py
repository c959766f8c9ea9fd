"""Where training computes, in which type; the average of a network; and Muon, for inner weights. Trainers leave
everything else to AdamW.

Muon: Keller Jordan et al. 2024 (momentum orthogonalised by a Newton-Schulz iteration); the step is scaled by
0.2 sqrt(larger side) (Liu et al. 2025, arXiv 2502.16982) so that its size matches AdamW's.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddpmcodec.errors import TrainingError

CPUINFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def device_of(name: str | None) -> torch.device:
    """name: as PyTorch names it; default: a GPU where there is one. Raises TrainingError where this PyTorch has no such
    device.

    >>> device_of("cpu")
    device(type='cpu')
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"device={name}: cannot be used here ({reason}); name another, such as cpu") from error


@cache
def product_type(device: torch.device) -> torch.dtype:
    """The type of matrix products: bfloat16 where it is fast, and float32 on processors that would emulate it."""
    fast = device.type == "cuda" or (device.type == "cpu" and not BFLOAT16_FLAGS.isdisjoint(_flags()))
    return torch.bfloat16 if fast else torch.float32


def _flags() -> set[str]:
    """The processor's features, as Linux names them; none on other systems."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split()}


LONG = 4  # matrices that are more than so many times as long as wide are orthogonalised by their Gram matrix
COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5  # Jordan's quintic: singular values near 1 after so many


def orthogonalise(matrix: Tensor) -> Tensor:
    """Nearest semi-orthogonal matrix, roughly, of [out, in]."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    orthogonal = _by_gram(x) if x.shape[1] > LONG * x.shape[0] else _directly(x)
    return orthogonal.mT if tall else orthogonal


def _directly(x: Tensor) -> Tensor:
    """Newton-Schulz iterations, in the type that the device multiplies fastest."""
    a, b, c = COEFFICIENTS
    x = x.to(product_type(x.device))
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.float()


def _by_gram(x: Tensor) -> Tensor:
    """`_directly` in float32, for a matrix with few rows: all factors are polynomials of x x', and small."""
    a, b, c = COEFFICIENTS
    gram, eye = x @ x.mT, torch.eye(len(x), device=x.device)
    product = eye
    for _ in range(ITERATIONS):
        factor = a * eye + b * gram + c * gram @ gram
        product, gram = factor @ product, factor @ gram @ factor
    return product @ x


@torch.no_grad()
def follow(averaged: nn.Module, network: nn.Module, step: int, longest: float) -> None:
    """Moves an exponential moving average towards the network after a step, counted from 0. Its decay rises from 1/10
    to `longest`: at first it is short, and soon forgets the weights that the run began with."""
    decay = min(longest, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(averaged.parameters()), list(network.parameters()), 1 - decay)


class Muon(torch.optim.Optimizer):
    """Momentum SGD (Nesterov) whose update of each weight [out, ...] is orthogonalised as [out, in k k]."""

    def __init__(self, params: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group)

    def _update(self, p: Tensor, group: dict[str, Any]) -> None:
        assert p.grad is not None
        buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
        buffer.lerp_(p.grad, 1 - group["momentum"])
        update = p.grad.lerp(buffer, group["momentum"]).flatten(1)
        size = 0.2 * max(update.shape) ** 0.5
        p.add_(orthogonalise(update).view_as(p), alpha=-group["lr"] * size)
