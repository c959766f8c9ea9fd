"""Files of 9 to 16 bits a sample through the command line: nothing is dropped without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.formats.deep import file_of, samples_of

VALUES = (np.add.outer(np.arange(20) * 170, np.arange(30) * 9)[..., None] + np.arange(3) * 40).astype(np.uint16)


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A PNG with EXIF that says the camera was turned."""
    exif = Image.Exif()
    exif[0x112] = 6
    path = tmp_path / "deep.png"
    path.write_bytes(file_of(samples_of(VALUES), "PNG", exif=exif.tobytes()))
    return path


def test_a_file_comes_back_with_all_its_bits(ddpm: Any, deep: Path) -> None:
    assert ddpm("encode", deep, "-e", 1).code == 0
    for name in ("a.png", "a.tif", "a.ppm"):
        again = deep.with_name(name)
        assert ddpm("decode", deep.with_suffix(".ddpm"), "-o", again).code == 0
        assert np.array_equal(codec.decode(codec.encode(again, effort=1), as_array=True), VALUES)


def test_an_output_of_fewer_bits_or_less_metadata_is_named(ddpm: Any, deep: Path) -> None:
    file = deep.with_suffix(".ddpm")
    assert ddpm("encode", deep, "-e", 1).code == 0
    assert ddpm("decode", file, "-o", deep.with_name("a.png")).stderr == ""
    assert "does not keep EXIF" in ddpm("decode", file, "-o", deep.with_name("a.tif")).stderr
    assert "high 8 of 16 bits" in ddpm("decode", file, "--upright", "-o", deep.with_name("b.png")).stderr


@pytest.mark.parametrize("options", [(), ("--original",), ("--upright",)])
def test_files_of_an_archive_come_back_with_all_their_bits(ddpm: Any, deep: Path, options: tuple[str, ...]) -> None:
    (tiff := deep.with_name("other.tif")).write_bytes(file_of(samples_of(VALUES), "TIFF", b"profile"))
    archive, out = deep.with_name("a.ddpma"), deep.with_name("out")
    assert ddpm("archive", "create", archive, deep, tiff, "-e", 1).code == 0
    assert ddpm("archive", "extract", archive, "-o", out, *options).code == 0
    for name in ("deep.png", "other.png"):
        assert np.array_equal(codec.decode(codec.encode(out / name, effort=1), as_array=True), VALUES)
    assert b"iCCP" in (out / "other.png").read_bytes()
    assert ddpm("archive", "test", archive).code == 0


@pytest.mark.parametrize("file_format", ["PNG", "PPM"])
def test_an_image_over_the_limit_is_refused(ddpm: Any, tmp_path: Path, file_format: str) -> None:
    path = tmp_path / "deep.pnm"
    path.write_bytes(file_of(samples_of(VALUES), file_format))
    ended = ddpm("encode", path, "--max-pixels", 100)
    assert (ended.code, "30 x 20 pixels" in ended.stderr) == (1, True)
    assert not path.with_suffix(".ddpm").exists()
