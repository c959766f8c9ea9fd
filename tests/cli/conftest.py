"""Command lines in other processes, folders of pictures, and archives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_fixtures import Ddpm, Ended, coded, ddpm, file, foreign, other_model, photo, pixels, renamed  # noqa: F401
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.cli import run
from ddpmcodec.codec.efforts import CELLS
from ddpmcodec.format.header import DEFAULT_LEVELS
from pictures import PHOTO


@pytest.fixture(scope="session")
def ddpm_once() -> Ddpm:
    """Runs a command line in this process, without standard input, for fixtures that are made once for many tests."""

    def command(*arguments: object) -> Ended:
        stdout, stderr = TextIOWrapper(BytesIO()), StringIO()
        with redirect_stdout(stdout), redirect_stderr(stderr):
            code = run([str(argument) for argument in arguments])
        stdout.seek(0)
        return Ended(code, stdout.buffer.read(), stderr.getvalue())

    return command


@pytest.fixture
def on_terminal() -> Callable[..., Ended]:
    """Runs a command line in a process of its own, whose standard output is a terminal."""

    def command(*arguments: object) -> Ended:
        master, terminal = os.openpty()
        line = [sys.executable, "-m", "ddpmcodec", *map(str, arguments)]
        ended = subprocess.run(line, stdout=terminal, stderr=subprocess.PIPE, text=True, check=False)
        os.close(terminal)
        os.close(master)
        return Ended(ended.returncode, b"", ended.stderr)

    return command


@pytest.fixture
def alone() -> Ddpm:
    """Runs a command line in a process of its own: the arguments, and what `subprocess.run` takes."""

    def command(*arguments: object, **options: Any) -> Ended:
        line = [sys.executable, "-m", "ddpmcodec", *map(str, arguments)]
        ended = subprocess.run(line, capture_output=True, check=False, **options)
        return Ended(ended.returncode, ended.stdout, ended.stderr.decode())

    return command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To train in: six pictures of 32 x 32 pixels in its folder `data`."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "data").mkdir()
    y, x = np.mgrid[:32, :32]
    for i in range(6):
        slopes = np.stack([7 * x + i, 5 * y + 9 * i, 100 + x + y], -1).astype(np.uint8)
        Image.fromarray(slopes).save(folder / "data" / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def step_names() -> list[str]:
    """What `-v` calls the steps of a file, unless something else is said."""
    reached = [f"to noise level {cell / 12**0.5:.2f}" for cell in CELLS[DEFAULT_LEVELS][:-1]] + ["to exact pixels"]
    return [f"   step {k}, {to}" for k, to in enumerate(reached, start=1)]


@pytest.fixture
def jpeg(tmp_path: Path) -> Path:
    with Image.open(PHOTO) as image:
        image.convert("RGB").crop((0, 0, 256, 192)).save(tmp_path / "photo.jpg", quality=85)
    return tmp_path / "photo.jpg"


@pytest.fixture(scope="session")
def names() -> Callable[[Path], list[str]]:
    """What is in a folder, hidden files too."""
    return lambda folder: sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photographs of several sizes and modes, some in a folder below it."""
    folder, image = tmp_path_factory.mktemp("photos"), Image.open(PHOTO)
    (folder / "below").mkdir()
    for i in range(8):
        image.crop((9 * i, 7 * i, 9 * i + 8, 7 * i + 8)).save(folder / f"{i}.png")
    image.crop((5, 5, 15, 9)).convert("L").save(folder / "below" / "grey.png")
    image.crop((5, 5, 15, 9)).save(folder / "below" / "colour.webp", lossless=True)
    image.crop((5, 5, 13, 13)).save(folder / "7.png", icc_profile=b"a profile", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0")
    (folder / "notes.txt").write_text("no image, and none of its name\n")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is not embedded."""
    path = tmp_path_factory.mktemp("models") / "mine.safetensors"
    path.write_bytes(renamed("mine"))
    return path


@pytest.fixture(scope="session")
def made(photos: Path, tiny_model: Path) -> bytes:
    files = sorted(path for path in photos.rglob("*") if path.suffix in (".png", ".webp"))
    images = [(path.relative_to(photos).as_posix(), Image.open(path)) for path in files]
    return archive.create(images, model=tiny_model, effort=1)


@pytest.fixture
def photos_ddpma(tmp_path: Path, made: bytes) -> Path:
    (tmp_path / "photos.ddpma").write_bytes(made)
    return tmp_path / "photos.ddpma"


@pytest.fixture(scope="session")
def tiny() -> np.ndarray:
    """12 x 10 pixels of noise."""
    return np.random.Generator(np.random.Philox(8)).integers(0, 256, (10, 12, 3), dtype=np.uint8)


@pytest.fixture
def tree(tmp_path: Path, tiny: np.ndarray) -> Path:
    """Three images of one size, one of another, and a text."""
    (tmp_path / "in" / "below").mkdir(parents=True)
    for n, name in enumerate(("a.png", "b.png", "below/c.png")):
        Image.fromarray(tiny ^ np.uint8(n)).save(tmp_path / "in" / name)
    Image.fromarray(tiny[1:]).save(tmp_path / "in" / "below" / "d.png")
    (tmp_path / "in" / "notes.txt").write_text("notes")
    return tmp_path / "in"


@pytest.fixture
def archived(tmp_path: Path) -> Callable[[Mapping[str, int]], Path]:
    """An archive of images of one colour, by name."""

    def made(colours: Mapping[str, int]) -> Path:
        images = [(name, np.full((2, 3), colour, np.uint8)) for name, colour in colours.items()]
        (tmp_path / "a.ddpma").write_bytes(archive.create(images))
        return tmp_path / "a.ddpma"

    return made
