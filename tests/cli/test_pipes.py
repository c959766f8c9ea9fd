"""Readers that go away early are no failure: the command ends at once, quietly, as other Unix tools do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "ddpmcodec"]


def ended_without_reader(*arguments: object, stream: str = "stdout") -> tuple[int, bytes]:
    """Exit code, and what it wrote to the other stream, of a command line one of whose streams nobody reads."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: write_end}
    try:
        ended = subprocess.run([*COMMAND, *map(str, arguments)], check=False, **streams)  # type: ignore[call-overload]
    finally:
        os.close(write_end)
    return ended.returncode, ended.stderr if stream == "stdout" else ended.stdout


def test_of_many_files_none_follows(file: Path) -> None:
    """As in `ddpmcodec info *.ddpm | head -1`: a file that is not there would be named otherwise."""
    assert ended_without_reader("info", file, "no.ddpm") == (141, b"")


@pytest.mark.parametrize("arguments", [["--version"], ["encode", "--help"]], ids=" ".join)
def test_help_may_be_cut_too(arguments: list[str]) -> None:
    assert ended_without_reader(*arguments) == (141, b"")


def test_an_image_may_be_cut(file: Path) -> None:
    assert ended_without_reader("decode", file, "-o", "-") == (141, b"")


def test_a_pipe_may_have_a_name(file: Path) -> None:
    assert ended_without_reader("decode", file, "-o", "/dev/stdout") == (141, b"")


def test_messages_may_be_cut() -> None:
    assert ended_without_reader("info", "no.ddpm", stream="stderr") == (141, b"")


def test_the_first_line_comes_before_the_end(file: Path) -> None:
    """A shell's view of it, where every part of a pipe counts."""
    many = " ".join(["$0"] * 1000)  # of which a pipe holds a part
    script = f"set -o pipefail; {sys.executable} -m ddpmcodec info {many} | head -1"
    ended = subprocess.run(["bash", "-c", script, file], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (141, f"{file}:\n", "")


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["info {}", "info --json {}", "test {}", "decode {} -o -", "--help", "doctor"])
def test_a_full_disk_is_an_error_of_one_line(file: Path, arguments: str, unbuffered: str) -> None:
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with FULL.open("w") as full:
        words = [*COMMAND, *arguments.format(file).split()]
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("ddpmcodec: standard output: cannot be written")
    assert ended.stderr.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="no limit of a file's size")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_fits_in_part_is_an_error(file: Path, tmp_path: Path, unbuffered: str) -> None:
    """Without a buffer of Python's own a call writes what fits, and says so."""
    script = f'ulimit -f 1; "{sys.executable}" -m ddpmcodec decode "{file}" -o - > "{tmp_path / "a.png"}"'
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert (ended.returncode, "standard output: cannot be written" in ended.stderr) == (1, True)


def test_inputs_may_be_pipes(ddpm: Any, file: Path, tmp_path: Path) -> None:
    """As `decode <(cat FILE)`: what was looked at would be gone."""
    pipe, out, again = tmp_path / "pipe", tmp_path / "image.png", tmp_path / "again.ddpm"
    os.mkfifo(pipe)
    for command, source, target in (("decode", file, out), ("encode", out, again)):
        writer = Thread(target=pipe.write_bytes, args=(source.read_bytes(),), daemon=True)
        writer.start()
        ended = ddpm(command, pipe, "-o", target)
        writer.join(60)
        assert (ended.code, target.is_file()) == (0, True), ended.stderr


def test_stderr_may_be_closed(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "image.png"
    line = f'"$0" -m ddpmcodec decode "{file}" -o "{target}" 2>&-'
    ended = subprocess.run(["sh", "-c", line, sys.executable], check=False, capture_output=True)
    assert (ended.returncode, target.is_file()) == (0, True)
