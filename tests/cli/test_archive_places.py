"""ddpmcodec archive extract: where images are written, and where none may be: links, names of others, long names."""

from __future__ import annotations

import contextlib
import os
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.cli import _archive_extract
from ddpmcodec.format.ddpma import PackedBlock, assemble, split
from pictures import equal, files_below


def colour(path: Path) -> object:
    return Image.open(path).getpixel((0, 0))


def test_images_that_would_take_one_place_keep_their_extensions(
    ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    Image.open(photos / "1.png").save(tmp_path / "in" / "a.png")
    Image.open(photos / "2.png").save(tmp_path / "in" / "a.bmp")
    ddpm(
        "archive", "create", tmp_path / "a.ddpma", tmp_path / "in", "--model", tiny_model, "--effort", 1, "--no-verify"
    )
    assert ddpm("archive", "extract", tmp_path / "a.ddpma", "-o", tmp_path / "out", "--model", tiny_model).code == 0
    assert files_below(tmp_path / "out") == ["a.bmp.png", "a.png"]
    assert equal(tmp_path / "out" / "a.bmp.png", photos / "2.png")


@pytest.mark.parametrize(
    "placed",
    [
        {"x": "x__.png", "x.png/b": "x.png/b.png", "x/c": "x/c.png", "x_": "x_.png"},
        {"x.jpg": "x.jpg.png", "x.png/y.jpg": "x.png/y.png"},
        {"a.png": "a.png", "a.jpg": "a.jpg_.png", "a.jpg.png": "a.jpg.png", "b.gif": "b.png"},
        {"x.gif": "x.gif.png", "x.jpg": "x.jpg.png", "y.png": "y.png"},
    ],
)
def test_no_image_takes_the_place_of_another_or_of_a_folder(
    ddpm: Callable, tiny_model: Path, tmp_path: Path, placed: dict[str, str]
) -> None:
    images = [(name, Image.new("L", (2, 2), i)) for i, name in enumerate(placed)]
    (tmp_path / "a.ddpma").write_bytes(archive.create(images, model=tiny_model, effort=1))
    assert ddpm("archive", "extract", tmp_path / "a.ddpma", "-o", tmp_path / "out", "--model", tiny_model).code == 0
    assert files_below(tmp_path / "out") == sorted(placed.values())
    assert [Image.open(tmp_path / "out" / name).getpixel((0, 0)) for name in placed.values()] == [*range(len(placed))]


@pytest.mark.parametrize("name", ["../up.png", "/tmp/up.png", "C:/up.png", "..\\up.png", "a\0b"])
def test_names_that_lead_out_of_the_folder_are_refused(
    ddpm: Callable, photos_ddpma: Path, made: bytes, tiny_model: Path, name: str
) -> None:
    (block,), (parts,) = split(made).index.blocks, split(made).parts
    entries = (replace(block.entries[0], name=name), *block.entries[1:])
    body = parts.body()
    photos_ddpma.write_bytes(b"".join(map(bytes, assemble([PackedBlock(replace(block, entries=entries), body)]))))
    out = photos_ddpma.parent / "deep" / "out"
    ended = ddpm("archive", "extract", photos_ddpma, "-o", out, "--model", tiny_model)
    assert ended.code == 3
    assert f"image named {name!r}" in ended.stderr
    assert files_below(photos_ddpma.parent) == ["photos.ddpma"]


def test_crafted_names_are_listed_without_control_characters(ddpm: Callable, photos_ddpma: Path, made: bytes) -> None:
    (block,), (parts,) = split(made).index.blocks, split(made).parts
    entries = (replace(block.entries[0], name="a\x1b[2J\nforged"), *block.entries[1:])
    body = parts.body()
    photos_ddpma.write_bytes(b"".join(map(bytes, assemble([PackedBlock(replace(block, entries=entries), body)]))))
    listed = ddpm("archive", "list", photos_ddpma)
    assert r" a\x1b[2J\nforged" in listed.stdout.decode()
    assert all(line.isprintable() for line in listed.stdout.decode().splitlines())


def test_an_image_that_appears_meanwhile_is_kept(
    ddpm: Callable, photos_ddpma: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = photos_ddpma.parent / "out"
    out.mkdir()

    def another_program(folder: _archive_extract._Folder, names: Iterator[str]) -> None:
        """Writes after the names are found free."""
        (out / "2.png").write_bytes(b"precious")

    monkeypatch.setattr(_archive_extract._Folder, "refuse_existing", another_program)
    ended = ddpm("archive", "extract", photos_ddpma, "-o", out, "--model", tiny_model)
    assert f"{out / '2.png'}: exists already" in ended.stderr
    assert ended.code == 1
    assert (out / "2.png").read_bytes() == b"precious"
    assert (out / "3.png").is_file()


def test_a_link_in_the_place_of_an_image_is_kept_without_force(ddpm: Callable, archived: Callable) -> None:
    file = archived({"a.png": 1, "b.png": 2})
    out = file.parent / "out"
    out.mkdir()
    (out / "a.png").symlink_to("../elsewhere.png")  # which is not there
    ended = ddpm("archive", "extract", file, "-o", out)
    assert ended.code == 1
    assert f"{out / 'a.png'}: exists already" in ended.stderr
    assert [path.name for path in out.iterdir()] == ["a.png"]
    assert ddpm("archive", "extract", file, "-o", out, "-f").code == 0
    assert (colour(file.parent / "elsewhere.png"), colour(out / "b.png")) == (1, 2)


def test_links_to_folders_are_not_followed_without_force(ddpm: Callable, archived: Callable) -> None:
    file = archived({"below/deep/a.png": 1, "b.png": 2})
    out, elsewhere = file.parent / "out", file.parent / "elsewhere"
    elsewhere.mkdir()
    out.mkdir()
    (out / "below").symlink_to(elsewhere)
    ended = ddpm("archive", "extract", file, "-o", out)
    assert ended.code == 1
    assert f"{out / 'below'}: is a link" in ended.stderr
    assert (list(elsewhere.iterdir()), [path.name for path in out.iterdir()]) == ([], ["below"])
    assert ddpm("archive", "extract", file, "b.png", "-o", out).code == 0, "of what is not wanted nothing matters"
    assert ddpm("archive", "extract", file, "-o", out, "-f").code == 0
    assert colour(elsewhere / "deep" / "a.png") == 1


def test_the_folder_itself_may_be_a_link(ddpm: Callable, archived: Callable) -> None:
    file = archived({"below/a.png": 1})
    (file.parent / "real").mkdir()
    (file.parent / "out").symlink_to("real")
    assert ddpm("archive", "extract", file, "-o", file.parent / "out").code == 0
    assert colour(file.parent / "real" / "below" / "a.png") == 1


@pytest.mark.parametrize("force", [(), ("-f",)])
@pytest.mark.parametrize("name", [f"{'x' * 300}.png", f"{'x' * 253}.a", f"{'x' * 300}/c.png"])
def test_a_name_too_long_for_the_disk_does_not_stop_the_others(
    ddpm: Callable, archived: Callable, name: str, force: tuple[str, ...]
) -> None:
    file = archived({"a.png": 1, name: 2, "b.png": 3})
    out = file.parent / "out"
    out.mkdir()
    ended = ddpm("archive", "extract", file, "-o", out, *force)
    assert ended.code == 1
    assert ".png: cannot be written (File name too long)" in ended.stderr
    assert f"{file}: 2 images -> {out}" in ended.stderr
    assert (colour(out / "a.png"), colour(out / "b.png")) == (1, 3)


def test_folders_may_be_as_deep_as_the_disk_takes(ddpm: Callable, archived: Callable) -> None:
    """Deeper than Python calls itself."""
    file = archived({"a.png": 1, "d/" * 1100 + "y.png": 2, "b.png": 3})
    with contextlib.chdir(file.parent):
        assert ddpm("archive", "extract", file.name, "-o", "out").code == 0
        deepest = Path("out", *["d"] * 1100, "y.png")
        assert colour(deepest) == 2
        deepest.unlink()
        os.removedirs(deepest.parent)  # pytest's own removal goes down as Python calls


def test_long_names_cost_no_more_than_they_are_long(ddpm: Callable, tmp_path: Path) -> None:
    names = [f"{n:03}/" + "a/" * 2000 + "b.png" for n in range(48)]
    tracemalloc.start()
    targets = _archive_extract._targets(names, ())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert targets == {name: name for name in names}
    assert peak < 20 * sum(map(len, names))


def test_the_archive_itself_is_not_written_over(ddpm: Callable, archived: Callable) -> None:
    file = archived({"in.png": 1})
    inside = file.rename(file.with_name("in.png"))
    content = inside.read_bytes()
    ended = ddpm("archive", "extract", inside, "-o", inside.parent, "-f")
    assert (ended.code, inside.read_bytes() == content) == (1, True)
    assert "is the archive itself" in ended.stderr
