"""Commands that are killed, or whose disk fails, at any of the system calls by which they write."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ddpmcodec import archive, codec
from ddpmcodec.cli import run as run_command
from mutations import Random
from targets import context_bytes, context_model, facts, picture, png

CALLS = ("open", "write", "fsync", "replace", "link", "unlink", "close")
MOST_CALLS = 16  # of these a command makes fewer while it writes
FAULTS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES)
OLD = b"a file that was there before"


class Interruption(NamedTuple):
    """command: its name. call: the number of the system call at which it happens. error: of the disk; 0: it is killed.
    overwrites: an old file is there, and -f is given."""

    command: str
    call: int
    error: int
    overwrites: bool


def drawn(rng: Random) -> Interruption:
    name = ("encode", "decode", "archive create")[rng.integers(3)]
    error = 0 if rng.random() < 0.5 else FAULTS[rng.integers(len(FAULTS))]
    return Interruption(name, int(rng.integers(1, MOST_CALLS + 1)), error, bool(rng.integers(2)))


@cache
def coded() -> bytes:
    """The file of the picture."""
    return codec.encode(picture(), model=context_model())


def prepared(folder: Path) -> dict[str, tuple[list[str], str]]:
    """The arguments of every command, and what it writes."""
    (folder / "model.safetensors").write_bytes(context_bytes())
    (folder / "a.png").write_bytes(png(picture()))
    (folder / "b.ddpm").write_bytes(coded())
    model = ["--model", str(folder / "model.safetensors")]
    return {
        "encode": (["encode", "a.png", "-o", "out", *model], "out"),
        "decode": (["decode", "b.ddpm", "-o", "out.png", *model], "out.png"),
        "archive create": (["archive", "create", "out", "a.png", *model], "out"),
    }


def is_whole(command: str, path: Path) -> bool:
    """Whether a file is all that the command writes."""
    from PIL import Image

    if command == "decode":
        with Image.open(path) as image:
            return facts(image).pixels == facts(picture()).pixels
    if command == "encode":
        return facts(codec.decode(path.read_bytes(), model=context_model())) == facts(picture())
    return [facts(image) for _, image in archive.extract(path.read_bytes(), model=context_model())] == [
        facts(picture())
    ]


def interrupt(interruption: Interruption, folder: Path) -> tuple[str, str]:
    """(what happened, what is wrong or "") of one command in a process of its own, in a folder of `prepared`."""
    arguments, name = prepared(folder)[interruption.command]
    output, before = folder / name, {path.name for path in folder.iterdir()}
    if interruption.overwrites:
        output.write_bytes(OLD)
        arguments = [*arguments, "-f"]
    ended = _in_a_child(lambda: _broken(interruption, arguments), folder)
    wrong = _left_behind(interruption, output, ended)
    if not wrong and (code := _in_a_child(lambda: run_command([*arguments, "-f"]), folder)):
        wrong = f"the next run ends with exit code {code}"
    left = {path.name for path in folder.iterdir()} - before - {name}
    return _named(interruption, ended), wrong or (f"the next run leaves {sorted(left)}" if left else "")


def _named(interruption: Interruption, ended: int) -> str:
    what = "a failing disk" if interruption.error else "killed"
    return f"{what}: {'ended by the signal' if ended < 0 else f'exit code {ended}'}"


def _left_behind(interruption: Interruption, output: Path, ended: int) -> str:
    """What is wrong with what a command leaves; ended: its exit code, or less the signal."""
    if ended not in (0, 1, -signal.SIGKILL):
        return f"exit code {ended}"
    if not output.exists():
        return "exit code 0, and no file" if ended == 0 else "the old file is lost" if interruption.overwrites else ""
    if interruption.overwrites and output.read_bytes() == OLD:
        return "exit code 0, and the old file" if ended == 0 else ""
    try:
        return "" if is_whole(interruption.command, output) else "half a file"
    except Exception as error:
        return f"half a file ({error})"


def _broken(interruption: Interruption, arguments: list[str]) -> int:
    """Runs a command in which a system call fails, or never returns."""
    made = 0

    def instead(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*values: Any, **named: Any) -> Any:
            nonlocal made
            made += 1
            if made == interruption.call and not interruption.error:
                os.kill(os.getpid(), signal.SIGKILL)
            if made == interruption.call:
                raise OSError(interruption.error, os.strerror(interruption.error))
            return call(*values, **named)

        return counted

    from ddpmcodec.formats import files

    class Broken:
        """The module `os`, as `ddpmcodec.formats.files` sees it."""

        def __getattr__(self, name: str) -> Any:
            return instead(getattr(os, name)) if name in CALLS else getattr(os, name)

    files.os = Broken()
    return run_command(arguments)


def _in_a_child(run: Callable[[], int], folder: Path) -> int:
    """The exit code of a process of its own, or less the signal that ended it."""
    child = os.fork()
    if not child:
        os.chdir(folder)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            code = 99
            try:
                code = run()
            finally:
                sys.stdout.flush()
                os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
