"""Files that are kept whole through the command line: a folder comes back as it was, with nothing left behind."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><rect/></svg>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An animation, a deep TIFF, pages, a drawing, a damaged JPEG, a JPEG, and notes."""
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    with Image.open(PHOTO) as photo:
        frames = [photo.convert("RGB").crop((x, 0, x + 90, 60)) for x in (0, 5, 10)]
    frames[0].save(folder / "clip.GIF", "GIF", save_all=True, append_images=frames[1:])
    frames[0].convert("I").save(folder / "below" / "deep.tif")
    frames[0].save(folder / "pages.tif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "photo.jpg")
    frames[0].crop((0, 0, 30, 20)).save(folder / "small.png")
    (folder / "cut.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:-300])
    (folder / "drawing.svg").write_bytes(SVG)
    (folder / "notes.txt").write_text("notes")
    return folder


KEPT = ["clip.GIF", "below/deep.tif", "pages.tif", "cut.jpg", "drawing.svg"]


def test_a_folder_is_encoded_and_comes_back_with_nothing_left_behind(ddpm: Any, folder: Path) -> None:
    out, back = folder.parent / "out", folder.parent / "back"
    ended = ddpm("encode", "-r", folder, "-o", out, "-e", 1)
    assert ended.code == 0
    assert "left out 1 of 8 files that are no image by name: .txt" in ended.stderr
    assert "cut.jpg: the image is damaged, and its file kept whole" in ended.stderr
    kinds = [line.split(":")[1].strip() for line in ended.stderr.splitlines() if line.startswith("ddpmcodec:   ")]
    assert kinds == ["JPEG", "kept whole", "pixels"]
    assert ddpm("decode", "-r", out, "-o", back, "--original").code == 0
    for name in [*KEPT, "photo.jpg"]:
        assert (back / name).read_bytes() == (folder / name).read_bytes()
    assert sum(path.is_file() for path in back.rglob("*")) == 7
    again = ddpm("decode", "-r", out, "-o", back, "--original", "--skip-existing")
    assert again.stderr.endswith(", 7 skipped\n")
    assert ddpm("encode", "-r", folder, "-o", out, "--skip-existing").stderr.endswith(", 7 skipped\n")
    assert ddpm("test", "-r", out).code == 0


def test_of_a_file_that_claims_more_pixels_than_can_be_coded_none_is_read(ddpm: Any, folder: Path) -> None:
    small, huge = folder / "small.bmp", folder / "huge.bmp"
    Image.new("L", (8, 1)).save(small)
    file = small.read_bytes()
    huge.write_bytes(file[:18] + struct.pack("<ii", 600_000, 1_000) + file[26:])
    assert ddpm("encode", huge, "-e", 1, "--max-pixels", 10**9).code == 0
    facts = json.loads(ddpm("info", "--json", folder / "huge.ddpm").stdout)
    assert (facts["coding"], facts["reason"], facts["width"]) == ("kept whole", "600000 x 1000 pixels", 0)


def test_decode_gives_the_file_back_and_its_picture_on_request(ddpm: Any, folder: Path) -> None:
    file = folder / "clip.ddpm"
    assert ddpm("encode", folder / "clip.GIF", "-e", 1).code == 0
    content = (folder / "clip.GIF").read_bytes()
    (folder / "clip.GIF").unlink()
    assert ddpm("decode", file).code == 0
    assert (folder / "clip.GIF").read_bytes() == content
    named = ddpm("decode", file, "-o", folder / "back.gif")
    assert (named.code, (folder / "back.gif").read_bytes()) == (0, content)
    assert ddpm("decode", file, "--original", "-o", "-").stdout == content
    picture = ddpm("decode", file, "-o", folder / "first.png")
    assert (picture.code, "--original restores" in picture.stderr) == (0, True)
    with Image.open(folder / "first.png") as first:
        assert first.size == (90, 60)
    assert ddpm("decode", file, "--reduce", 2, "-o", folder / "small.ppm").code == 0
    with Image.open(folder / "small.ppm") as small:
        assert small.size == (45, 30)
    said = ddpm("info", file).stdout.decode()
    assert f"kept whole, GIF, {len(content)} bytes: 3 frames" in said
    facts = json.loads(ddpm("info", "--json", file).stdout)
    assert (facts["width"], facts["format"], facts["ending"]) == (90, "GIF", "GIF")


def test_a_file_without_a_picture_becomes_none(ddpm: Any, folder: Path) -> None:
    assert ddpm("encode", folder / "drawing.svg").code == 0
    refused = ddpm("decode", folder / "drawing.ddpm", "-o", folder / "drawing.png")
    assert (refused.code, (folder / "drawing.png").exists()) == (1, False)
    assert "name it drawing.svg" in refused.stderr
    assert ddpm("decode", folder / "drawing.ddpm", "-o", "-").stdout == SVG
    assert "no picture" in ddpm("info", folder / "drawing.ddpm").stdout.decode()


def test_original_gives_a_png_with_its_palette_and_chunks(ddpm: Any, folder: Path) -> None:
    with Image.open(PHOTO) as photo:
        for number in range(2):
            small = photo.convert("RGB").crop((number, 0, number + 30, 20)).quantize(20)
            small.save(folder / "below" / f"{number}.png", dpi=(300, 300), bits=8)
    assert ddpm("encode", "-r", folder / "below", "-o", folder / "out", "-e", 1).code == 0
    assert ddpm("decode", "-r", folder / "out", "-o", folder / "back", "--original").code == 0
    for name in ("0.png", "1.png"):
        with Image.open(folder / "below" / name) as image, Image.open(folder / "back" / name) as back:
            assert (back.mode, back.getpalette(), back.tobytes()) == (image.mode, image.getpalette(), image.tobytes())
            assert back.info["dpi"] == image.info["dpi"]


def test_strict_and_strip_refuse_them(ddpm: Any, folder: Path) -> None:
    for option in ("--strict", "--strip"):
        refused = ddpm("encode", "-r", folder, "-o", folder.parent / option, option, "-e", 1)
        assert (refused.code, "5 failed" in refused.stderr) == (1, True)


def test_rm_loses_nothing(ddpm: Any, folder: Path) -> None:
    """What no file of ours would keep, such as bytes after the end, is kept with the whole file."""
    content = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    bmp = folder / "below" / "twice.bmp"
    with Image.open(PHOTO) as photo:
        photo.convert("RGB").crop((0, 0, 30, 20)).save(bmp)
    content[bmp] = 2 * bmp.read_bytes()
    bmp.write_bytes(content[bmp])
    assert ddpm("encode", "-r", folder, "--rm", "-e", 1).code == 0
    assert not bmp.exists()
    assert ddpm("decode", "-r", folder, "--original", "--skip-existing").code == 0
    for path in set(content) - {folder / "small.png"}:
        assert path.read_bytes() == content[path]


def test_archives_take_and_give_them(ddpm: Any, folder: Path) -> None:
    archive, back = folder.parent / "a.ddpma", folder.parent / "back"
    assert ddpm("archive", "create", archive, folder, "-e", 1).code == 0
    ended = ddpm("archive", "extract", archive, "-o", back)
    assert (ended.code, "7 images" in ended.stderr) == (0, True)
    for name in KEPT:
        assert (back / name).read_bytes() == (folder / name).read_bytes()
    assert (back / "photo.png").exists()
    assert "kept whole" in ddpm("archive", "list", archive, "clip.GIF").stdout.decode()
    assert ddpm("archive", "extract", archive, "clip.GIF", "-o", back / "small", "--reduce", 2).code == 0
    assert (back / "small" / "clip.png").exists()
    refused = ddpm("archive", "create", archive, folder, "-f", "--strict", "-e", 1)
    assert (refused.code, "5 of 7 files left out" in refused.stderr) == (1, True)
