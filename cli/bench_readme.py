"""ddpmcodec bench readme"""

from __future__ import annotations

from pathlib import Path

import click

from ddpmcodec.errors import DdpmError
from ddpmcodec.files import write_file

from ._common import EXIT_CODES, say


@click.command(epilog=EXIT_CODES)
@click.argument("readme", type=click.Path(exists=True, dir_okay=False, path_type=Path), default="README.md")
@click.option(
    "--results",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="benchmarks/results",
    show_default=True,
    help="Folder of folders of results.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where something is not as in the results.")
def readme(readme: Path, results: Path, check: bool) -> None:
    """Fill in the tables and figures of README.md from results.

    Between <!-- bench: FOLDER/KIND table NAME --> and <!-- /bench --> stands that table of the result; with figure for
    table, that figure.
    """
    from ddpmcodec.benchmarks.readme import updated

    text = readme.read_text()
    new = updated(text, readme.parent, results)
    if new == text:
        say(f"{readme}: is as in the results")
    elif check:
        raise DdpmError(f"{readme}: is not as in the results: run ddpmcodec bench readme {readme}")
    else:
        write_file(readme, new.encode())
        say(f"{readme}: filled in")
