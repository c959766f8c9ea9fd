"""Reading and writing whole files so that nothing is lost: outputs appear complete or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from ddpmcodec.errors import OutputError


def check_output(output: Path, source: Path | None, *, force: bool) -> None:
    """Raises OutputError when writing `output` would destroy something: the source, or (without `force`) a file."""
    if output.is_dir():
        raise OutputError(f"{output}: is a folder: name a file")
    if not output.parent.is_dir():
        raise OutputError(f"{output}: there is no folder {output.parent}: make it first")
    if not output.is_file():
        return
    if source is not None and source.exists() and output.samefile(source):
        raise OutputError(f"{output}: is the input itself: name another output")
    if not force:
        raise OutputError(f"{output}: exists already: use -f to overwrite it, or name another output")


def write_file(output: Path, data: bytes, *, replace: bool = True) -> None:
    """Write the file, complete or not at all: a temporary file in the same folder takes its name when all is on disk.

    Without `replace` a file of that name is kept, also one that appears meanwhile: of two programs that write to one
    output one fails. Devices and pipes are written to directly. Raises OutputError when the file is there, or cannot be
    written (full disk, no permission).
    """
    target = Path(os.path.realpath(output))  # a symbolic link stays, the file that it names is replaced
    try:
        if target.exists() and not target.is_file():
            with target.open("wb", buffering=0) as file:
                _write_all(file.fileno(), data)
        else:
            _write(target, data, os.replace if replace else _take_free_name)
    except FileExistsError as error:
        raise OutputError(
            f"{output}: exists already, and did not when the work began: it was kept; use -f to overwrite it, or name"
            " another output"
        ) from error
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror}): nothing was kept of it") from error


def _write(target: Path, data: bytes, publish: Callable[[Path, Path], None]) -> None:
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        publish(temporary, target)
    except BaseException:  # Ctrl-C too leaves nothing behind
        temporary.unlink(missing_ok=True)
        raise


def _take_free_name(temporary: Path, target: Path) -> None:
    """Raises FileExistsError when a file has the name already."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links here: an empty file of our own takes the name first
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(temporary, target)
    else:
        temporary.unlink()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest[: 1 << 26]) :]
