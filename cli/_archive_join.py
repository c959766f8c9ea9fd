"""ddpmcodec archive join"""

from __future__ import annotations

from pathlib import Path

import click

from ._common import (
    EXIT_CODES,
    PATH_NAME,
    STANDARD,
    can_be_read_twice,
    counted,
    force_option,
    label,
    naming_options,
    quiet_option,
    read_input,
    say,
)
from ._outputs import check_archive_output, write_archive


@click.command(epilog=EXIT_CODES)
@click.argument("output", type=PATH_NAME, metavar="OUT.ddpma")
@click.argument("archives", nargs=-1, required=True, type=PATH_NAME, metavar="ARCHIVES...")
@force_option
@quiet_option
def join(output: str, archives: tuple[str, ...], force: bool, quiet: bool) -> None:
    """Make one archive of several: so images are added to one, with -f also to one that is named twice.

    Coded images are copied as they are, without decoding them: `ddpmcodec archive test` does that. Names must differ.

    \b
    ddpmcodec archive join -f photos.ddpma photos.ddpma new.ddpma
    """
    from ddpmcodec import archive

    check_archive_output(output, [Path(name) for name in archives], "archive join", force, replaces_source=True)
    with naming_options():
        data = archive.join(Path(name) if can_be_read_twice(name) else read_input(name) for name in archives)
    write_archive(output, data, [Path(name) for name in archives if name != STANDARD], force)
    if not quiet:
        say(f"{counted(len(archives), 'archive')} -> {label(output, 'standard output')}: {len(data)} bytes")
