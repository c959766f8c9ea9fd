"""ddpmcodec archive join | remove"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._archive_inputs import file_argument, matching, network_option
from ._common import (
    EXIT_CODES,
    STANDARD,
    can_be_read_twice,
    counted,
    input_content,
    label,
    naming,
    naming_options,
    read_input,
    say,
)
from ._options import PATH_NAME, force_option, quiet_option
from ._outputs import ArchiveOutput, spool_folder

if TYPE_CHECKING:
    from ddpmcodec.archive.writer import Writer


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
