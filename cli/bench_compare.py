"""ddpmcodec bench compare"""

from __future__ import annotations

from pathlib import Path

import click

from ddpmcodec.errors import OutputError

from ._common import EXIT_CODES, say

place = click.Path(exists=True, path_type=Path)


@click.command(epilog=EXIT_CODES)
@click.argument("old", type=place)
@click.argument("new", type=place)
def compare(old: Path, new: Path) -> int:
    """What got better or worse from OLD to NEW, result files or folders of them. Exit code 1: something got worse.

    Sizes and qualities are compared image by image where both have the image, and timings, on the same machine only, as
    two samples. A change counts if it exceeds three standard errors; a timing must also change by 5 %.
    """
    from ddpmcodec.benchmarks.compare import compare as run

    found = run(old, new)
    if found.changes:
        click.echo(found.table().markdown())
    for note in found.notes:
        say(note)
    if not found.changes:
        raise OutputError(f"{old} and {new} have no measurement in common: nothing can be compared")
    counts = ", ".join(f"{found.count(verdict)} {verdict}" for verdict in ("worse", "better", "same", "unknown"))
    say(f"{old} -> {new}: {counts}")
    return 1 if found.count("worse") else 0
