"""ddpmcodec archive extract: folders come out, and nothing is written where it should not be."""

from __future__ import annotations

import contextlib
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from ddpmcodec import archive
from ddpmcodec.cli import _archive_extract
from ddpmcodec.format.block_frame import MARK
from ddpmcodec.format.ddpma import Packed, assemble, split
from pictures import drawing, equal, files_below

PHOTO = Path(__file__).parents[2] / "docs" / "photo.png"
FAST = ("--effort", 1, "--no-verify")


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
    assert f"-o is a folder: for one image use `-o - > {out}`" in ended.stderr
    assert ddpm(*given, f"{out}/").code == 0
    assert ddpm(*given, out, "-f").code == 0, "a folder that is there"


def test_an_unknown_name_is_an_error(ddpm: Callable, photos_ddpma: Path) -> None:
    ended = ddpm("archive", "extract", photos_ddpma, "33.png", "-o", photos_ddpma.parent / "out")
    assert ended.code == 1
    assert "there is no image '33.png' in the archive" in ended.stderr
    assert not (photos_ddpma.parent / "out").exists()


def test_existing_images_are_kept(ddpm: Callable, photos: Path, photos_ddpma: Path, tiny_model: Path) -> None:
    out = photos_ddpma.parent / "out"
    out.mkdir()
    (out / "2.png").write_bytes(b"precious")
    ended = ddpm("archive", "extract", photos_ddpma, "-o", out, "--model", tiny_model)
    assert (ended.code, files_below(out)) == (1, ["2.png"])
    assert ended.stderr == f"ddpmcodec: {out / '2.png'}: exists already, 1 such file: use -f to overwrite them\n"
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
    assert (ended.code, ended.stderr) == (1, f"ddpmcodec: {photos / 'notes.txt'}: is a file: name a folder with -o\n")


def test_images_that_would_take_one_place_keep_their_extensions(
    ddpm: Callable, photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    Image.open(photos / "1.png").save(tmp_path / "in" / "a.png")
    Image.open(photos / "2.png").save(tmp_path / "in" / "a.bmp")
    ddpm("archive", "create", tmp_path / "a.ddpma", tmp_path / "in", "--model", tiny_model, *FAST)
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


def test_the_name_of_a_folder_means_what_is_below_it(ddpm: Callable, tiny_model: Path, tmp_path: Path) -> None:
    images = [(name, Image.new("L", (2, 2))) for name in ("sub/a.png", "sub/b/c.png", "subs.png")]
    (tmp_path / "a.ddpma").write_bytes(archive.create(images, model=tiny_model, effort=1))
    for name, expected in (("sub", ["sub/a.png", "sub/b/c.png"]), ("sub/b/", ["sub/b/c.png"])):
        out = tmp_path / name.replace("/", "_")
        assert ddpm("archive", "extract", tmp_path / "a.ddpma", name, "-o", out, "--model", tiny_model).code == 0
        assert files_below(out) == expected


@pytest.mark.parametrize("name", ["../up.png", "/tmp/up.png", "C:/up.png", "..\\up.png", "a\0b"])
def test_names_that_lead_out_of_the_folder_are_refused(
    ddpm: Callable, photos_ddpma: Path, made: bytes, tiny_model: Path, name: str
) -> None:
    (block,), (parts,) = split(made).index.blocks, split(made).parts
    entries = (replace(block.entries[0], name=name), *block.entries[1:])
    body = b"".join([*parts.values, *parts.sections, *parts.streams])
    photos_ddpma.write_bytes(b"".join(map(bytes, assemble([Packed(replace(block, entries=entries), body)]))))
    out = photos_ddpma.parent / "deep" / "out"
    ended = ddpm("archive", "extract", photos_ddpma, "-o", out, "--model", tiny_model)
    assert ended.code == 3
    assert f"the archive holds an image named {name!r}" in ended.stderr
    assert files_below(photos_ddpma.parent) == ["photos.ddpma"]


def test_crafted_names_are_listed_without_control_characters(ddpm: Callable, photos_ddpma: Path, made: bytes) -> None:
    (block,), (parts,) = split(made).index.blocks, split(made).parts
    entries = (replace(block.entries[0], name="a\x1b[2J\nforged"), *block.entries[1:])
    body = b"".join([*parts.values, *parts.sections, *parts.streams])
    photos_ddpma.write_bytes(b"".join(map(bytes, assemble([Packed(replace(block, entries=entries), body)]))))
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
    assert f"{out / '2.png'}: exists already, and did not when the work began" in ended.stderr
    assert ended.code == 1
    assert (out / "2.png").read_bytes() == b"precious"
    assert (out / "3.png").is_file()


@pytest.fixture(scope="module")
def damaged(photos: Path, tiny_model: Path) -> bytes:
    """Cut, where two of six images are files."""
    images = [(name, Image.open(photos / name)) for name in ("0.png", "3.png", "4.png", "below/grey.png")]
    images += [(f"drawing-{i}.png", drawing(40 + i)) for i in (1, 2)]
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
    assert "1 of 6 images are lost (drawing-2.png): the archive ends 9 bytes before drawing-2.png does" in ended.stderr
    assert all(equal(out / name, photos / name) for name in written[:-1])


def test_a_damaged_block_is_named_and_the_others_are_written(
    ddpm: Callable, photos_ddpma: Path, damaged: bytes, tiny_model: Path
) -> None:
    second = damaged.find(MARK, damaged.find(MARK) + 1)
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
    assert "every image was found without it: make the archive again" in ended.stderr


# --- links, and names too long


@pytest.fixture
def archived(tmp_path: Path) -> Callable[[Mapping[str, int]], Path]:
    """An archive of images of one colour, by name."""

    def made(colours: Mapping[str, int]) -> Path:
        images = [(name, np.full((2, 3), colour, np.uint8)) for name, colour in colours.items()]
        (tmp_path / "a.ddpma").write_bytes(archive.create(images))
        return tmp_path / "a.ddpma"

    return made


def colour(path: Path) -> object:
    return Image.open(path).getpixel((0, 0))


def test_a_link_in_the_place_of_an_image_is_kept_without_force(ddpm: Callable, archived: Callable) -> None:
    file = archived({"a.png": 1, "b.png": 2})
    out = file.parent / "out"
    out.mkdir()
    (out / "a.png").symlink_to("../elsewhere.png")  # which is not there
    ended = ddpm("archive", "extract", file, "-o", out)
    assert ended.code == 1
    assert ended.stderr == f"ddpmcodec: {out / 'a.png'}: exists already, 1 such file: use -f to overwrite them\n"
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
    assert ended.stderr == (
        f"ddpmcodec: {out / 'below'}: is a link, and leads to another folder: use -f to write there all the same\n"
    )
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
    assert ".png: cannot be written (File name too long): nothing was kept of it\n" in ended.stderr
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


def test_one_image_goes_to_standard_output(ddpm: Callable, archived: Callable) -> None:
    file = archived({"a.png": 1, "b.png": 2})
    with contextlib.chdir(file.parent):
        for names, options in (([], []), (["a.png"], ["--json"])):
            refused = ddpm("archive", "extract", file, *names, *options, "-o", "-")
            assert (refused.code, refused.stdout, Path("-").exists()) == (2, b"", False)
            assert "-o is the folder of the images, and - is standard output, for one image" in refused.stderr
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
        data = archive.create(crops, effort=1, webp=False)
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
    assert "is the archive itself: name another folder" in ended.stderr


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
        assert (ended.code, "a.png: exists, but is not a whole file: remove it" in ended.stderr) == (1, True)
        assert ((out / "a.png").read_bytes(), (out / "b.png").is_file()) == (content, True)
    (out / "a.png").unlink()
    os.mkfifo(out / "a.png")
    assert ddpm("archive", "extract", file, "-o", out, "--skip-existing").code == 1
