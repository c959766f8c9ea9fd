"""A tiny network, and latents of smooth pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddpmcodec.paper.gaussian_network import Architecture, TrainableGaussian

Latents = NDArray[np.int64]
DrawLatents = Callable[..., tuple[Latents, float]]


@pytest.fixture(scope="session")
def architecture() -> Architecture:
    return Architecture(width=8, inner_width=12, down=1, bottom=1, up=1)


@pytest.fixture(scope="session")
def pristine(architecture: Architecture) -> TrainableGaussian:
    """A network whose every parameter matters. Not to be changed."""
    torch.manual_seed(3)
    network = TrainableGaussian(architecture)
    for vector in network.vectors.values():
        vector.data.add_(0.1 * torch.randn(vector.shape))
    torch.nn.init.normal_(network.weights["head"], std=0.05)
    return network


@pytest.fixture
def network(pristine: TrainableGaussian) -> TrainableGaussian:
    """A copy, to change and to differentiate."""
    return deepcopy(pristine)


@pytest.fixture(scope="session")
def draw_latents() -> DrawLatents:
    """c_t of smooth pictures at a level (1/1024 grey level), int64 [n, height, width, 3], and their spacing."""

    def draw(n: int, height: int, width: int, level: int, seed: int = 0) -> tuple[Latents, float]:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:height, :width]
        slopes = rng.normal(size=(2, n, 1, 1, 3)) * 8
        pixels = np.clip(np.rint(slopes[0] * y[..., None] + slopes[1] * x[..., None] + 100), 0, 255) - 127.5
        c_t = pixels + level / 1024 * rng.normal(size=pixels.shape)
        spacing = math.ldexp(1.0, math.frexp(level / 1024)[1] - 4)  # about an eighth of the noise level
        return np.rint(c_t / spacing).astype(np.int64), spacing

    return draw
