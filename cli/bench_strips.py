"""ddpmcodec bench strips"""

from __future__ import annotations

from pathlib import Path

import click

from ._bench import baselines_option, command_line, measure, numbers, out_option, refuse_existing
from ._common import EXIT_CODES, effort_option, force_option, levels_option, model_option, quiet_option


@click.command(epilog=EXIT_CODES)
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="IMAGES..."
)
@out_option
@effort_option
@levels_option
@click.option(
    "--bytes",
    "sizes",
    type=numbers(1, none=True),
    default="",
    metavar="N,N,...",
    help="Budgets.  [default: ten, from 1/64 of our file to all of it]",
)
@baselines_option
@model_option
@force_option
@quiet_option
def strips(
    images: tuple[Path, ...],
    out: Path,
    effort: int,
    levels: int,
    sizes: tuple[int, ...],
    no_baselines: bool,
    model: str | None,
    force: bool,
    quiet: bool,
) -> int:
    """What the first bytes of a file show, beside WebP and JPEG files of as many bytes, as pictures.

    Ours are prefixes of one file; the others are encoded anew for every budget, at the highest quality that fits.
    Writes bench-strips.json and a picture strip-NAME.png of every image; prints a table.
    """
    refuse_existing(out, "strips", force=force)

    from ddpmcodec.benchmarks.strips import Plan, load_pictures, run
    from ddpmcodec.codec.efforts import Coding

    plan = Plan(Coding(effort, levels), sizes, not no_baselines)
    return measure(lambda: run(load_pictures(images), out, model, plan, command=command_line(), quiet=quiet))
