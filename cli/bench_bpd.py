"""ddpmcodec bench bpd"""

from __future__ import annotations

from pathlib import Path

import click

from ._bench import (
    baselines_option,
    command_line,
    data_option,
    efforts_option,
    limit_option,
    measure,
    numbers,
    out_option,
    refuse_existing,
    split_option,
)
from ._cluster import ray_option
from ._common import EXIT_CODES, force_option, model_option, quiet_option


@click.command(epilog=EXIT_CODES)
@data_option
@out_option
@limit_option
@split_option
@efforts_option("2", "Of one file an image.")
@click.option(
    "--archives",
    type=numbers(1, 3, none=True),
    default="",
    metavar="E,E,...",
    help="And archives at these efforts.",
)
@click.option(
    "--bits-back",
    type=numbers(2, none=True),
    default="",
    metavar="T,T,...",
    help="And archives by bits back, through so many noise levels of the Gaussian model.",
)
@baselines_option
@model_option
@ray_option
@force_option
@quiet_option
def bpd(
    data: str,
    out: Path,
    limit: int | None,
    split: str,
    efforts: tuple[int, ...],
    archives: tuple[int, ...],
    bits_back: tuple[int, ...],
    no_baselines: bool,
    model: str | None,
    ray: str | None,
    force: bool,
    quiet: bool,
) -> int:
    """Size of whole files without loss, in bits/dim, beside PNG, WebP and JPEG XL.

    Every file is decoded and compared. With each size stand the ideal code length, which is what the model itself
    needs, and the overhead of a file beyond it. Writes bench-bpd.json and the chart bpd.png, bpd.svg; prints tables.
    """
    refuse_existing(out, "bpd", force=force)

    from ddpmcodec.benchmarks._data import load_dataset
    from ddpmcodec.benchmarks.bpd import Plan, run

    dataset = load_dataset(data, split=split, limit=limit)
    plan = Plan(efforts, archives, bits_back)
    options = {"baselines": not no_baselines, "quiet": quiet, "ray": ray}
    return measure(lambda: run(dataset, out, model, plan, command=command_line(), **options))
