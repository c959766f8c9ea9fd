"""Pictures to train on, a network that learns at once, and one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.models.context import EFFORTS, ROLES, pack
from ddpmcodec.paper.gaussian_network import Architecture, TrainableGaussian
from ddpmcodec.training.context_run import train
from ddpmcodec.training.context_trainer import ContextSettings, ContextTrainer
from ddpmcodec.training.networks import shape_of, tensors_of
from ddpmcodec.training.trainable import TrainableNetwork

Pixels = NDArray[np.uint8]
QUICK: dict[str, Any] = {"hold_out": 4, "crop": 16, "batch": 64, "seed": 2}  # settings of runs


@pytest.fixture(scope="module", autouse=True)
def on_one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(scope="session")
def architecture() -> Architecture:
    return Architecture(width=8, inner_width=12, down=1, bottom=1, up=1)


@pytest.fixture
def network(architecture: Architecture) -> TrainableGaussian:
    torch.manual_seed(1)
    network = TrainableGaussian(architecture)
    torch.nn.init.normal_(network.weights["head"], std=0.05)
    return network


@pytest.fixture(scope="session")
def gradients() -> Pixels:
    """Forty smooth pictures, uint8 [40, 16, 16, 3]: easy to learn."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:16, :16]
    slopes, base = rng.uniform(-4, 4, (40, 2, 1, 1, 3)), rng.uniform(60, 200, (40, 1, 1, 3))
    drawn = base + slopes[:, 0] * (x[..., None] - 8) + slopes[:, 1] * (y[..., None] - 8)
    found: Pixels = np.clip(drawn, 0, 255).astype(np.uint8)
    return found


@pytest.fixture(scope="session")
def pictures(gradients: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a folder of PNG files."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, pixels in enumerate(gradients):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def run_folder(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of effort 1 with two of the networks, of a few steps."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    settings = ContextSettings((str(pictures),), hours=1.0, effort=1, roles=("direct", "band1"), **QUICK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ContextTrainer, "progress", lambda self: min(1.0, self.step / 30))
        train(settings, folder, print, device="cpu", compiled=False)
    return folder


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A context model whose networks, of the shapes of effort 1, know a little: they are as at first."""
    torch.manual_seed(7)
    tensors: dict[str, NDArray[Any]] = {}
    networks = {role: TrainableNetwork(shape_of(1, role)) for role in ROLES}
    for effort in EFFORTS:
        tensors |= {key: tensor.numpy() for key, tensor in tensors_of(networks, effort).items()}
    components = {f"{e}.{role}": network.shape.components for e in EFFORTS for role, network in networks.items()}
    path = tmp_path_factory.mktemp("models") / "begun.safetensors"
    path.write_bytes(pack(tensors, components, "begun"))
    return path
