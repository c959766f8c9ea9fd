"""ddpmcodec bench readme"""

from __future__ import annotations

from pathlib import Path

import click

from ddpmcodec.errors import DdpmError
from ddpmcodec.files import write_file

from ._common import EXIT_CODES, each, say

FILES = (Path("README.md"), Path("docs/benchmarks.md"))


@click.command(epilog=EXIT_CODES)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--results",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="benchmarks/results",
    show_default=True,
    help="Folder of folders of results.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where something is not as in the results.")
def readme(files: tuple[Path, ...], results: Path, check: bool) -> int:
    """Fill in the tables and figures of FILES from results; default: README.md and docs/benchmarks.md.

    Between <!-- bench: FOLDER/KIND table NAME --> and <!-- /bench --> stands that table of the result; with figure for
    table, that figure.
    """
    return each([str(file) for file in files or FILES], lambda name: _fill(Path(name), results, check))


def _fill(file: Path, results: Path, check: bool) -> None:
    from ddpmcodec.benchmarks.readme import updated

    text = file.read_text()
    new = updated(text, file.parent, results)
    if new == text:
        say(f"{file}: is as in the results")
    elif check:
        raise DdpmError(f"{file}: is not as in the results: run ddpmcodec bench readme {file}")
    else:
        write_file(file, new.encode())
        say(f"{file}: filled in")
