"""Shared fixtures: tiny models that train nothing and code exactly like big ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from ddpmcodec.networks import checkpoint, load_model
from ddpmcodec.networks.exact import Architecture
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.model import Model
from ddpmcodec.presets import PRESETS

settings.register_profile("ddpmcodec", deadline=None)  # a first example may compile a kernel
settings.load_profile("ddpmcodec")

TINY = Architecture(width=16, inner_width=32, down=1, bottom=1, up=1)


def tiny_network(seed: int) -> LatentNetwork:
    """A network with random weights, its output layer included."""
    torch.manual_seed(seed)
    network = LatentNetwork(TINY)
    torch.nn.init.normal_(network.weights["leave"], std=0.05)
    return network


@pytest.fixture(scope="session")
def make_tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """An exported tiny model by seed."""

    def make(seed: int) -> Path:
        path = tmp_path_factory.mktemp("models") / f"tiny{seed}.safetensors"
        path.write_bytes(checkpoint.export(tiny_network(seed), PRESETS, name=f"tiny{seed}"))
        return path

    return make


@pytest.fixture(scope="session")
def tiny_model(make_tiny_model: Callable[[int], Path]) -> Path:
    return make_tiny_model(0)


@pytest.fixture(scope="session")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads cost tiny networks more than they bring; that they change nothing is the business of test_exactness."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
