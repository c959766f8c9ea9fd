"""ddpmcodec bench rd"""

from __future__ import annotations

from pathlib import Path

import click

from ddpmcodec.container import PROGRESSIVE

from ._bench import (
    command_line,
    data_option,
    measure,
    numbers,
    out_option,
    peers_option,
    reals,
    refuse_existing,
    split_option,
)
from ._common import EXIT_CODES, force_option, model_option, quiet_option


@click.command(epilog=EXIT_CODES)
@data_option
@out_option
@click.option(
    "--limit", type=click.IntRange(1), default=500, show_default=True, metavar="N", help="The first N images only."
)
@split_option
@click.option(
    "--efforts",
    type=numbers(1, PROGRESSIVE),
    default="5,10",
    show_default=True,
    metavar="E,E,...",
    help="Of our files; 10: progressive.",
)
@click.option(
    "--budgets",
    type=reals(0.001),
    default="0.25,0.5,1,2,4",
    show_default=True,
    metavar="B,B,...",
    help="Also cut our files to so many bits per pixel.",
)
@click.option(
    "--levels", type=click.IntRange(2), default=64, show_default=True, metavar="T", help="Noise levels of the bound."
)
@click.option(
    "--ideal",
    metavar="MODEL",
    help="Bound of this one: an exported model or a checkpoint of the paper's network.  [default: the model's own]",
)
@peers_option
@model_option
@force_option
@quiet_option
def rd(
    data: str,
    out: Path,
    limit: int,
    split: str,
    efforts: tuple[int, ...],
    budgets: tuple[float, ...],
    levels: int,
    ideal: str | None,
    no_peers: bool,
    model: str | None,
    force: bool,
    quiet: bool,
) -> int:
    """Rate versus distortion of real files cut short, beside the bound and JPEG, WebP, JPEG 2000, AVIF and JPEG XL.

    Every file is cut in the middle and at the end of each step, and to the budgets. A curve's points are means over
    images, of bits per pixel of whole files and of PSNR, at a step or a quality; BD-rates are taken image by image.
    Writes bench-rd.json, the charts rd, rd-ssim and rd-time as PNG and SVG, and compressai/*.json; prints tables.
    """
    refuse_existing(out, "rd", force=force)

    from ddpmcodec.benchmarks._data import load_dataset
    from ddpmcodec.benchmarks.rd import Plan, run

    dataset = load_dataset(data, split=split, limit=limit)
    plan = Plan(efforts, budgets, levels, ideal)
    return measure(lambda: run(dataset, out, model, plan, command=command_line(), peers=not no_peers, quiet=quiet))
