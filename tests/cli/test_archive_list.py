"""`ddpmcodec archive list` and `test`, also of what is cut, damaged or no archive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive
from ddpmcodec.format.ddpma import split
from pictures import drawing, pattern

FAST = ("--effort", 1, "--no-verify")


def test_a_list_names_all(ddpm: Callable, photos_ddpma: Path, made: bytes) -> None:
    ended = ddpm("archive", "list", photos_ddpma)
    lines = ended.stdout.decode().splitlines()
    assert ended.code == 0
    assert lines[0] == "     8 x 8      RGB          - context model    0.png"
    assert lines[-1] == "    10 x 4      L            - context model    below/grey.png"
    assert len(lines) == 10
    assert f"{len(made)} bytes, " in ended.stderr
    assert "10 of 10 images together" in ended.stderr


def test_a_list_says_what_model_every_image_needs(
    ddpm: Callable, photo: Path, pixels: np.ndarray, tiny_model: Path, tmp_path: Path
) -> None:
    """Also those that are whole files, as images over 4,096 pixels are."""
    out = tmp_path / "a.ddpma"
    Image.fromarray(np.tile(pixels, (14, 12, 1))).save(photo.with_name("large.png"))
    given = (photo, photo.with_name("large.png"), "--model", tiny_model, *FAST)
    assert ddpm("archive", "create", out, *given).code == 0
    facts = json.loads(ddpm("archive", "list", "--json", out).stdout)
    small, large = facts["images"]
    assert (small["bytes"], large["bytes"] is None) == (None, False)
    assert facts["model_ids"] == [small["model"]] == [large["model"]]
    assert [(image["effort"], image["levels"]) for image in facts["images"]] == [(1, 0), (1, 1)]


def test_a_list_without_stacks_names_no_model_that_coded_none(ddpm: Callable, tiny_model: Path, tmp_path: Path) -> None:
    data = archive.create([("pattern.png", pattern(70, 60))], model=tiny_model, effort=1)
    (tmp_path / "a.ddpma").write_bytes(data)
    ended = ddpm("archive", "list", tmp_path / "a.ddpma")
    assert "1 of 1 images" in ended.stderr
    length = split(data).index.entries[0].length
    assert ended.stdout.decode().split() == ["60", "x", "70", "RGB", str(length), "context", "model", "pattern.png"]


def test_a_list_for_programs(ddpm: Callable, photos_ddpma: Path) -> None:
    facts = json.loads(ddpm("archive", "list", photos_ddpma, "--json").stdout)
    assert facts["file"] == str(photos_ddpma)
    assert {image["name"] for image in facts["images"]} >= {"0.png", "below/colour.webp"}


def test_a_cut_archive_is_still_listed(ddpm: Callable, photos_ddpma: Path, made: bytes) -> None:
    photos_ddpma.write_bytes(made[:-100])
    ended = ddpm("archive", "list", photos_ddpma)
    assert (ended.code, len(ended.stdout.splitlines())) == (0, 10)
    assert "100 bytes are missing" in ended.stderr


def test_a_list_says_what_is_damaged(ddpm: Callable, photos_ddpma: Path, made: bytes) -> None:
    photos_ddpma.write_bytes(b"\0" + made[1:])
    ended = ddpm("archive", "list", photos_ddpma)
    assert (ended.code, len(ended.stdout.splitlines())) == (0, 10)
    assert "index is damaged" in ended.stderr


def test_a_whole_archive_is_ok(ddpm: Callable, photos_ddpma: Path, tiny_model: Path) -> None:
    ended = ddpm("archive", "test", photos_ddpma, "--model", tiny_model)
    assert (ended.code, ended.stdout.decode()) == (0, f"{photos_ddpma}: ok, 10 images\n")
    assert ddpm("archive", "test", photos_ddpma, "--model", tiny_model, "-q").stdout == b""


def test_a_cut_archive_is_not(ddpm: Callable, photos_ddpma: Path, made: bytes, tiny_model: Path) -> None:
    photos_ddpma.write_bytes(made[:-8])
    ended = ddpm("archive", "test", photos_ddpma, "--model", tiny_model)
    assert (ended.code, ended.stdout) == (3, b"")
    assert f"{photos_ddpma}: " in ended.stderr
    assert " of 10 images are lost (" in ended.stderr


@pytest.mark.parametrize("command", ["list", "test"])
def test_other_files_are_no_archives(ddpm: Callable, file: Path, command: str) -> None:
    ended = ddpm("archive", command, file)
    assert ended.code == 3
    assert f"{file}: not an archive" in ended.stderr


def test_an_archive_of_another_model_needs_it(ddpm: Callable, photos_ddpma: Path) -> None:
    ended = ddpm("archive", "test", photos_ddpma)
    assert ended.code == 4
    assert "the model that wrote it" in ended.stderr


def test_names_that_the_terminal_lacks_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "a.ddpma").write_bytes(archive.create([("\u65e5.png", drawing())], effort=1))
    command = [sys.executable, "-m", "ddpmcodec", "archive", "list", "a.ddpma"]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert (ended.returncode, rb"\u65e5.png" in ended.stdout) == (0, True)
