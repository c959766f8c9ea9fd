"""A model that is not embedded, and an archive of pictures of all kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import find
from pictures import Pictures, context_model, create, mixed


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "mine.safetensors"
    path.write_bytes(context_model("mine"))
    return path


@pytest.fixture(scope="session")
def model(model_path: Path) -> ContextModel:
    return find(model_path)


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    return mixed()


@pytest.fixture(scope="session")
def data(pictures: Pictures, model: ContextModel) -> bytes:
    return create(pictures, model)
