"""A tiny network, the model exported from it, and ranges that hold every kind of dimension."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddpmcodec.networks.exact import Architecture
from ddpmcodec.networks.latent import LatentNetwork

Pixels = NDArray[np.uint8]
DrawRanges = Callable[..., tuple[Pixels, Pixels]]


@pytest.fixture(scope="module", autouse=True)
def on_one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(scope="session")
def architecture() -> Architecture:
    return Architecture(width=8, inner_width=12, down=1, bottom=1, up=1)


@pytest.fixture(scope="session")
def pristine(architecture: Architecture) -> LatentNetwork:
    """A network whose every parameter matters. Not to be changed."""
    torch.manual_seed(3)
    network = LatentNetwork(architecture)
    for vector in network.vectors.values():
        vector.data.add_(0.1 * torch.randn(vector.shape))
    torch.nn.init.normal_(network.weights["leave"], std=0.05)
    return network


@pytest.fixture
def latent(pristine: LatentNetwork) -> LatentNetwork:
    """A copy, to change and to differentiate."""
    return deepcopy(pristine)


@pytest.fixture(scope="session")
def draw_ranges() -> DrawRanges:
    """Random (lo, hi), uint8 [N, H, W, 3]: a third of the pixels exact, a third unknown, the others anything."""

    def draw(n: int, height: int, width: int, seed: int = 0) -> tuple[Pixels, Pixels]:
        rng = np.random.default_rng(seed)
        a, b = rng.integers(0, 256, (2, n, height, width, 3))
        kind = rng.integers(0, 3, (n, height, width, 1))
        lo = np.select([kind == 0, kind == 1], [a, np.zeros_like(a)], np.minimum(a, b))
        hi = np.select([kind == 0, kind == 1], [a, np.full_like(a, 255)], np.maximum(a, b))
        return lo.astype(np.uint8), hi.astype(np.uint8)

    return draw
