"""ddpmcodec archive create | add"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ddpmcodec.content import FileView
from ddpmcodec.errors import DdpmError, ImageError, OutputError

from ._common import (
    EXIT_CODES,
    STANDARD,
    counted,
    echo,
    failure,
    label,
    message_of,
    naming,
    naming_options,
    progress,
    say,
    unkept_lines,
)
from ._many import folder_sources
from ._options import (
    PATH_NAME,
    any_format_option,
    archive_levels_option,
    as_one,
    effort_option,
    force_option,
    max_pixels_option,
    network_option,
    no_verify_option,
    pixels_option,
    quiet_option,
    strict_option,
    threads_option,
    tile_option,
    verbose_option,
    with_options,
)
from ._outputs import ArchiveOutput, spool_folder
from ._report import ArchiveProgress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ddpmcodec.archive.writer import Writer
    from ddpmcodec.codec.passes import Progress
    from ddpmcodec.codec.reading import Reading
    from ddpmcodec.formats.images import Planes


@dataclass(frozen=True)
class Creation:
    """What `create` and `add` are asked for, by the names of their options."""

    output: str
    images: tuple[str, ...]
    bits_back: int | None
    effort: int
    levels: int | None
    model: str | None
    force: bool
    strip: bool
    any_format: bool
    pixels: bool
    tile: int | None
    strict: bool
    max_pixels: int
    no_verify: bool
    threads: int | None
    as_json: bool
    quiet: bool
    verbose: bool
    skip_existing: bool = False
    adds: bool = False  # to an archive that is there

    def refuse_usage(self) -> None:
        """Raises UsageError for options that do not go together, OutputError where there is nothing to add to."""
        if self.as_json and self.output == STANDARD:
            raise click.UsageError("--json and an archive cannot both be on standard output: name a file")
        if self.force and self.skip_existing:
            raise click.UsageError(
                "-f replaces images of the same names, --skip-existing leaves them: give one of them"
            )
        if self.adds and not Path(self.output).is_file():
            raise OutputError(f"{self.output}: there is no archive to add images to: make one with `archive create`")

    def writer(self, progress: Progress) -> Writer:
        from ddpmcodec.archive.writer import Writer

        return Writer(
            spool=spool_folder(self.output), effort=self.effort, levels=self.levels, bits_back=self.bits_back,
            model=self.model, tile=self.tile, verify=not self.no_verify,
            progress=progress,
        )  # fmt: skip


_OPTIONS = (
    click.option(
        "--bits-back",
        type=click.IntRange(min=2),
        metavar="T",
        help="Code by bits back through T noise levels of latents, those of the paper's process, a network call each.",
    ),
    effort_option,
    archive_levels_option,
    network_option,
    click.option("--strip", is_flag=True, help="Leave out ICC profiles, XMP, and EXIF but for orientations."),
    any_format_option,
    pixels_option,
    tile_option,
    strict_option,
    max_pixels_option,
    no_verify_option,
    threads_option,
    click.option(
        "--json", "as_json", is_flag=True, help="One JSON object on standard output: images, left out, bytes."
    ),
    quiet_option,
    verbose_option,
)
images_argument = click.argument("images", nargs=-1, required=True, type=PATH_NAME, metavar="IMAGES...")


def _creation_options(function: Callable[[Creation], int]) -> Callable[..., int]:
    return with_options(as_one(Creation, function), _OPTIONS)


@click.command(epilog=EXIT_CODES)
@click.argument("output", type=PATH_NAME, metavar="OUT.ddpma")
@images_argument
@force_option
@_creation_options
def create(wanted: Creation) -> int:
    """Archive images without loss, under their names; of a folder all images below it, under their paths in it; of an
    .npy or .npz array [N, H, W, 3] its images, as NAME/0.png and so on.

    The context model codes small images together, with --effort and --levels. With --bits-back, a Gaussian model codes
    them, unless they are so few that all of them would serve as its initial bits; --effort and --levels then apply only
    to the other images. A checkpoint of the paper's network codes by bits back through its own noise levels, unless
    --bits-back says how many.

    An input that cannot be read is named and left out, and the exit code is 1. In folders, files without an image's
    extension are left out and counted.

    Names are relative paths in UTF-8, without backslashes and control characters; those of the folders that are given
    are not part of them.

    The archive has the permissions of any new file (umask), or of the archive that it replaces; those of the images do
    not matter.

    Coded images wait in a temporary file until the archive is written: beside it, or, where it goes to standard output,
    where the system keeps temporary files (TMPDIR).

    \b
    ddpmcodec archive create icons.ddpma icons
    ddpmcodec archive create - photos --effort 3 | ssh host 'cat > photos.ddpma'
    """
    return _run(wanted)


@click.command(epilog=EXIT_CODES)
@click.argument("output", type=PATH_NAME, metavar="ARCHIVE")
@images_argument
@click.option("-f", "--force", is_flag=True, help="New images take the place of those of their names.")
@click.option("--skip-existing", is_flag=True, help="Leave out images whose names the archive has, as they are.")
@_creation_options
def add(wanted: Creation) -> int:
    """Add images to an archive, whose own images come first, and are copied as they are.

    All else is as in `create`. An archive to which nothing is added stays as it is.

    \b
    ddpmcodec archive add icons.ddpma new.png more-icons
    """
    return _run(replace(wanted, adds=True))


def _run(wanted: Creation) -> int:
    from ddpmcodec.parallel import threads_of

    wanted.refuse_usage()
    taken, start, quiet = _InputCounts(), time.monotonic(), wanted.quiet
    files = _gather(wanted.images, quiet, taken)
    with threads_of(wanted.threads), progress(wanted.output, len(files), quiet=quiet, unit=" images") as advance:
        passes = 1 if wanted.no_verify else 2
        made = _made(wanted, files, taken, ArchiveProgress(len(files), passes, advance, quiet=quiet))
    if wanted.as_json:
        facts = {"file": wanted.output, "images": made["images"], **taken.counts(), "input_bytes": taken.bytes}
        echo(json.dumps({**facts, "bytes": made["bytes"], "images_by_bits_back": made["images_by_bits_back"]}))
    if not quiet:
        has_latents = wanted.bits_back or made["latent_levels"]
        through = f", {made['images_by_bits_back']} of them by bits back" if has_latents else ""
        say(_line(wanted.output, taken, made) + through)
    if wanted.verbose:
        say(f"  {time.monotonic() - start:.2f} s")
    if taken.left_out:
        say(f"{taken.left_out} of {counted(len(files) - taken.skipped, 'file')} left out")
    return max(taken.codes, default=0)


def _made(wanted: Creation, files: Sequence[_Input], taken: _InputCounts, progress: ArchiveProgress) -> dict[str, Any]:
    """Makes the archive, or adds to it. Returns facts of it. Raises DdpmError."""
    from ddpmcodec.archive.reader import index_facts
    from ddpmcodec.codec.reading import Reading

    output, path = wanted.output, Path(wanted.output)
    sources = list(dict.fromkeys(file.path for file in files))
    target = ArchiveOutput(
        output,
        sources,
        "archive add" if wanted.adds else "archive create",
        wanted.force or wanted.adds,
        replaces_source=False,
    )
    reading = Reading(wanted.strip, wanted.any_format, wanted.pixels, wanted.max_pixels, strict=wanted.strict)
    with naming_options(), wanted.writer(progress.code) as writer:
        with naming(output, "standard output"):
            if wanted.adds:
                taken.replaced = _copied(path, writer, files, wanted)
            new = [file for file in files if file.name not in writer] if wanted.skip_existing else files
            taken.skipped = len(files) - len(new)
            progress.leave_out(taken.skipped)
            for name, planes in _read_images(new, taken, reading, progress, quiet=wanted.quiet):
                writer.add(name, planes)
            pieces = writer.pieces()
        stays = wanted.adds and not taken.read
        size = path.stat().st_size if stays else target.write(pieces)
    return {"images": len(writer), "bytes": size, **index_facts(writer.index, size)}


def _line(output: str, taken: _InputCounts, made: Mapping[str, Any]) -> str:
    """What is said of an archive: its size beside that of the inputs, where there are no other images."""
    images, size, bits_per_dim = made["images"], made["bytes"], made["bits_per_dim"]
    gain = f"ratio {taken.bytes / size:.3f}" if images == taken.read else f"{images} images in all"
    others = {"replaced": len(taken.replaced), "skipped": taken.skipped}
    more = "".join(f", {count} {what}" for what, count in others.items() if count)
    name = label(output, "standard output")
    return f"{counted(taken.read, 'image')} -> {name}: {size} bytes, {bits_per_dim:.3f} bits/dim, {gain}{more}"


@dataclass
class _InputCounts:
    """What became of inputs. read: how many images were read, of so many bytes. replaced: names of images that others
    take the place of. skipped: those whose names were there. left_out: files that could not be read. codes: exit codes
    of these, and of folders and arrays."""

    read: int = 0
    replaced: set[str] = field(default_factory=set)
    bytes: int = 0
    skipped: int = 0
    left_out: int = 0
    codes: list[int] = field(default_factory=list)

    def failed(self, error: DdpmError | OSError) -> None:
        self.codes.append(failure(error))

    def counts(self) -> dict[str, int]:
        return {
            "added": self.read,
            "replaced": len(self.replaced),
            "skipped": self.skipped,
            "left_out": self.left_out,
        }


def _copied(path: Path, writer: Writer, files: Sequence[_Input], wanted: Creation) -> set[str]:
    """Copy an archive, with --force without the images whose names files have, too. Return these names."""
    from ddpmcodec.archive import names
    from ddpmcodec.format.ddpma import split

    archive = split(FileView(path))
    replaced = {file.name for file in files}.intersection(names(archive)) if wanted.force else set()
    writer.copy(archive, without=replaced, model=wanted.model)
    return replaced


class _Input(NamedTuple):
    """An image to take. name: in the archive. pixels: of an image of an array; None: those of an image file."""

    name: str
    path: Path
    pixels: NDArray[np.uint8] | None = None


def _gather(inputs: Sequence[str], quiet: bool, taken: _InputCounts) -> list[_Input]:
    """The images, in order. Raises ImageError when two would have one name."""
    files: dict[str, _Input] = {}
    for file in _named(inputs, quiet, taken):
        other = files.setdefault(file.name, file)
        if other.path != file.path:
            raise ImageError(
                f"{file.path} and {other.path} would both be {file.name}: archive the folder that holds them"
            )
    if not files:
        raise ImageError(f"{', '.join(inputs)}: there is no image in it")
    return list(files.values())


def _named(inputs: Sequence[str], quiet: bool, taken: _InputCounts) -> Iterator[_Input]:
    from ddpmcodec.formats.image_files import ARRAY_SUFFIXES

    for text in inputs:
        path = Path(text)
        if os.path.isdir(path):  # False, too, of what cannot be looked at: reading it says why
            sources = folder_sources(path, None, "image", quiet, taken.failed)
            yield from (_Input(source.below.as_posix(), source.path) for source in sources)
        elif text == STANDARD:
            raise click.UsageError("an image on standard input has no name in an archive: name files or folders")
        elif path.suffix.lower() in ARRAY_SUFFIXES:
            yield from _of_array(path, taken)
        else:
            yield _Input(path.name, path)


def _of_array(path: Path, taken: _InputCounts) -> Iterator[_Input]:
    """The images of an array, whose names are their numbers, so that they sort as they come."""
    from ddpmcodec.formats.image_files import load_array

    try:
        images = load_array(path)
    except ImageError as error:
        taken.failed(error)
        return
    digits = len(str(len(images) - 1))
    for number, pixels in enumerate(images):
        yield _Input(f"{path.stem}/{number:0{digits}}.png", path, pixels)


def _read_images(
    files: Sequence[_Input], taken: _InputCounts, reading: Reading, progress: ArchiveProgress, *, quiet: bool
) -> Iterator[tuple[str, Planes]]:
    """The images that can be read; of the others the failure is printed."""
    from ddpmcodec.codec.reading import planes_of_file
    from ddpmcodec.format.ddpma import check_name
    from ddpmcodec.formats.images import to_planes

    for name, path, pixels in files:
        try:
            if problem := check_name(name):
                raise ImageError(f"{path}: {name!r} cannot be its name in an archive: {problem}")
            content = path.read_bytes() if pixels is None else b""
            with naming_options():
                planes = planes_of_file(content, str(path), reading) if pixels is None else to_planes(pixels)
        except (DdpmError, OSError) as error:
            if name in taken.replaced:
                raise ImageError(
                    f"{message_of(error)}; it would have replaced {name}: the archive is as it was"
                ) from error
            taken.failed(error)
            taken.left_out += 1
            progress.leave_out()
            continue
        progress.read(planes.colour[..., 0].size)
        taken.read += 1
        taken.bytes += len(content) if pixels is None else pixels.nbytes
        for line in [] if quiet or planes.kept else unkept_lines(str(path), content, strip=reading.strip):
            say(line)
        yield name, planes
