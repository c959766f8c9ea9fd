"""Folders of images: the files in them, and where the files that are made of them go."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ddpmcodec.errors import OutputError

OnError = Callable[[OSError], object]
IMAGE_SUFFIXES = {".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".ppm"}  # of data sets, in lower case
# Endings of image files that have no reader among these.
OTHER_ENDINGS = re.findall(
    r"\w+",
    "3fr ani apng arw astc avif avifs blp bpg cin cr2 cr3 crw cur dcm dcr dcx dng dpx emf eps erf exr farbfeld ff"
    " fff fit fits flc fli flif fpx ftc ftu gbr hdp hdr heic heics heif heifs hif iiq j2k jls jng jp2 jpx jxl jxr"
    " k25 kdc kra ktx ktx2 mef mng mos mrw nef nrw ora orf pam pcd pef pfm pic psb psd ptx pvr raf raw rw2 rwl rwz"
    " sr2 srf srw svg svgz tga wal wdp webp wmf x3f xcf xwd",
)
LISTED = 5  # files of one output that a message names


class Source(NamedTuple):
    """A file to work on. below: its path in the folder that was given; of a file that was given itself, its name."""

    path: Path
    below: Path


class Pair(NamedTuple):
    """A file to read, and the one to write."""

    source: Path
    output: Path


def pairs(
    inputs: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    *,
    suffix: str = ".ddpm",
    keep_suffix: bool = False,
    extensions: Collection[str] | None = None,
) -> list[Pair]:
    """Files and folders to work on, each file with the one to write: the tree of a folder is mirrored below `output`.

    Parameters:
        inputs: files, which are taken whatever their names are, and folders.
        output: the folder for all that is written; None: beside the inputs.
        suffix: what outputs end with, in place of the inputs' own suffix.
        keep_suffix: put it behind the inputs' own: photo.jpg.ddpm.
        extensions: of the files that are taken from folders, with their dots; default: those of images.

    Returns:
        Pairs of paths in the order of `inputs`, and by name in a folder. Nothing is made or written.

    Raises:
        OutputError: two files would have one output; names all that would.
        OSError: a folder cannot be read.
        TypeError: a single path.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from ddpmcodec.formats.folders import pairs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "trip").mkdir()
    ...     for name in ("a.png", "trip/b.jpg", "trip/notes.txt"):
    ...         Path(folder, name).touch()
    ...     [pair.output.as_posix() for pair in pairs([folder], "out")]
    ['out/a.ddpm', 'out/trip/b.ddpm']
    """
    if isinstance(inputs, (str, os.PathLike)):
        raise TypeError(f"inputs are several files and folders, not {inputs!r}: give a list")
    sources: list[Source] = []
    for path in map(Path, inputs):
        sources += (
            by_extension(path, files_below(path), extensions) if path.is_dir() else [Source(path, Path(path.name))]
        )
    outputs = [output_of(source, output, suffix, keep_suffix) for source in sources]
    file_pairs = [Pair(source.path, target) for source, target in zip(sources, outputs, strict=True)]
    if problems := list(collisions(file_pairs).values()):
        remedy = "rename them" if keep_suffix else "rename them, or give keep_suffix=True"
        raise OutputError(f"{'; '.join(dict.fromkeys(problems))}: {remedy}")
    return file_pairs


def files_below(folder: Path, on_error: OnError | None = None) -> list[Path]:
    """All files of a folder and of those in it, sorted, and links that lead nowhere. on_error: called for folders that
    cannot be read."""
    return sorted(_files(folder, on_error or _raise))


def by_extension(folder: Path, files: Iterable[Path], extensions: Collection[str] | None = None) -> list[Source]:
    """The files with one of these extensions, in upper or lower case; default: those of images."""
    if extensions is None:
        extensions = image_extensions()
    return [Source(file, file.relative_to(folder)) for file in files if file.suffix.lower() in extensions]


def image_extensions() -> set[str]:
    """The extensions of all files that are images by name, also of formats that are not opened, with their dots."""
    from ddpmcodec.formats.image_files import opened_extensions

    return opened_extensions() | {f".{ending}" for ending in OTHER_ENDINGS}


def output_of(source: Source, output: str | os.PathLike[str] | None, suffix: str, keep_suffix: bool = False) -> Path:
    """The file to write for a source: beside it, or in the same folder below `output`."""
    return with_suffix(source.path if output is None else Path(output, source.below), suffix, keep_suffix)


def with_suffix(path: Path, suffix: str, keep_suffix: bool) -> Path:
    """The path with a suffix in place of its own, or behind that."""
    return path.with_name(path.name + suffix) if keep_suffix else path.with_suffix(suffix)


def collisions(file_pairs: Iterable[Pair]) -> dict[Path, str]:
    """The sources that would share an output with others, each with words that say so."""
    sources: dict[str, list[Pair]] = {}
    for pair in file_pairs:
        sources.setdefault(os.path.realpath(pair.output), []).append(pair)
    messages: dict[Path, str] = {}
    for rivals in sources.values():
        names = list(dict.fromkeys(str(pair.source) for pair in rivals))
        if len(names) > 1:
            others = f"{len(names) - LISTED + 1} others" if len(names) > LISTED else names[-1]
            listed = f"{', '.join(names[: min(len(names), LISTED) - 1])} and {others}"
            both = "both" if len(names) == 2 else "all"
            messages |= {pair.source: f"{listed} would {both} become {rivals[0].output}" for pair in rivals}
    return messages


def _files(folder: Path, on_error: OnError) -> Iterator[Path]:
    """All files below a folder. Links to folders are followed last, so that each real folder comes once, under its own
    name where that is in here."""
    seen: set[str] = set()
    waiting = deque([os.fspath(folder)])
    while waiting:
        for parent, folders, names in os.walk(waiting.popleft(), onerror=on_error):
            if (real := os.path.realpath(parent)) in seen:
                folders.clear()
                continue
            seen.add(real)
            waiting.extend(path for name in sorted(folders) if os.path.islink(path := os.path.join(parent, name)))
            for name in names:
                try:
                    file = Path(parent, name)
                    if file.is_file() or (file.is_symlink() and not file.exists()):  # a link to nothing is an error
                        yield file
                except OSError as error:  # the folder can be listed, and not entered
                    on_error(error)


def _raise(error: OSError) -> None:
    raise error
