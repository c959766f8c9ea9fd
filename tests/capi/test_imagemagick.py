"""ImageMagick reads our files by the installed command. Skipped where it is not there (Debian: imagemagick)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ddpmcodec
from installed import Installed

ROOT = Path(__file__).parents[2]


def magick(installed: Installed, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    path = f"{installed.prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MAGICK_CONFIGURE_PATH": str(ROOT / "packaging" / "imagemagick")}
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
