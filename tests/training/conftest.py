"""Pictures to train on, a network that learns at once, and one thread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.networks.gaussian.architecture import Architecture
from ddpmcodec.networks.gaussian.latent import LatentNetwork

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module", autouse=True)
def on_one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(scope="session")
def architecture() -> Architecture:
    return Architecture(width=8, inner_width=12, down=1, bottom=1, up=1)


@pytest.fixture
def latent(architecture: Architecture) -> LatentNetwork:
    torch.manual_seed(1)
    network = LatentNetwork(architecture)
    torch.nn.init.normal_(network.weights["leave"], std=0.05)
    return network


@pytest.fixture(scope="session")
def gradients() -> Pixels:
    """Forty smooth pictures, uint8 [40, 16, 16, 3]: easy to learn."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:16, :16]
    slopes, base = rng.uniform(-4, 4, (40, 2, 1, 1, 3)), rng.uniform(60, 200, (40, 1, 1, 3))
    drawn = base + slopes[:, 0] * (x[..., None] - 8) + slopes[:, 1] * (y[..., None] - 8)
    return np.clip(drawn, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def pictures(gradients: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a folder of PNG files."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, pixels in enumerate(gradients):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder
