"""ddpmcodec info and test: results on standard output, for people and for scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ddpmcodec import codec


def test_text_for_people(ddpm: Any, file: Path, coded: bytes) -> None:
    ended = ddpm("info", file)
    text = ended.stdout.decode()
    assert (ended.code, ended.stderr) == (0, "")
    assert text.startswith(f"{file}:\n")
    for words in ("12 x 10 RGB", f"{len(coded)} bytes", codec.info(coded)["model_id"], "single", "header 15"):
        assert words in text


def test_json_for_scripts(ddpm: Any, file: Path, coded: bytes) -> None:
    assert json.loads(ddpm("info", file, "--json").stdout) == {"file": str(file), **codec.info(coded)}
    assert json.loads(ddpm("info", "-", "--json", stdin=coded).stdout)["file"] == "standard input"


def test_json_of_several_files_is_one_array_also_when_some_fail(ddpm: Any, file: Path) -> None:
    foreign = file.with_name("foreign.ddpm")
    foreign.write_bytes(b"foreign")
    ended = ddpm("info", file, foreign, "--json")
    assert ended.code == 3
    assert [facts["file"] for facts in json.loads(ended.stdout)] == [str(file)]


def test_a_prefix_is_told_from_a_whole_file_where_the_header_knows(ddpm: Any, file: Path, tiny_model: Path) -> None:
    image = codec.decode(file.read_bytes(), model=tiny_model)
    image.info["icc_profile"] = b"profile"
    data = codec.encode(image, effort=1, model=tiny_model)
    assert "complete  yes" in ddpm("info", "-", stdin=data).stdout.decode()
    assert "complete  no, 3 bytes are missing" in ddpm("info", "-", stdin=data[:-3]).stdout.decode()
    assert "complete  only decoding tells" in ddpm("info", file).stdout.decode()


def test_test_says_ok_on_standard_output(ddpm: Any, file: Path, tiny_model: Path, names: Any) -> None:
    ended = ddpm("test", file, "--model", tiny_model)
    assert (ended.code, ended.stdout.decode(), ended.stderr) == (0, f"{file}: ok\n", "")
    assert ddpm("test", file, "-q", "--model", tiny_model).stdout == b""
    assert names(file.parent) == ["file.ddpm"]


def test_test_of_a_damaged_file_is_3(ddpm: Any, file: Path, coded: bytes, tiny_model: Path) -> None:
    file.write_bytes(coded[:-1])
    ended = ddpm("test", file, "--model", tiny_model)
    assert (ended.code, ended.stdout) == (3, b"")
    assert ended.stderr.startswith(f"ddpmcodec: {file}: ")
