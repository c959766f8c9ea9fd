"""ddpmcodec archive extract"""

from __future__ import annotations

import json
import os
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from ddpmcodec.errors import DdpmError, DiskError, OutputError
from ddpmcodec.formats.files import write_below

from ._common import (
    EXIT_CODES,
    STANDARD,
    counted,
    echo,
    failure,
    input_content,
    label,
    message_of,
    naming,
    progress,
    say,
    standard_output,
    write_stdout,
)
from ._options import (
    PATH_NAME,
    file_argument,
    force_option,
    matching,
    max_pixels_option,
    names_argument,
    network_option,
    quiet_option,
    reduce_option,
    threads_option,
    upright_option,
)
from ._outputs import is_image_name, is_whole

if TYPE_CHECKING:
    from ddpmcodec.archive.restorer import Restored
    from ddpmcodec.format.block import Entry
    from ddpmcodec.format.ddpma import Archive

WRITTEN_TOGETHER = 256  # images, at most


@click.command(epilog=EXIT_CODES)
@file_argument
@names_argument
@click.option(
    "-o",
    "--output",
    required=True,
    type=PATH_NAME,
    metavar="DIR",
    help="Folder for the PNG files; made where it is missing. For one image, - is standard output.",
)
@click.option(
    "--original",
    is_flag=True,
    help="Restore JPEG files byte for byte, under their own names; other images as PNG files."
    " Files that are kept whole, such as animations, are restored in any case.",
)
@reduce_option
@upright_option
@click.option(
    "--skip-existing",
    is_flag=True,
    help="Leave out images whose files exist. A file that is not whole is an error, and the others are written.",
)
@network_option
@max_pixels_option
@force_option
@threads_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output: the images and their files.")
@quiet_option
def extract(
    file: str, names: tuple[str, ...], output: str, original: bool, reduce: str | None, upright: bool,
    skip_existing: bool, model: str | None, max_pixels: int, force: bool, threads: int | None, as_json: bool,
    quiet: bool,
) -> int:  # fmt: skip
    """Restore images bit for bit as PNG files: all, or those of these names, folders and patterns (*, ?, [a-z]).

    FILE - is standard input. A * also matches the / between folders.

    Files have the modification time of the archive, and the permissions of any new file (umask).

    Every undamaged image of a damaged archive is written, and an error names the others. If an image cannot be
    written, an error names it and the others are written.

    \b
    ddpmcodec archive extract photos.ddpma -o photos --original
    ddpmcodec archive extract photos.ddpma '2024/*' -o sheet --reduce 8 --upright
    ddpmcodec archive extract photos.ddpma cat.png -o - > cat.png
    """
    from ddpmcodec.format.ddpma import find_images, split
    from ddpmcodec.format.header import KEPT_WHOLE
    from ddpmcodec.parallel import threads_of

    if original and (reduce or upright):
        raise click.UsageError("--original restores whole files: leave out --reduce and --upright")
    if is_image_name(output):
        raise click.UsageError(f"-o is a folder: for one image use `-o - > {output}`")
    if force and skip_existing:
        raise click.UsageError("-f overwrites what exists, --skip-existing leaves it: give one of them")
    content = input_content(file)
    with naming(file):
        data = split(content)
        entries = data.index.entries
        wanted = find_images(data.index, matching([entry.name for entry in entries], names))
    jpegs, kept, deep = _coded_as(data, "JPEG"), _coded_as(data, KEPT_WHOLE), _deep(data)
    files = kept | (jpegs if original else set()) if not (reduce or upright) else set()
    whole = files | (set() if reduce else deep)
    target = _target(output, _targets([entry.name for entry in entries], files), file, force, as_json, len(wanted))
    skipped = target.skipped(entry.name for entry in wanted) if skip_existing else []
    missing = {entry.name for entry in wanted}.difference(skipped, (failed["name"] for failed in target.failed))
    wanted = [entry for entry in wanted if entry.name in missing]
    if not force:
        target.refuse_existing(entry.name for entry in wanted)
    pixels = sum(entry.pixels for entry in wanted)
    try:
        with naming(file), threads_of(threads), progress(file, pixels, quiet=quiet) as advance:
            from ddpmcodec import archive as archives

            everything = len(wanted) == len(entries)  # then what is lost without a name is named, too
            chosen = None if everything else [entry.name for entry in wanted]
            options: dict[str, Any] = {"model": model, "max_pixels": max_pixels, "progress": advance}
            if whole and not original:
                chosen = [entry.name for entry in wanted if entry.name not in whole]
                unchanged = archives.extract(data, sorted(whole.intersection(missing)), original=True, **options)
                _write_all(unchanged, target, turned=False)
            restored = archives.extract(data, chosen, reduce=int(reduce or 1), original=original, **options)
            _write_all(restored, target, turned=upright)
    finally:
        if (target.done or skipped) and not quiet and output != STANDARD:
            say(f"{label(file)}: {counted(len(target.done), 'image')} -> {output}" + _others(skipped, target))
            count = 0 if original or reduce or upright else len(jpegs.intersection(target.done))
            if count:
                say(f"{label(file)}: has {counted(count, 'JPEG file')} inside, which --original would restore")
        if as_json:
            done = [entry.name for entry in entries if entry.name in target.done]
            images = [{"name": name, "file": target.done[name]} for name in done]
            failed = target.failed + _lost(wanted, target, sys.exception())
            echo(json.dumps({"file": label(file), "images": images, "skipped": skipped, "failed": failed}))
    return max(target.codes, default=0)


def _coded_as(data: Archive, coding: str) -> set[str]:
    """Names of images whose coding begins so."""
    from ddpmcodec.archive.reader import describe

    return {image["name"] for image in describe(data)["images"] if (image["coding"] or "").startswith(coding)}


def _deep(data: Archive) -> set[str]:
    """Names of images whose samples have more than 8 bits."""
    from ddpmcodec.archive.reader import describe

    return {image["name"] for image in describe(data)["images"] if (image["bits"] or 0) > 8}


def _lost(wanted: Iterable[Entry], target: _Target, problem: BaseException | None) -> list[dict[str, str]]:
    """The images that a problem of the archive leaves unwritten."""
    known = {*target.done, *(failed["name"] for failed in target.failed)}
    return [{"name": entry.name, "error": str(problem)} for entry in wanted if problem and entry.name not in known]


def _others(skipped: Collection[str], target: _Target) -> str:
    counts = {"skipped": len(skipped), "failed": len(target.failed)}
    return "".join(f", {count} {what}" for what, count in counts.items() if count)


def _write_all(restored: Iterator[Restored], target: _Target, *, turned: bool) -> None:
    """Writes images on all threads, as most of the time goes by until they are on disk. turned: as EXIF says. Raises
    DiskError."""
    from PIL.Image import Image

    from ddpmcodec.formats.image_files import save_image
    from ddpmcodec.formats.metadata import upright
    from ddpmcodec.parallel import run_all

    def write(named: Restored) -> None:
        name, image = named
        try:
            if isinstance(image, Image):
                image = save_image(upright(image) if turned else image, "PNG")
            assert isinstance(image, bytes), "arrays, of more than 8 bits, are asked for as files"
            target.write(name, image)
        except DiskError:
            raise
        except OutputError as error:
            target.fail(name, error)

    for group in _grouped(restored):
        run_all(write, group)


def _grouped(restored: Iterator[Restored]) -> Iterator[list[Restored]]:
    """Images that are written together; the last ones before an error that ends the rest."""
    from PIL.Image import Image

    from ddpmcodec.parallel import WORK_PIXELS

    group: list[Restored] = []
    pixels = 0
    try:
        for name, image in restored:
            group.append((name, image))
            pixels += image.width * image.height if isinstance(image, Image) else len(image)
            if pixels >= WORK_PIXELS or len(group) == WRITTEN_TOGETHER:
                yield group
                group, pixels = [], 0
    except DdpmError:
        yield group
        raise
    yield group


# --- where images go


@dataclass
class _Target:
    """A folder, or standard output. done: files by names. failed: names and errors. codes: exit codes of these."""

    done: dict[str, str] = field(default_factory=dict)
    failed: list[dict[str, str]] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def fail(self, name: str, error: OutputError) -> None:
        """Says why an image is not written; the others are."""
        self.codes.append(failure(error))
        self.failed.append({"name": name, "error": message_of(error)})

    def skipped(self, names: Iterable[str]) -> list[str]:
        """The images whose files are there already. Where something else is, that image fails."""
        return []

    def refuse_existing(self, names: Iterator[str]) -> None:
        """Raises OutputError where something would be overwritten."""

    def write(self, name: str, content: bytes) -> None:
        """Raises OutputError."""
        write_stdout(content)
        self.done[name] = STANDARD


class _Folder(_Target):
    """files: by names, below the folder. like: the archive, whose time these have."""

    def __init__(self, folder: Path, files: dict[str, str], like: Sequence[Path], force: bool) -> None:
        """Raises OutputError where nothing can be written in the folder."""
        super().__init__()
        self.folder, self.files, self.like, self.force = folder, files, like, force
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file: name a folder with -o")
        there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            raise OutputError(f"{folder}: no file can be written in {there}: name another folder with -o, or permit it")

    def skipped(self, names: Iterable[str]) -> list[str]:
        there = []
        for name in names:
            target = self.folder / self.files[name]
            if not os.path.lexists(target):
                continue
            if is_whole(target):
                there.append(name)
            else:
                self.fail(name, OutputError(f"{target}: exists, but is not a whole file: remove it to write it again"))
        return there

    def refuse_existing(self, names: Iterator[str]) -> None:
        """Also where a link has the name of a folder."""
        targets = [self.folder / self.files[name] for name in names]
        if existing := [target for target in targets if os.path.lexists(target)]:
            count = counted(len(existing), "such file")
            raise OutputError(f"{existing[0]}: exists already, {count}: use -f to overwrite them")
        known = {self.folder}
        for target in targets:
            for parent in reversed(target.relative_to(self.folder).parents[:-1]):
                folder = self.folder / parent
                if os.path.islink(folder):
                    raise OutputError(
                        f"{folder}: is a link, and leads to another folder: use -f to write there all the same"
                    )
                if folder not in known and not os.path.isdir(folder):  # nor is there anything in it
                    break
                known.add(folder)

    def write(self, name: str, content: bytes) -> None:
        target = self.folder / self.files[name]
        if any(os.path.exists(target) and target.samefile(source) for source in self.like):
            raise OutputError(f"{target}: is the archive itself: name another folder with -o")
        write_below(target, content, replace=self.force, like=self.like, restricted=False)
        self.done[name] = str(target)


def _target(output: str, files: dict[str, str], archive: str, force: bool, as_json: bool, images: int) -> _Target:
    """Raises UsageError for standard output where it cannot be that, OutputError where a folder cannot be written."""
    if output != STANDARD:
        return _Folder(Path(output), files, [] if archive == STANDARD else [Path(archive)], force)
    if images != 1 or as_json:
        raise click.UsageError("-o is the folder of the images, and - is standard output, for one image: name a folder")
    if standard_output().isatty():
        raise OutputError("no binary data to a terminal: name a folder with -o, or use a pipe")
    return _Target()


def _targets(names: Sequence[str], kept: Collection[str]) -> dict[str, str]:
    """Files of images. Those in `kept` have their own names. Of the others photo.png and photo.PNG stay so, and
    photo.jpg becomes photo.png; where that is the place of another image, or of a folder of some, photo.jpg.png; and
    where that is, photo.jpg_.png."""
    in_order, used = sorted(names), {*kept}
    is_png = {name: PurePosixPath(name).suffix.lower() == ".png" for name in names}

    def is_free(target: str) -> bool:
        below = bisect_left(in_order, f"{target}/")
        is_folder = below < len(in_order) and in_order[below].startswith(f"{target}/")
        return target not in used and not is_folder

    chosen = {name: name for name in names if name in kept}
    others = [name for name in names if name not in chosen]
    short = {name: name if is_png[name] else str(PurePosixPath(name).with_suffix(".png")) for name in others}
    rivals = Counter(short[name] for name in short if short[name] != name)
    for name in sorted(short, key=lambda name: short[name] != name):  # PNG files first
        if is_free(short[name]) and (short[name] == name or rivals[short[name]] == 1):
            used.add(short[name])
            chosen[name] = short[name]
    for name in names:
        target = f"{name}.png"
        while name not in chosen and not is_free(target):
            target = f"{target.removesuffix('.png')}_.png"
        used.add(chosen.setdefault(name, target))
    return chosen
