"""ImageMagick reads and writes our files by the installed commands.

Skipped where it is not there (Debian: imagemagick).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import ddpmcodec
from installed import Installed

ROOT = Path(__file__).parents[2]


def magick(installed: Installed, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    path = f"{installed.prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "MAGICK_CONFIGURE_PATH": str(ROOT / "packaging" / "imagemagick"),
        **variables,
    }
    return subprocess.run(["magick", *arguments], capture_output=True, env=environment)


@pytest.fixture
def photograph() -> Image.Image:
    if not shutil.which("magick"):
        pytest.skip("no magick here: apt install imagemagick")
    with Image.open(ROOT / "docs" / "photo.png") as photo:
        return photo.convert("RGB").crop((0, 0, 60, 40))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_imagemagick_gets_the_pixels(installed: Installed, photograph: Image.Image, tmp_path: Path, mode: str) -> None:
    photograph.putalpha(photograph.getchannel("R"))
    image = photograph.convert(mode)
    (tmp_path / "a.ddpm").write_bytes(ddpmcodec.encode(image, effort=1))
    assert magick(installed, tmp_path / "a.ddpm", tmp_path / "a.png").returncode == 0
    with Image.open(tmp_path / "a.png") as found:
        assert np.array_equal(found.convert(mode), image)


def test_imagemagick_says_what_is_wrong_with_a_prefix(
    installed: Installed, photograph: Image.Image, tmp_path: Path
) -> None:
    (tmp_path / "a.ddpm").write_bytes(ddpmcodec.encode(photograph, effort=1)[:-20])
    done = magick(installed, tmp_path / "a.ddpm", tmp_path / "a.png")
    assert done.returncode != 0
    assert b"ends after" in done.stderr
    assert not (tmp_path / "a.png").exists()


def saved(image: Image.Image, path: Path) -> NDArray[Any]:
    """The samples of a PNG file that was written."""
    image.save(path)
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB") if file.mode == "P" else file)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1", "I;16", "16 colours", "4 colours"])
def test_imagemagick_writes_the_pixels(
    installed: Installed, photograph: Image.Image, tmp_path: Path, mode: str
) -> None:
    photograph.putalpha(photograph.getchannel("R"))
    if mode.endswith("colours"):
        image = photograph.convert("RGB").quantize(int(mode.split()[0]))
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(photograph.convert("L")).astype(np.uint16) * 250)
    else:
        image = photograph.convert(mode)
    values = saved(image, tmp_path / "a.png")
    done = magick(installed, tmp_path / "a.png", tmp_path / "a.ddpm")
    assert (done.returncode, done.stderr) == (0, b"")
    found = ddpmcodec.decode((tmp_path / "a.ddpm").read_bytes(), as_array=True)
    if found.ndim > values.ndim:  # ImageMagick may write grey as RGB
        values = np.broadcast_to(values[..., None], found.shape)
    assert np.array_equal(found, values * np.uint8(255) if values.dtype == bool else values)


def test_imagemagick_leaves_no_file_that_is_not_written(
    installed: Installed, photograph: Image.Image, tmp_path: Path
) -> None:
    photograph.save(tmp_path / "a.png")
    (tmp_path / "old.ddpm").write_bytes(b"old")
    for name in ("a.ddpm", "old.ddpm"):
        done = magick(installed, tmp_path / "a.png", tmp_path / name, DDPM_MODELS="/none")
        assert done.returncode != 0
        assert b"ddpm-encode: " in done.stderr
    assert not (tmp_path / "a.ddpm").exists()
    assert (tmp_path / "old.ddpm").read_bytes() == b"old"
    assert magick(installed, tmp_path / "a.png", tmp_path / "old.ddpm").returncode == 0
    assert np.array_equal(ddpmcodec.decode((tmp_path / "old.ddpm").read_bytes(), as_array=True), photograph)
