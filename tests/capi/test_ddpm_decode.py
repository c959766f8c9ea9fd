"""The command ddpm-decode: the same pixels and exit codes as the Python decoder."""

from __future__ import annotations

import json
import os
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load
from written_files import pack_header
from written_headers import Header, Index

import ddpmcodec
from ddpmcodec import codec, models
from ddpmcodec.formats import deep
from ddpmcodec.models.jpeg import pack
from installed import GOLDEN, TINY, Installed, golden_pixels, pixels_of

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
WITH_TINY = ("--model", TINY)
STREAMS = [
    (folder.name, stream)
    for folder in sorted(GOLDEN.glob("v*"))
    for stream in json.loads((folder / "manifest.json").read_text())["streams"]
]


def golden(name: str) -> Path:
    return GOLDEN / "v2" / f"{name}.ddpm"


@pytest.fixture(scope="module")
def photo() -> bytes:
    """A file of the embedded model `photo`."""
    with Image.open(PHOTO) as image:
        return codec.encode(image.convert("RGB").crop((0, 0, 80, 56)), effort=1)


@pytest.mark.parametrize(
    ("folder", "stream"), STREAMS, ids=[f"{folder}-{stream['file']}" for folder, stream in STREAMS]
)
def test_golden_files_decode_to_their_pixels(installed: Installed, folder: str, stream: dict[str, Any]) -> None:
    model = [] if stream["model"] else ["--model", GOLDEN / folder / "model.safetensors"]
    ended = installed.run(GOLDEN / folder / stream["file"], "-", *model)
    assert (ended.code, ended.stderr) == (0, "")
    assert np.array_equal(ended.pixels, golden_pixels(f"{folder}/{stream['picture']}"))


def test_samples_of_more_than_eight_bits_are_written_with_all_bits(installed: Installed, tmp_path: Path) -> None:
    file = GOLDEN / "v1" / "deep.ddpm"
    ended, exact = installed.run(file, "-"), codec.decode(file.read_bytes(), as_array=True)
    assert (ended.code, ended.stderr) == (0, "")
    assert np.array_equal(ended.pixels, exact)
    assert b"bits: 16\n" in installed.run("--info", file).stdout
    small = installed.run(file, "-", "--reduce", "4").pixels
    assert np.array_equal(small >> 4, codec.decode(file.read_bytes(), reduce=4, as_array=True))
    for channels, suffix in [(3, "ppm"), (3, "pam"), (1, "pgm"), (1, "ppm")]:
        values, out = exact[..., :channels] >> 4, tmp_path / f"{channels}.{suffix}"
        source = deep.file_of(deep.Samples(values, 9, 9, "none"), "PPM")
        data = codec.encode(BytesIO(source), effort=1)
        assert installed.run("-", out, data=data).code == 0
        expected = np.repeat(values, 3, -1) if (channels, suffix) == (1, "ppm") else values
        assert np.array_equal(pixels_of(out.read_bytes()), expected.squeeze())
        assert out.read_bytes() == source or out.suffix != {1: ".pgm", 3: ".ppm"}[channels]


@pytest.mark.parametrize("name", ["photo-2", "alpha-2", "tiles-3", "grey-1", "bilevel-2"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_prefixes_show_what_python_shows(installed: Installed, name: str, share: float) -> None:
    data = golden(name).read_bytes()
    count = int(share * len(data))
    expected = codec.decode(data, max_bytes=count, model=TINY, as_array=True)
    for ended in (
        installed.run(golden(name), "-", "--max-bytes", count, *WITH_TINY),
        installed.run("-", "-", "--partial", *WITH_TINY, data=data[:count]),
    ):
        assert ended.code == 0
        assert np.array_equal(ended.pixels, expected)
        assert " steps, " in ended.stderr


def test_parts_small_pictures_and_steps(installed: Installed) -> None:
    data = golden("tiles-2").read_bytes()
    for options, wanted in [
        (["--box", "3,5,20,9"], {"box": (3, 5, 23, 14)}),
        (["--reduce", "4"], {"reduce": 4}),
        (["--box=8,8,16,8", "--reduce=2"], {"box": (8, 8, 24, 16), "reduce": 2}),
        (["--step", "1"], {"step": 1}),
    ]:
        ended = installed.run(golden("tiles-2"), "-", *options, "--threads", 2, *WITH_TINY)
        assert ended.code == 0, ended.stderr
        assert np.array_equal(ended.pixels, codec.decode(data, model=TINY, as_array=True, **wanted))


def test_embedded_models_are_found_where_they_are_installed(installed: Installed, photo: bytes, tmp_path: Path) -> None:
    exact = codec.decode(photo, as_array=True)
    assert np.array_equal(installed.run("-", "-", data=photo).pixels, exact)
    missing = installed.run("-", "-", data=photo, DDPM_MODELS=str(tmp_path))
    assert missing.code == 4
    assert "'photo'" in missing.stderr
    installed_models = installed.prefix / "share" / "ddpm" / "models"
    assert np.array_equal(installed.run("-", "-", data=photo, DDPM_MODELS=str(installed_models)).pixels, exact)


def test_a_missing_or_different_model_is_exit_code_4(installed: Installed, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(TINY.read_bytes()[:-1])
    for ended, word in [
        (installed.run(golden("photo-2"), "-"), "--model"),
        (installed.run("-", "-", *WITH_TINY, data=photo), "photo"),
        (installed.run(golden("photo-2"), "-", "--model", tmp_path / "none"), "none"),
        (installed.run(golden("photo-2"), "-", "--model", tmp_path / "damaged"), "damaged"),
    ]:
        assert (ended.code, ended.stdout) == (4, b"")
        assert word in ended.stderr


def test_damage_is_exit_code_3(installed: Installed) -> None:
    data = golden("photo-2").read_bytes()
    flipped = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    for damaged in (b"", b"junk", data[:5], data[:-1], data + b"x", flipped):
        ended = installed.run("-", "-", *WITH_TINY, data=damaged)
        assert (ended.code, ended.stdout) == (3, b"")
        assert "standard input: " in ended.stderr
    shown = installed.run("-", "-", "--partial", *WITH_TINY, data=flipped)
    assert shown.code == 0
    assert "damaged" in shown.stderr


def test_wrong_usage_is_exit_code_2(installed: Installed, tmp_path: Path) -> None:
    file = golden("photo-2")
    for arguments in [
        [], [file], [file, "a", "b"], [file, "a.png"], [file, "-", "--nothing"], [file, "-", "--box", "1,2,3"],
        [file, "-", "--box", "1,2,0,3"], [file, "-", "--reduce", "3"], [file, "-", "--threads", "0"],
        [file, "-", "--step"],
        [file, "-", "--partial=1"], [file, "-", "--reduce", "2", "--step", "1"], [file, "-", "--max-bytes", "1k"],
    ]:  # fmt: skip
        ended = installed.run(*arguments)
        assert (ended.code, ended.stdout) == (2, b""), arguments
        assert "--help" in ended.stderr


def test_errors_of_files_and_limits_are_exit_code_1(installed: Installed, tmp_path: Path) -> None:
    for arguments in [
        [tmp_path / "none.ddpm", "-"],
        [tmp_path, "-"],
        [golden("photo-2"), "-", "--box", "30,0,20,20", *WITH_TINY],
        [golden("photo-2"), "-", "--max-pixels", 10],
        [golden("photo-2"), tmp_path / "no folder" / "a.ppm", *WITH_TINY],
        [golden("photo-2"), "-", "--original"],
    ]:
        ended = installed.run(*arguments)
        assert (ended.code, ended.stdout) == (1, b""), arguments
        assert ended.stderr


def test_an_output_is_written_whole_or_not_at_all(installed: Installed, tmp_path: Path) -> None:
    out = tmp_path / "a.ppm"
    assert installed.run(golden("photo-2"), out, *WITH_TINY).code == 0
    first = out.read_bytes()
    assert np.array_equal(pixels_of(first), golden_pixels("v2/photo.png"))
    refused = installed.run(golden("colourful-2"), out, *WITH_TINY)
    assert refused.code == 1
    assert "-f" in refused.stderr
    cut = installed.run("-", out, "-f", *WITH_TINY, data=golden("colourful-2").read_bytes()[:-3])
    assert cut.code == 3
    assert out.read_bytes() == first
    assert installed.run(golden("colourful-2"), out, "-f", *WITH_TINY).code == 0
    assert np.array_equal(pixels_of(out.read_bytes()), golden_pixels("v2/colourful.png"))
    assert os.listdir(tmp_path) == ["a.ppm"]


def test_a_link_is_followed_and_a_device_is_not_replaced(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "real.ppm").write_bytes(b"")
    (tmp_path / "link.ppm").symlink_to("real.ppm")
    assert installed.run(golden("photo-2"), tmp_path / "link.ppm", "-f", *WITH_TINY).code == 0
    assert (tmp_path / "link.ppm").is_symlink()
    assert np.array_equal(pixels_of((tmp_path / "real.ppm").read_bytes()), golden_pixels("v2/photo.png"))
    os.mkfifo(tmp_path / "pipe.ppm")
    with subprocess.Popen(["cat", tmp_path / "pipe.ppm"], stdout=subprocess.PIPE) as reader:
        assert installed.run(golden("photo-2"), tmp_path / "pipe.ppm", *WITH_TINY).code == 0
        assert np.array_equal(pixels_of(reader.communicate()[0]), golden_pixels("v2/photo.png"))


def test_the_input_is_never_overwritten(installed: Installed, tmp_path: Path) -> None:
    file = tmp_path / "a.ppm"
    file.write_bytes(golden("photo-2").read_bytes())
    ended = installed.run(file, file, "-f", *WITH_TINY)
    assert ended.code == 1
    assert "input" in ended.stderr
    assert file.read_bytes() == golden("photo-2").read_bytes()


@pytest.mark.parametrize(
    ("name", "suffix", "magic"),
    [
        ("grey-2", "ppm", b"P6"), ("grey-2", "pgm", b"P5"), ("grey-2", "pam", b"P7"), ("photo-2", "pam", b"P7"),
        ("alpha-2", "pam", b"P7"),
    ],
)  # fmt: skip
def test_formats(installed: Installed, tmp_path: Path, name: str, suffix: str, magic: bytes) -> None:
    out = tmp_path / f"a.{suffix}"
    assert installed.run(golden(name), out, *WITH_TINY).code == 0
    pixels = pixels_of(out.read_bytes())
    expected = golden_pixels(f"v2/{name[:-2]}.png")
    assert out.read_bytes().startswith(magic)
    assert np.array_equal(pixels, np.stack(3 * [expected], -1) if (name, suffix) == ("grey-2", "ppm") else expected)


@pytest.mark.parametrize(("name", "out"), [("photo-2", "a.pgm"), ("alpha-2", "a.ppm"), ("grey-alpha-2", "a.pgm")])
def test_a_format_that_would_lose_something_is_refused(
    installed: Installed, tmp_path: Path, name: str, out: str
) -> None:
    ended = installed.run(golden(name), tmp_path / out, *WITH_TINY)
    assert ended.code == 1
    assert ".pam" in ended.stderr
    assert not os.listdir(tmp_path)


def test_jpeg_coefficients_by_the_installed_model_or_by_ones_own(installed: Installed, tmp_path: Path) -> None:
    coded = GOLDEN / "v1" / "jpeg-progressive.ddpm"
    jpeg = coded.with_suffix(".jpg").read_bytes()
    assert installed.run(coded, "-", "--original").stdout == jpeg
    assert "--original" in installed.run(coded, "-").stderr
    assert installed.run("-", "-", "--original", data=coded.read_bytes()[:-9]).code == 3
    (own := tmp_path / "own.safetensors").write_bytes(pack(load(models.read(models.JPEG)), "own"))
    data = codec.encode(BytesIO(jpeg), model=own)
    assert codec.info(data)["model_id"] in installed.run("--info", "-", data=data).stdout.decode()
    assert installed.run("-", "-", "--original", "--model", own, data=data).stdout == jpeg
    for model in ([], ["--model", models.path(models.JPEG)], WITH_TINY):
        ended = installed.run("-", "-", "--original", *model, data=data)
        assert (ended.code, ended.stdout) == (4, b"")


def test_a_file_that_is_kept_whole(installed: Installed, tmp_path: Path) -> None:
    """Its preview is decoded, and a sentence names the option that writes the file."""
    stream = BytesIO()
    with Image.open(PHOTO) as photo:
        photo.convert("CMYK").save(stream, "TIFF")
    data = codec.encode(BytesIO(stream.getvalue()), effort=1)
    assert installed.run("-", "-", "--original", data=data).stdout == stream.getvalue()
    shown = installed.run("-", "-", data=data)
    assert (shown.code, "--original" in shown.stderr) == (0, True)
    assert np.array_equal(shown.pixels, codec.decode(data, step=9, as_array=True))
    damaged = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    assert installed.run("-", "-", "--original", data=damaged).code == 3
    assert installed.run("-", "-", "--original", data=data[:-9]).code != 0


def test_info_version_and_help(installed: Installed, photo: bytes) -> None:
    told = installed.run("--info", golden("tiles-2"))
    facts = dict(line.split(": ", 1) for line in told.stdout.decode().splitlines())
    header = codec.info(golden("tiles-2").read_bytes())
    assert facts["size"] == f"{header['width']} x {header['height']}"
    assert facts["model"] == header["model_id"][:8]
    assert "model: photo" in installed.run("--info", "-", data=photo[:40]).stdout.decode()
    assert "a JPEG file" in installed.run("--info", GOLDEN / "v1" / "jpeg-grey.ddpm").stdout.decode()
    assert installed.run("--info", "-", data=b"junk").code == 3
    assert installed.run("--version").stdout.decode().split() == ["ddpm-decode", ddpmcodec.__version__]
    assert "--partial" in installed.run("--help").stdout.decode()


def test_a_full_disk_and_exhausted_memory_are_exit_code_1(installed: Installed) -> None:
    command = [installed.prefix / "bin" / "ddpm-decode", golden("photo-2"), "-", *WITH_TINY]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1
    assert "written" in ended.stderr
    chunks = 10 * 10 * 8  # tiles, and segments of each
    claim = pack_header(Header("RGB", 12000, 12000, 1, 0, 1, index=Index(1200, 1200, (9,) * chunks, (0,) * chunks)))
    assert "12000 x 12000" in installed.run("--info", "-", data=claim).stdout.decode()
    limited = ["sh", "-c", 'ulimit -v 200000; exec "$@"', "sh", command[0], "-", "-", "--partial"]
    little = subprocess.run(limited, input=claim, capture_output=True)
    assert little.returncode == 1
    assert b"memory" in little.stderr
