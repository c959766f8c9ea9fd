"""The module for gdk-pixbuf, which loads and saves, built against the installed library, in processes of their own.

Skipped where gdk-pixbuf is not there (Debian: libgdk-pixbuf-2.0-dev, libgdk-pixbuf2.0-bin, shared-mime-info).
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

import ddpmcodec
from installed import Installed

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("gdk_pixbuf.py")
SAVER = Path(__file__).with_name("gdk_pixbuf_save.py")


class Opened(NamedTuple):
    """What a program with gdk-pixbuf got of a file."""

    pixels: NDArray[np.uint8]
    updates: int
    options: dict[str, str]
    error: str


def variable(name: str) -> str:
    command = ["pkg-config", f"--variable={name}", "gdk-pixbuf-2.0"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="session")
def environment(installed: Installed) -> dict[str, str]:
    """In which programs find the loader."""
    needed = ["pkg-config", "update-mime-database"]
    if not all(map(shutil.which, needed)) or subprocess.run(["pkg-config", "--exists", "gdk-pixbuf-2.0"]).returncode:
        pytest.skip("no gdk-pixbuf here")
    prefix = installed.prefix
    found = {
        **os.environ,
        "PKG_CONFIG_PATH": str(next(prefix.rglob("ddpm.pc")).parent),
        "XDG_DATA_HOME": f"{prefix}/share",
    }
    options = [f"-DCMAKE_INSTALL_PREFIX={prefix}", "-DCMAKE_C_FLAGS=-Werror"]
    for command in (
        ["cmake", "-S", ROOT / "packaging" / "gdk-pixbuf", "-B", prefix / "gdk-build", *options],
        ["cmake", "--build", prefix / "gdk-build", "--target", "install"],
        ["update-mime-database", prefix / "share" / "mime"],
    ):
        subprocess.run(command, check=True, capture_output=True, env=found)
    loader = next(prefix.rglob("loaders/*.so"))
    cache = subprocess.run([variable("gdk_pixbuf_query_loaders"), loader], check=True, capture_output=True).stdout
    found["GDK_PIXBUF_MODULE_FILE"] = str(prefix / "loaders.cache")
    (prefix / "loaders.cache").write_bytes(cache)
    return found


@pytest.fixture
def opened(environment: dict[str, str], tmp_path: Path) -> Callable[..., Opened]:
    def open_file(data: bytes, *longest_side: int) -> Opened:
        (tmp_path / "a.ddpm").write_bytes(data)
        command = [sys.executable, PROGRAM, tmp_path / "a.ddpm", tmp_path / "a.npy", *map(str, longest_side)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        pixels = tmp_path / "a.npy"
        return Opened(np.load(pixels) if pixels.exists() else np.empty(0, np.uint8), **json.loads(done.stdout))

    return open_file


def photograph() -> Image.Image:
    with Image.open(ROOT / "docs" / "photo.png") as photo:
        return photo.convert("RGB").crop((0, 0, 180, 120))


def encoded(image: Image.Image, **options: Any) -> bytes:
    return ddpmcodec.encode(image, effort=1, verify=False, **options)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1"])
def test_a_program_gets_the_pixels(opened: Callable[..., Opened], mode: str) -> None:
    image = photograph()
    image.putalpha(image.getchannel("R"))
    image = image.convert(mode)
    found = opened(encoded(image))
    assert found.error == ""
    assert np.array_equal(found.pixels, image.convert("RGBA" if mode.endswith("A") else "RGB"))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_is_decoded_by_the_loader_of_jpeg(opened: Callable[..., Opened], mode: str) -> None:
    file = io.BytesIO()
    photograph().convert(mode).save(file, "JPEG", quality=80)
    found = opened(encoded(Image.open(file)))
    assert np.array_equal(found.pixels, Image.open(file).convert("RGB"))


def test_a_prefix_is_a_picture_that_gets_better(opened: Callable[..., Opened]) -> None:
    data, pixels = encoded(photograph(), levels=2), np.asarray(photograph()).astype(int)
    errors = []
    for share in (0.3, 0.7, 1):
        found = opened(data[: int(share * len(data))])
        assert found.error == ""
        errors.append(np.abs(found.pixels - pixels).mean())
    assert 20 > errors[0] > errors[1] > errors[2] == 0


def test_damage_is_an_error(opened: Callable[..., Opened]) -> None:
    data = bytearray(encoded(photograph()))
    data[-1000] ^= 1
    assert "damaged" in opened(bytes(data)).error


@pytest.mark.parametrize("length", [0, 2, 5])
def test_less_than_a_header_is_an_error(opened: Callable[..., Opened], length: int) -> None:
    found = opened(encoded(photograph())[:length])
    assert found.error
    assert not found.pixels.size


def test_a_smaller_picture_has_the_size_that_was_asked_for(opened: Callable[..., Opened]) -> None:
    found = opened(encoded(photograph()), 30)
    expected = np.asarray(photograph().resize((30, 20), Image.Resampling.BOX)).astype(int)
    assert found.pixels.shape == expected.shape
    assert np.abs(found.pixels - expected).mean() < 5


def test_orientation_and_profile_are_known(opened: Callable[..., Opened]) -> None:
    exif, profile = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[0x112], file = 6, io.BytesIO()
    photograph().save(file, "PNG", exif=exif, icc_profile=profile)
    options = opened(encoded(Image.open(file))).options
    assert options["orientation"] == "6"
    assert base64.b64decode(options["icc-profile"]) == profile


def test_file_managers_get_a_thumbnail(environment: dict[str, str], tmp_path: Path) -> None:
    if not shutil.which("gdk-pixbuf-thumbnailer"):
        pytest.skip("no gdk-pixbuf-thumbnailer here: apt install libgdk-pixbuf2.0-bin")
    (tmp_path / "a.ddpm").write_bytes(encoded(photograph()))
    entry = (Path(environment["XDG_DATA_HOME"]) / "thumbnailers" / "ddpm.thumbnailer").read_text()
    command = next(line for line in entry.splitlines() if line.startswith("Exec=")).removeprefix("Exec=").split()
    values = {"%s": "64", "%u": (tmp_path / "a.ddpm").as_uri(), "%o": str(tmp_path / "a.png")}
    subprocess.run([values.get(word, word) for word in command], check=True, env=environment, capture_output=True)
    with Image.open(tmp_path / "a.png") as thumbnail:
        assert max(thumbnail.size) == 64


# --- saving


Saving = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def saved(environment: dict[str, str], tmp_path: Path) -> Saving:
    def save(pixels: NDArray[np.uint8], file: object, *options: str, **variables: str) -> Any:
        np.save(tmp_path / "pixels.npy", pixels)
        command = [sys.executable, SAVER, tmp_path / "pixels.npy", str(file), *options]
        return subprocess.run(command, capture_output=True, env=environment | variables)

    return save


def with_alpha(mode: str = "RGBA") -> NDArray[np.uint8]:
    image = photograph().crop((0, 0, 61, 40))
    image.putalpha(image.getchannel("R"))
    return np.asarray(image.convert(mode))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_program_saves_the_pixels(saved: Saving, opened: Callable[..., Opened], tmp_path: Path, mode: str) -> None:
    pixels, file = with_alpha(mode), tmp_path / "saved.ddpm"
    assert saved(pixels, file).stderr == b""
    assert file.read_bytes() == ddpmcodec.encode(pixels)
    assert np.array_equal(opened(file.read_bytes()).pixels, pixels)
    assert saved(pixels, "-").stdout == file.read_bytes()


def test_options_of_saving(saved: Saving, opened: Callable[..., Opened]) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = base64.b64encode(profile).decode()
    data = saved(with_alpha(), "-", "effort=1", "levels=2", f"icc-profile={text}").stdout
    assert {name: ddpmcodec.info(data)[name] for name in ("effort", "levels")} == {"effort": 1, "levels": 2}
    assert opened(data).options["icc-profile"] == text


@pytest.mark.parametrize(
    ("options", "models", "word"),
    [
        (["effort=4"], None, b"gdk-pixbuf-error-quark 2 "),  # GDK_PIXBUF_ERROR_BAD_OPTION
        (["levels=3"], None, b"gdk-pixbuf-error-quark 2 "),
        (["effort=much"], None, b"'much'"),
        (["icc-profile="], None, b"base64"),
        (["quality=90"], None, b"'quality'"),
        ([], "/none", b"/none/"),
    ],
)
def test_an_error_leaves_no_file(
    saved: Saving, tmp_path: Path, options: list[str], models: str | None, word: bytes
) -> None:
    done = saved(with_alpha(), tmp_path / "saved.ddpm", *options, **({"DDPM_MODELS": models} if models else {}))
    assert done.returncode == 1
    assert word in done.stderr
    assert not (tmp_path / "saved.ddpm").exists()


def test_errors_of_the_place_are_those_of_the_place(saved: Saving) -> None:
    assert b"full 7 the disk is full" in saved(with_alpha(), "full", "effort=1").stderr
    assert b"g-file-error-quark" in saved(with_alpha(), "/dev/full", "effort=1").stderr


def test_programs_know_what_is_saved(environment: dict[str, str]) -> None:
    """As they list the formats in which they save, and ask which options there are."""
    program = (
        "from gi.repository import GdkPixbuf\n"
        "(ddpm,) = (one for one in GdkPixbuf.Pixbuf.get_formats() if one.get_name() == 'ddpm')\n"
        "print(ddpm.is_writable(), *(ddpm.is_save_option_supported(key) for key in ('effort', 'levels', 'quality')))"
    )
    done = subprocess.run(["/usr/bin/python3", "-c", program], capture_output=True, text=True, env=environment)
    if "No module named 'gi'" in done.stderr:
        pytest.skip("no python3-gi here")
    assert done.stdout.split() == ["True", "True", "True", "False"]
