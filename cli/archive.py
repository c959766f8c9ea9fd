"""ddpmcodec archive list | test | join | remove, and the other commands of that group"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._archive_create import add, create
from ._archive_extract import extract
from ._common import (
    EXIT_CODES,
    STANDARD,
    can_be_read_twice,
    counted,
    echo,
    input_content,
    label,
    naming,
    naming_options,
    printable,
    read_input,
    say,
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
    threads_option,
)
from ._outputs import ArchiveOutput, spool_folder
from ._report import archive_line, model_of
from .test import test_archive

if TYPE_CHECKING:
    from ddpmcodec.archive.writer import Writer


@click.group(epilog=EXIT_CODES)
def archive() -> None:
    """Store many images in one file, without a file header for each."""


@archive.command("list", epilog=EXIT_CODES)
@file_argument
@names_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(file: str, names: tuple[str, ...], as_json: bool) -> None:
    """Print the names, sizes, modes and codings of the images: of all, or of these names, folders and patterns (*, ?,
    [a-z]).

    The bytes are those of an image that is a file of its own; those that are coded together share theirs. Nothing is
    decoded. FILE - is standard input.
    """
    from ddpmcodec.archive.reader import describe
    from ddpmcodec.format.ddpma import find_images, split

    content = input_content(file)
    with naming(file):
        cut = split(content)
        facts = describe(cut)
        wanted = matching([image["name"] for image in facts["images"]], names)
        if wanted:
            find_images(cut.index, wanted)  # refuses what is not there
    chosen = None if wanted is None else {*wanted}
    shown = [image for image in facts["images"] if chosen is None or image["name"] in chosen]
    if as_json:
        shown = [{**image, "model": model_of(image)} for image in shown]
        echo(json.dumps({"file": label(file), **facts, "images": shown}, allow_nan=False, indent=2))
        return
    for image in shown:
        size = "-" if image["bytes"] is None else image["bytes"]
        echo(
            f"{image['width']:6} x {image['height']:<6} {image['mode']:4} {size:>9} {image['coding'] or 'damaged':16}"
            f" {printable(image['name'])}"
        )
    say(archive_line(file, facts))


@archive.command(epilog=EXIT_CODES)
@file_argument
@network_option
@max_pixels_option
@threads_option
@quiet_option
def test(file: str, model: str | None, max_pixels: int, threads: int | None, quiet: bool) -> None:
    """Decode all images, check them, and throw them away. FILE - is standard input."""
    from ddpmcodec.parallel import threads_of

    with threads_of(threads):
        count = test_archive(file, input_content(file), model, max_pixels, quiet=quiet)
    if not quiet:
        echo(printable(f"{label(file)}: ok, {counted(count, 'image')}"))


@click.command(epilog=EXIT_CODES)
@click.argument("output", type=PATH_NAME, metavar="OUT.ddpma")
@click.argument("archives", nargs=-1, required=True, type=PATH_NAME, metavar="ARCHIVES...")
@force_option
@quiet_option
def join(output: str, archives: tuple[str, ...], force: bool, quiet: bool) -> None:
    """Make one archive of several. With -f, OUT may be one of them: it becomes the whole.

    Coded images are copied as they are, without decoding them: `ddpmcodec archive test` does that. Names must differ.
    With -f, an OUT that is not among ARCHIVES is overwritten. Temporary files lie where those of `create` do.

    \b
    ddpmcodec archive join -f photos.ddpma photos.ddpma new.ddpma
    """
    from ddpmcodec.archive.editing import join_into
    from ddpmcodec.archive.writer import Writer

    if len(archives) == 1:
        raise click.UsageError(f"one archive is nothing to join: to add it to {output}, name both behind OUT")
    sources = [Path(name) for name in archives if name != STANDARD]
    target = ArchiveOutput(output, sources, "archive join", force, replaces_source=True)
    with Writer(spool=spool_folder(output)) as writer:
        with naming_options():
            join_into(writer, (Path(name) if can_be_read_twice(name) else read_input(name) for name in archives))
        size = target.write(writer.pieces())
    if not quiet:
        say(f"{counted(len(archives), 'archive')} -> {label(output, 'standard output')}: {size} bytes")


@click.command(epilog=EXIT_CODES)
@file_argument
@click.argument("names", nargs=-1, required=True, metavar="NAMES...")
@click.option(
    "-o", "--output", type=PATH_NAME, metavar="OUT.ddpma", help="Where the smaller archive goes, in place of FILE."
)
@network_option
@force_option
@quiet_option
def remove(file: str, names: tuple[str, ...], output: str | None, model: str | None, force: bool, quiet: bool) -> None:
    """Remove images of these names, folders and patterns from an archive, or make another one without them.

    Images that share a stream with one that goes are coded again; all others are copied as they are. Temporary files
    lie where those of `create` do.

    \b
    ddpmcodec archive remove photos.ddpma blurred.png '2019/*'
    ddpmcodec archive remove photos.ddpma '2019/*' -o newer.ddpma
    """
    from ddpmcodec.archive.writer import Writer

    if output is None and file == STANDARD:
        raise click.UsageError("of an archive on standard input another one is made: name it with -o")
    sources = [] if file == STANDARD else [Path(file)]
    in_place = output is None
    output = output or file
    target = ArchiveOutput(output, sources, "archive remove", force or in_place, replaces_source=True)
    with Writer(spool=spool_folder(output)) as writer:
        with naming(file):
            images = _copy_without(writer, file, names, model)
        size = target.write(writer.pieces())
    if not quiet:
        gone = counted(images - len(writer), "image")
        say(f"{label(output, 'standard output')}: {size} bytes, {len(writer)} images, without {gone}")


def _copy_without(writer: Writer, file: str, names: Sequence[str], model: str | None) -> int:
    """Copy an archive without the images that are meant by names. Returns how many images it has. It is closed then:
    Windows replaces no open files."""
    from ddpmcodec import archive
    from ddpmcodec.archive.editing import remove_into
    from ddpmcodec.format.ddpma import split

    cut = split(input_content(file))
    all_names = archive.names(cut)
    remove_into(writer, cut, matching(all_names, names) or [], model=model)
    return len(all_names)


for command in (create, add, extract, join, remove):
    archive.add_command(command)
