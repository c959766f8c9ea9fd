"""ddpmcodec decode: exact images, previews of prefixes, and no image from damaged data."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import termios
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from ddpmcodec import codec
from ddpmcodec.codec.decoder import decode_details


@pytest.fixture
def decode(ddpm: Any) -> Any:
    return partial(ddpm, "decode")


def read(source: Path | bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(source if isinstance(source, bytes) else source.read_bytes())))


def test_the_output_stands_next_to_the_input(decode: Any, file: Path, pixels: np.ndarray) -> None:
    ended = decode(file)
    assert (ended.code, ended.stdout, ended.stderr) == (0, b"", "")
    assert np.array_equal(read(file.with_suffix(".png")), pixels)


def test_pipes(decode: Any, file: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    assert np.array_equal(read(decode("-", stdin=file.read_bytes()).stdout), pixels)
    assert np.array_equal(read(decode(file, "-o", "-").stdout), pixels)
    assert decode("-", "-o", tmp_path / "x.png", stdin=file.read_bytes()).stdout == b""
    assert np.array_equal(read(tmp_path / "x.png"), pixels)


@pytest.mark.parametrize("extension", ["png", "webp", "tiff", "bmp", "ppm"])
def test_the_extension_picks_the_format(decode: Any, file: Path, pixels: np.ndarray, extension: str) -> None:
    out = file.with_name(f"out.{extension}")
    assert decode(file, "-o", out).code == 0
    with Image.open(out) as found:
        assert found.format == Image.registered_extensions()[f".{extension}"]
        assert np.array_equal(found, pixels)


@pytest.mark.parametrize("extension", ["jpg", "pdf"])
def test_a_format_that_loses_pixels_is_reported(decode: Any, file: Path, extension: str) -> None:
    out = file.with_name(f"out.{extension}")
    name = Image.registered_extensions()[f".{extension}"]
    assert f"{out}: {name} does not keep every pixel" in decode(file, "-o", out).stderr
    assert decode(file, "-fo", out, "-q").stderr == ""
    assert decode(file, "-o", file.with_name("out.webp")).stderr == ""


def test_an_unknown_extension_is_refused_before_decoding(decode: Any, file: Path) -> None:
    ended = decode(file, "-o", file.with_name("out.xyz"))
    assert ended.code == 1
    assert "extension .xyz" in ended.stderr


def test_several_files_go_into_a_folder_but_those_that_are_none(
    decode: Any, file: Path, coded: bytes, pixels: np.ndarray
) -> None:
    other, image, out = file.with_name("other.ddpm"), file.with_name("image.ddpm"), file.with_name("out")
    other.write_bytes(coded)
    Image.new("RGB", (4, 4)).save(image, "PNG")
    out.mkdir()
    assert decode(file, image, other, "-o", out).code == 3
    for name in ("file.png", "other.png"):
        assert np.array_equal(read(out / name), pixels)


def test_an_output_that_exists_is_refused_unless_forced_and_the_input_always(
    decode: Any, file: Path, coded: bytes, pixels: np.ndarray
) -> None:
    out = file.with_suffix(".png")
    out.write_bytes(b"old")
    ended = decode(file)
    assert (ended.code, "exists already: use -f" in ended.stderr, out.read_bytes()) == (1, True, b"old")
    assert decode(file, "-f").code == 0
    assert np.array_equal(read(out), pixels)
    ended = decode(file, "-fo", file)
    assert (ended.code, "is the input itself" in ended.stderr, file.read_bytes()) == (1, True, coded)


def test_no_binary_data_on_a_terminal(on_terminal: Any, file: Path) -> None:
    ended = on_terminal("decode", file, "-o", "-")
    assert ended.code == 1
    assert f"{file}: no binary data to a terminal" in ended.stderr


def test_progress_is_shown_to_a_person_who_watches(file: Path) -> None:
    master, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    command = [sys.executable, "-m", "ddpmcodec", "decode", file.name, "-o", "-"]
    ended = subprocess.run(command, cwd=file.parent, stdout=subprocess.PIPE, stderr=terminal, check=True)
    shown = os.read(master, 10_000).decode()
    os.close(terminal)
    os.close(master)
    assert f"{file.name}:   0%|" in shown
    assert read(ended.stdout).shape == (20, 24, 3)


# --- previews


def test_growing_prefixes_give_better_previews(decode: Any, file: Path, coded: bytes, pixels: np.ndarray) -> None:
    errors = []
    for size in np.linspace(codec.info(coded)["header_bytes"], len(coded), 6).astype(int):
        ended = decode("-", "--partial", "-o", "-", stdin=coded[:size])
        assert ended.code == 0
        errors.append(np.abs(read(ended.stdout).astype(int) - pixels).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_what_follows_the_end_is_left_out_of_previews(ddpm: Any, tmp_path: Path, coded: bytes) -> None:
    tail = tmp_path / "tail.ddpm"
    tail.write_bytes(coded + b"\n")
    refused = ddpm("decode", tail)
    assert (refused.code, "1 byte follows" in refused.stderr) == (3, True)
    assert f"`head -c {len(coded)}`" in refused.stderr
    assert "--partial" in refused.stderr
    shown = ddpm("decode", tail, "--partial")
    assert (shown.code, shown.stderr.splitlines()[1]) == (
        0,
        f"ddpmcodec: {tail}: left out 1 byte behind the end",
    )
    assert "complete  yes, and 1 byte behind" in ddpm("info", tail).stdout.decode()
    assert ddpm("thumbnail", tail, "-o", tmp_path / "small.png").code == 0
    tail.with_suffix(".png").rename(tmp_path / "photo.png")
    again = ddpm("encode", tmp_path / "photo.png", "-o", tail, "--skip-existing")
    assert (again.code, "is not a whole file" in again.stderr) == (1, True)


def test_a_preview_says_how_much_was_there(decode: Any, file: Path, coded: bytes) -> None:
    size = len(codec.truncate(coded, step=1)) + 8  # and a little of the last step
    ended = decode("-", "--partial", stdin=coded[:size])
    used = decode_details(coded[:size], partial=True).bytes_used
    assert size - 8 < used <= size
    seen = f"1 of 2 steps, {used} bytes, {used / 60:.3f} bpp, noise level 9.24"
    assert ended.stderr == f"ddpmcodec: standard input: {seen}: a preview\n"
    nothing = decode("-", "--partial", stdin=coded[:20])
    used = decode_details(coded[:20], partial=True).bytes_used
    assert nothing.stderr == f"ddpmcodec: standard input: 0 of 2 steps, {used} bytes, {used / 60:.3f} bpp: a preview\n"
    whole = decode("-", "--partial", stdin=coded)
    done = f"2 of 2 steps, {len(coded)} bytes, {len(coded) / 60:.3f} bpp"
    assert whole.stderr == f"ddpmcodec: standard input: {done}: complete and exact\n"
    assert decode("-", "--partial", "-q", stdin=coded).stderr == ""


def test_verbose_prints_what_the_steps_cost(decode: Any, file: Path, step_names: list[str]) -> None:
    lines = decode(file, "-v").stderr.splitlines()
    assert lines[0].startswith(f"ddpmcodec: {file} -> {file.with_suffix('.png')}: ")
    assert lines[1].startswith("ddpmcodec:   effort 2, 1 noise level, ")
    assert [line.split(":")[1] for line in lines[2:]] == step_names
    assert sum(float(line.split(": ")[2].split(" bits")[0]) for line in lines[2:]) == pytest.approx(
        8 * codec.info(file.read_bytes())["pixel_bytes"], abs=80
    )


def test_a_damaged_file_is_not_called_a_preview(decode: Any, pixels: np.ndarray) -> None:
    coded = codec.encode(pixels)
    ended = decode("-", "--partial", stdin=coded[:-1] + bytes([coded[-1] ^ 1]))
    assert "not the image that was encoded" in ended.stderr


def test_a_preview_says_where_all_pixels_are_exact_but_metadata_or_alpha_damaged(
    ddpm: Any, tmp_path: Path, pixels: np.ndarray
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "nobody"
    translucent = np.dstack([pixels, pixels[..., 0]])
    for picture, what, place in ((pixels, "metadata", -3), (translucent, "alpha", 30)):
        image = Image.fromarray(picture)
        if what == "metadata":
            image.info["exif"] = exif.tobytes()
        data = bytearray(codec.encode(image))
        data[place] ^= 1
        (tmp_path / "a.ddpm").write_bytes(data)
        ended = ddpm("decode", tmp_path / "a.ddpm", "--partial", "-o", tmp_path / "a.png", "-f")
        assert (ended.code, f"exact but {what}" in ended.stderr) == (0, True), ended.stderr
        assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png").convert("RGB")), pixels)
        listed = ddpm("decode", tmp_path / "a.ddpm", "--partial", "-o", tmp_path / "a.png", "-f", "--json").stdout
        assert json.loads(listed.splitlines()[0])["left_out"] == [what]


def test_a_bilevel_image_is_not_kept_by_jpeg(decode: Any, tmp_path: Path, pixels: np.ndarray) -> None:
    (tmp_path / "a.ddpm").write_bytes(codec.encode(Image.fromarray(pixels).convert("1")))
    ended = decode(tmp_path / "a.ddpm", "-o", tmp_path / "a.jpg")
    assert "JPEG does not keep every pixel" in ended.stderr


def test_max_bytes_and_step_are_previews(decode: Any, file: Path, coded: bytes) -> None:
    by_bytes = read(decode(file, "--max-bytes", 100, "-o", "-").stdout)
    assert np.array_equal(by_bytes, codec.decode(coded, max_bytes=100))
    by_step = read(decode(file, "--step", 3, "-o", "-").stdout)
    assert np.array_equal(by_step, codec.decode(coded, step=3))


# --- bad input


@pytest.mark.parametrize("options", [[], ["--partial"]])
@pytest.mark.parametrize(("data", "message"), [(b"", "header"), (b"\x89PNG\r\n\x1a\n", "not a ddpmcodec file")])
def test_foreign_and_empty_files_are_3(
    decode: Any, tmp_path: Path, names: Any, data: bytes, message: str, options: list[str]
) -> None:
    (tmp_path / "x.ddpm").write_bytes(data)
    ended = decode(tmp_path / "x.ddpm", *options)
    assert ended.code == 3
    assert ended.stderr.startswith(f"ddpmcodec: {tmp_path / 'x.ddpm'}: ")
    assert message in ended.stderr
    assert names(tmp_path) == ["x.ddpm"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "junk"])
def test_damaged_files_are_3_and_write_nothing(
    decode: Any, tmp_path: Path, names: Any, coded: bytes, damage: str
) -> None:
    damaged = {
        "cut": coded[:-1],
        "flipped": coded[:80] + bytes([coded[80] ^ 16]) + coded[81:],
        "junk": coded + b"junk",
    }
    (tmp_path / "x.ddpm").write_bytes(damaged[damage])
    ended = decode(tmp_path / "x.ddpm")
    assert (ended.code, ended.stdout) == (3, b"")
    assert ended.stderr.startswith(f"ddpmcodec: {tmp_path / 'x.ddpm'}: ")
    assert ended.stderr.count("\n") == 1
    assert names(tmp_path) == ["x.ddpm"]
    assert (tmp_path / "x.ddpm").read_bytes() == damaged[damage]


def test_a_model_that_is_not_embedded_is_4_naming_its_id(
    decode: Any, foreign: Path, names: Any, other_model: Path, pixels: np.ndarray
) -> None:
    ended = decode(foreign)
    assert ended.code == 4
    assert codec.info(foreign.read_bytes())["model_id"] in ended.stderr
    assert "--model" in ended.stderr
    assert names(foreign.parent) == ["foreign.ddpm"]
    assert decode(foreign, "--model", other_model).code == 0
    assert np.array_equal(read(foreign.with_suffix(".png")), pixels)


def test_another_model_is_4_naming_both(decode: Any, file: Path, foreign: Path, other_model: Path) -> None:
    ended = decode(foreign, "--model", "photo")
    assert ended.code == 4
    assert codec.info(foreign.read_bytes())["model_id"] in ended.stderr
    assert "'photo'" in ended.stderr
    assert decode(file, "--model", other_model, "-o", "-").code == 0  # which names an embedded one


def test_a_format_that_cannot_hold_the_image_is_1(decode: Any, tmp_path: Path) -> None:
    data = codec.encode(np.zeros((4, 4, 4), np.uint8))
    (tmp_path / "x.ddpm").write_bytes(data)
    ended = decode(tmp_path / "x.ddpm", "-o", tmp_path / "x.jpg")
    assert ended.code == 1
    assert f"{tmp_path / 'x.ddpm'}: JPEG cannot hold this image" in ended.stderr


def test_a_disk_that_fills_up_is_1_and_keeps_the_old_file(decode: Any, tmp_path: Path, names: Any) -> None:
    """The limit on file sizes fails a write in the same way as a full disk does: after a part of the data."""
    noise = np.random.Generator(np.random.Philox(5)).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    (tmp_path / "x.ddpm").write_bytes(codec.encode(noise))
    (tmp_path / "x.png").write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        ended = decode(tmp_path / "x.ddpm", "-f")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ended.code == 1
    assert f"{tmp_path / 'x.png'}: cannot be written (File too large)" in ended.stderr
    assert (tmp_path / "x.png").read_bytes() == b"old"
    assert names(tmp_path) == ["x.ddpm", "x.png"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_full_disk_behind_standard_output_is_1(file: Path) -> None:
    command = [sys.executable, "-m", "ddpmcodec", "decode", file, "-o", "-"]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert "standard output: cannot be written (No space left on device)" in ended.stderr


def test_what_a_format_does_not_keep_of_metadata_is_said(ddpm: Any, photo: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "nobody"
    with Image.open(photo) as image:
        image.save(photo, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), exif=exif)
    assert ddpm("encode", photo).code == 0
    ended = ddpm("decode", photo.with_suffix(".ddpm"), "-o", photo.with_suffix(".bmp"))
    assert ended.code == 0
    assert f"{photo.with_suffix('.bmp')}: BMP does not keep ICC profile, EXIF" in ended.stderr
    for suffix in (".png", ".webp", ".tif"):
        assert ddpm("decode", photo.with_suffix(".ddpm"), "-f", "-o", photo.with_suffix(suffix)).stderr == ""
