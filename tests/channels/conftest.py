"""A tiny model on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ddpmcodec.networks import load_model
from ddpmcodec.networks.model import Model


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost tiny networks more than they bring; that they change nothing is the business of test_exactness."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model)
