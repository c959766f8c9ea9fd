"""`ddpmcodec thumbnail`, and what file managers need to call it."""

from __future__ import annotations

import configparser
import shlex
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from ddpmcodec import archive, codec
from ddpmcodec.plugins.pillow import MIME_TYPE

ROOT = Path(__file__).parents[2]
MIME = "{http://www.freedesktop.org/standards/shared-mime-info}"


@pytest.fixture(scope="module")
def coded() -> bytes:
    with Image.open(ROOT / "docs" / "photo.png") as photo:
        image = photo.convert("RGB").crop((0, 0, 150, 100))
    exif = Image.Exif()
    exif[0x112] = 6
    image.info["exif"] = exif.tobytes()
    return codec.encode(image, effort=1)


@pytest.fixture
def file(coded: bytes, tmp_path: Path) -> Path:
    (tmp_path / "a b.ddpm").write_bytes(coded)
    return tmp_path / "a b.ddpm"


def test_it_writes_a_small_upright_picture(ddpm: Any, file: Path) -> None:
    out = file.with_name("small.png")
    assert ddpm("thumbnail", file, "-o", out, "--size", 30).code == 0
    with Image.open(out) as small:
        assert (small.size, small.format) == ((20, 30), "PNG")
    assert (ddpm("thumbnail", file, "-o", out).code, ddpm("thumbnail", file, "-o", out, "-f").code) == (1, 0)
    with Image.open(out) as small:
        assert small.size == (100, 150)
    piped = ddpm("thumbnail", "-", "-o", "-", "--size", 16, stdin=file.read_bytes()[:2000])
    assert (piped.code, Image.open(BytesIO(piped.stdout)).size) == (0, (11, 16))
    assert ddpm("thumbnail", file, "-o", file.with_name("small.jpg")).code == 0


def test_a_terminal_takes_no_picture(on_terminal: Any, file: Path) -> None:
    ended = on_terminal("thumbnail", file, "-o", "-")
    assert ended.code == 1
    assert "no binary data to a terminal" in ended.stderr


@pytest.mark.parametrize(("content", "code"), [(b"", 3), (b"no file", 3), (b"\xdd\n", 3)])
def test_what_is_no_file_leaves_nothing(ddpm: Any, tmp_path: Path, content: bytes, code: int) -> None:
    (tmp_path / "a.ddpm").write_bytes(content)
    ended = ddpm("thumbnail", tmp_path / "a.ddpm", "-o", tmp_path / "a.png")
    assert (ended.code, (tmp_path / "a.png").exists()) == (code, False)
    assert "a.ddpm: " in ended.stderr
    assert ddpm("thumbnail", tmp_path / "other.ddpm", "-o", tmp_path / "a.png").code == 1


def test_the_entry_of_file_managers_runs(ddpm: Any, file: Path) -> None:
    entry = configparser.RawConfigParser()
    entry.read(ROOT / "packaging" / "ddpmcodec.thumbnailer")
    found, out = dict(entry["Thumbnailer Entry"]), file.with_name("out.png")
    out.touch()  # as some make it before they call
    program, *arguments = shlex.split(found["exec"])
    given = {"%s": "48", "%i": str(file), "%o": str(out)}
    assert (program, found["tryexec"], found["mimetype"]) == ("ddpmcodec", "ddpmcodec", f"{MIME_TYPE};")
    assert ddpm(*(given.get(each, each) for each in arguments)).code == 0
    with Image.open(out) as small:
        assert small.size == (32, 48)


def test_the_mime_types_know_the_files(file: Path) -> None:
    root = ElementTree.parse(ROOT / "packaging" / "ddpmcodec.xml").getroot()
    contents = {
        MIME_TYPE: file.read_bytes(),
        "application/x-ddpma": archive.create([("a.png", Image.new("L", (2, 3)))], effort=1),
    }
    types = {each.get("type"): each for each in root}
    assert set(types) == set(contents)
    for name, content in contents.items():
        match = types[name].find(f"{MIME}magic/{MIME}match")
        assert match is not None
        magic = (match.get("value") or "").encode().decode("unicode_escape").encode("latin-1")
        assert content.startswith(magic)
    assert types[MIME_TYPE].find(f"{MIME}glob").get("pattern") == "*.ddpm"  # type: ignore[union-attr]
