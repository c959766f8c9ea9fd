"""The command ddpm-encode: what it writes decodes everywhere to what it read, or it writes nothing."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

import ddpmcodec
from ddpmcodec import models
from ddpmcodec.cli import cli
from image_reader import read_image
from installed import TINY, Installed
from jpeg_coefficients import decode_jpeg
from networks import read_model
from pixel_reader import decode_pixels

JPEGS = Path(__file__).parents[1] / "fixtures" / "jpegs"
PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
WITH_TINY = ("--model", TINY, "--effort", 1)
TYPES = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}


def photograph(width: int, height: int, mode: str = "RGB") -> NDArray[Any]:
    """[H, W] or [H, W, C]; alpha is the red channel."""
    with Image.open(PHOTO) as photo:
        image = photo.convert("RGB").crop((0, 0, width, height))
    image.putalpha(image.getchannel("R"))
    return np.asarray(image.convert(mode))


def pam(values: NDArray[Any], most: int = 255, kind: str | None = None) -> bytes:
    """A PAM file of samples [H, W] or [H, W, C]."""
    height, width, depth = np.atleast_3d(values).shape
    kind = TYPES[depth] if kind is None else kind
    head = f"P7\n# a comment\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL {most}\nTUPLTYPE {kind}\nENDHDR\n"
    return head.encode() + values.astype(">u2" if most > 255 else np.uint8).tobytes()


def pnm(values: NDArray[Any], most: int = 255, space: bytes = b"\n") -> bytes:
    """A PGM or PPM file of samples [H, W] or [H, W, 3]."""
    head = b"P%d%b%d %d%b%d\n" % (5 if values.ndim == 2 else 6, space, values.shape[1], values.shape[0], space, most)
    return head + values.astype(">u2" if most > 255 else np.uint8).tobytes()


def jpeg(width: int = 64, height: int = 40) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photograph(width, height)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    (path := tmp_path / "a.ppm").write_bytes(pnm(photograph(40, 30)))
    return path


# --- pictures


def test_an_image_file_gives_the_file_that_python_writes(installed: Installed, picture: Path, tmp_path: Path) -> None:
    """Which ddpm-decode and `ddpmcodec decode` decode to that image file."""
    (photo := tmp_path / "b.jpg").write_bytes(jpeg())
    for source, original in [(picture, []), (photo, ["--original"])]:
        data, out = source.with_suffix(".ddpm"), tmp_path / f"out{source.suffix}"
        assert installed.encode(source, data).code == 0
        assert data.read_bytes() == ddpmcodec.encode(source)
        assert installed.run(*original, data, "-").stdout == source.read_bytes()
        result = CliRunner().invoke(cli, ["decode", *original, str(data), "-o", str(out)])
        assert (result.exit_code, out.read_bytes()) == (0, source.read_bytes()), result.output


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("most", [255, 1023, 65535])
def test_pam_files_of_all_types(installed: Installed, mode: str, most: int) -> None:
    values = photograph(21, 13, mode).astype(np.uint16) * most // 255
    ended = installed.encode("-", "-", *WITH_TINY, data=pam(values, most))
    assert (ended.code, ended.stderr) == (0, "")
    assert np.array_equal(installed.run("-", "-", "--model", TINY, data=ended.stdout).pixels, values)
    assert np.array_equal(ddpmcodec.decode(ended.stdout, model=TINY, as_array=True), values)
    untyped = installed.encode("-", "-", *WITH_TINY, data=pam(values, most, kind=""))
    assert untyped.stdout == ended.stdout


@pytest.mark.parametrize("space", [b"\n", b" # a comment\n\t", b"\r\n"], ids=["line", "comment", "two"])
def test_pgm_and_ppm_files(installed: Installed, space: bytes) -> None:
    for values, most in [
        (photograph(9, 8, "L"), 255),
        (photograph(9, 8), 255),
        (photograph(9, 8).astype(int) * 16, 4095),
    ]:
        ended = installed.encode("-", "-", *WITH_TINY, data=pnm(values, most, space))
        assert installed.run("-", "-", "--model", TINY, data=ended.stdout).stdout == pnm(values, most)


def test_pictures_of_black_and_white(installed: Installed) -> None:
    values = photograph(21, 13, "L") > 100
    bitmap = b"P4\n21 13\n" + np.packbits(~values, axis=1).tobytes()
    for file in (bitmap, pam(values, 1, "BLACKANDWHITE")):
        ended = installed.encode("-", "-", *WITH_TINY, data=file)
        assert ddpmcodec.info(ended.stdout)["mode"] == "1"
        assert np.array_equal(ddpmcodec.decode(ended.stdout, model=TINY, as_array=True), values * 255)


def test_a_decoder_written_from_the_specification_alone_finds_what_was_read(installed: Installed) -> None:
    """The independent reader in plain Python is slow: small pictures."""
    for mode in ("L", "RGBA"):
        for options in ([], ["--levels", 5], ["--effort", 0, "--levels", 0]):
            values = photograph(9, 7, mode)
            data = installed.encode("-", "-", *WITH_TINY, *options, data=pam(values)).stdout
            colours = np.atleast_3d(values)[..., : 3 if mode == "RGBA" else 1]
            assert np.array_equal(decode_pixels(data, read_model(TINY)), colours)
            assert (read_image(data).width, read_image(data).height) == (9, 7)
    data = installed.encode("-", "-", "--effort", 1, data=jpeg(24, 16)).stdout
    assert decode_jpeg(data, read_model(models.path(models.JPEG))) == jpeg(24, 16)


def test_options_are_those_of_python(installed: Installed, picture: Path) -> None:
    for options, wanted in [
        (["--effort", 0], {"effort": 0}),
        (["--effort=1", "--levels=2"], {"effort": 1, "levels": 2}),
        (["--effort", 1, "--tile", 64, "--threads", 1, "--no-verify"], {"effort": 1, "tile": 64}),
        ([*WITH_TINY], {"effort": 1, "model": TINY}),
    ]:
        assert installed.encode(picture, "-", *options).stdout == ddpmcodec.encode(picture, **wanted)


# --- files


def test_an_output_is_written_whole_or_not_at_all(installed: Installed, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.ddpm"
    assert installed.encode(picture, out, *WITH_TINY).code == 0
    first = out.read_bytes()
    refused = installed.encode(picture, out, *WITH_TINY)
    assert (refused.code, "-f" in refused.stderr) == (1, True)
    assert installed.encode("-", out, "-f", *WITH_TINY, data=picture.read_bytes()[:-1]).code == 3
    assert installed.encode(picture, picture, "-f", *WITH_TINY).code == 1
    assert out.read_bytes() == first
    assert installed.encode(picture, out, "-f", *WITH_TINY, "--levels", 2).code == 0
    assert out.read_bytes() != first
    with open("/dev/full", "wb") as full:
        command = [installed.prefix / "bin" / "ddpm-encode", *map(str, (picture, "-", *WITH_TINY))]
        assert subprocess.run(command, stdout=full, stderr=subprocess.DEVNULL).returncode == 1
    assert sorted(os.listdir(tmp_path)) == ["a.ddpm", "a.ppm"]


def test_a_link_is_followed_to_a_file_that_need_not_exist(installed: Installed, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "second.ddpm").symlink_to("folder/a.ddpm")
    (tmp_path / "first.ddpm").symlink_to(tmp_path / "second.ddpm")
    assert installed.encode("-", tmp_path / "first.ddpm", data=b"junk").code == 3
    assert os.listdir(tmp_path / "folder") == []
    assert installed.encode(picture, tmp_path / "first.ddpm", *WITH_TINY).code == 0
    assert (tmp_path / "first.ddpm").is_symlink()
    assert (tmp_path / "second.ddpm").is_symlink()
    assert (tmp_path / "folder" / "a.ddpm").is_file()


def test_a_command_that_is_killed_leaves_nothing(installed: Installed, tmp_path: Path) -> None:
    (source := tmp_path / "a.ppm").write_bytes(pnm(np.tile(photograph(200, 200), (4, 4, 1))))
    command = [installed.prefix / "bin" / "ddpm-encode", source, tmp_path / "a.ddpm", "--effort", "3"]
    with subprocess.Popen(command) as running:
        time.sleep(0.3)
        running.send_signal(signal.SIGTERM)
    assert running.returncode == -signal.SIGTERM
    assert os.listdir(tmp_path) == ["a.ppm"]


# --- errors


def test_embedded_models_are_found_or_named(installed: Installed, picture: Path, tmp_path: Path) -> None:
    folder = str(installed.prefix / "share" / "ddpm" / "models")
    data = installed.encode(picture, "-").stdout
    assert data
    assert installed.encode(picture, "-", "--models", folder, DDPM_MODELS=str(tmp_path)).stdout == data
    assert installed.encode(picture, "-", DDPM_MODELS=folder).stdout == data
    (tmp_path / "cifar10.safetensors").write_bytes(TINY.read_bytes())
    for options, word in [
        (["--models", tmp_path], "cifar10"),  # another model of this name
        (["--models", PHOTO.parent], "--models"),
        (["--model", tmp_path / "none"], "none"),
        (["--model", PHOTO], "photo.png"),
        (["--model", models.path(models.JPEG)], "JPEG"),
    ]:
        ended = installed.encode(picture, "-", *options)
        assert (ended.code, ended.stdout) == (4, b"")
        assert word in ended.stderr


GREY = np.zeros((3, 4), np.uint8)


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (b"", 3), (b"junk", 3), (b"P6", 3), (PHOTO.read_bytes(), 3), (b"GIF89a", 3),
        (b"P5\n4 3\n255", 3), (b"P5\n4 x\n255\n", 3), (b"P5\n4\n", 3), (b"P5\n0 3\n255\n", 3),
        (b"P5\n99999999999 3\n255\n", 3),
        (pnm(GREY)[:-1], 3), (pnm(GREY + 0, 65535)[:-1], 3), (b"P6\n2000000000 2000000000\n65535\n", 3),
        (pnm(GREY + 255, 511).replace(b"\0\xff", b"\2\0"), 3), (pam(GREY + 2, 1, "BLACKANDWHITE"), 3),
        (pam(GREY).replace(b"DEPTH 1", b"DEPTH 2"), 3), (pam(GREY).replace(b"MAXVAL", b"MAXIMUM"), 3),
        (pam(GREY).replace(b"ENDHDR", b"# none"), 3),
        (pnm(GREY, 1000), 1), (pnm(GREY, 127), 1), (pnm(GREY) + b"x", 1), (b"P2\n1 1\n255\n7\n", 1),
        (pam(GREY, 255, "CMYK"), 1), (pam(GREY, 3, "BLACKANDWHITE"), 1),
        (b"P5\n20000 20000\n255\n" + bytes(4 * 10**8), 1) if os.environ.get("DDPMCODEC_ALL_GOLDEN") else (b"P3 ", 1),
        (jpeg()[:-20], 3), ((JPEGS / "arithmetic.jpg").read_bytes(), 3), ((JPEGS / "twelve-bits.jpg").read_bytes(), 3),
    ],
)  # fmt: skip
def test_files_that_are_not_encoded(installed: Installed, file: bytes, code: int) -> None:
    ended = installed.encode("-", "-", *WITH_TINY[2:], data=file)
    assert (ended.code, ended.stdout) == (code, b"")
    assert ended.stderr.startswith("ddpm-encode: standard input: ")


def test_a_missing_input_and_folders_are_exit_code_1(installed: Installed, picture: Path, tmp_path: Path) -> None:
    for arguments in [
        (tmp_path / "none", "-"),
        (tmp_path, "-"),
        (picture, tmp_path),
        (picture, tmp_path / "none" / "a.ddpm"),
    ]:
        ended = installed.encode(*arguments, *WITH_TINY)
        assert (ended.code, ended.stdout) == (1, b"")


def test_exhausted_memory_is_exit_code_1(installed: Installed) -> None:
    limited = ["sh", "-c", 'ulimit -v 80000; exec "$@"', "sh", installed.prefix / "bin" / "ddpm-encode", "-", "-"]
    ended = subprocess.run(limited, input=pnm(np.zeros((4000, 4000), np.uint8)), capture_output=True)
    assert (ended.returncode, ended.stdout, b"memory" in ended.stderr) == (1, b"", True)


def test_wrong_usage_is_exit_code_2(installed: Installed, picture: Path) -> None:
    for arguments in [
        [], [picture], [picture, "a", "b"], [picture, "-", "--nothing"], [picture, "-", "--effort", "4"],
        [picture, "-", "--levels", "3"], [picture, "-", "--tile", "100"], [picture, "-", "--threads", "0"],
        [picture, "-", "--effort"], [picture, "-", "--no-verify=1"], [picture, "-", "--effort", "x"],
    ]:  # fmt: skip
        ended = installed.encode(*arguments)
        assert (ended.code, ended.stdout) == (2, b""), arguments
        assert "--help" in ended.stderr


def test_version_and_help(installed: Installed) -> None:
    assert installed.encode("--version").stdout.decode().split() == ["ddpm-encode", ddpmcodec.__version__]
    assert "--no-verify" in installed.encode("--help").stdout.decode()
