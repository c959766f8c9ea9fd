"""ddpmcodec encode: files, pipes, refusals, and nothing written unless it is verified."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from samples import picture, png_head, png_of, stored

from ddpmcodec import codec
from ddpmcodec._native import LEVELS
from ddpmcodec.codec import encoder
from ddpmcodec.errors import ChecksumError
from ddpmcodec.models.context import EFFORTS


@pytest.fixture
def encode(ddpm: Any) -> Any:
    return partial(ddpm, "encode")


def test_the_output_stands_next_to_the_input(encode: Any, photo: Path, coded: bytes) -> None:
    ended = encode(photo)
    out = photo.with_suffix(".ddpm")
    assert (ended.code, ended.stdout) == (0, b"")
    assert out.read_bytes() == coded
    rates = f"{8 * len(coded) / 480:.3f} bpp, ratio {photo.stat().st_size / len(coded):.3f}"
    assert ended.stderr == f"ddpmcodec: {photo} -> {out}: {len(coded)} bytes, {rates}\n"


def test_the_output_can_be_named_or_put_in_a_folder(encode: Any, photo: Path, coded: bytes) -> None:
    folder = photo.parent / "folder"
    folder.mkdir()
    assert encode(photo, "-o", photo.parent / "a.b").code == 0
    quiet = encode(photo, "-o", folder, "-q")
    assert (quiet.code, quiet.stderr) == (0, "")
    assert (photo.parent / "a.b").read_bytes() == (folder / "photo.ddpm").read_bytes() == coded


def test_an_output_that_is_named_as_an_image_is_refused(encode: Any, photo: Path) -> None:
    out = photo.parent / "small.JPG"
    ended = encode(photo, "-o", out)
    assert (ended.code, ended.stdout) == (2, b"")
    assert f"{out}: " in ended.stderr
    assert str(out.with_suffix(".ddpm")) in ended.stderr
    assert not out.exists()


def test_pipes(encode: Any, photo: Path, coded: bytes, tmp_path: Path) -> None:
    assert encode("-", stdin=photo.read_bytes()).stdout == coded
    assert encode(photo, "-o", "-").stdout == coded
    assert encode("-", "-o", tmp_path / "x.ddpm", stdin=photo.read_bytes()).stdout == b""
    assert (tmp_path / "x.ddpm").read_bytes() == coded


def test_verbose_prints_what_the_steps_cost(encode: Any, photo: Path, coded: bytes, step_names: list[str]) -> None:
    lines = encode(photo, "-v").stderr.splitlines()
    assert lines[1].startswith("ddpmcodec:   24 x 20 RGB, ")
    assert lines[2].startswith("ddpmcodec:   effort 2, 1 noise level, ")
    assert lines[2].endswith(" thousand multiply-accumulates a pixel")
    assert [line.split(":")[1] for line in lines[3:]] == step_names
    bits = sum(float(line.split(": ")[2].split(" bits")[0]) for line in lines[3:])
    assert bits == pytest.approx(8 * codec.info(coded)["pixel_bytes"], abs=80)


def test_verbose_says_where_graphics_have_no_levels_unless_asked(encode: Any, photo: Path) -> None:
    y, x = np.mgrid[:96, :96]
    Image.fromarray((9 * np.hypot(y - 38, x - 29) % 256).astype(np.uint8)).save(photo)
    lines = encode(photo, "-v", "-e", 1).stderr.splitlines()
    assert lines[2].startswith("ddpmcodec:   effort 1, no noise levels, ")
    assert len(lines) == 4, "one step has a cost"
    assert "2 noise levels" in encode(photo, "-v", "-e", 1, "--levels", 2, "-f").stderr


@pytest.mark.parametrize("levels", LEVELS)
def test_efforts_and_levels_are_those_of_the_codec(encode: Any, photo: Path, pixels: np.ndarray, levels: int) -> None:
    for effort, option in zip(EFFORTS, ("-e", "--effort", "-e"), strict=True):
        assert encode(photo, "-f", option, effort, "--levels", levels).code == 0
        file = photo.with_suffix(".ddpm").read_bytes()
        assert file == codec.encode(pixels, effort=effort, levels=levels)
        assert (codec.info(file)["effort"], codec.info(file)["levels"]) == (effort, levels)


@pytest.mark.parametrize("given", ["3", "6", "-1", "two", ""])
def test_levels_that_there_are_not_are_wrong_usage(encode: Any, photo: Path, given: str) -> None:
    ended = encode(photo, "--levels", given)
    assert (ended.code, f"{given!r} is not one of" in ended.stderr) == (2, True)


def test_an_output_that_exists_is_refused_unless_forced(encode: Any, photo: Path, coded: bytes) -> None:
    out = photo.with_suffix(".ddpm")
    out.write_bytes(b"old")
    ended = encode(photo)
    assert ended.code == 1
    assert f"{out}: exists already" in ended.stderr
    assert out.read_bytes() == b"old"
    assert encode(photo, "-f").code == 0
    assert out.read_bytes() == coded


@pytest.mark.parametrize("force", [False, True])
def test_an_output_that_appears_meanwhile_is_kept_unless_forced(
    encode: Any, photo: Path, coded: bytes, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    out, original = photo.with_suffix(".ddpm"), encoder.encode_with

    def slow(*arguments: Any) -> list[bytes]:
        """While it works, another program writes the output."""
        out.write_bytes(b"theirs")
        return original(*arguments)

    monkeypatch.setattr(encoder, "encode_with", slow)
    ended = encode(photo, *(["-f"] if force else []))
    assert (ended.code, out.read_bytes()) == ((0, coded) if force else (1, b"theirs"))
    assert (f"{out}: exists already" in ended.stderr) == (not force)


@pytest.mark.parametrize("options", [[], ["-f"], ["--skip-existing"]], ids=str)
def test_a_file_of_ours_is_said_to_be_one(alone: Any, photo: Path, options: list[str]) -> None:
    assert alone("encode", photo).code == 0
    file = photo.with_suffix(".ddpm")
    ended, before = alone("encode", file, *options), file.read_bytes()
    assert (ended.code, ".ddpm file already" in ended.stderr, file.read_bytes()) == (1, True, before)


def test_the_input_is_never_overwritten(encode: Any, photo: Path) -> None:
    before = photo.read_bytes()
    for option in ("-o", "-fo"):
        ended = encode(photo, option, photo)
        assert ended.code == 1
        assert "is the input itself" in ended.stderr
    assert photo.read_bytes() == before


def test_two_inputs_do_not_share_an_output(encode: Any, photo: Path) -> None:
    twin = photo.with_suffix(".bmp")
    Image.open(BytesIO(photo.read_bytes())).save(twin)
    ended = encode(photo, twin, "-f")
    assert ended.code == 1
    assert f"{photo} and {twin} would both become {photo.with_suffix('.ddpm')}" in ended.stderr
    assert "--keep-suffix" in ended.stderr
    assert not photo.with_suffix(".ddpm").exists(), "neither of both"
    assert encode(photo, twin, "--keep-suffix").code == 0
    assert photo.with_name(f"{photo.name}.ddpm").is_file()
    assert twin.with_name(f"{twin.name}.ddpm").is_file()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.png", b"", "empty"),
        ("x.txt", b"text", "not an image"),
        ("x.png", b"\xdd\n", ".ddpm file already"),
    ],
)
def test_what_is_not_an_image_is_1_and_writes_nothing(
    encode: Any, tmp_path: Path, names: Any, name: str, data: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(data)
    ended = encode(tmp_path / name)
    assert ended.code == 1
    assert ended.stderr.startswith(f"ddpmcodec: {tmp_path / name}: ")
    assert message in ended.stderr
    assert names(tmp_path) == [name]


def test_an_image_that_cannot_be_coded_is_named_on_standard_input_too(encode: Any) -> None:
    stream = BytesIO()
    Image.new("CMYK", (4, 4)).save(stream, "TIFF")
    ended = encode("-", "--strict", stdin=stream.getvalue())
    assert (ended.code, ended.stdout) == (1, b"")
    assert ended.stderr.startswith("ddpmcodec: standard input: colour mode CMYK")


def test_a_result_that_does_not_decode_is_3_and_writes_nothing(
    encode: Any, photo: Path, names: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = encoder.encode_with

    def verified(pictures: Any, options: Any) -> list[bytes]:
        if options.verify:
            raise ChecksumError("an encoded image does not decode")
        return original(pictures, options)

    monkeypatch.setattr(encoder, "encode_with", verified)
    ended = encode(photo)
    assert ended.code == 3
    assert f"ddpmcodec: {photo}: an encoded image does not decode" in ended.stderr
    assert names(photo.parent) == ["photo.png"]
    assert encode(photo, "--no-verify").code == 0


def test_metadata_is_kept_unless_stripped(encode: Any, photo: Path, coded: bytes) -> None:
    Image.open(BytesIO(photo.read_bytes())).save(photo, icc_profile=b"profile")
    assert encode(photo).code == encode(photo, "--strip", "-o", photo.parent / "bare.ddpm").code == 0
    kept = codec.decode(photo.with_suffix(".ddpm").read_bytes())
    assert kept.info == {"icc_profile": b"profile"}
    assert (photo.parent / "bare.ddpm").read_bytes() == coded


@pytest.mark.parametrize("model", ["missing.safetensors", "photo.png"])
def test_what_is_not_a_model_is_4(ddpm: Any, photo: Path, names: Any, model: str) -> None:
    ended = ddpm("encode", photo, "--model", photo.parent / model)
    assert ended.code == 4
    assert str(photo.parent / model) in ended.stderr
    assert names(photo.parent) == ["photo.png"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_full_disk_is_1(encode: Any, photo: Path) -> None:
    ended = encode(photo, "-o", "/dev/full")
    assert ended.code == 1
    assert "/dev/full: cannot be written (No space left on device)" in ended.stderr


def test_another_process_with_one_thread_writes_the_same_bytes(photo: Path, coded: bytes) -> None:
    command = [sys.executable, "-m", "ddpmcodec", "encode", photo, "-o", "-"]
    ended = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=True)
    assert ended.stdout == coded


def test_an_output_folder_is_made_where_it_is_missing(photo: Path, tmp_path: Path, ddpm: Any) -> None:
    assert ddpm("encode", photo, "-o", f"{tmp_path}/new/").code == 0
    other = photo.with_name("other.png")
    other.write_bytes(photo.read_bytes())
    assert ddpm("encode", photo, other, "-o", tmp_path / "several").code == 0
    assert (tmp_path / "new" / photo.with_suffix(".ddpm").name).is_file()
    assert sorted(path.name for path in (tmp_path / "several").iterdir()) == sorted(
        [photo.with_suffix(".ddpm").name, "other.ddpm"]
    )


def test_images_are_removed_once_their_files_are_written(photo: Path, ddpm: Any) -> None:
    content = photo.read_bytes()
    assert ddpm("encode", photo, "--rm").code == 0
    assert not photo.exists()
    photo.write_bytes(content)
    assert ddpm("encode", photo, "--rm").code == 1, "the output exists"
    assert ddpm("encode", photo, "--rm", "--no-verify", "-f").code == 2
    assert ddpm("encode", photo, "--rm", "-o", "-").code == 2
    assert photo.exists()


def test_nothing_is_removed_where_the_file_goes_nowhere(photo: Path, ddpm: Any) -> None:
    ended = ddpm("encode", photo, "--rm", "-o", os.devnull)
    assert (ended.code, photo.exists()) == (1, True)
    assert f"{os.devnull}: is no file, and --rm" in ended.stderr


def test_a_file_named_like_standard_input_is_not_removed_for_it(
    photo: Path, ddpm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo.parent)
    photo.rename("-")
    ended = ddpm("encode", "-", "--rm", "-o", "out.ddpm", stdin=Path("-").read_bytes())
    assert (ended.code, Path("-").exists(), Path("out.ddpm").exists()) == (2, True, False)


def test_no_file_is_removed_that_holds_further_pictures(ddpm: Any, tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (9, 8), colour) for colour in ("red", "blue"))
    several = tmp_path / "several.jpg"
    first.save(several, "MPO", save_all=True, append_images=[second])
    refused = ddpm("encode", several, "--rm", "--pixels")
    assert (refused.code, several.exists()) == (1, True)
    assert "several.jpg: other pictures in the file" in refused.stderr
    assert ddpm("encode", several).code == 0


def test_bytes_after_the_end_of_an_image_are_named_and_the_image_is_not_removed(ddpm: Any, tmp_path: Path) -> None:
    photo = tmp_path / "photo.qoi"
    photo.write_bytes(stored(picture("RGB"), "QOI") + b"notes")
    assert "photo.qoi: 5 bytes after" in ddpm("encode", photo, "-e", 1).stderr
    refused = ddpm("encode", photo, "-f", "--rm", "--strict")
    assert (refused.code, photo.exists()) == (1, True)
    assert "photo.qoi: 5 bytes after" in refused.stderr
    assert "--rm" in refused.stderr
    archived = ddpm("archive", "create", photo.with_name("a.ddpma"), photo)
    assert "photo.qoi: 5 bytes after" in archived.stderr


ROW = b"\0" + b"abc" * 10
ROWS_MISSING = png_of(png_head(10, 12, 8, 2), (b"IDAT", zlib.compress(5 * ROW)))
NOT_REMOVED = {
    "two.bmp": 2 * stored(picture("RGB"), "BMP"),
    "three.gif": 3 * stored(picture("L"), "GIF"),
    "appended.webp": stored(picture("RGB"), "WEBP") + bytes(5211),
    "appended.qoi": stored(picture("RGB"), "QOI") + b"notes",
    "rows.png": ROWS_MISSING,
    "cut.gif": stored(picture("L"), "GIF")[:-1],
}


@pytest.mark.parametrize("name", NOT_REMOVED)
def test_an_image_that_is_damaged_or_not_kept_as_a_whole_is_not_removed(ddpm: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(NOT_REMOVED[name])
    refused = ddpm("encode", tmp_path / name, "--rm", "--effort", 1, "--strict")
    assert (refused.code, [path.name for path in tmp_path.iterdir()]) == (1, [name])
    assert f"{name}: " in refused.stderr


def test_a_png_whose_checksums_are_wrong_is_neither_coded_nor_removed(ddpm: Any, photo: Path) -> None:
    """Pillow reads its pixels all the same."""
    content = bytearray(photo.read_bytes())
    content[content.index(b"IDAT") - 4 + 8 + 300] ^= 1
    photo.write_bytes(content)
    refused = ddpm("encode", photo, "--rm", "--strict")
    assert (refused.code, photo.exists(), photo.with_suffix(".ddpm").exists()) == (1, True, False)
    assert "photo.png: " in refused.stderr


def test_a_format_that_is_not_known_to_arrive_whole_needs_a_word(ddpm: Any, photo: Path) -> None:
    other = photo.with_suffix(".avif")
    Image.open(photo).convert("RGB").save(other, quality=90)
    ended = ddpm("encode", other, "--effort", 1, "--strict")
    assert ended.code == 1
    assert f"{other}: what Pillow reads of AVIF files" in ended.stderr
    assert "--any-format" in ended.stderr
    assert ddpm("encode", other, "--effort", 1, "--any-format").code == 0


def test_a_lossy_webp_grows_which_is_said_once_and_it_is_not_removed(encode: Any, photo: Path) -> None:
    with Image.open(photo) as image:
        image.resize((240, 200)).save(photo.with_name("a.webp"), quality=5)
        image.resize((240, 200)).save(photo.with_name("b.webp"), quality=5)
    ended = encode(photo.with_name("a.webp"), photo.with_name("b.webp"), "-e", 1, "--rm", "--pixels")
    assert ended.code == 0
    assert ended.stderr.count("a lossy WebP grows") == 1
    assert ended.stderr.count(" is kept, as ") == 2
    assert photo.with_name("a.webp").exists()
    assert "kept whole, WebP: a lossy WebP" in encode(photo.with_name("a.webp"), "-e", 1, "-f").stderr
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(photo.with_name("lossless.webp"), lossless=True)
    assert "a lossy WebP" not in encode(photo.with_name("lossless.webp"), "-e", 1).stderr


def test_warnings_of_pillow_are_not_printed(photo: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "hello" * 20
    with Image.open(photo) as image:
        image.convert("RGB").save(photo.with_suffix(".jpg"), exif=exif.tobytes()[:40])
    command = [sys.executable, "-m", "ddpmcodec", "encode", photo.with_suffix(".jpg"), "--pixels", "-q"]
    ended = subprocess.run(command, capture_output=True, check=True)
    assert ended.stderr == b""


def test_stripped_pictures_stay_upright(encode: Any, photo: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Artist] = 6, "nobody"
    with Image.open(photo) as image:
        image.save(photo, exif=exif)
    assert encode(photo, "--strip").code == 0
    facts = codec.info(photo.with_suffix(".ddpm"))
    assert (facts["orientation"], facts["metadata"].keys()) == (6, {"exif"})
    assert {*codec.decode(photo.with_suffix(".ddpm")).getexif()} == {ExifTags.Base.Orientation}
