"""What the commands share: reading and writing, one line per error, going on after a failure."""

from __future__ import annotations

import errno
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from ddpmcodec.content import Content, FileView
from ddpmcodec.errors import FAILURES, DdpmError, ImageError, OutputError
from ddpmcodec.formats.files import end_writing

if TYPE_CHECKING:
    from ddpmcodec.models.registry import Model

INTERRUPTED, CLOSED_PIPE = 130, 141  # as a shell reports signals: 128 more than SIGINT, and than SIGPIPE
EXIT_CODES = """\b
Exit codes:
  0    success
  1    error: input, output, memory
  2    wrong usage
  3    a .ddpm or .ddpma file is damaged, cut off, or not one
  4    the model is missing, or is not the one the file was written with
  130  interrupted (Ctrl-C)
  141  the reader of the output went away, as in a pipe to head: the rest was not done
With several files, the others are still worked on after a failure, and the highest code is returned."""

OPTIONS = {
    "partial=True": "--partial",
    "strip=True": "--strip",
    "pixels=True": "--pixels",
    "bits_back=T": "--bits-back T",
    "any_format=True": "--any-format",
    "model=PATH": "--model PATH",
    "max_pixels=N": "--max-pixels N",
    "original=IMAGE": "--original IMAGE",
    "resume=True": "--resume",
    "base=...": "--base",
    "weights=...": "--inception",
}
STANDARD = "-"  # standard input or output
ENCODED, ARCHIVED = ".ddpm", ".ddpma"


def printable(text: str) -> str:
    """The text with control characters escaped: names of files, and in files, must not control a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def counted(count: int, noun: str) -> str:
    """ "1 file", "2 files"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def say(message: object) -> None:
    """One line for the user; results alone go to standard output."""
    click.echo(f"ddpmcodec: {printable(str(message))}", err=True)


def label(name: str, standard: str = "standard input") -> str:
    return standard if name == STANDARD else name


def unkept_lines(name: str, file: bytes, *, strip: bool) -> list[str]:
    """What is said of an image file that has what no file of ours keeps. strip: its colours were not to be kept."""
    from ddpmcodec.codec.reading import unkept

    return [f"{label(name)}: {sentence}" for sentence in unkept(file, strip=strip)]


def failure(error: BaseException) -> int:
    """Print an error that is not a defect, and return its exit code."""
    say(message_of(error))
    return error.exit_code if isinstance(error, DdpmError) else DdpmError.exit_code


def message_of(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory: close other programs, or use a machine with more"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@contextmanager
def naming(name: str, standard: str = "standard input") -> Iterator[None]:
    """Puts the file in front of the library's errors, which know bytes and pixels only."""
    try:
        yield
    except DdpmError as error:
        raise type(error)(f"{label(name, standard)}: {_with_options(str(error))}") from error
    except MemoryError as error:
        raise DdpmError(f"{label(name, standard)}: not enough memory: use a machine with more") from error


@contextmanager
def naming_options() -> Iterator[None]:
    """Errors name options in place of the library's arguments."""
    try:
        yield
    except DdpmError as error:
        raise type(error)(_with_options(str(error))) from error


def _with_options(text: str) -> str:
    """The text with options in place of the library's arguments."""
    for argument, option in OPTIONS.items():
        text = text.replace(argument, option)
    return text


def each(files: Sequence[str], action: Callable[[str], None]) -> int:
    """Do the action for every file, going on after a failure; return the highest exit code. Raises BrokenPipeError."""
    codes = []
    for name in files:
        try:
            action(name)
        except BrokenPipeError:  # nobody reads what the others would print
            raise
        except FAILURES as error:
            codes.append(failure(error))
    if codes and len(files) > 1:
        say(f"{len(codes)} of {len(files)} files failed")
    return max(codes, default=0)


def is_archive(name: str, data: bytes) -> bool:
    """Also where its start is lost, and its name alone says so."""
    from ddpmcodec._native import ARCHIVE_MAGIC, MAGIC

    return data.startswith(ARCHIVE_MAGIC) or (name.endswith(ARCHIVED) and not data.startswith(MAGIC))


def read_input(name: str) -> bytes:
    if name != STANDARD:
        return Path(name).read_bytes()
    if sys.stdin is None:
        raise ImageError("standard input is closed: name a file")
    return sys.stdin.buffer.read()


def input_content(name: str) -> Content:
    """An input of which no more is read than is looked at; standard input and pipes are read to their ends."""
    return FileView(Path(name)) if can_be_read_twice(name) else read_input(name)


def standard_output() -> TextIO:
    """Raises OutputError when it is closed."""
    if sys.stdout is None:
        raise OutputError("standard output is closed: open it, or name a file with -o where there is one")
    return sys.stdout


def echo(text: str) -> None:
    """Print a line of results, what its encoding lacks escaped. Raises OutputError where it cannot be written."""
    encoding = getattr(standard_output(), "encoding", None) or "utf-8"
    with writing_stdout():
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding))


def write_stdout(data: bytes) -> None:
    """Raises OutputError where not all can be written."""
    stdout, rest = standard_output().buffer, memoryview(data)
    with writing_stdout():
        while rest:  # where Python keeps no buffer (-u), a call may write a part
            written = stdout.write(rest)
            if not written:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            rest = rest[written:]
        stdout.flush()


@contextmanager
def writing_stdout() -> Iterator[None]:
    """Raises OutputError where standard output cannot be written, but for a pipe that nobody reads any more."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise OutputError(f"standard output: cannot be written ({error.strerror})") from error


def silence(*streams: TextIO | None) -> None:
    """After a failed write, keep the interpreter from trying again when it exits (Python's note on SIGPIPE)."""
    for stream in filter(None, streams):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def leave_at_once(code: int) -> NoReturn:
    """Exit without waiting for threads, but for files that they are writing, and for what modules would tear down."""
    with suppress(KeyboardInterrupt):  # which is asked for a second time
        end_writing()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(code)


def is_watched() -> bool:
    """Whether a person sees stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def can_be_read_twice(name: str) -> bool:
    """Whether an input can be looked at before it is read: of a pipe, what was read is gone."""
    return name != STANDARD and Path(name).is_file()


@contextmanager
def progress(name: str, total: int, *, quiet: bool, unit: str = "px") -> Iterator[Callable[[float], object] | None]:
    """A bar on stderr over so many pixels, or other units, where a person watches; None where not."""
    if quiet or not is_watched():
        yield None
        return
    from tqdm import tqdm

    shown = printable(label(name))
    lock = threading.Lock()
    with tqdm(total=total, desc=shown, unit=unit, unit_scale=True, leave=False, file=sys.stderr) as bar:

        def advance(amount: float) -> None:  # called from several threads
            with lock:
                bar.update(amount)

        yield advance


def model_loader(source: str | None) -> Callable[[], Model | None]:
    """A function that loads --model once, when it is first needed; without --model the codec finds an embedded one."""

    @functools.cache
    def load() -> Model | None:
        if source is None:
            return None
        from ddpmcodec.models.registry import find

        return find(source)

    return load
