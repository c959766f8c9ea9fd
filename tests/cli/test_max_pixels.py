"""--max-pixels: a command refuses what claims more, and says what allows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive


@pytest.mark.parametrize("command", ["decode", "test"])
def test_a_file_that_claims_more_is_refused(ddpm: Callable, file: Path, names: Callable, command: str) -> None:
    arguments = [command, file, *(["-o", file.with_name("a.png")] if command == "decode" else [])]
    ended = ddpm(*arguments, "--max-pixels", 100)
    assert (ended.code, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(f"ddpmcodec: {file}: the header claims ")
    assert "--max-pixels N" in ended.stderr
    assert names(file.parent) == [file.name]
    assert ddpm(*arguments, "--max-pixels", 10_000_000).code == 0


def test_of_an_archive_the_image_is_named(ddpm: Callable, tmp_path: Path) -> None:
    file, out = tmp_path / "a.ddpma", tmp_path / "out"
    images = [("a.png", np.zeros((4, 4), np.uint8)), ("b.png", np.zeros((11, 10), np.uint8))]
    file.write_bytes(archive.create(images))
    for arguments in (("extract", file, "-o", out), ("test", file)):
        ended = ddpm("archive", *arguments, "--max-pixels", 100)
        assert (ended.code, f"{file}: b.png claims 10 x 11 pixels" in ended.stderr) == (1, True)
        assert "--max-pixels N" in ended.stderr
        assert not out.exists()
    assert ddpm("archive", "extract", file, "a.png", "-o", out, "--max-pixels", 100).code == 0


@pytest.mark.parametrize("command", [["encode"], ["archive", "create"]])
def test_an_image_to_encode_is_measured_by_the_option_and_not_by_pillow(
    ddpm: Callable, photo: Path, jpeg: Path, tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    out = tmp_path / "out.ddpma"
    outputs = [out] if command[0] == "archive" else []
    ended = ddpm(*command, *outputs, photo, "--max-pixels", 100)
    assert (ended.code, f"{photo}: the image claims 24 x 20 pixels" in ended.stderr) == (1, True)
    other = jpeg.rename(tmp_path / "other.jpg")
    assert ddpm(*command, *outputs, photo, other, "-f").code == 0
    assert Image.MAX_IMAGE_PIXELS == 50
    files = [out] if outputs else [tmp_path / "photo.ddpm", tmp_path / "other.ddpm"]
    assert ddpm(*command[:-1], "test", *files).code == 0


@pytest.mark.parametrize("value", ["0", "-5", "many", "2.5"])
def test_other_limits_are_wrong_usage(ddpm: Callable, file: Path, value: str) -> None:
    assert ddpm("test", file, "--max-pixels", value).code == 2
