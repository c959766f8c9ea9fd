"""Scripts for shells, and what the command answers them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ddpmcodec.cli import COMMANDS


def answered(words: str, place: int) -> list[str]:
    """What bash's script gets for the word at a place: kinds and values."""
    asked = {"_DDPMCODEC_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    command = [sys.executable, "-m", "ddpmcodec"]
    return subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_the_command(ddpm: Any, shell: str) -> None:
    ended = ddpm("completion", shell)
    assert (ended.code, ended.stderr) == (0, "")
    assert f"_DDPMCODEC_COMPLETE={shell}_complete" in ended.stdout.decode()


def test_other_shells_are_wrong_usage(ddpm: Any) -> None:
    ended = ddpm("completion", "csh")
    assert (ended.code, ended.stdout) == (2, b"")
    assert all(f"'{shell}'" in ended.stderr for shell in ("csh", "bash", "zsh", "fish"))


def test_commands_options_and_choices_are_completed() -> None:
    assert answered("ddpmcodec ", 1) == [f"plain,{command}" for command in COMMANDS]
    assert answered("ddpmcodec archive ex", 2) == ["plain,extract"]
    assert answered("ddpmcodec encode --st", 2) == ["plain,--strip", "plain,--strict"]
    assert answered("ddpmcodec completion z", 2) == ["plain,zsh"]


def test_everything_else_is_a_file() -> None:
    assert answered("ddpmcodec encode ho", 2) == ["file,ho"]
    assert answered("ddpmcodec decode -o pho", 3) == ["file,pho"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_takes_the_script(ddpm: Any, tmp_path: Path) -> None:
    """A shell that has run it completes `ddpmcodec tru`."""
    (tmp_path / "ddpmcodec").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ddpmcodec "$@"\n')
    (tmp_path / "ddpmcodec").chmod(0o755)
    asked = "COMP_WORDS=(ddpmcodec tru) COMP_CWORD=1; _ddpmcodec_completion ddpmcodec; echo ${COMPREPLY[@]}"
    script = ddpm("completion", "bash").stdout.decode() + asked
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "truncate\n"
