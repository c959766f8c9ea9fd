"""Files and folders that a command is given, as the files to work on."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ddpmcodec.errors import ImageError
from ddpmcodec.folders import OnError, Source, by_extension, files_below

from ._common import STANDARD, say

SHOWN_SUFFIXES = 5  # of the files of a folder that are left out


def folder_sources(
    folder: Path, extensions: Collection[str] | None, kind: str, quiet: bool, on_error: OnError
) -> list[Source]:
    """Files of a folder and of those in it, by their extensions (default: images); says what it leaves out."""
    files = files_below(folder, on_error)
    sources = by_extension(folder, files, extensions)
    if len(sources) < len(files) and not quiet:
        others = sorted({file.suffix or file.name for file in files} - {source.path.suffix for source in sources})
        which = ", ".join(others[:SHOWN_SUFFIXES]) + (", ..." if len(others) > SHOWN_SUFFIXES else "")
        count = f"{len(files) - len(sources)} of {len(files)} files"
        say(f"{folder}: left out what is no {kind} by its name, {count}: {which}")
    return sources


def source_of(name: str, command: str) -> Source:
    """A file that is named itself, or standard input. Raises ImageError for a folder."""
    path = Path(name)
    if name != STANDARD and path.is_dir():
        raise ImageError(f"{name}: is a folder: use -r to {command} all files below it")
    return Source(path, Path("stdin") if name == STANDARD else Path(path.name))
