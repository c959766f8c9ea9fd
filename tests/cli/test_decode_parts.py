"""Parts of images and small images through the command line."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"


@pytest.fixture(scope="module")
def image() -> Image.Image:
    with Image.open(PHOTO) as photo:
        return photo.convert("RGB").crop((0, 0, 140, 90))


@pytest.fixture(scope="module")
def tiled(ddpm_once: Any, image: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("tiled")
    image.save(folder / "a.png")
    assert ddpm_once("encode", folder / "a.png", "--tile", 64, "--effort", 1).code == 0
    data = (folder / "a.ddpm").read_bytes()
    assert codec.info(data)["tiles"] == 6
    return data


@pytest.fixture
def file(tiled: bytes, tmp_path: Path) -> Path:
    (tmp_path / "a.ddpm").write_bytes(tiled)
    return tmp_path / "a.ddpm"


def test_a_crop_is_that_part_of_the_image(ddpm: Any, file: Path, image: Image.Image) -> None:
    out, size = file.with_name("part.png"), file.stat().st_size
    ended = ddpm("decode", file, "--crop", "70,10,50,40", "-o", out, "-v")
    assert ended.code == 0
    with Image.open(out) as part:
        assert np.array_equal(part, image.crop((70, 10, 120, 50)))
    (line,) = [line for line in ended.stderr.splitlines() if "were needed" in line]
    used = int(line.split(": ")[-1].split()[0])
    assert used < size / 2
    found = ddpm("decode", file, "--crop", "70,10,50,40", "-o", out, "-f", "--json")
    facts = json.loads(found.stdout.splitlines()[0])
    assert (facts["width"], facts["height"], facts["bytes_used"], facts["input_bytes"]) == (50, 40, used, size)
    piped = ddpm("decode", "-", "--crop", "70,10,50,40", "-o", "-", stdin=file.read_bytes()).stdout
    assert np.array_equal(Image.open(BytesIO(piped)), image.crop((70, 10, 120, 50)))


def test_a_small_image(ddpm: Any, file: Path, image: Image.Image) -> None:
    out = file.with_name("small.png")
    assert ddpm("decode", file, "--reduce", 4, "-o", out).code == 0
    with Image.open(out) as small:
        assert small.size == image.reduce(4).size
        assert np.abs(np.asarray(small, float) - np.asarray(image.reduce(4), float)).mean() < 3
    assert ddpm("decode", file, "--reduce", 8, "--crop", "10,10,100,50", "-o", out, "-f").code == 0
    with Image.open(out) as small:
        assert small.size == (13, 7)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert ddpm("decode", file, "--reduce", 8, "-o", out, "-f").code == 0
    assert ddpm("decode", file, "--reduce", 2, "--partial", "-o", out, "-f").code == 0
    assert ddpm("decode", file, "--crop", "0,0,9,9", "-o", out, "-f").code == 3


@pytest.mark.parametrize("cut", [False, True])
def test_an_image_is_turned_as_exif_says(ddpm: Any, image: Image.Image, tmp_path: Path, cut: bool) -> None:
    exif = Image.Exif()
    exif[0x112], exif[0x10F] = 6, "A maker"
    image = image.crop((0, 0, 70, 45))
    image.save(tmp_path / "a.png", exif=exif)
    assert ddpm("encode", tmp_path / "a.png", "--effort", 1).code == 0
    file, out = tmp_path / "a.ddpm", tmp_path / "out.png"
    if cut:
        file.write_bytes(file.read_bytes()[:-300])
    assert ddpm("decode", file, "--upright", "--partial", "-o", out).code == 0
    with Image.open(out) as found:
        assert found.size == (45, 70)
        assert found.getexif().get(0x112, 1) == 1
        assert cut or np.array_equal(found, image.transpose(Image.Transpose.ROTATE_270))
        assert found.getexif().get(0x10F) == (None if cut else "A maker")


def test_damaged_exif_turns_an_image_where_it_can_be_read(ddpm: Any, image: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112], exif[0x8825] = 6, {1: "N", 2: (1.0, 2.0, 3.0)}
    image = image.crop((0, 0, 28, 18))
    for number, (data, size) in enumerate(((exif.tobytes()[:-30], (18, 28)), (b"Exif\0\0MM of one", (28, 18)))):
        file, out = tmp_path / f"{number}.ddpm", tmp_path / f"{number}.ppm"
        image.info["exif"] = data
        file.write_bytes(codec.encode(image, effort=1))
        assert ddpm("decode", file, "--upright", "-o", out).code == 0
        with Image.open(out) as found:
            assert found.size == size


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--crop", "1,2,3"], 2, "1,2,3 is not X,Y,W,H: four whole numbers"),
        (["--crop", "1,2,-3,4"], 2, "is not X,Y,W,H"),
        (["--crop", "1,2,0,4"], 2, "a crop has one pixel at least"),
        (["--crop", "100,2,50,4"], 1, "a.ddpm: the box 100, 2 to 150, 6 is not inside of the image of 140 x 90 pixels"),
        (["--reduce", "3"], 2, "'3' is not one of '2', '4', '8', '16'"),
        (["--reduce", "2", "--step", "1"], 2, "leave out --step"),
        (["--crop", "0,0,4,4", "--original"], 2, "--original is the whole file"),
    ],
)
def test_what_is_no_part_is_refused(ddpm: Any, file: Path, options: list[str], code: int, text: str) -> None:
    out = file.with_name("part.png")
    ended = ddpm("decode", file, *options, "-o", out)
    assert (ended.code, out.exists()) == (code, False)
    assert text in " ".join(ended.stderr.split())


@pytest.mark.parametrize("size", [63, 72.5, 72, 2048])
def test_sides_of_tiles_that_are_none_are_refused(ddpm: Any, photo: Path, size: float) -> None:
    ended = ddpm("encode", photo, "--tile", size)
    assert (ended.code, "'--tile'" in ended.stderr, photo.with_suffix(".ddpm").exists()) == (2, True, False)


def test_an_empty_file_is_an_error_of_ours(ddpm: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.ddpm").touch()
    ended = ddpm("decode", tmp_path / "empty.ddpm", "--crop", "0,0,1,1", "-o", tmp_path / "a.png")
    assert (ended.code, "Traceback" in ended.stderr) == (3, False)
