"""ddpmcodec truncate: prefixes to a rate, that decode."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec


@pytest.mark.parametrize(("limit", "size"), [(["--bytes", 60], 60), (["--bpp", 1.1], 66), (["--bytes", 10**6], None)])
def test_a_file_is_cut_to_a_rate(ddpm: Any, file: Path, coded: bytes, limit: list[Any], size: int | None) -> None:
    out = file.with_name("small.ddpm")
    ended = ddpm("truncate", file, *limit, "--no-mark", "-o", out)
    cut = coded[:size]
    assert (ended.code, ended.stdout) == (0, b"")
    assert ended.stderr == f"ddpmcodec: {out}: {len(cut)} of {len(coded)} bytes, {len(cut) / 60:.3f} bpp\n"
    assert out.read_bytes() == cut
    assert ddpm("decode", out, "--partial").code == 0
    assert file.read_bytes() == coded


def test_a_file_is_cut_after_a_step(ddpm: Any, file: Path, coded: bytes) -> None:
    for mark in (False, True):
        ended = ddpm("truncate", file, "--step", 2, "-o", "-", *["--no-mark"] * (not mark))
        assert ended.code == 0
        assert ended.stdout == codec.truncate(coded, step=2, mark=mark)


def test_a_lossy_file_says_so_and_is_no_error(ddpm: Any, file: Path, coded: bytes) -> None:
    out, picture = file.with_name("small.ddpm"), file.with_name("small.png")
    assert ddpm("truncate", file, "--bytes", 60, "-o", out).code == 0
    assert out.read_bytes() == codec.truncate(coded, bytes=60, mark=True)
    tested = ddpm("test", out)
    assert (tested.code, tested.stdout, tested.stderr) == (0, f"{out}: ok, lossy, 1.00 bits a pixel\n".encode(), "")
    decoded = ddpm("decode", out, "-o", picture)
    assert decoded.code == 0
    assert re.search(rf"{out}: [01] of 2 steps, \d+ bytes, ", decoded.stderr)
    assert "a lossy file, cut on purpose" in decoded.stderr
    assert Image.open(picture).tobytes() == codec.decode(out.read_bytes()).tobytes()
    assert "lossy: cut on purpose" in ddpm("info", out).stdout.decode()


def test_a_step_of_a_file_of_another_model_needs_that_model(ddpm: Any, foreign: Path, other_model: Path) -> None:
    arguments = ("truncate", foreign, "--step", 1, "-o", "-")
    assert ddpm(*arguments).code == 4
    ended = ddpm(*arguments, "--model", other_model, "--no-mark")
    assert (ended.code, ended.stdout) == (0, codec.truncate(foreign.read_bytes(), step=1, model=other_model))


def preview_psnr(data: bytes, original: np.ndarray) -> float:
    error = np.subtract(codec.decode(data, partial=True, as_array=True), original, dtype=float)
    return float(10 * np.log10(255**2 / np.square(error).mean()))


@pytest.mark.parametrize("psnr", [20, 27.5, 38])
def test_a_file_is_cut_to_a_quality(ddpm: Any, file: Path, coded: bytes, pixels: np.ndarray, psnr: float) -> None:
    ended = ddpm("truncate", file, "--psnr", psnr, "--no-mark", "-o", "-")
    cut = ended.stdout
    reached = preview_psnr(cut, pixels)
    assert (ended.code, cut) == (0, coded[: len(cut)])
    assert reached >= psnr
    assert preview_psnr(coded[: int(len(cut) / 1.01) - 1], pixels) < psnr, "one percent less is not enough"
    rate = f"{len(cut)} of {len(coded)} bytes, {len(cut) / 60:.3f} bpp, {reached:.2f} dB"
    assert ended.stderr == f"ddpmcodec: standard output: {rate}\n"


def test_the_original_is_measured_against_where_it_is_given(ddpm: Any, photo: Path, pixels: np.ndarray) -> None:
    """Neither a prefix nor a lossy file has an original of its own, and one of another size is refused."""
    cut = photo.with_name("cut.ddpm")
    coded = codec.encode(pixels)
    cut.write_bytes(coded[:-40])
    whole = ddpm("truncate", "-", "--psnr", 30, "-o", "-", stdin=coded)
    assert ddpm("truncate", cut, "--psnr", 30, "--original", photo, "-o", "-").stdout == whole.stdout
    marked = codec.truncate(coded, bytes=200, mark=True)
    for alone in (
        ddpm("truncate", cut, "--psnr", 30, "-o", "-"),
        ddpm("truncate", "-", "--psnr", 20, "-o", "-", stdin=marked),
    ):
        assert (alone.code, alone.stdout) == (3, b"")
        assert "--original IMAGE" in alone.stderr
    Image.fromarray(pixels[1:]).save(photo)
    other = ddpm("truncate", cut, "--psnr", 30, "--original", photo, "-o", "-")
    assert (other.code, other.stdout) == (1, b"")
    assert "the original is 24 x 19 " in other.stderr


def test_a_quality_that_is_not_reached_is_an_error_with_the_best(
    ddpm: Any, photo: Path, coded: bytes, pixels: np.ndarray, names: Any
) -> None:
    (photo.parent / "cut.ddpm").write_bytes(coded[:300])
    out = photo.parent / "small.ddpm"
    ended = ddpm("truncate", photo.parent / "cut.ddpm", "--psnr", 90, "--original", photo, "-o", out)
    best = f"all 300 bytes show {preview_psnr(coded[:300], pixels):.2f} dB"
    assert (ended.code, best in ended.stderr) == (1, True)
    assert names(photo.parent) == ["cut.ddpm", "photo.png"]


def test_the_highest_quality_is_every_pixel(ddpm: Any, coded: bytes, pixels: np.ndarray) -> None:
    ended = ddpm("truncate", "-", "--psnr", 99, "-o", "-", stdin=coded)
    assert np.array_equal(codec.decode(ended.stdout, partial=True, as_array=True), pixels)
    assert ended.stderr.endswith(" bpp, no error\n")


def test_pixels_are_limited_where_previews_are_decoded(ddpm: Any, coded: bytes) -> None:
    for limit in (["--psnr", 20], ["--step", 1]):
        ended = ddpm("truncate", "-", *limit, "--max-pixels", 479, "-o", "-", stdin=coded)
        assert (ended.code, "--max-pixels N" in ended.stderr) == (1, True)


def test_an_original_without_psnr_is_wrong_usage(ddpm: Any, coded: bytes) -> None:
    ended = ddpm("truncate", "-", "--bytes", 100, "--original", "x.png", "-o", "-", stdin=coded)
    assert (ended.code, "--original goes with --psnr" in ended.stderr) == (2, True)


def test_too_few_bytes_are_an_error_with_the_least_number(ddpm: Any, file: Path, names: Any) -> None:
    header = codec.info(file.read_bytes())["header_bytes"]
    ended = ddpm("truncate", file, "--bytes", 3, "-o", file.with_name("small.ddpm"))
    assert ended.code == 1
    assert re.search(rf"{file}: 3 bytes .* {header + 6}\b", ended.stderr)
    assert names(file.parent) == ["file.ddpm"]


def test_bytes_have_the_units_of_head(ddpm: Any, photo: Path) -> None:
    large = photo.with_name("large.ddpm")
    Image.effect_noise((80, 64), 50).save(photo)
    assert ddpm("encode", photo, "-o", large).code == 0
    given = ("truncate", large, "--no-mark", "-o", "-", "--bytes")
    for unit, size in (("2k", 2048), ("3K", 3072), ("1M", large.stat().st_size), ("300", 300)):
        assert len(ddpm(*given, unit).stdout) == size
    for wrong in ("k", "2m", "-1k", "1.5k"):
        ended = ddpm(*given, wrong)
        assert (ended.code, "Invalid value for '--bytes'" in ended.stderr) == (2, True)
    shown = [ddpm("decode", large, "-o", "-", "--max-bytes", size).stdout for size in ("1k", "1024")]
    assert shown[0] == shown[1]


@pytest.mark.parametrize("force", [[], ["-f"]])
def test_the_input_is_never_overwritten(ddpm: Any, file: Path, coded: bytes, force: list[str]) -> None:
    ended = ddpm("truncate", file, "--bytes", 60, "-o", file, *force)
    assert ended.code == 1
    assert "is the input itself" in ended.stderr
    assert file.read_bytes() == coded


def test_a_damaged_file_is_3(ddpm: Any, file: Path, tmp_path: Path) -> None:
    file.write_bytes(b"foreign")
    assert ddpm("truncate", file, "--bytes", 60, "-o", tmp_path / "small.ddpm").code == 3


def test_damaged_tiles_are_not_marked(ddpm: Any, photo: Path, names: Any) -> None:
    tiled = photo.with_name("tiled.ddpm")
    Image.effect_noise((80, 64), 50).save(photo)
    assert ddpm("encode", photo, "--tile", 64, "-o", tiled).code == 0
    damaged = bytearray(tiled.read_bytes())
    damaged[200] ^= 1
    tiled.write_bytes(damaged)
    ended = ddpm("truncate", tiled, "--bytes", len(damaged) - 20, "-o", photo.with_name("small.ddpm"))
    assert (ended.code, "1 of 2 tiles are damaged" in ended.stderr) == (3, True)
    assert names(photo.parent) == ["photo.png", "tiled.ddpm"]


def test_an_incomplete_file_is_marked(ddpm: Any, file: Path, coded: bytes) -> None:
    file.write_bytes(coded[:300])
    for limit in (300, 10**6):
        out = file.with_name(f"{limit}.ddpm")
        assert ddpm("truncate", file, "--bytes", limit, "-o", out).code == 0
        assert ddpm("decode", out).code == 0


def test_a_preview_never_takes_the_place_of_an_image(ddpm: Any, file: Path) -> None:
    image = file.with_name("photo.png")
    image.write_bytes(b"an image")
    ended = ddpm("truncate", file, "--bytes", 60, "-f", "-o", image)
    assert (ended.code, image.read_bytes()) == (2, b"an image")
    assert ".ddpm files: name it" in ended.stderr


@pytest.mark.parametrize("option", ["--bpp", "--psnr"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_numbers_are_finite(ddpm: Any, file: Path, option: str, value: str) -> None:
    ended = ddpm("truncate", file, option, value, "-o", "-")
    assert (ended.code, ended.stdout) == (2, b"")
    assert f"Invalid value for '{option}': {value} is not" in ended.stderr


@pytest.mark.parametrize("given", ["1.5k", "abc", "20x", "1G", "-3"])
def test_what_is_no_number_of_bytes_is_wrong_usage(ddpm: Any, file: Path, given: str) -> None:
    ended = ddpm("truncate", file, "--bytes", given, "-o", "-")
    assert ended.code == 2
    assert "-3 is not in the range" in ended.stderr or f"'{given}' is not a number of bytes" in ended.stderr
