"""ddpmcodec bench speed"""

from __future__ import annotations

from pathlib import Path

import click

from ._bench import (
    baselines_option,
    command_line,
    data_option,
    efforts_option,
    measure,
    out_option,
    reals,
    refuse_existing,
    split_option,
)
from ._common import EXIT_CODES, force_option, model_option, quiet_option


@click.command(epilog=EXIT_CODES)
@data_option
@out_option
@click.option(
    "--limit", type=click.IntRange(1), default=512, show_default=True, metavar="N", help="The first N images only."
)
@split_option
@efforts_option("1,2,3", "Of our files.")
@click.option(
    "--megapixels",
    type=reals(0.001, none=True),
    default="",
    metavar="M,M,...",
    help="Also synthetic photographs of these sizes, with the peak memory of encode and decode: 1,24, say.",
)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Of every timing.")
@baselines_option
@model_option
@force_option
@quiet_option
def speed(
    data: str,
    out: Path,
    limit: int,
    split: str,
    efforts: tuple[int, ...],
    megapixels: tuple[float, ...],
    repeats: int,
    no_baselines: bool,
    model: str | None,
    force: bool,
    quiet: bool,
) -> int:
    """Throughput, time by step, previews, peak memory and start-up, beside PNG, WebP and JPEG XL.

    On one thread and on all; thumbnails in batches of 256, photographs one by one. Keep the machine idle meanwhile.
    Writes bench-speed.json, the chart speed-throughput and, of photographs of two sizes or more, speed-growth, as PNG
    and SVG; prints tables.
    """
    refuse_existing(out, "speed", force=force)

    from ddpmcodec.benchmarks._data import load_dataset
    from ddpmcodec.benchmarks.speed import Plan, run

    dataset = load_dataset(data, split=split, limit=limit)
    plan = Plan(efforts, megapixels, repeats)
    return measure(
        lambda: run(dataset, out, model, plan, command=command_line(), baselines=not no_baselines, quiet=quiet)
    )
