"""Options and arguments of several commands, and the types of their values."""

from __future__ import annotations

import fnmatch
import functools
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from ddpmcodec._native import (
    DEFAULT_EFFORT,
    DEFAULT_LEVELS,
    DEFAULT_MAX_PIXELS,
    LEAST_TILE_SIDE,
    LEVELS,
    MAX_EFFORT,
    MIN_EFFORT,
    MOST_THREADS,
    MOST_TILE_SIDE,
    TILE_SIDE_STEP,
)
from ddpmcodec.errors import DdpmError

UNITS = {"k": 1 << 10, "K": 1 << 10, "M": 1 << 20}  # of bytes

Command = Callable[..., Any]


def with_options(function: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """A command with these options, in their order."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), function)


def as_one(kind: type, function: Command) -> Command:
    """A function that takes fields of a dataclass as options, and hands them over as one value, its first argument.
    Fields that are no option of a command have their defaults."""

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        return function(
            kind(**{each.name: given.pop(each.name) for each in fields(kind) if each.name in given}), **given
        )

    return command


class PathName(click.ParamType):  # type: ignore[type-arg]  # of newer versions
    """The name of a file or a folder. An empty one, as of a shell's variable that is not set, would mean the current
    folder."""

    name = "path"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value or self.fail("the name is empty: name a file or a folder", param, ctx)


class ByteCount(click.IntRange):
    """A number of bytes, from 0 on: 300, or as `head -c` takes it 3k and 2M, in units of 1024 and of its square."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        unit = UNITS.get(str(value)[-1:])
        number, unit = (value, 1) if unit is None else (value[:-1], unit)
        try:
            count: int = super().convert(int(number), param, ctx)
        except ValueError:
            self.fail(f"{value!r} is not a number of bytes, such as 300, 20k or 1M.", param, ctx)
        return unit * count


class FiniteRange(click.FloatRange):
    """A number in a range: nan is in none, and infinity is no number of pixels, hours or decibels."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


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
    help="An embedded model, or an exported one, of pixels or of JPEG coefficients; files of the other kind have an"
    " embedded one. By default the embedded one that suits the image.",
)
file_model_option = click.option(
    "--model",
    metavar="NAME|PATH",
    help="The model of files that were encoded with one of your own. The embedded one that a file names is found"
    " without this option.",
)
effort_option = click.option(
    "-e",
    "--effort",
    type=click.IntRange(MIN_EFFORT, MAX_EFFORT),
    default=DEFAULT_EFFORT,
    show_default=True,
    help="How large the networks are: a larger one makes smaller files, and takes more time in both directions. Without"
    " noise levels, effort 0 is the fastest; with them it equals effort 1.",
)


def _levels_option(default: str, is_fixed: bool = False) -> Callable[[Command], Command]:
    """default: its description in the help. is_fixed: whether a command gets DEFAULT_LEVELS for it, or None."""
    return click.option(
        "--levels",
        type=click.Choice([str(count) for count in LEVELS]),
        default=str(DEFAULT_LEVELS) if is_fixed else None,
        callback=lambda _context, _option, given: None if given is None else int(given),
        help="Noise levels before exact pixels. 0: none, the smallest file; a prefix shows only the upper part; "
        "1: the first tenth shows all of it; 2: longer prefixes are better everywhere; 5: the best previews."
        f" [default: {default}]",
    )


levels_option = _levels_option(str(DEFAULT_LEVELS), is_fixed=True)
encode_levels_option = _levels_option(
    f"{DEFAULT_LEVELS}; 0 at effort 0, for graphics that repeat themselves and for smooth drawings"
)
archive_levels_option = _levels_option(
    "as of encode; 0 for images of up to 4,096 pixels, which are coded together and have no previews"
)
tile_option = click.option(
    "--tile",
    type=click.IntRange(LEAST_TILE_SIDE, MOST_TILE_SIDE),
    metavar="SIZE",
    callback=lambda _context, _option, given: _multiple(given),
    help="Cut images into square tiles of SIZE pixels, a multiple of 16 from 64 to 1024, of which `decode --crop` reads"
    " those that it needs; small ones make larger files. [default: as few as memory allows]",
)
pixels_option = click.option(
    "--pixels",
    is_flag=True,
    help="Code the pixels of JPEG files and lossy WebP, in several times their bytes; every prefix is a preview then."
    " Without this option, a JPEG file comes back byte for byte, some 30% smaller, and a WebP is kept whole.",
)
any_format_option = click.option(
    "--any-format",
    is_flag=True,
    help="Take files of all formats that Pillow reads, although it may drop part of their content. By default: PNG,"
    " JPEG, WebP, GIF, TIFF, BMP, PNM and QOI.",
)
strict_option = click.option(
    "--strict",
    is_flag=True,
    help="Refuse image files whose pixels cannot be coded. Without this option, they are kept whole.",
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
    help="Images of 1/2, 1/4, 1/8 or 1/16 of the size; from coarse bands alone where there are noise levels,"
    " and alpha does not vary.",
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
    if size is not None and size % TILE_SIDE_STEP:
        raise click.BadParameter(f"{size} is not a multiple of {TILE_SIDE_STEP}.")
    return size


# --- archives: an archive, names in it, a model

file_argument = click.argument("file", type=PATH_NAME, metavar="FILE")
names_argument = click.argument("names", nargs=-1, metavar="[NAMES]...")
network_option = click.option(
    "--model",
    metavar="NAME|PATH",
    help="A context model, by name or file; for bits back a Gaussian model, or a checkpoint of the paper's network."
    " By default, create chooses an embedded model for each block of thumbnails, and the other commands use the one"
    " that the archive names.",
)


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[str] | None:
    """The names that are meant, by themselves, by folders, or by patterns; None without patterns. Raises DdpmError for
    one that matches none. A name is taken as it stands first, for it may hold brackets."""
    known, in_order = {*names}, sorted(names)
    chosen: list[str] = []
    for pattern in patterns:
        found = [pattern] if pattern in known else _below(in_order, pattern.rstrip("/"))
        if not found and _is_pattern(pattern):
            found = fnmatch.filter(names, pattern)
        if not found and _is_pattern(pattern):
            raise DdpmError(f"no image's name matches {pattern!r}: `ddpmcodec archive list` names all")
        chosen += found or [pattern]  # which is reported as missing
    return chosen or None


def _below(in_order: Sequence[str], folder: str) -> Sequence[str]:
    return in_order[bisect_left(in_order, f"{folder}/") : bisect_left(in_order, f"{folder}0")]  # 0 comes after /


def _is_pattern(text: str) -> bool:
    return any(letter in text for letter in "*?[")


class Crop(click.ParamType):  # type: ignore[type-arg]  # of newer versions
    """X,Y,W,H to left, top, right, bottom."""

    name = "crop"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        numbers = value.split(",")
        if len(numbers) != 4 or not all(re.fullmatch(r" *[0-9]{1,10} *", number) for number in numbers):
            self.fail(f"{value} is not X,Y,W,H: four whole numbers.", param, ctx)
        left, top, width, height = map(int, numbers)
        if not (width and height):
            self.fail("a crop has one pixel at least.", param, ctx)
        return left, top, left + width, top + height


class Part(NamedTuple):
    """What is decoded of an image. box: left, top, right, bottom, as pixels are stored."""

    box: tuple[int, ...] | None = None
    reduce: int = 1
    upright: bool = False

    @property
    def is_less(self) -> bool:
        """Whether it may not need all of a file."""
        return self.box is not None or self.reduce > 1


ALL = Part()
