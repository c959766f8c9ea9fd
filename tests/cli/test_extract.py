"""ddpmcodec archive extract writes below its folder, and what cannot be written does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive


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
    assert ended.stderr == f"ddpmcodec: {out / 'a.png'}: exists already, 1 such files: use -f to overwrite them\n"
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
