"""`ddpmcodec archive add`, `join` and `remove`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.archive.writer import Writer
from pictures import drawing

FAST = ("--effort", 1, "--no-verify")


def test_images_are_added_by_joining_archives(ddpm: Callable, photos: Path, photos_ddpma: Path, tmp_path: Path) -> None:
    new, out = tmp_path / "new.ddpma", tmp_path / "all.ddpma"
    shutil.copy(photos / "1.png", tmp_path / "added.png")
    assert ddpm("archive", "create", new, tmp_path / "added.png", *FAST).code == 0
    ended = ddpm("archive", "join", out, photos_ddpma, new)
    assert (ended.code, f"2 archives -> {out}: {out.stat().st_size} bytes" in ended.stderr) == (0, True)
    names = ddpm("archive", "list", photos_ddpma).stdout + ddpm("archive", "list", new).stdout
    assert ddpm("archive", "list", out).stdout == names
    assert ddpm("archive", "join", "-", photos_ddpma, new).stdout == out.read_bytes()
    for target, sources, code, text in (
        (out, [new, photos_ddpma], 1, "exists already"),
        (new, [new, photos_ddpma], 1, "is an input itself: use -f to replace it"),
        (tmp_path / "a.png", [new, photos_ddpma], 2, "archive join writes .ddpma files"),
        (tmp_path / "b.ddpma", [new, new], 1, f"{new} and {new} both hold added.png: leave one"),
        (tmp_path / "b.ddpma", [tmp_path / "added.png", new], 3, "added.png: not an archive"),
    ):
        refused = ddpm("archive", "join", target, *sources)
        assert (refused.code, text in refused.stderr) == (code, True), refused.stderr
    joined = out.read_bytes()
    assert ddpm("archive", "join", "-f", photos_ddpma, photos_ddpma, new).code == 0
    assert photos_ddpma.read_bytes() == joined


def test_images_are_added_in_place(ddpm: Callable, photos: Path, photos_ddpma: Path, tiny_model: Path) -> None:
    before, folder = archive.names(photos_ddpma), photos_ddpma.parent
    shutil.copy(photos / "1.png", folder / "added.png")
    options = ["--model", tiny_model, "--threads", 1, *FAST]
    ended = ddpm("archive", "add", photos_ddpma, folder / "added.png", *options)
    assert (ended.code, archive.names(photos_ddpma)) == (0, [*before, "added.png"])
    assert f"1 image -> {photos_ddpma}: {photos_ddpma.stat().st_size} bytes" in ended.stderr
    assert f"{len(before) + 1} images in all" in ended.stderr
    with archive.open(photos_ddpma, model=str(tiny_model)) as opened:
        assert opened["added.png"].tobytes() == opened["1.png"].tobytes()
    now = photos_ddpma.read_bytes()
    for target, text in (
        (photos_ddpma, "added.png: there is an image of this name already"),
        (folder / "none.ddpma", "there is no archive to add images to: make one with `archive create`"),
        (folder / "added.png", "is the input itself"),
    ):
        refused = ddpm("archive", "add", target, folder / "added.png", *options)
        assert (refused.code, text in refused.stderr) == (1, True), refused.stderr
    assert photos_ddpma.read_bytes() == now


def test_images_whose_names_are_there_are_skipped(
    ddpm: Callable, photos: Path, photos_ddpma: Path, tiny_model: Path, tmp_path: Path
) -> None:
    before, folder = archive.names(photos_ddpma), tmp_path / "more"
    shutil.copytree(photos, folder)
    shutil.copy(photos / "1.png", folder / "added.png")
    (folder / "2.png").write_bytes(b"not read")
    options = ["--model", tiny_model, "--threads", 1, *FAST]
    ended = ddpm("archive", "add", photos_ddpma, folder, "--skip-existing", *options)
    assert (ended.code, archive.names(photos_ddpma)) == (0, [*before, "added.png"])
    assert f"{len(before) + 1} images in all, {len(before)} skipped\n" in ended.stderr
    again = ddpm("archive", "add", photos_ddpma, folder, "--skip-existing", "--json", *options)
    facts = json.loads(again.stdout)
    assert (facts["added"], facts["skipped"], facts["images"]) == (0, len(before) + 1, len(before) + 1)
    assert ddpm("archive", "create", tmp_path / "new.ddpma", folder, "--skip-existing").code == 2
    assert ddpm("archive", "add", photos_ddpma, folder, "--skip-existing", "-f").code == 2


def test_with_force_images_take_the_place_of_those_of_their_names(
    ddpm: Callable, photos: Path, photos_ddpma: Path, tiny_model: Path, tmp_path: Path
) -> None:
    before, options = archive.names(photos_ddpma), ["--model", tiny_model, "--threads", 1, *FAST]
    shutil.copy(photos / "2.png", tmp_path / "1.png")
    ended = ddpm("archive", "add", "-f", photos_ddpma, tmp_path / "1.png", *options)
    assert (ended.code, sorted(archive.names(photos_ddpma))) == (0, sorted(before))
    assert f"{len(before)} images in all, 1 replaced" in ended.stderr
    with archive.open(photos_ddpma, model=str(tiny_model)) as opened:
        assert opened["1.png"].tobytes() == opened["2.png"].tobytes()
    now = photos_ddpma.read_bytes()
    (tmp_path / "1.png").write_bytes(b"no image")
    refused = ddpm("archive", "add", "-f", photos_ddpma, tmp_path / "1.png", photos / "2.png", *options)
    assert (refused.code, photos_ddpma.read_bytes()) == (1, now)
    assert "replaced 1.png" in refused.stderr


def test_an_archive_to_which_nothing_is_added_is_not_written(
    ddpm: Callable, photos: Path, photos_ddpma: Path, tiny_model: Path
) -> None:
    before = photos_ddpma.stat()
    ended = ddpm("archive", "add", "--skip-existing", photos_ddpma, photos, "--model", tiny_model, *FAST)
    after = photos_ddpma.stat()
    assert (ended.code, after.st_ino, after.st_mtime_ns) == (0, before.st_ino, before.st_mtime_ns)


def test_images_are_taken_out_by_name_folder_and_pattern(
    ddpm: Callable, photos_ddpma: Path, tiny_model: Path, tmp_path: Path
) -> None:
    names = archive.names(photos_ddpma)
    out = tmp_path / "less.ddpma"
    ended = ddpm("archive", "remove", photos_ddpma, "below", "[0-2].png", "-o", out, "--model", tiny_model)
    kept = [name for name in names if not name.startswith("below/") and name not in ("0.png", "1.png", "2.png")]
    assert (ended.code, archive.names(out)) == (0, kept)
    said = f"{out}: {out.stat().st_size} bytes, {len(kept)} images, without {len(names) - len(kept)} images\n"
    assert ended.stderr == f"ddpmcodec: {said}"
    assert ddpm("archive", "test", out, "--model", tiny_model).code == 0
    assert ddpm("archive", "remove", out, "3.png", "-o", photos_ddpma, "--model", tiny_model).code == 1
    assert archive.names(photos_ddpma) == names
    assert ddpm("archive", "remove", out, "3.png", "--model", tiny_model, "-q").code == 0
    assert archive.names(out) == [name for name in kept if name != "3.png"]
    assert ddpm("archive", "remove", out, "33.png").code == 1
    assert ddpm("archive", "remove", out).code == 2
    assert ddpm("archive", "remove", "-", "3.png", stdin=out.read_bytes()).code == 2


def test_one_archive_is_nothing_to_join(ddpm: Callable, photos_ddpma: Path, tmp_path: Path) -> None:
    """Whoever adds it to another one with -f would lose that one."""
    before = photos_ddpma.read_bytes()
    shutil.copy(photos_ddpma, tmp_path / "new.ddpma")
    ended = ddpm("archive", "join", "-f", photos_ddpma, tmp_path / "new.ddpma")
    assert (ended.code, photos_ddpma.read_bytes()) == (2, before)
    assert f"to add it to {photos_ddpma}" in ended.stderr


def test_an_archive_that_somebody_else_changes_meanwhile_is_kept(
    ddpm: Callable, photos_ddpma: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(writer: Writer, archives: object) -> None:
        photos_ddpma.write_bytes(b"of somebody else")
        writer.add("joined.png", drawing())

    monkeypatch.setattr("ddpmcodec.archive.editing.join_into", meanwhile)
    ended = ddpm("archive", "join", "-f", photos_ddpma, photos_ddpma, "other.ddpma")
    assert (ended.code, photos_ddpma.read_bytes()) == (1, b"of somebody else")
    assert "another program" in ended.stderr


def test_an_archive_that_somebody_else_changes_while_it_is_written_is_kept(
    ddpm: Callable, photos_ddpma: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large archive takes minutes until all of it is on disk."""
    other = photos_ddpma.with_name("other.ddpma")
    other.write_bytes(archive.create([("other.png", drawing())]))
    monkeypatch.setattr(
        "ddpmcodec.formats.files.os.fsync", lambda descriptor: photos_ddpma.write_bytes(b"of somebody else")
    )
    ended = ddpm("archive", "join", "-f", photos_ddpma, photos_ddpma, other)
    assert (ended.code, photos_ddpma.read_bytes()) == (1, b"of somebody else")
    assert "another program" in ended.stderr


def test_of_two_commands_that_add_at_once_none_loses_what_the_other_added(tmp_path: Path) -> None:
    """Both may succeed, one after the other, or one fails."""
    image = np.zeros((6, 5, 3), np.uint8)
    for number in range(3):
        file = tmp_path / f"{number}.ddpma"
        file.write_bytes(archive.create({"first.png": image}))
        commands = []
        for name in ("a.png", "b.png"):
            Image.fromarray(image).save(tmp_path / name)
            command = [sys.executable, "-m", "ddpmcodec", "archive", "add", file, tmp_path / name, "-q"]
            commands.append(subprocess.Popen([*map(str, command)]))
        ends = [command.wait() for command in commands]
        added = [name for name, code in zip(("a.png", "b.png"), ends, strict=True) if code == 0]
        assert sorted(archive.names(file)) == sorted(["first.png", *added])
        assert added
