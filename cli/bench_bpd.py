"""ddpmcodec bench bpd"""

from __future__ import annotations

from pathlib import Path

import click

from ._bench import (
    command_line,
    data_option,
    limit_option,
    measure,
    numbers,
    out_option,
    peers_option,
    refuse_existing,
    split_option,
)
from ._common import EXIT_CODES, force_option, model_option, quiet_option


@click.command(epilog=EXIT_CODES)
@data_option
@out_option
@limit_option
@split_option
@click.option(
    "--efforts",
    type=numbers(1, 9),
    default="1,5",
    show_default=True,
    metavar="E,E,...",
    help="Of one file per image.",
)
@click.option(
    "--archives",
    type=numbers(2, none=True),
    default="",
    metavar="T,T,...",
    help="And archives by bits back, of so many noise levels.",
)
@click.option(
    "--archive-efforts",
    type=numbers(1, 9, none=True),
    default="",
    metavar="E,E,...",
    help="And archives by the steps of these efforts.",
)
@peers_option
@model_option
@force_option
@quiet_option
def bpd(
    data: str,
    out: Path,
    limit: int | None,
    split: str,
    efforts: tuple[int, ...],
    archives: tuple[int, ...],
    archive_efforts: tuple[int, ...],
    no_peers: bool,
    model: str | None,
    force: bool,
    quiet: bool,
) -> int:
    """Size of whole files without loss, in bits/dim, beside PNG, WebP and JPEG XL.

    Every file is decoded and compared. With each figure stands what the model itself needs: the code length of files,
    the variational bound of archives by bits back. Writes bench-bpd.json and the chart bpd.png, bpd.svg; prints a
    table.
    """
    refuse_existing(out, "bpd", force=force)

    from ddpmcodec.benchmarks._data import load_dataset
    from ddpmcodec.benchmarks.bpd import run

    dataset = load_dataset(data, split=split, limit=limit)
    contenders = efforts, archive_efforts, archives
    return measure(
        lambda: run(dataset, out, model, *contenders, command=command_line(), peers=not no_peers, quiet=quiet)
    )
