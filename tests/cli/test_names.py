"""Names of inputs and outputs: folders, patterns, names that are empty or that no system takes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pictures import files_below


def test_files_of_one_output_are_named_and_the_rest_is_done(ddpm: Any, tree: Path) -> None:
    for name in ("a.bmp", "below/c.webp", "below/c.tif"):
        (tree / name).write_bytes(b"")
    ended = ddpm("encode", "-r", tree, "-o", tree.parent / "out")
    assert (ended.code, files_below(tree.parent / "out")) == (1, ["b.ddpm", "below/d.ddpm"])
    assert f"{tree / 'a.bmp'} and {tree / 'a.png'} would both become {tree.parent / 'out/a.ddpm'}: " in ended.stderr
    assert f"{tree / 'below/c.webp'} would all become {tree.parent / 'out/below/c.ddpm'}: rename" in ended.stderr
    assert ended.stderr.count(" would ") == 2  # once for all files of an output
    assert ended.stderr.endswith(", 5 failed\n")


def test_of_files_to_decode_no_suffix_can_be_kept(ddpm: Any, tree: Path) -> None:
    for folder in (tree, tree / "below"):
        (folder / "x.ddpm").write_bytes(b"")
    ended = ddpm("decode", tree / "x.ddpm", tree / "below" / "x.ddpm", "-o", tree.parent / "out")
    assert f"would both become {tree.parent / 'out/x.png'}" in ended.stderr


def test_a_folder_needs_r_and_files_beside_it_are_done(ddpm: Any, tree: Path, photo: Path) -> None:
    ended = ddpm("encode", tree, photo)
    assert (ended.code, photo.with_suffix(".ddpm").is_file()) == (1, True)
    assert f"ddpmcodec: {tree}: is a folder: use -r" in ended.stderr


def test_a_folder_without_images_is_an_error(ddpm: Any, tmp_path: Path) -> None:
    ended = ddpm("decode", "-r", tmp_path)
    assert (ended.code, f"{tmp_path}: there is no .ddpm file" in ended.stderr) == (1, True)


def test_with_r_the_output_is_a_folder(ddpm: Any, tree: Path) -> None:
    for output in ("-", tree / "a.png"):
        ended = ddpm("encode", "-r", tree, "-o", output)
        assert (ended.code, f"-o must be a folder, which {output} is not" in ended.stderr) == (2, True)


def test_an_archive_is_sent_to_its_own_command(ddpm: Any, photo: Path) -> None:
    made = photo.with_name("a.ddpm")
    refused = ddpm("archive", "create", made, photo)
    assert (refused.code, "name it a.ddpma" in refused.stderr) == (2, True)
    assert ddpm("archive", "create", f"{made}a", photo).code == 0
    Path(f"{made}a").rename(made)
    ended = ddpm("decode", made)
    assert (ended.code, f"{made}: an archive" in ended.stderr) == (3, True)
    assert ddpm("test", made).stdout.decode() == f"{made}: ok, 1 image\n"
    assert ddpm("info", made).stdout.decode().startswith(f"{made}: {made.stat().st_size} bytes, ")
    assert json.loads(ddpm("info", made, "--json").stdout)["images"][0]["name"] == photo.name


def test_names_of_archives_are_patterns(ddpm: Any, tree: Path, tmp_path: Path) -> None:
    (tree / "below" / "c.png").rename(tree / "below" / "[a].png")
    ddpm("archive", "create", tmp_path / "a.ddpma", tree)

    def listed(*patterns: str) -> list[str]:
        found = ddpm("archive", "list", tmp_path / "a.ddpma", *patterns)
        assert found.code == 0
        return [line.split()[-1] for line in found.stdout.decode().splitlines()]

    assert listed("[ab].png") == ["a.png", "b.png"]
    assert listed("below/*") == ["below/[a].png", "below/d.png"]
    assert listed("below/[a].png") == ["below/[a].png"], "a name, as it stands"
    assert ddpm("archive", "extract", tmp_path / "a.ddpma", "?.png", "-o", tmp_path / "out").code == 0
    assert files_below(tmp_path / "out") == ["a.png", "b.png"]
    for command in (["list"], ["extract", "-o", tmp_path / "none"]):
        for name, said in (("z*", "'z*'"), ("z.png", "'z.png'")):
            ended = ddpm("archive", command[0], tmp_path / "a.ddpma", name, *command[1:])
            assert (ended.code, ended.stdout) == (1, b"")
            assert said in ended.stderr


@pytest.mark.parametrize("command", ["encode", "archive create"])
def test_a_name_that_no_system_takes_leaves_the_others(ddpm: Any, command: str, tree: Path, tmp_path: Path) -> None:
    name = f"{'n' * 300}.png"
    inputs = [tree / "a.png", tree / name, tree / "b.png"]
    archive, out = ([], ["-o", tmp_path]) if command == "encode" else ([tmp_path / "all.ddpma"], [])
    ended = ddpm(*command.split(), *archive, *inputs, *out)
    assert ended.code == 1
    assert f"{name}: File name too long" in ended.stderr
    made = {"a.ddpm", "b.ddpm"} if command == "encode" else {"all.ddpma"}
    assert made <= set(files_below(tmp_path))


def test_a_name_of_two_lines_is_refused_by_encode_and_archive_alike(alone: Any, tree: Path) -> None:
    name = "a\nb.png"
    (tree / "a.png").rename(tree / name)
    (tree / "below").rename(tree / "bel\now")
    encoded = alone("encode", "-r", ".", "-o", "../out", cwd=tree)
    archived = alone("archive", "create", "../a.ddpma", ".", cwd=tree)
    for ended in (encoded, archived):
        assert (ended.code, ended.stderr.count("U+000A"), r"a\nb.png" in ended.stderr) == (1, 3, True)
    assert files_below(tree.parent / "out") == ["b.ddpm"]
    assert alone("encode", name, "-o", "c.ddpm", cwd=tree).code == 0
    (tree / "c.ddpm").rename(tree / "c\nd.ddpm")
    assert alone("decode", "c\nd.ddpm", cwd=tree).code == 0, "older files are decoded"


@pytest.mark.parametrize(
    "arguments",
    [
        ("encode", "-r", ""),
        ("encode", "a.png", "-o", ""),
        ("decode", ""),
        ("truncate", "a.ddpm", "--bpp", 1, "-o", ""),
        ("thumbnail", "", "-o", "small.png"),
        ("view", "a.ddpm", "--original", ""),
        ("train", "--data", "", "--out", "run"),
        ("export", "run", "-o", ""),
        ("sample", "-o", ""),
        ("interpolate", "a.png", "", "-o", "mixed.png"),
        ("quality", "", "b", "--inception", "weights.pth"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_empty_name_is_not_the_current_folder(ddpm: Any, tree: Path, arguments: tuple[Any, ...]) -> None:
    with contextlib.chdir(tree):
        before = files_below(tree)
        ended = ddpm(*arguments)
        assert (ended.code, files_below(tree)) == (2, before)
        assert "the name is empty" in ended.stderr


def test_a_file_that_is_named_twice_is_coded_once(ddpm: Any, tree: Path) -> None:
    with contextlib.chdir(tree):
        ended = ddpm("encode", "a.png", "./a.png", "a.png")
        assert (ended.code, Path("a.ddpm").exists()) == (0, True)


def test_a_folder_that_cannot_be_entered_costs_no_other(ddpm: Any, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be listed, where a permission is missing that root is never without."""
    entered = Path.is_file

    def is_file(path: Path) -> bool:
        if path.parent.name == "below":
            raise PermissionError(13, "Permission denied", str(path))
        return entered(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    ended = ddpm("encode", "-r", tree, "-o", tree.parent / "out")
    assert (ended.code, files_below(tree.parent / "out")) == (1, ["a.ddpm", "b.ddpm"])
    assert f"{tree / 'below' / 'c.png'}: Permission denied" in ended.stderr


def test_names_with_their_suffixes_kept_lead_back(ddpm: Any, tree: Path) -> None:
    Image.open(tree / "a.png").save(tree / "e.JPEG", quality=90)
    out = tree.parent / "out"
    assert ddpm("encode", tree / "a.png", tree / "e.JPEG", "--keep-suffix", "-o", out).code == 0
    assert files_below(out) == ["a.png.ddpm", "e.JPEG.ddpm"]
    assert ddpm("decode", out / "a.png.ddpm", out / "e.JPEG.ddpm", "-o", tree.parent / "back").code == 0
    assert files_below(tree.parent / "back") == ["a.png", "e.JPEG.png"]
    assert ddpm("decode", "--original", out / "e.JPEG.ddpm", "-o", f"{tree.parent / 'jpeg'}/").code == 0
    assert (tree.parent / "jpeg" / "e.JPEG").read_bytes() == (tree / "e.JPEG").read_bytes()
    assert "--original" in ddpm("decode", out / "e.JPEG.ddpm", "-o", out / "e.jpg").stderr


def test_suffixes_in_upper_case_lead_back(alone: Any, tree: Path) -> None:
    for name in ("IMG_0001.PNG", "IMG_0002.Png"):
        (tree / "a.png").rename(tree / name)
        assert alone("encode", name, "--keep-suffix", cwd=tree).code == 0
        assert alone("archive", "create", "-f", "a.ddpma", name, cwd=tree).code == 0
        for back in (("decode", "--original", f"{name}.ddpm"), ("archive", "extract", "a.ddpma")):
            assert alone(*back, "-o", "back/", cwd=tree).code == 0
            with Image.open(tree / "back" / name) as restored, Image.open(tree / name) as image:
                assert restored.tobytes() == image.tobytes()
            (tree / "back" / name).unlink()
        (tree / name).rename(tree / "a.png")


def test_a_dry_run_names_what_is_not_there(ddpm: Any, tree: Path) -> None:
    for command, name in (("encode", "none.png"), ("decode", "none.ddpm")):
        ended = ddpm(command, "--dry-run", tree / name)
        assert (ended.code, ended.stdout) == (1, b"")
        assert f"{name}: No such file or directory" in ended.stderr
    both = ddpm("encode", "--dry-run", tree / "none.png", tree / "a.png")
    assert (both.code, both.stdout.decode()) == (1, f"{tree / 'a.png'} -> {tree / 'a.ddpm'}\n")
