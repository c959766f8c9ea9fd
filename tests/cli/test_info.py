"""ddpmcodec info and test: results on standard output, for people and for scripts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from written_files import assemble
from written_headers import Header, Index

from ddpmcodec import codec
from ddpmcodec._native import parse_header


def test_text_for_people(ddpm: Any, file: Path, coded: bytes) -> None:
    ended = ddpm("info", file)
    text = ended.stdout.decode()
    assert (ended.code, ended.stderr) == (0, "")
    assert text.startswith(f"{file}:\n")
    for words in (
        "24 x 20 RGB",
        f"{len(coded)} bytes",
        codec.info(coded)["model_id"],
        f"({codec.info(coded)['model']})",
        "complete  yes\n",
        "coding    context model",
        "effort    2\n",
        "levels    1, 2 steps to 9.24 grey levels and exact pixels\n",
        "1 tile",
        f"header {parse_header(coded).size}, ",
    ):
        assert words in text


def test_without_noise_levels_there_is_one_step(ddpm: Any, pixels: np.ndarray) -> None:
    text = ddpm("info", "-", stdin=codec.encode(pixels, effort=3, levels=0)).stdout.decode()
    assert "  effort    3\n  levels    0, 1 step to exact pixels\n" in text


def test_segments_of_tiled_files(ddpm: Any, tmp_path: Path) -> None:
    header = Header("L", 20, 8, effort=2, levels=2, model_id=bytes(4), index=Index(10, 8))
    data = assemble(header, b"", [bytes(n) for n in range(44)], b"")
    text = ddpm("info", "-", stdin=data).stdout.decode()
    assert "layout    format 1, 2 tiles, 22 segments each\n" in text
    assert "00000000 (not embedded: needs --model)" in text
    newer = assemble(replace(header, model_number=99, model_id=b""), b"", [bytes(n) for n in range(44)], b"")
    assert "model     number 99, of a newer version\n" in ddpm("info", "-", stdin=newer).stdout.decode()


def test_json_for_scripts(ddpm: Any, file: Path, coded: bytes) -> None:
    assert json.loads(ddpm("info", file, "--json").stdout) == {"file": str(file), **codec.info(coded)}
    assert json.loads(ddpm("info", "-", "--json", stdin=coded).stdout)["file"] == "standard input"


def test_json_of_several_files_is_one_array_also_when_some_fail(ddpm: Any, file: Path) -> None:
    foreign = file.with_name("foreign.ddpm")
    foreign.write_bytes(b"foreign")
    ended = ddpm("info", file, foreign, "--json")
    assert ended.code == 3
    whole, failed = json.loads(ended.stdout)
    assert (whole["file"], failed["file"], failed["exit_code"]) == (str(file), str(foreign), 3)
    assert failed["error"].startswith(f"{foreign}: not a ddpmcodec file")


def test_a_prefix_is_reported_from_a_whole_file(ddpm: Any, coded: bytes) -> None:
    assert "complete  yes" in ddpm("info", "-", stdin=coded).stdout.decode()
    assert "complete  no, 3 bytes are missing" in ddpm("info", "-", stdin=coded[:-3]).stdout.decode()


def test_test_says_ok_on_standard_output(ddpm: Any, file: Path, names: Any) -> None:
    ended = ddpm("test", file)
    assert (ended.code, ended.stdout.decode(), ended.stderr) == (0, f"{file}: ok\n", "")
    assert ddpm("test", file, "-q").stdout == b""
    assert names(file.parent) == ["file.ddpm"]


def test_test_of_a_damaged_file_is_3(ddpm: Any, file: Path, coded: bytes) -> None:
    file.write_bytes(coded[:-1])
    ended = ddpm("test", file)
    assert (ended.code, ended.stdout) == (3, b"")
    assert ended.stderr.startswith(f"ddpmcodec: {file}: ")


def test_metadata_that_are_cut_off_are_not_called_none(ddpm: Any) -> None:
    image = Image.new("RGB", (12, 10), (9, 8, 7))
    image.info["exif"] = b"Exif\0\0" + bytes(range(200))
    data = codec.encode(image)
    assert "metadata  exif 206 bytes" in ddpm("info", "-", stdin=data).stdout.decode()
    assert "metadata  cut off" in ddpm("info", "-", stdin=data[:-1]).stdout.decode()


def test_test_takes_a_tree(ddpm: Any, file: Path, coded: bytes) -> None:
    folder = file.parent / "tree"
    (folder / "below").mkdir(parents=True)
    (folder / "notes.txt").write_text("notes")
    for name in ("a.ddpm", "below/b.DDPM"):
        (folder / name).write_bytes(coded)
    ended = ddpm("test", "-r", folder, file)
    assert (ended.code, ended.stdout.decode().splitlines()) == (
        0,
        [f"{name}: ok" for name in (folder / "a.ddpm", folder / "below" / "b.DDPM", file)],
    )
    (folder / "a.ddpm").write_bytes(coded[:-1])
    assert ddpm("test", "-r", folder).code == 3
    refused = ddpm("test", folder)
    assert (refused.code, f"{folder}: is a folder: use -r" in refused.stderr) == (1, True)  # fmt: skip
    (file.parent / "empty").mkdir()
    ended = ddpm("test", "-r", file.parent / "empty")
    assert ended.code == 1
    assert f"{file.parent / 'empty'}: there is no file" in ended.stderr


def test_programs_are_told_which_files_are_sound(ddpm: Any, file: Path, coded: bytes) -> None:
    bad = file.with_name("bad.ddpm")
    bad.write_bytes(coded[:-1])
    ended = ddpm("test", file, bad, "--json", "--threads", 1)
    first, second = map(json.loads, ended.stdout.decode().splitlines())
    assert (ended.code, first["file"], first["ok"], first["lossy"]) == (3, str(file), True, False)
    assert (second["file"], second["ok"], second["exit_code"]) == (str(bad), False, 3)
    assert second["error"] in ended.stderr
    assert ended.stderr.endswith("ddpmcodec: 1 of 2 files failed\n")
