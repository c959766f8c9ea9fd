"""What the commands share: options, reading and writing, one line per error, going on after a failure."""

from __future__ import annotations

import errno
import functools
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click
from click.core import ParameterSource

from ddpmcodec.arguments import DEFAULT_MAX_PIXELS
from ddpmcodec.errors import FAILURES, DdpmError, ImageError, OutputError
from ddpmcodec.files import end_writing
from ddpmcodec.format.header import DEFAULT_EFFORT, DEFAULT_LEVELS, LEVELS, MAX_EFFORT
from ddpmcodec.format.tiles import LEAST_SIDE, MOST_SIDE, SIDE_STEP

if TYPE_CHECKING:
    from ddpmcodec.models.context import ContextModel

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
    "bits_back=T": "--bits-back T",
    "any_format=True": "--any-format",
    "model=PATH": "--model PATH",
    "max_pixels=N": "--max-pixels N",
    "original=IMAGE": "--original IMAGE",
    "resume=True": "--resume",
    "base=...": "--base",
    "weights=...": "--inception",
}
MOST_THREADS = 1024
UNITS = {"k": 1 << 10, "K": 1 << 10, "M": 1 << 20}  # of bytes
STANDARD = "-"  # standard input or output
ENCODED = ".ddpm"


Command = Callable[..., Any]


def with_options(function: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """A command with these options, in their order."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), function)


def as_one(kind: type, function: Command) -> Command:
    """A function that takes the fields of a dataclass as options, and hands them over as one value, its first
    argument."""

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        return function(kind(**{each.name: given.pop(each.name) for each in fields(kind)}), **given)

    return command


class PathName(click.ParamType):  # type: ignore[type-arg]  # of newer versions
    """The name of a file or a folder. An empty one, as of a shell's variable that is not set, would mean the current
    folder."""

    name = "path"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value or self.fail("the name is empty: name a file or a folder", param, ctx)


PATH_NAME = PathName()
files_argument = click.argument("files", nargs=-1, required=True, type=PATH_NAME, metavar="FILES...")
output_option = click.option(
    "-o", "--output", type=PATH_NAME, metavar="OUT", help="Output file, an existing folder, or - for standard output."
)
denoiser_option = click.option(
    "--model",
    metavar="SOURCE",
    help="Gaussian model, or a checkpoint of the paper's network: a folder, a file, or hub:OWNER/NAME.",
)
steps_option = click.option(
    "--levels",
    "T",
    type=click.IntRange(2),
    default=100,
    show_default=True,
    metavar="T",
    help="T, the number of noise levels of the reverse process: network calls an image. By default all of a network"
    " that has fewer.",
)
force_option = click.option("-f", "--force", is_flag=True, help="Overwrite existing outputs.")
model_option = click.option(
    "--model",
    metavar="NAME|PATH",
    help="An embedded model, or an exported one; by default the embedded one that suits the image.",
)
file_model_option = click.option(
    "--model",
    metavar="NAME|PATH",
    help="An embedded model, or an exported one; the default is the embedded one that the file names.",
)
effort_option = click.option(
    "-e",
    "--effort",
    type=click.IntRange(1, MAX_EFFORT),
    default=DEFAULT_EFFORT,
    show_default=True,
    help="How large the networks are: a larger one makes smaller files, and takes more time in both directions.",
)
levels_option = click.option(
    "--levels",
    type=click.Choice([str(count) for count in LEVELS]),
    default=str(DEFAULT_LEVELS),
    show_default=True,
    callback=lambda _context, _option, given: int(given),
    help="Noise levels before exact pixels. 0: none, the smallest file; a prefix shows only the upper part; "
    "2: every prefix is a picture; 5: the best previews.",
)
archive_levels_option = click.option(
    "--levels",
    type=click.Choice([str(count) for count in LEVELS]),
    callback=lambda _context, _option, given: None if given is None else int(given),
    help="Noise levels before exact pixels, as of encode. [default: 2; 0 for images of up to 4,096 pixels, which are "
    "coded together and have no previews]",
)
webp_option = click.option(
    "--webp/--no-webp",
    default=True,
    show_default=True,
    help="Store an image as lossless WebP if that is smaller (often text and icons), or code every image with the"
    " model.",
)
tile_option = click.option(
    "--tile",
    type=click.IntRange(LEAST_SIDE, MOST_SIDE),
    metavar="SIZE",
    callback=lambda _context, _option, given: _multiple(given),
    help="Cut images into square tiles of SIZE pixels, a multiple of 16 from 64 to 1024, of which `decode --crop` reads"
    " those that it needs; small ones make larger files. [default: as few as memory allows]",
)
pixels_option = click.option(
    "--pixels",
    is_flag=True,
    help="Code the pixels of JPEG files, in several times their bytes; every prefix is a preview then. Without"
    " this option, the file itself is stored, some 15% smaller.",
)
any_format_option = click.option(
    "--any-format",
    is_flag=True,
    help="Take files of all formats that Pillow reads, although it may drop part of their content. By default: PNG,"
    " JPEG, WebP, GIF, TIFF, BMP, PNM and QOI.",
)
max_pixels_option = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_PIXELS,
    show_default=True,
    metavar="N",
    help="Refuse an image that claims more pixels, before it takes memory and time.",
)
no_verify_option = click.option(
    "--no-verify", is_flag=True, help="Do not decode the result to compare it before it is written."
)
reduce_option = click.option(
    "--reduce",
    type=click.Choice(["2", "4", "8", "16"]),
    metavar="2|4|8|16",
    help="Images of 1/2, 1/4, 1/8 or 1/16 of the size; where there are noise levels, from coarse bands alone.",
)
upright_option = click.option(
    "--upright", is_flag=True, help="Rotate images as their EXIF orientations say; decode does so for prefixes, too."
)
threads_option = click.option(
    "--threads", type=click.IntRange(1, MOST_THREADS), metavar="N", help="Threads. [default: as many as processors]"
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Print more about each file.")


def is_given(name: str) -> bool:
    """Whether the command line has an option, by the name of its parameter."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def most_levels(T: int, denoiser: object) -> int:
    """T where it was given, or as many levels as a network of the paper has, where these are fewer."""
    levels = getattr(denoiser, "levels", None)
    return T if is_given("T") or levels is None else min(T, len(levels))


def _multiple(size: int | None) -> int | None:
    if size is not None and size % SIDE_STEP:
        raise click.BadParameter(f"{size} is not a multiple of {SIDE_STEP}.")
    return size


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


def colours_line(name: str, chunks: list[str]) -> str:
    """What is said of an image whose PNG describes its colours in a way that no file keeps."""
    are_not = "is not" if len(chunks) == 1 else "are not"
    return f"{label(name)}: {' and '.join(chunks)} {are_not} kept: its colours may look wrong; an ICC profile is kept"


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


def read_input(name: str) -> bytes:
    if name != STANDARD:
        return Path(name).read_bytes()
    if sys.stdin is None:
        raise ImageError("standard input is closed: name a file")
    return sys.stdin.buffer.read()


def standard_output() -> TextIO:
    """Raises OutputError when it is closed."""
    if sys.stdout is None:
        raise OutputError("standard output is closed: name a file with -o")
    return sys.stdout


def echo(text: str) -> None:
    """Print a line of results, what its encoding lacks escaped. Raises OutputError where it cannot be written."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
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


class ByteCount(click.IntRange):
    """A number of bytes, from 0 on: 300, or as `head -c` takes it 3k and 2M, in units of 1024 and of its square."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        unit = UNITS.get(str(value)[-1:])
        number, unit = (value, 1) if unit is None else (value[:-1], unit)
        count: int = super().convert(number, param, ctx)
        return unit * count


class Finite(click.FloatRange):
    """A number in a range: nan is in none, and infinity is no number of pixels, hours or decibels."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


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
    with tqdm(total=total, desc=shown, unit=unit, unit_scale=True, leave=False, file=sys.stderr) as bar:
        yield bar.update


def model_loader(source: str | None) -> Callable[[], ContextModel | None]:
    """A function that loads --model once, when it is first needed; without --model the codec finds an embedded one."""

    @functools.cache
    def load() -> ContextModel | None:
        if source is None:
            return None
        from ddpmcodec.models.registry import find

        return find(source)

    return load
