"""JPEG files through the command line: coded, given back, and what a run over a folder saved of each kind."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from written_files import assemble
from written_headers import Header, Index

from ddpmcodec import codec
from ddpmcodec._native import parse_header

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"


def test_a_jpeg_is_coded_and_given_back(ddpm: Any, jpeg: Path) -> None:
    ended, file = ddpm("encode", jpeg), jpeg.with_suffix(".ddpm")
    assert (ended.code, "grows" in ended.stderr) == (0, False)
    assert file.stat().st_size < jpeg.stat().st_size
    assert ddpm("decode", file, "--original", "-o", jpeg.with_name("back.jpg")).code == 0
    assert jpeg.with_name("back.jpg").read_bytes() == jpeg.read_bytes()
    assert ddpm("decode", file, "--original", "-o", "-").stdout == jpeg.read_bytes()
    assert ddpm("decode", file).code == 0
    assert ddpm("truncate", file, "--step", 1, "-o", file.with_name("cut.ddpm")).code == 0
    assert "--original" not in ddpm("decode", file.with_name("cut.ddpm")).stderr
    with Image.open(jpeg) as original, Image.open(jpeg.with_suffix(".png")) as decoded:
        assert decoded.tobytes() == original.tobytes()
    assert ddpm("test", file).stdout.decode().endswith("ok\n")
    said = ddpm("info", file).stdout.decode()
    assert f"JPEG coefficients, {jpeg.stat().st_size} bytes" in said
    assert re.search(r"segments +(\d+, ){8,}\d+ bytes", said)


def test_original_goes_beside_the_file_and_takes_the_place_of_none(ddpm: Any, jpeg: Path) -> None:
    ddpm("encode", jpeg)
    refused = ddpm("decode", jpeg.with_suffix(".ddpm"), "--original")
    assert (refused.code, "exists" in refused.stderr) == (1, True)
    content = jpeg.read_bytes()
    jpeg.unlink()
    assert ddpm("decode", jpeg.with_suffix(".ddpm"), "--original").code == 0
    assert jpeg.read_bytes() == content
    skipped = ddpm("decode", jpeg.with_suffix(".ddpm"), "--original", "--skip-existing", "--json")
    assert json.loads(skipped.stdout.splitlines()[-1])["summary"]["skipped"] == 1


def test_a_file_of_pixels_has_no_original(ddpm: Any, jpeg: Path) -> None:
    assert ddpm("encode", jpeg, "--pixels", "--effort", 1).code == 0
    back = jpeg.with_name("back.jpg")
    refused = ddpm("decode", jpeg.with_suffix(".ddpm"), "--original", "-o", back)
    assert (refused.code, back.exists()) == (1, False)
    assert "photo.ddpm: the file holds no JPEG" in refused.stderr
    piped = ddpm("decode", jpeg.with_suffix(".ddpm"), "--original", "-o", "-")
    assert (piped.code, Image.open(BytesIO(piped.stdout)).format) == (0, "PNG")


def test_a_folder_of_several_kinds_is_restored_as_it_was(ddpm: Any, jpeg: Path) -> None:
    folder, out, back = jpeg.parent / "in", jpeg.parent / "out", jpeg.parent / "back"
    folder.mkdir()
    jpeg.rename(folder / "a.jpg")
    with Image.open(PHOTO) as photo:
        for name, box in (("b.png", (0, 0, 30, 20)), ("c.png", (9, 9, 39, 29))):
            photo.crop(box).save(folder / name)
    assert ddpm("encode", "-r", folder, "-o", out).code == 0
    ended = ddpm("decode", "-r", out, "-o", back, "--original")
    assert (ended.code, sorted(path.name for path in back.iterdir())) == (0, ["a.jpg", "b.png", "c.png"])
    assert (back / "a.jpg").read_bytes() == (folder / "a.jpg").read_bytes()
    with Image.open(back / "b.png") as found, Image.open(folder / "b.png") as expected:
        assert found.tobytes() == expected.tobytes()
    assert ddpm("decode", "-r", out, "-o", back, "--original", "--skip-existing").stderr.endswith(", 3 skipped\n")


def test_original_is_a_jpeg_and_whole(ddpm: Any, jpeg: Path) -> None:
    ddpm("encode", jpeg)
    file = jpeg.with_suffix(".ddpm")
    named = ddpm("decode", file, "--original", "-o", jpeg.with_name("back.png"))
    assert (named.code, "name it back.jpg" in named.stderr) == (1, True)
    mixed = ddpm("decode", file, "--original", "--partial")
    assert (mixed.code, "such as --partial" in mixed.stderr) == (2, True)
    file.write_bytes(file.read_bytes()[:-1])
    cut = ddpm("decode", file, "--original", "-o", jpeg.with_name("back.jpg"))
    assert (cut.code, jpeg.with_name("back.jpg").exists()) == (3, False)
    shown = ddpm("decode", file, "--partial", "-o", jpeg.with_name("shown.png"))
    assert (shown.code, "preview" in shown.stderr) == (0, True)


def test_a_run_says_what_each_kind_of_file_saved(ddpm: Any, jpeg: Path) -> None:
    folder = jpeg.parent / "in"
    (folder / "below").mkdir(parents=True)
    jpeg.rename(folder / "below" / "a.jpg")
    with Image.open(PHOTO) as photo:
        photo.crop((0, 0, 60, 40)).save(folder / "b.png")
    ended = ddpm("encode", "-r", folder, "-o", folder.parent / "out")
    lines = [line for line in ended.stderr.splitlines() if line.startswith("ddpmcodec:   ")]
    assert [line.split()[1:4] for line in lines] == [["JPEG:", "1", "file,"], ["pixels:", "1", "file,"]]
    assert all(line.endswith("% saved") for line in lines)
    ended = ddpm("encode", "-r", folder, "-o", folder.parent / "again", "--json")
    formats = json.loads(ended.stdout.splitlines()[-1])["summary"]["formats"]
    assert {kind: found["files"] for kind, found in formats.items()} == {"JPEG": 1, "PNG": 1}
    back = ddpm("decode", "-r", folder.parent / "out", "--original", "-o", folder.parent / "back")
    assert (back.code, (folder.parent / "back/b.png").is_file()) == (0, True)
    assert (folder.parent / "back/below/a.jpg").read_bytes() == (folder / "below/a.jpg").read_bytes()


def test_a_file_of_several_pictures_may_be_removed_as_all_are_kept(ddpm: Any, tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (90, 80), colour) for colour in ("red", "blue"))
    several = tmp_path / "several.jpg"
    first.save(several, "MPO", save_all=True, append_images=[second])
    content = several.read_bytes()
    assert (ddpm("encode", several, "--rm").code, several.exists()) == (0, False)
    assert codec.decode_original(several.with_suffix(".ddpm").read_bytes()) == content


def test_archives_give_originals_back(ddpm: Any, jpeg: Path) -> None:
    with Image.open(PHOTO) as photo:
        photo.crop((0, 0, 30, 20)).save(jpeg.with_name("b.png"))
    archive = jpeg.with_name("a.ddpma")
    assert ddpm("archive", "create", archive, jpeg, jpeg.with_name("b.png")).code == 0
    ended = ddpm("archive", "extract", archive, "-o", jpeg.with_name("out"), "--original")
    assert (ended.code, "2 images" in ended.stderr) == (0, True)
    assert {path.name for path in jpeg.with_name("out").iterdir()} == {"photo.jpg", "b.png"}
    pictures = ddpm("archive", "extract", archive, "-o", jpeg.with_name("pictures"))
    assert f"{archive}: has 1 JPEG file inside" in pictures.stderr
    alone = ddpm("archive", "extract", archive, "photo.jpg", "-o", jpeg.with_name("one"), "--original")
    assert (alone.code, "1 image ->" in alone.stderr) == (0, True)
    assert "JPEG" in ddpm("archive", "list", archive, "photo.jpg").stdout.decode()
    assert jpeg.with_name("out").joinpath("photo.jpg").read_bytes() == jpeg.read_bytes()
    assert ddpm("archive", "test", archive).code == 0
    assert ddpm("archive", "create", archive, jpeg, "--pixels", "-f").code == 0
    assert "0 images" not in ddpm("archive", "extract", archive, "-o", jpeg.with_name("png")).stderr
    with Image.open(jpeg) as original, Image.open(jpeg.with_name("png") / "photo.png") as decoded:
        assert decoded.tobytes() == original.tobytes()


def test_a_jpeg_from_a_pipe(ddpm: Any, jpeg: Path) -> None:
    coded = ddpm("encode", "-", "-o", "-", stdin=jpeg.read_bytes()).stdout
    assert codec.decode_original(coded) == jpeg.read_bytes()
    decoded = ddpm("decode", "-", "-o", "-", stdin=coded).stdout
    assert Image.open(BytesIO(decoded)).tobytes() == Image.open(jpeg).tobytes()


def test_a_file_of_pixels_becomes_a_png_however_long_its_index(ddpm: Any, tmp_path: Path) -> None:
    """The name of the output is looked at first, and so is refused; it holds no pixels."""
    columns = 24
    header = Header("RGB", 64 * columns, 64 * columns, 1, 5, 1, index=Index(64, 64))
    (tmp_path / "a.ddpm").write_bytes(assemble(header, b"", [b"ab"] * columns**2 * header.segments, b""))
    assert parse_header((tmp_path / "a.ddpm").read_bytes()).size > 1 << 16
    (tmp_path / "a.png").write_bytes(b"old")
    refused = ddpm("decode", tmp_path / "a.ddpm", "--original")
    assert (refused.code, f"{tmp_path / 'a.png'}: exists already" in refused.stderr) == (1, True)
