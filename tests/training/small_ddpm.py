"""A run of the paper's training that is soon over."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ddpmcodec.paper.unet import UNetConfig
from ddpmcodec.training.ddpm_trainer import DdpmSettings

NETWORK = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4, dropout=0.1)


def settings_of(pictures: Path) -> DdpmSettings:
    """Four steps, with dropout."""
    return DdpmSettings((str(pictures),), NETWORK, levels=50, steps=4, batch=5, size=8, warmup=3, seed=11)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(tensor.equal(other[name]) for name, tensor in one.items())
