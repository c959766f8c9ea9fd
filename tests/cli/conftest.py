"""A runner for command lines, a picture, and the file that it becomes with the embedded model for thumbnails."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load

from ddpmcodec import codec, models
from ddpmcodec.cli import run
from ddpmcodec.codec.efforts import DEFAULT_EFFORT, EFFORTS
from ddpmcodec.networks.context.model_file import pack


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
    """20 x 24 pixels that the context model codes in fewer bytes than WebP does."""
    y, x = np.mgrid[:20, :24]
    smooth = np.stack([40 + 5 * x + y, 200 - 4 * y, 60 + 3 * x + 2 * y], axis=2)
    noise = np.random.Generator(np.random.Philox(5)).normal(0, 6, smooth.shape)
    return (smooth + noise).round().astype(np.uint8)


@pytest.fixture(scope="session")
def coded(pixels: np.ndarray) -> bytes:
    return codec.encode(pixels)


@pytest.fixture(scope="session")
def step_names() -> list[str]:
    """What `-v` calls the steps of the default effort."""
    levels = [step.level for step in EFFORTS[DEFAULT_EFFORT].schedule]
    reached = [f"to noise level {level / 12**0.5:.2f}" for level in levels[:-1]] + ["to exact pixels"]
    return [f"   step {k}, {to}" for k, to in enumerate(reached, start=1)]


@pytest.fixture(scope="session")
def drawing() -> np.ndarray:
    """30 x 40 pixels that repeat themselves, as WebP likes it."""
    return np.tile(np.random.Generator(np.random.Philox(6)).integers(0, 256, (5, 8, 3), dtype=np.uint8), (6, 5, 1))


@pytest.fixture(scope="session")
def webp(drawing: np.ndarray) -> bytes:
    """A file that is stored as lossless WebP."""
    return codec.encode(drawing)


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file that is not embedded: its networks are, its name is another."""
    path = tmp_path_factory.mktemp("models") / "other.safetensors"
    path.write_bytes(pack(load(models.path(models.DEFAULT).read_bytes()), "other"))
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


@pytest.fixture(scope="session")
def names() -> Callable[[Path], list[str]]:
    """What is in a folder, hidden files too."""
    return lambda folder: sorted(path.name for path in folder.iterdir())
