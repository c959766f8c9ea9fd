"""ddpmcodec bench report"""

from __future__ import annotations

from pathlib import Path

import click

from ddpmcodec.files import check_output, write_file

from ._common import EXIT_CODES, force_option, say


@click.command(epilog=EXIT_CODES)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="HTML", help="The page (default: report.html in FOLDER)."
)
@force_option
def report(folder: Path, output: Path | None, force: bool) -> None:
    """One self-contained HTML page of the results in FOLDER and in its folders."""
    place = output or folder / "report.html"
    check_output(place, None, force=force)

    from ddpmcodec.benchmarks.report import page

    write_file(place, page(folder).encode(), replace=force)
    say(f"{folder} -> {place}")
