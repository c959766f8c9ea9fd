"""ddpmcodec interpolate: rows from one image to another, each through its own number of diffusion steps."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 20, 24  # conftest.pixels


@pytest.fixture
def other(photo: Path) -> Path:
    """A flat image of the photo's size."""
    path = photo.with_name("other.png")
    Image.new("RGB", (WIDTH, HEIGHT), (250, 20, 128)).save(path)
    return path


@pytest.fixture
def small(tiny_gaussian: Path) -> list[Any]:
    return ["--levels", 4, "--model", tiny_gaussian]


def tiles(picture: Path | BytesIO) -> NDArray[np.float64]:
    """[rows, columns, HEIGHT, WIDTH, 3] of a grid."""
    with Image.open(picture) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        pixels = np.asarray(image).astype(float)
    rows, columns = pixels.shape[0] // HEIGHT, pixels.shape[1] // WIDTH
    return pixels.reshape(rows, HEIGHT, columns, WIDTH, 3).swapaxes(1, 2)


def test_rows_from_fine_to_coarse(ddpm: Any, photo: Path, other: Path, small: list[Any], tmp_path: Path) -> None:
    ended = ddpm("interpolate", photo, other, "-o", tmp_path / "grid.png", *small)
    assert (ended.code, ended.stdout, ended.stderr) == (0, b"", "")
    found = tiles(tmp_path / "grid.png")
    assert found.shape[:2] == (5, 9)
    distances = np.abs(found - found[0]).mean((1, 2, 3, 4))
    assert (np.diff(distances) > 0).all()


def test_without_steps_pixels_are_mixed(ddpm: Any, photo: Path, other: Path, small: list[Any], pixels: Any) -> None:
    ended = ddpm("interpolate", photo, other, "-o", "-", "--timesteps", "0", "--weights", 3, *small)
    (row,) = tiles(BytesIO(ended.stdout))
    assert np.array_equal(row[0], pixels)
    assert (row[2] == [250, 20, 128]).all()
    np.testing.assert_allclose(row[1], (row[0] + row[2]) / 2, atol=0.5)


def test_steps_may_be_chosen_and_a_seed_repeats_them(ddpm: Any, photo: Path, other: Path, small: list[Any]) -> None:
    def drawn(seed: int, *options: Any) -> bytes:
        steps = ("--timesteps", "4,1", "--weights", 2, "--seed", seed)
        return bytes(ddpm("interpolate", photo, other, "-o", "-", *steps, *options, *small).stdout)

    first = drawn(1)
    assert tiles(BytesIO(first)).shape[:2] == (2, 2)
    assert drawn(1) == first
    assert len({first, drawn(2), drawn(1, "--method", "ddim")}) == 3


def test_pixels_are_enlarged_for_figures(ddpm: Any, photo: Path, other: Path, small: list[Any]) -> None:
    ended = ddpm("interpolate", photo, other, "-o", "-", "--weights", 2, "--timesteps", 0, "--scale", 2, *small)
    enlarged = np.asarray(Image.open(BytesIO(ended.stdout)))
    with Image.open(photo) as image:
        width, height = image.size
    assert enlarged.shape == (2 * height, 4 * width, 3)
    assert np.array_equal(enlarged[::2, ::2], enlarged[1::2, 1::2])


def test_images_of_any_mode(ddpm: Any, photo: Path, other: Path, small: list[Any]) -> None:
    Image.new("L", (WIDTH, HEIGHT), 77).save(other)
    ended = ddpm("interpolate", photo, other, "-o", "-", "--timesteps", "0", "--weights", 2, *small)
    assert (tiles(BytesIO(ended.stdout))[0, 1] == 77).all()


@pytest.mark.parametrize("source", ["RGBA", "palette"])
def test_alpha_is_left_out_with_a_word(ddpm: Any, photo: Path, other: Path, small: list[Any], source: str) -> None:
    drawn = ("-o", "-", "--timesteps", "0", "--weights", 2, *small)
    image = Image.new("RGBA", (WIDTH, HEIGHT), (1, 2, 3, 255))
    image.save(other)
    assert ddpm("interpolate", photo, other, *drawn).stderr == ""  # nothing shines through
    image.putpixel((3, 4), (1, 2, 3, 0))
    (image if source == "RGBA" else image.quantize(4)).save(other)
    ended = ddpm("interpolate", photo, other, *drawn)
    assert (tiles(BytesIO(ended.stdout))[0, 1] == [1, 2, 3]).all()
    assert f"{other}: its alpha is left out" in ended.stderr
    assert ddpm("interpolate", photo, other, "-q", *drawn).stderr == ""


def test_images_of_different_sizes_are_an_error(ddpm: Any, photo: Path, other: Path, tmp_path: Path) -> None:
    Image.new("RGB", (25, 20)).save(other)
    ended = ddpm("interpolate", photo, other, "-o", tmp_path / "grid.png")
    assert ended.code == 1
    assert f"{other}: 25 x 20 pixels, but {photo} has 24 x 20" in ended.stderr
    assert not (tmp_path / "grid.png").exists()


def test_what_is_no_image_is_named(ddpm: Any, photo: Path, other: Path, tmp_path: Path) -> None:
    other.write_bytes(b"no image")
    ended = ddpm("interpolate", photo, other, "-o", tmp_path / "grid.png")
    assert ended.code == 1
    assert ended.stderr.startswith(f"ddpmcodec: {other}: not an image")
    ended = ddpm("interpolate", photo, tmp_path / "missing.png", "-o", tmp_path / "grid.png")
    assert f"{tmp_path / 'missing.png'}: No such file" in ended.stderr


@pytest.mark.parametrize("force", [[], ["-f"]])
def test_the_inputs_are_never_overwritten(ddpm: Any, photo: Path, other: Path, force: list[str]) -> None:
    before = other.read_bytes()
    ended = ddpm("interpolate", photo, other, "-o", other, *force)
    assert (ended.code, other.read_bytes()) == (1, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--timesteps", "1,x"], "--timesteps 1,x: give numbers"),
        (["--timesteps", ""], "--timesteps : give numbers"),
        (["--timesteps", "0,101"], "--timesteps 0,101: each is 0 to 100"),
        (["--weights", 1], "--weights"),
        (["--levels", 1], "--levels"),
        (["-o", "."], "-o .: pictures are PNG files"),
    ],
)
def test_wrong_usage_is_2(ddpm: Any, photo: Path, options: list[Any], message: str) -> None:
    ended = ddpm("interpolate", "-o", "x.png", photo, photo, *options)
    assert (ended.code, ended.stdout) == (2, b"")
    assert message in ended.stderr
