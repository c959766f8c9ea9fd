"""`ddpmcodec archive create`: what goes in, what is refused, what is left where it fails."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.archive.writer import Writer
from ddpmcodec.cli._common import failure
from ddpmcodec.cli._many import folder_sources
from pictures import drawing, equal, files_below

FAST = ("--effort", 1, "--no-verify")


def test_a_folder_goes_there_and_back(ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    made = ddpm("archive", "create", tmp_path / "a.ddpma", photos, "--model", tiny_model, *FAST)
    size = (tmp_path / "a.ddpma").stat().st_size
    assert (made.code, made.stdout) == (0, b"")
    assert f"{photos}: left out 1 of 11 files" in made.stderr
    assert f"ddpmcodec: 10 images -> {tmp_path / 'a.ddpma'}: {size} bytes, 4." in made.stderr
    done = ddpm("archive", "extract", tmp_path / "a.ddpma", "-o", tmp_path / "out", "--model", tiny_model)
    assert done.code == 0
    assert done.stderr.endswith(f"ddpmcodec: {tmp_path / 'a.ddpma'}: 10 images -> {tmp_path / 'out'}\n")
    originals = {Path(name).with_suffix(""): name for name in files_below(photos) if name != "notes.txt"}
    assert files_below(tmp_path / "out") == sorted(f"{stem}.png" for stem in originals)
    assert all(equal(photos / name, tmp_path / "out" / f"{stem}.png") for stem, name in originals.items())


def test_files_keep_their_names_without_folders(ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.ddpma"
    arguments = (photos / "3.png", photos / "below" / "grey.png", "--model", tiny_model, "-q", *FAST)
    ended = ddpm("archive", "create", out, *arguments)
    assert (ended.code, ended.stderr) == (0, "")
    assert archive.names(out.read_bytes()) == ["3.png", "grey.png"]


def test_effort_and_levels_are_choices(ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.ddpma"
    options = ("-e", 3, "--levels", 0, "--model", tiny_model, "-v")
    ended = ddpm("archive", "create", out, photos / "1.png", *options)
    assert ended.code == 0
    assert ended.stderr.endswith(" s\n")
    facts = archive.describe(out.read_bytes())
    assert facts["settings"] == [{"effort": 3, "levels": 0}]


@pytest.mark.parametrize(
    "options", [("--effort", 4), ("--bits-back", 1), ("--steps", 2), ("--levels", 3), ("--levels", "1:9:3")]
)
def test_other_efforts_and_levels_are_wrong_usage(
    ddpm: Callable, photos: Path, tmp_path: Path, options: tuple[str, object]
) -> None:
    assert ddpm("archive", "create", tmp_path / "a.ddpma", photos / "1.png", *options).code == 2
    assert not (tmp_path / "a.ddpma").exists()


def test_bits_back_says_through_how_many_levels(
    ddpm: Callable, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []

    class Told(Writer):
        def __init__(self, **options: object) -> None:
            asked.append(options)
            super().__init__(effort=1)

    monkeypatch.setattr("ddpmcodec.archive.writer.Writer", Told)
    assert ddpm("archive", "create", tmp_path / "a.ddpma", photos / "1.png", "--bits-back", 32).code == 0
    assert ddpm("archive", "create", "-f", tmp_path / "a.ddpma", photos / "1.png", "--levels", 5).code == 0
    assert [(options["bits_back"], options["levels"]) for options in asked] == [(32, None), (None, 5)]


def test_programs_get_one_object(ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    target, images = tmp_path / "a.ddpma", [photos / "1.png", photos / "2.png", tmp_path / "bad.png"]
    ended = ddpm("archive", "create", target, *images, "--model", tiny_model, "--json", "--threads", 1, *FAST)
    assert json.loads(ended.stdout) == {
        **{
            "file": str(target),
            "images": 2,
            "skipped": 0,
            "replaced": 0,
            "left_out": 1,
            "added": 2,
            "bytes": target.stat().st_size,
            "images_by_bits_back": 0,
        },
        "input_bytes": sum(image.stat().st_size for image in images[:2]),
    }
    assert ddpm("archive", "create", "-", photos, "--json").code == 2


def test_where_nobody_watches_the_count_is_reported(
    ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddpmcodec.cli._report.REPORT_SECONDS", 0.0)
    arguments = ["archive", "create", tmp_path / "a.ddpma", photos, "--model", tiny_model, *FAST]
    assert "ddpmcodec: 1 of " in ddpm(*arguments).stderr
    assert ddpm(*arguments, "-f", "-q").stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_an_archive_and_what_is_extracted_permit_what_the_umask_does(
    alone: Callable, photos: Path, tmp_path: Path
) -> None:
    """An image that nobody may write is no reason that nobody may write the archive, which a replaced one is."""
    for name, mode in (("1.png", 0o644), ("2.png", 0o400)):
        (tmp_path / name).write_bytes((photos / name).read_bytes())
        (tmp_path / name).chmod(mode)

    def ended(*arguments: str) -> int:
        return int(alone("archive", *arguments, cwd=tmp_path, umask=0o027).code)

    def modes(*names: str) -> set[int]:
        return {(tmp_path / name).stat().st_mode & 0o777 for name in names}

    assert ended("create", "a.ddpma", "1.png", "2.png", *FAST) == ended("extract", "a.ddpma", "-o", "out") == 0
    assert modes("a.ddpma", "out/1.png", "out/2.png") == {0o640}
    (tmp_path / "a.ddpma").chmod(0o600)
    assert ended("remove", "a.ddpma", "1.png") == ended("extract", "a.ddpma", "-o", "again") == 0
    assert (modes("a.ddpma"), modes("again/2.png")) == ({0o600}, {0o640})


def test_arrays_are_taken_as_training_takes_them(alone: Callable, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (11, 6, 4, 3), np.uint8)
    np.save(tmp_path / "noise.npy", images)
    with (tmp_path / "more.NPZ").open("wb") as file:
        np.savez(file, images[:2])
    np.save(tmp_path / "grey.npy", images[..., 0])
    ended = alone("archive", "create", "a.ddpma", "noise.npy", "more.NPZ", "grey.npy", "none.npy", *FAST, cwd=tmp_path)
    assert (ended.code, "grey.npy: expected uint8" in ended.stderr) == (1, True)
    found = dict(archive.extract(tmp_path / "a.ddpma"))
    assert "none.npy: cannot be read" in ended.stderr
    assert list(found)[::10] == ["noise/00.png", "noise/10.png"]
    assert np.array_equal([np.asarray(found[f"noise/{n:02}.png"]) for n in range(11)], images)
    assert np.array_equal([np.asarray(found[f"more/{n}.png"]) for n in range(2)], images[:2])


def test_an_archive_goes_through_pipes(ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    made = ddpm("archive", "create", "-", photos / "0.png", "--model", tiny_model, *FAST)
    assert made.code == 0
    assert "1 image -> standard output" in made.stderr
    ended = ddpm("archive", "extract", "-", "-o", tmp_path, "--model", tiny_model, stdin=made.stdout)
    assert (ended.code, files_below(tmp_path)) == (0, ["0.png"])


def test_what_is_no_image_is_named_and_left_out(ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    out, missing = tmp_path / "a.ddpma", tmp_path / "missing.png"
    arguments = (photos / "1.png", tmp_path / "bad.png", missing, "--model", tiny_model, *FAST)
    ended = ddpm("archive", "create", out, *arguments)
    assert ended.code == 1
    assert f"{tmp_path / 'bad.png'}: not an image" in ended.stderr
    assert f"{missing}: No such file or directory" in ended.stderr
    assert ended.stderr.endswith("ddpmcodec: 2 of 3 files left out\n")
    assert archive.names(out.read_bytes()) == ["1.png"]


def test_bytes_behind_the_end_are_reported_and_all_is_extracted(
    ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.ddpma"
    assert ddpm("archive", "create", out, photos / "0.png", "--model", tiny_model, *FAST).code == 0
    out.write_bytes(out.read_bytes() + b"more")
    listed = ddpm("archive", "list", out)
    assert (listed.code, ", 4 bytes behind" in listed.stderr) == (0, True)
    ended = ddpm("archive", "extract", out, "-o", tmp_path / "out", "--model", tiny_model)
    assert (ended.code, files_below(tmp_path / "out")) == (3, ["0.png"])
    assert "4 bytes follow" in ended.stderr
    assert "`head -c " in ended.stderr
    assert ddpm("archive", "test", out, "--model", tiny_model).code == 3


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody can keep root out of a folder, so it is one that is gone."""
    failures: list[int] = []
    sources = folder_sources(tmp_path / "gone", None, "image", False, lambda error: failures.append(failure(error)))
    assert sources == []
    assert failures == [1]
    assert capsys.readouterr().err == f"ddpmcodec: {tmp_path / 'gone'}: No such file or directory\n"


def test_what_is_left_out_by_name_is_reported_by_its_endings(
    ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.png").write_bytes((photos / "1.png").read_bytes())
    for name in ("a.aa", "b.bb", "c.cc", "d.dd", "e.ee", "f.gg", "Makefile"):
        (tmp_path / "in" / name).write_bytes(b"")
    ended = ddpm("archive", "create", tmp_path / "a.ddpma", tmp_path / "in", "--model", tiny_model, *FAST)
    assert (ended.code, archive.names((tmp_path / "a.ddpma").read_bytes())) == (0, ["1.png"])
    assert "left out 7 of 8 files" in ended.stderr
    assert ".aa, .bb, .cc, .dd, .ee, ...\n" in ended.stderr


def test_a_name_that_cannot_be_is_left_out(ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("good.png", "a\\b.png"):
        (tmp_path / "in" / name).write_bytes((photos / "1.png").read_bytes())
    ended = ddpm("archive", "create", tmp_path / "a.ddpma", tmp_path / "in", "--model", tiny_model, *FAST)
    assert ended.code == 1
    assert "backslash" in ended.stderr
    assert archive.names((tmp_path / "a.ddpma").read_bytes()) == ["good.png"]


@pytest.mark.parametrize("content", [{}, {"bad.png": b"no image"}], ids=["empty", "no image"])
def test_no_images_are_an_error(ddpm: Callable, tmp_path: Path, tiny_model: Path, content: dict[str, bytes]) -> None:
    (tmp_path / "in").mkdir()
    for name, data in content.items():
        (tmp_path / "in" / name).write_bytes(data)
    ended = ddpm("archive", "create", tmp_path / "a.ddpma", tmp_path / "in", "--model", tiny_model)
    assert ended.code == 1
    assert "there is no image" in ended.stderr
    assert not (tmp_path / "a.ddpma").exists()


def test_two_images_of_one_name_are_an_error(ddpm: Callable, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "3.png").write_bytes((photos / "3.png").read_bytes())
    ended = ddpm("archive", "create", tmp_path / "a.ddpma", photos / "3.png", tmp_path / "3.png")
    assert ended.code == 1
    assert f"{tmp_path / '3.png'} and {photos / '3.png'} would both be 3.png" in ended.stderr


def test_an_existing_archive_is_kept(ddpm: Callable, photos: Path, photos_ddpma: Path, tiny_model: Path) -> None:
    before = photos_ddpma.read_bytes()
    ended = ddpm("archive", "create", photos_ddpma, photos / "1.png", "--model", tiny_model, *FAST)
    assert (ended.code, photos_ddpma.read_bytes()) == (1, before)
    assert "exists already" in ended.stderr
    assert ddpm("archive", "create", "-f", photos_ddpma, photos / "1.png", "--model", tiny_model, *FAST).code == 0
    assert archive.names(photos_ddpma.read_bytes()) == ["1.png"]


@pytest.mark.parametrize(
    ("force", "among", "code", "said"),
    [
        (["-f"], True, 1, "is the input itself"),
        (["-f"], False, 2, ".ddpma files: name it"),
        ([], False, 1, "exists already"),
    ],
)
def test_an_archive_never_takes_the_place_of_an_image(
    ddpm: Callable, photos: Path, tmp_path: Path, force: list[str], among: bool, code: int, said: str
) -> None:
    """Of those that go in, and, as where the archive's name was forgotten, of any."""
    image = tmp_path / "1.png"
    image.write_bytes((photos / "1.png").read_bytes())
    ended = ddpm("archive", "create", *force, image, photos / "2.png", *([image] if among else []))
    assert (ended.code, image.read_bytes()) == (code, (photos / "1.png").read_bytes())
    assert f"{image}: " in ended.stderr
    assert said in ended.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_an_archive_that_cannot_be_written_is_named_once(alone: Callable, photos: Path) -> None:
    ended = alone("archive", "create", "-f", "/dev/full", photos / "1.png", *FAST)
    assert (ended.code, ended.stderr.count("/dev/full")) == (1, 1)


def test_an_archive_that_fails_leaves_nothing(ddpm: Callable, photos: Path, tmp_path: Path) -> None:
    ended = ddpm("archive", "create", tmp_path / "a.ddpma", photos, "--model", tmp_path / "no-model")
    assert (ended.code, files_below(tmp_path)) == (4, [])


def test_an_archive_needs_images(ddpm: Callable, tmp_path: Path) -> None:
    assert ddpm("archive", "create", tmp_path / "a.ddpma").code == 2


def test_large_images_are_tiled(ddpm: Callable, photo: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    large = np.tile(pixels, (7, 6, 1))
    Image.fromarray(large).save(photo)
    out = tmp_path / "a.ddpma"
    assert ddpm("archive", "create", out, photo, "--tile", 64, *FAST).code == 0
    assert out.read_bytes() == archive.create({photo.name: large}, effort=1, tile=64)
    assert ddpm("archive", "create", out, photo, "--tile", 65, *FAST).code == 2


def test_an_archive_is_as_new_as_it_is(ddpm: Callable, photos: Path, tmp_path: Path) -> None:
    """What is left out, or in it, is something else."""
    old = tmp_path / "old.png"
    shutil.copy(photos / "1.png", old)
    os.utime(old, (10**9, 10**9))
    assert ddpm("archive", "create", tmp_path / "a.ddpma", old, *FAST).code == 0
    assert (tmp_path / "a.ddpma").stat().st_mtime > 1.5e9


def test_an_image_with_too_much_metadata_is_kept_whole(ddpm: Callable, photos: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(photos, tmp_path / "photos")
    drawing().save(folder / "heavy.webp", lossless=True, xmp=bytes(9_000_000))
    ended = ddpm("archive", "create", tmp_path / "a.ddpma", folder, "--effort", 1)
    assert (ended.code, "heavy.webp" in archive.names(tmp_path / "a.ddpma")) == (0, True)
