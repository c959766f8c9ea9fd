"""A picture, the file that it becomes, and a viewer that shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from ddpmcodec import codec, models
from ddpmcodec.models import context
from ddpmcodec.models.registry import find
from ddpmcodec.viewer.server import ADDRESS, Viewer, make_app

WAITING = 202
TRIES = 6000  # each after a hundredth of a second


@pytest.fixture(scope="session")
def coded(picture: np.ndarray) -> bytes:
    return codec.encode(picture)


@pytest.fixture(scope="session")
def drawing() -> bytes:
    """A file that repeats itself."""
    pattern = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    return codec.encode(np.tile(pattern, (8, 8)))


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file that is not embedded: its networks are, its name is another."""
    model, path = find(models.THUMBNAIL), tmp_path_factory.mktemp("models") / "other.safetensors"
    components = {key: facts.components for key, facts in model.facts.items()}
    path.write_bytes(context.pack(context.tensors_of(model), components, "other"))
    return path


@pytest.fixture
def foreign(picture: np.ndarray, other_model: Path) -> bytes:
    """A file that needs it."""
    return codec.encode(picture, model=other_model, effort=1)


@pytest.fixture
def viewer(coded: bytes) -> Iterator[Viewer]:
    """Of one file, number 0."""
    made = Viewer()
    made.add("photo.ddpm", coded)
    yield made
    made.close()


@pytest.fixture
def client(viewer: Viewer) -> TestClient:
    """Knows the token: addresses are as in the page."""
    return TestClient(make_app(viewer), base_url=f"http://{ADDRESS}/{viewer.token}/")


@pytest.fixture(scope="session")
def finished() -> Callable[..., object]:
    """The answer to a question that is asked until the work is done."""

    def ask(client: TestClient, url: str) -> object:
        for _ in range(TRIES):
            answer = client.get(url)
            if answer.status_code != WAITING:
                return answer
            assert 0 <= answer.json()["progress"] <= 1
            time.sleep(0.01)
        raise AssertionError(f"{url}: no answer")

    return ask
