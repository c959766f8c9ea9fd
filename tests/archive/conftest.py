"""A model that is not embedded, and an archive of pictures of all kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.model_file import load_model
from pictures import Pictures, context_model, create, mixed


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads cost small images more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "mine.safetensors"
    path.write_bytes(context_model("mine"))
    return path


@pytest.fixture(scope="session")
def model(model_path: Path) -> ContextModel:
    return load_model(model_path)


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    return mixed()


@pytest.fixture(scope="session")
def data(pictures: Pictures, model: ContextModel) -> bytes:
    return create(pictures, model)
