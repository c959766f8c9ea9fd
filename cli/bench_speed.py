"""ddpmcodec bench speed"""

from __future__ import annotations

from pathlib import Path

import click

from ._bench import command_line, data_option, measure, numbers, out_option, peers_option, reals, split_option
from ._common import EXIT_CODES, model_option, quiet_option


@click.command(epilog=EXIT_CODES)
@data_option
@out_option
@click.option(
    "--limit", type=click.IntRange(1), default=128, show_default=True, metavar="N", help="The first N images only."
)
@split_option
@click.option(
    "--efforts",
    type=numbers(1, 9),
    default="1,3,5,7",
    show_default=True,
    metavar="E,E,...",
    help="Of one file per image.",
)
@click.option(
    "--archives",
    type=numbers(2, none=True),
    default="8,16,32",
    show_default=True,
    metavar="T,T,...",
    help="Archives at so many noise levels.",
)
@click.option(
    "--megapixels",
    type=reals(0.001),
    default="0.016,0.064,0.25,1",
    show_default=True,
    metavar="M,M,...",
    help="Sizes of synthetic photographs, coded at the lowest of the efforts.",
)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Of every timing.")
@peers_option
@model_option
@quiet_option
def speed(
    data: str,
    out: Path,
    limit: int,
    split: str,
    efforts: tuple[int, ...],
    archives: tuple[int, ...],
    megapixels: tuple[float, ...],
    repeats: int,
    no_peers: bool,
    model: str | None,
    quiet: bool,
) -> int:
    """Throughput, where the time goes, peak memory, start-up, and how they grow, beside PNG, WebP and JPEG XL.

    On one thread and on all. Keep the machine idle meanwhile. Writes bench-speed.json and the charts speed-throughput,
    speed-stages and speed-growth as PNG and SVG; prints tables.
    """
    from ddpmcodec.benchmarks._data import load_dataset
    from ddpmcodec.benchmarks.speed import Plan, run

    dataset = load_dataset(data, split=split, limit=limit)
    plan = Plan(efforts, archives, megapixels, repeats)
    return measure(lambda: run(dataset, out, model, plan, command=command_line(), peers=not no_peers, quiet=quiet))
