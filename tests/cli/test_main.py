"""The command line as a whole: help without PyTorch, exit codes, one line per error and no traceback."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import ddpmcodec
from ddpmcodec.cli import COMMANDS, _common
from ddpmcodec.codec import encoder

COMMAND = [sys.executable, "-m", "ddpmcodec"]


def test_help_names_every_command_and_exit_code(ddpm: Any) -> None:
    ended = ddpm("--help")
    assert ended.code == 0
    for word in (*COMMANDS, "Exit codes:", "130"):
        assert word in ended.stdout.decode()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(ddpm: Any, command: str) -> None:
    ended = ddpm(command, "--help")
    assert ended.code == 0
    assert f"Usage: ddpmcodec {command}" in ended.stdout.decode()


def test_all_public_names_exist() -> None:
    assert [name for name in ddpmcodec.__all__ if not hasattr(ddpmcodec, name)] == []


def test_the_package_and_help_import_nothing_large() -> None:
    """In one process, where what is imported stays."""
    program = """
import sys
import ddpmcodec
from ddpmcodec.cli import run

codes = run(["--help"]), run(["encode", "--help"]), run(["bench", "--help"])
found = {"torch", "numpy", "PIL"} & {*sys.modules}
codes += (run(["bench", "bpd", "--help"]),)
print(codes, found, {"torch", "matplotlib"} & {*sys.modules}, file=sys.stderr)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stderr == "(0, 0, 0, 0) set() set()\n"


def test_version(ddpm: Any) -> None:
    assert ddpm("--version").stdout.decode() == f"ddpmcodec {ddpmcodec.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["transmogrify"],
        ["encode"],
        ["encode", "a.png", "--effort", "4"],
        ["encode", "a.png", "--levels", "3"],
        ["decode", "a.ddpm", "--step", "-1"],
        ["truncate", "a.ddpm", "-o", "b.ddpm"],
        ["truncate", "a.ddpm", "-o", "b.ddpm", "--bytes", "5", "--step", "1"],
        ["truncate", "a.ddpm", "--bytes", "5"],
        ["encode", "a.png", "b.png", "-o", "c.ddpm"],
        ["encode", "a.png", "b.png", "-o", "-"],
        ["info"],
    ],
)
def test_wrong_usage_is_2_with_a_hint_on_stderr(ddpm: Any, arguments: list[str]) -> None:
    ended = ddpm(*arguments)
    assert (ended.code, ended.stdout) == (2, b"")
    assert "Usage: ddpmcodec" in ended.stderr


@pytest.mark.parametrize(("name", "nearest"), [("enc", "encode"), ("archvie", "archive"), ("inf", "info")])
def test_the_nearest_command_is_suggested(alone: Any, name: str, nearest: str) -> None:
    ended = alone(name, "a.png")
    assert (ended.code, f"Did you mean '{nearest}'?" in ended.stderr) == (2, True)


@pytest.mark.parametrize(
    "line", ["train --out run", "encode a.png -o b.png", "archive create b.png a.png", "archive create b.ddpm a.png"]
)
def test_wrong_usage_is_2_before_any_work(alone: Any, photo: Path, names: Any, line: str) -> None:
    photo.rename(photo.with_name("a.png"))
    ended = alone(*line.split(), cwd=photo.parent)
    assert (ended.code, "Usage: ddpmcodec" in ended.stderr, names(photo.parent)) == (2, True, ["a.png"])


def test_the_console_command_exits_with_the_code(tmp_path: Path) -> None:
    (tmp_path / "x.ddpm").write_bytes(b"foreign")
    ended = subprocess.run([*COMMAND, "info", tmp_path / "x.ddpm"], capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert f"{tmp_path / 'x.ddpm'}: not a ddpmcodec file" in ended.stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "photo.png: not enough memory"),
        (OSError(5, "Input/output error"), 1, "Input/output error"),
    ],
)
def test_an_interruption_half_way_leaves_no_output(
    ddpm: Any,
    photo: Path,
    names: Any,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    message: str,
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(encoder, "encode_with", interrupted)
    before = photo.read_bytes()
    ended = ddpm("encode", photo)
    assert ended.code == code
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (names(photo.parent), photo.read_bytes()) == (["photo.png"], before)


def test_ctrl_c_is_130_without_a_traceback(tmp_path: Path, names: Any) -> None:
    """The command is interrupted while it reads: it has taken more than a pipe holds, so it is running."""
    # Commands that a shell starts in the background ignore the signal, and so would their children.
    program = "import signal; signal.signal(2, signal.default_int_handler); from ddpmcodec.cli import main; main()"
    command = [sys.executable, "-c", program, "encode", "-", "-o", tmp_path / "out.ddpm"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(bytes(1 << 20))
        process.stdin.flush()
        process.send_signal(2)
        process.stdin.close()  # where the signal came between two reads, it is seen after the next one
        stderr = process.stderr.read().decode()
    assert process.returncode == 130
    assert stderr.strip().startswith("ddpmcodec: interrupted")
    assert stderr.strip().count("\n") == 0
    assert names(tmp_path) == []


def test_a_failure_does_not_stop_the_other_files(ddpm: Any, photo: Path) -> None:
    bad = photo.with_name("bad.png")
    bad.write_bytes(b"no image")
    other = photo.with_name("other.png")
    other.write_bytes(photo.read_bytes())
    ended = ddpm("encode", photo, bad, photo.with_name("missing.png"), other, "--effort", 2)
    assert ended.code == 1
    assert f"ddpmcodec: {bad}: not an image" in ended.stderr
    assert f"ddpmcodec: {photo.with_name('missing.png')}: No such file or directory" in ended.stderr
    size = other.with_suffix(".ddpm").stat().st_size
    sizes = f"{2 * photo.stat().st_size} -> {2 * size} bytes, ratio {photo.stat().st_size / size:.3f}"
    assert ended.stderr.endswith(f"ddpmcodec: 2 of 4 files: {sizes}, 2 failed\n")
    assert photo.with_suffix(".ddpm").read_bytes() == other.with_suffix(".ddpm").read_bytes()


def test_of_several_failures_the_highest_code_is_returned(ddpm: Any, foreign: Path, tmp_path: Path) -> None:
    junk = tmp_path / "junk.ddpm"
    junk.write_bytes(b"junk")
    unknown_model = ddpm("test", junk, foreign, tmp_path / "missing.ddpm")
    assert unknown_model.code == 4
    assert ddpm("test", junk, tmp_path / "missing.ddpm").code == 3


HOSTILE = "a\x1b[31m\n\x9bddpmcodec: forged.png: ok \u202e\r"


@pytest.mark.parametrize("command", ["encode", "decode", "info", "test", "truncate"])
def test_names_write_nothing_to_the_terminal_but_themselves(ddpm: Any, command: str) -> None:
    """Neither escape sequences nor further lines."""
    ended = ddpm(command, HOSTILE, *(["--bpp", 1, "-o", "x"] if command == "truncate" else []))
    (line,) = ended.stderr.splitlines()
    assert line.startswith(r"ddpmcodec: a\x1b[31m\n\x9bddpmcodec: forged.png: ok \u202e\r: ")
    assert line.isprintable()
    assert ended.code == 1


def test_wrong_usage_is_printed_in_the_same_way(ddpm: Any) -> None:
    ended = ddpm("encode", "a.png", "--effort", HOSTILE)
    assert r"a\x1b[31m\n" in ended.stderr
    assert all(line.isprintable() for line in ended.stderr.splitlines())
    assert ended.code == 2


def test_results_are_printed_in_the_same_way(ddpm: Any, file: Path) -> None:
    hostile = file.rename(file.with_name(HOSTILE))
    for command in ("info", "test"):
        ended = ddpm(command, hostile)
        assert ended.code == 0
        assert all(line.isprintable() for line in (ended.stdout.decode() + ended.stderr).splitlines())
        assert rf"{file.parent}/a\x1b[31m\n" in ended.stdout.decode()


def test_letters_of_all_languages_are_printed_as_they_are() -> None:
    assert _common.printable("ä b/日本 €.png") == "ä b/日本 €.png"
    assert _common.printable("\udcff\t") == r"\udcff\t"


@pytest.mark.parametrize(
    ("redirected", "said"), [("<&-", "standard input is closed"), (">&-", "standard output is closed")]
)
def test_closed_streams_are_named(tmp_path: Path, redirected: str, said: str) -> None:
    """As a job scheduler may leave them."""
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    source = "-" if redirected == "<&-" else "a.png"
    line = f"{shlex.join(COMMAND)} encode {source} -o - --effort 1 {redirected}"
    ended = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert said in ended.stderr


@pytest.mark.parametrize("command", ["doctor", "encode a.png --dry-run", "completion bash"])
def test_results_that_have_nowhere_to_go_are_an_error(tmp_path: Path, command: str) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    ended = subprocess.run(
        ["sh", "-c", f"{shlex.join(COMMAND)} {command} >&-"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, "standard output is closed" in ended.stderr) == (1, True)


@pytest.mark.parametrize("command", [[], ["archive"], ["bench"]])
def test_a_command_alone_shows_its_help_in_lines(ddpm: Any, command: list[str]) -> None:
    ended = ddpm(*command)
    lines = (ended.stdout.decode() + ended.stderr).splitlines()
    assert lines[0].startswith("Usage: ddpmcodec")
    assert len(lines) > 5
