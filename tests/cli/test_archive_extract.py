"""ddpmcodec archive extract: images come out by name, whole, and in the form that was asked for."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from ddpmcodec import archive
from ddpmcodec._native import BLOCK_MARK
from ddpmcodec.errors import ModelError
from ddpmcodec.format.ddpma import split
from pictures import drawing, equal, files_below

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"


def test_images_come_by_name(ddpm: Callable, photos: Path, photos_ddpma: Path, tiny_model: Path) -> None:
    out = photos_ddpma.parent / "out"
    ended = ddpm("archive", "extract", photos_ddpma, "3.png", "below/grey.png", "-o", out, "--model", tiny_model)
    assert ended.code == 0
    assert files_below(out) == ["3.png", "below/grey.png"]
    assert equal(out / "3.png", photos / "3.png")


def test_a_folder_is_not_named_as_an_image(ddpm: Callable, photos_ddpma: Path, tiny_model: Path) -> None:
    out = photos_ddpma.parent / "out.png"
    given = ("archive", "extract", photos_ddpma, "3.png", "--model", tiny_model, "-o")
    ended = ddpm(*given, out)
    assert (ended.code, out.exists()) == (2, False)
    assert f"`-o - > {out}`" in ended.stderr
    assert ddpm(*given, f"{out}/").code == 0
    assert ddpm(*given, out, "-f").code == 0, "a folder that is there"


def test_an_unknown_name_is_an_error(ddpm: Callable, photos_ddpma: Path) -> None:
    ended = ddpm("archive", "extract", photos_ddpma, "33.png", "-o", photos_ddpma.parent / "out")
    assert ended.code == 1
    assert "no image '33.png'" in ended.stderr
    assert not (photos_ddpma.parent / "out").exists()


def test_existing_images_are_kept(ddpm: Callable, photos: Path, photos_ddpma: Path, tiny_model: Path) -> None:
    out = photos_ddpma.parent / "out"
    out.mkdir()
    (out / "2.png").write_bytes(b"precious")
    ended = ddpm("archive", "extract", photos_ddpma, "-o", out, "--model", tiny_model)
    assert (ended.code, files_below(out)) == (1, ["2.png"])
    assert f"{out / '2.png'}: exists already" in ended.stderr
    assert (out / "2.png").read_bytes() == b"precious"
    assert ddpm("archive", "extract", photos_ddpma, "-f", "-o", out, "--model", tiny_model, "-q").code == 0
    assert equal(out / "2.png", photos / "2.png")


def test_an_image_that_cannot_be_written_does_not_keep_the_others(
    ddpm: Callable, photos: Path, photos_ddpma: Path, tiny_model: Path
) -> None:
    out = photos_ddpma.parent / "out"
    (out / "2.png").mkdir(parents=True)
    ended = ddpm("archive", "extract", photos_ddpma, "-f", "-o", out, "--model", tiny_model)
    assert (ended.code, f"{out / '2.png'}: cannot be written" in ended.stderr) == (1, True)
    assert equal(out / "3.png", photos / "3.png")


def test_images_go_to_a_folder(ddpm: Callable, photos: Path, photos_ddpma: Path) -> None:
    ended = ddpm("archive", "extract", photos_ddpma, "-o", photos / "notes.txt")
    assert (ended.code, f"{photos / 'notes.txt'}: is a file" in ended.stderr) == (1, True)


def test_the_name_of_a_folder_means_what_is_below_it(ddpm: Callable, tiny_model: Path, tmp_path: Path) -> None:
    images = [(name, Image.new("L", (2, 2))) for name in ("sub/a.png", "sub/b/c.png", "subs.png")]
    (tmp_path / "a.ddpma").write_bytes(archive.create(images, model=tiny_model, effort=1))
    for name, expected in (("sub", ["sub/a.png", "sub/b/c.png"]), ("sub/b/", ["sub/b/c.png"])):
        out = tmp_path / name.replace("/", "_")
        assert ddpm("archive", "extract", tmp_path / "a.ddpma", name, "-o", out, "--model", tiny_model).code == 0
        assert files_below(out) == expected


@pytest.fixture(scope="module")
def damaged(photos: Path, tiny_model: Path) -> bytes:
    """Cut, where two of six images are files."""
    images = [(name, Image.open(photos / name)) for name in ("0.png", "3.png", "4.png", "below/grey.png")]
    images += [(f"drawing-{i}.png", drawing(70 + i)) for i in (1, 2)]
    return archive.create(images, model=tiny_model, effort=1)[:-9]


def test_of_a_cut_archive_what_is_whole_is_written(
    ddpm: Callable, photos: Path, photos_ddpma: Path, damaged: bytes, tiny_model: Path
) -> None:
    photos_ddpma.write_bytes(damaged)
    out = photos_ddpma.parent / "out"
    ended = ddpm("archive", "extract", photos_ddpma, "-o", out, "--model", tiny_model)
    written = files_below(out)
    assert ended.code == 3
    assert written == ["0.png", "3.png", "4.png", "below/grey.png", "drawing-1.png"]
    assert f"5 images -> {out}" in ended.stderr
    assert "1 of 6 images are lost (drawing-2.png)" in ended.stderr
    assert " 9 bytes before" in ended.stderr
    assert all(equal(out / name, photos / name) for name in written[:-1])
    listed = ddpm("archive", "extract", photos_ddpma, "-o", out, "--model", tiny_model, "-f", "--json")
    (lost,) = json.loads(listed.stdout)["failed"]
    assert lost["name"] == "drawing-2.png"
    assert "the archive ends 9 bytes before drawing-2.png does" in lost["error"]


def test_a_damaged_block_is_named_and_the_others_are_written(
    ddpm: Callable, photos_ddpma: Path, damaged: bytes, tiny_model: Path
) -> None:
    second = damaged.find(BLOCK_MARK, damaged.find(BLOCK_MARK) + 1)
    photos_ddpma.write_bytes(damaged[: second - 8] + b"damage!!" + damaged[second:])
    out = photos_ddpma.parent / "out"
    ended = ddpm("archive", "extract", photos_ddpma, "-o", out, "--model", tiny_model)
    assert ended.code == 3
    assert "drawing-1.png" in files_below(out)
    assert " of 6 images are lost (" in ended.stderr


def test_an_archive_without_its_index_is_written_and_reported(
    ddpm: Callable, photos: Path, photos_ddpma: Path, made: bytes, tiny_model: Path
) -> None:
    photos_ddpma.write_bytes(b"\0" + made[1:])
    out = photos_ddpma.parent / "out"
    ended = ddpm("archive", "extract", photos_ddpma, "-o", out, "--model", tiny_model)
    assert (ended.code, len(files_below(out))) == (3, 10)
    assert "found without it" in ended.stderr
    assert "start of the archive is damaged" in ended.stderr
    tested = ddpm("test", photos_ddpma, "--model", tiny_model)
    assert (tested.code, "found without it" in tested.stderr) == (3, True)
    assert ", the index is damaged" in ddpm("info", photos_ddpma).stdout.decode()


def test_one_image_goes_to_standard_output(ddpm: Callable, archived: Callable) -> None:
    file = archived({"a.png": 1, "b.png": 2})
    with contextlib.chdir(file.parent):
        for names, options in (([], []), (["a.png"], ["--json"])):
            refused = ddpm("archive", "extract", file, *names, *options, "-o", "-")
            assert (refused.code, refused.stdout, Path("-").exists()) == (2, b"", False)
            assert "standard output" in refused.stderr
        piped = ddpm("archive", "extract", file, "b.png", "-o", "-")
    ddpm("archive", "extract", file, "b.png", "-o", file.parent / "out")
    assert (piped.code, piped.stderr, piped.stdout) == (0, "", (file.parent / "out" / "b.png").read_bytes())


def test_programs_are_told_what_was_written(ddpm: Callable, archived: Callable) -> None:
    file = archived({"a.png": 1, "b.png": 2, "c.png": 3})
    out = file.parent / "out"
    (out / "b.png").mkdir(parents=True)
    ended = ddpm("archive", "extract", file, "-f", "--json", "-q", "--threads", 1, "-o", out)
    facts = json.loads(ended.stdout)
    assert (ended.code, facts["file"], facts["skipped"]) == (1, str(file), [])
    assert facts["images"] == [{"name": name, "file": str(out / name)} for name in ("a.png", "c.png")]
    assert [(each["name"], "cannot be written" in each["error"]) for each in facts["failed"]] == [("b.png", True)]
    ended = ddpm("archive", "extract", file, "-f", "--threads", 1, "-o", out)
    assert ended.stderr.endswith(f"{file}: 2 images -> {out}, 1 failed\n")


def test_what_is_there_can_be_left_out(ddpm: Callable, archived: Callable) -> None:
    file = archived({"a.png": 1, "b.png": 2})
    out = file.parent / "out"
    assert ddpm("archive", "extract", file, "a.png", "-o", out).code == 0
    Image.new("L", (1, 1)).save(out / "a.png")
    mine = (out / "a.png").read_bytes()
    ended = ddpm("archive", "extract", file, "--skip-existing", "-o", out)
    assert (ended.code, (out / "a.png").read_bytes()) == (0, mine)
    assert ended.stderr == f"ddpmcodec: {file}: 1 image -> {out}, 1 skipped\n"
    assert ddpm("archive", "extract", file, "--skip-existing", "-f", "-o", out).code == 2


def test_images_come_smaller(ddpm: Callable, tmp_path: Path) -> None:
    """Those of a run, and those that are files."""
    with Image.open(PHOTO) as photo:
        crops = {"small.png": photo.crop((0, 0, 30, 20)), "large.png": photo.crop((0, 0, 130, 90))}
        data = archive.create(crops, effort=1)
    (tmp_path / "a.ddpma").write_bytes(data)
    assert [block.coding is None for block in split(data).index.blocks] == [False, True]
    assert ddpm("archive", "extract", tmp_path / "a.ddpma", "--reduce", 4, "-o", tmp_path / "out").code == 0
    for name, image in crops.items():
        with Image.open(tmp_path / "out" / name) as found:
            expected = image.reduce(4)
            assert found.size == expected.size
            assert np.abs(np.asarray(found, int) - np.asarray(expected, int)).mean() < 4
    assert ddpm("archive", "extract", tmp_path / "a.ddpma", "--reduce", 4, "--original", "-o", tmp_path / "x").code == 2


def test_images_come_upright(ddpm: Callable, tmp_path: Path) -> None:
    turned, exif = drawing(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned.info["exif"] = exif.tobytes()
    (tmp_path / "a.ddpma").write_bytes(archive.create([("a.png", turned.crop((0, 0, 30, 20)))], effort=1, levels=0))
    assert ddpm("archive", "extract", tmp_path / "a.ddpma", "--upright", "-o", tmp_path / "out").code == 0
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert np.array_equal(np.asarray(image), np.rot90(np.asarray(turned.crop((0, 0, 30, 20))), -1))
        assert ExifTags.Base.Orientation not in image.getexif()
    assert ddpm("archive", "extract", tmp_path / "a.ddpma", "--upright", "--original", "-o", tmp_path / "x").code == 2


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user who may not write everywhere")
def test_a_folder_that_cannot_be_written_is_named_before_the_work(ddpm: Callable, archived: Callable) -> None:
    file = archived({"a.png": 1})
    locked = file.parent / "locked"
    locked.mkdir(mode=0o500)
    ended = ddpm("archive", "extract", file, "-o", locked / "out")
    assert (ended.code, ended.stderr.count("no file can be written in")) == (1, 1)


def test_images_that_are_no_jpeg_files_come_as_png_beside_the_originals(ddpm: Callable, archived: Callable) -> None:
    file = archived({"a.png": 1, "b.png": 2})
    ended = ddpm("archive", "extract", file, "--original", "-o", file.parent / "out")
    assert (ended.code, files_below(file.parent / "out")) == (0, ["a.png", "b.png"])


def test_what_is_no_whole_image_is_not_left_out(ddpm: Callable, archived: Callable) -> None:
    """It fails, and the others are written."""
    file = archived({"a.png": 1, "b.png": 2})
    out = file.parent / "out"
    assert ddpm("archive", "extract", file, "-o", out).code == 0
    whole = (out / "a.png").read_bytes()
    for content in (whole[:-5], bytes(len(whole)), b""):
        (out / "a.png").write_bytes(content)
        (out / "b.png").unlink()
        ended = ddpm("archive", "extract", file, "-o", out, "--skip-existing")
        assert (ended.code, "a.png: exists, but" in ended.stderr) == (1, True)
        assert ((out / "a.png").read_bytes(), (out / "b.png").is_file()) == (content, True)
    (out / "a.png").unlink()
    os.mkfifo(out / "a.png")
    assert ddpm("archive", "extract", file, "-o", out, "--skip-existing").code == 1


def test_what_came_before_an_error_is_written(
    ddpm: Callable, archived: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any kind: a file in an archive may need a model that is missing."""
    file = archived({"a.png": 1, "b.png": 2})
    out = file.parent / "out"
    extract = archive.extract

    def ending(*arguments: object, **options: object) -> Iterator[object]:
        yield next(iter(extract(*arguments, **options)))
        raise ModelError("the model is missing")

    monkeypatch.setattr(archive, "extract", ending)
    ended = ddpm("archive", "extract", file, "-o", out)
    assert (ended.code, [path.name for path in out.iterdir()]) == (4, ["a.png"])
