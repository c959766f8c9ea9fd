"""A runner for command lines, a picture, and the file it becomes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.cli import run
from ddpmcodec.networks import load_model


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
    y, x = np.mgrid[:10, :12]
    return np.stack([9 * x + 3 * y, 200 - 7 * y, np.where(x > y, 60, 190)], axis=2).astype(np.uint8)


@pytest.fixture(scope="session")
def coded(tiny_model: Path, pixels: np.ndarray) -> bytes:
    return codec.encode(pixels, effort=1, model=load_model(tiny_model))


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
