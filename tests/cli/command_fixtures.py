"""A runner for command lines, a picture, and the file that it becomes with the embedded model for thumbnails: fixtures
that tests of commands share with those of plugins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec, models
from ddpmcodec.cli import run
from ddpmcodec.models import context
from ddpmcodec.models.registry import find


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: bytes
    stderr: str


Ddpm = Callable[..., Ended]


@pytest.fixture
def ddpm(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Ddpm:
    """Runs a command line in this process: the arguments, and what stands on standard input."""

    def command(*arguments: object, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin)))
        capfdbinary.readouterr()
        code = run([str(argument) for argument in arguments])
        stdout, stderr = capfdbinary.readouterr()
        return Ended(code, stdout, stderr.decode())

    return command


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """20 x 24 pixels of noisy slopes."""
    y, x = np.mgrid[:20, :24]
    smooth = np.stack([40 + 5 * x + y, 200 - 4 * y, 60 + 3 * x + 2 * y], axis=2)
    noise = np.random.Generator(np.random.Philox(5)).normal(0, 6, smooth.shape)
    return (smooth + noise).round().astype(np.uint8)


@pytest.fixture(scope="session")
def coded(pixels: np.ndarray) -> bytes:
    return codec.encode(pixels)


def renamed(name: str) -> bytes:
    """The file of a model of another name, with the networks of an embedded one."""
    model = find(models.THUMBNAIL)
    return context.pack(context.tensors_of(model), {key: facts.components for key, facts in model.facts.items()}, name)


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file that is not embedded: its networks are, its name is another."""
    path = tmp_path_factory.mktemp("models") / "other.safetensors"
    path.write_bytes(renamed("other"))
    return path


@pytest.fixture
def foreign(tmp_path: Path, other_model: Path, pixels: np.ndarray) -> Path:
    """A file that needs it."""
    (tmp_path / "foreign.ddpm").write_bytes(codec.encode(pixels, model=other_model))
    return tmp_path / "foreign.ddpm"


@pytest.fixture
def photo(tmp_path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def file(tmp_path: Path, coded: bytes) -> Path:
    (tmp_path / "file.ddpm").write_bytes(coded)
    return tmp_path / "file.ddpm"
