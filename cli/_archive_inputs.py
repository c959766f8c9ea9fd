"""What commands of archives are given: an archive, names in it, a model."""

from __future__ import annotations

import fnmatch
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ddpmcodec.content import Content
from ddpmcodec.errors import DdpmError

from ._common import naming, progress
from ._options import PATH_NAME

if TYPE_CHECKING:
    from ddpmcodec.models.context import ContextModel

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


def test_archive(name: str, data: Content, model: ContextModel | str | None, max_pixels: int, *, quiet: bool) -> int:
    """Decodes all images of an archive, and returns their number. Raises DdpmError, which names the file."""
    from ddpmcodec import archive
    from ddpmcodec.format.ddpma import split

    with naming(name):
        cut = split(data)
    pixels = sum(entry.pixels for entry in cut.index.entries)
    with naming(name), progress(name, pixels, quiet=quiet) as advance:
        return archive.test(cut, model=model, max_pixels=max_pixels, progress=advance)


def _is_pattern(text: str) -> bool:
    return any(letter in text for letter in "*?[")
