"""Folders become pairs of files, and no two pairs have one output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ddpmcodec.errors import OutputError
from ddpmcodec.formats.folders import Pair, collisions, files_below, pairs


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """A folder with empty files of these names."""

    def made(*names: str) -> Path:
        for name in names:
            file = tmp_path / "in" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return tmp_path / "in"

    return made


def test_the_tree_is_mirrored(tree: Callable[..., Path]) -> None:
    folder = tree("b.PNG", "a.png", "x/y/c.webp", "x/notes.txt", "x/d.ddpm")
    out = folder.parent / "out"
    assert pairs([folder], out) == [
        (folder / "a.png", out / "a.ddpm"),
        (folder / "b.PNG", out / "b.ddpm"),
        (folder / "x/y/c.webp", out / "x/y/c.ddpm"),
    ]
    assert not out.exists()


def test_without_an_output_files_stay_beside_each_other(tree: Callable[..., Path]) -> None:
    folder = tree("x/a.ddpm", "x/b.png")
    assert pairs([folder], suffix=".png", extensions=[".ddpm"]) == [(folder / "x/a.ddpm", folder / "x/a.png")]


def test_files_that_are_named_are_taken_whatever_their_names_are(tree: Callable[..., Path]) -> None:
    folder = tree("raw", "x/a.png")
    found = pairs([folder / "raw", folder / "x"], "out")
    assert [pair.output.as_posix() for pair in found] == ["out/raw.ddpm", "out/a.ddpm"]


@pytest.mark.parametrize("names", [("a.png", "a.jpg"), ("x/a.png", "x/a.webp")])
def test_two_files_of_one_output_are_refused(tree: Callable[..., Path], names: tuple[str, str]) -> None:
    folder = tree(*names)
    with pytest.raises(OutputError, match=r"a\.\w+ and .*a\.\w+ .*a\.ddpm.*keep_suffix"):
        pairs([folder], folder.parent / "out")
    kept = pairs([folder], folder.parent / "out", keep_suffix=True)
    assert [pair.output.relative_to(folder.parent / "out").as_posix() for pair in kept] == sorted(
        f"{name}.ddpm" for name in names
    )


def test_all_that_collide_are_named(tree: Callable[..., Path]) -> None:
    folder = tree("a.png", "a.jpg", "a.bmp", "b.png", "b.webp", "c.png")
    with pytest.raises(OutputError) as caught:
        pairs([folder])
    assert str(caught.value).count(" would both become ") == 1
    assert str(caught.value).count(" would all become ") == 1


def test_two_folders_may_share_no_name(tree: Callable[..., Path]) -> None:
    folder = tree("x/a.png", "y/a.png")
    with pytest.raises(OutputError, match=r"out/a\.ddpm"):
        pairs([folder / "x", folder / "y"], "out")
    assert len(pairs([folder / "x", folder / "y"])) == 2, "beside the inputs they are two"


def test_a_folder_that_is_not_there_is_an_error_or_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files_below(tmp_path / "none")
    errors: list[OSError] = []
    assert files_below(tmp_path / "none", errors.append) == []
    assert [error.filename for error in errors] == [str(tmp_path / "none")]


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "trip" / "day").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for place in ("trip/a.png", "trip/day/b.png", "elsewhere/c.png"):
        (tmp_path / place).touch()
    (tmp_path / "trip" / "linked").symlink_to("../elsewhere")
    (tmp_path / "trip" / "day" / "up").symlink_to("..")
    (tmp_path / "elsewhere" / "back").symlink_to("../trip")
    found = [file.relative_to(tmp_path).as_posix() for file in files_below(tmp_path / "trip")]
    assert found == ["trip/a.png", "trip/day/b.png", "trip/linked/c.png"]


def test_a_link_that_leads_nowhere_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "lost.png").symlink_to("nowhere")
    assert [pair.source for pair in pairs([tmp_path])] == [tmp_path / "lost.png"]


def test_inputs_are_several(tmp_path: Path) -> None:
    for one in ("img", tmp_path):
        with pytest.raises(TypeError, match="several files"):
            pairs(one)


def test_each_real_folder_comes_once(tmp_path: Path) -> None:
    """Seven folders with links to each other have 13,700 names that are no circles."""
    for place in "abcdefg":
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.png").touch()
        for other in "abcdefg":
            (tmp_path / place / f"to-{other}").symlink_to(f"../{other}")
    found = [file.relative_to(tmp_path).as_posix() for file in files_below(tmp_path)]
    assert found == [f"{place}/x.png" for place in "abcdefg"]


def test_a_folder_comes_by_its_own_name_where_it_has_one(tmp_path: Path) -> None:
    (tmp_path / "z" / "day").mkdir(parents=True)
    (tmp_path / "z" / "day" / "x.png").touch()
    (tmp_path / "a").symlink_to("z/day")
    assert [file.relative_to(tmp_path).as_posix() for file in files_below(tmp_path)] == ["z/day/x.png"]


def test_many_files_of_one_output_are_counted(tree: Callable[..., Path]) -> None:
    folder = tree(*(f"{n}/a.png" for n in range(300)))
    found = collisions(Pair(folder / f"{n}/a.png", Path("a.ddpm")) for n in range(300))
    assert len(found) == 300
    assert all(
        len(message) < 1000 and " and 296 others would all become a.ddpm" in message for message in found.values()
    )
