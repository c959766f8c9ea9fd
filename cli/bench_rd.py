"""ddpmcodec bench rd"""

from __future__ import annotations

from pathlib import Path

import click

from ._bench import (
    baselines_option,
    command_line,
    data_option,
    efforts_option,
    measure,
    numbers,
    out_option,
    reals,
    refuse_existing,
    split_option,
)
from ._cluster import ray_option
from ._common import EXIT_CODES, force_option, model_option, quiet_option


@click.command(epilog=EXIT_CODES)
@data_option
@out_option
@click.option(
    "--limit", type=click.IntRange(1), default=500, show_default=True, metavar="N", help="The first N images only."
)
@split_option
@efforts_option("2,3", "Of our files.")
@click.option(
    "--rates",
    type=reals(0.001),
    default="0.25,0.5,1,2,4",
    show_default=True,
    metavar="B,B,...",
    help="Bits per pixel at which the table compares codecs.",
)
@click.option(
    "--bounds",
    type=numbers(2, none=True),
    default="",
    metavar="T,T,...",
    help="And the variational bound of the Gaussian model on so many noise levels: Figure 5 and Table 4 of the DDPM"
    " paper.",
)
@baselines_option
@model_option
@ray_option
@force_option
@quiet_option
def rd(
    data: str,
    out: Path,
    limit: int,
    split: str,
    efforts: tuple[int, ...],
    rates: tuple[float, ...],
    bounds: tuple[int, ...],
    no_baselines: bool,
    model: str | None,
    ray: str | None,
    force: bool,
    quiet: bool,
) -> int:
    """Rate versus distortion of real prefixes of files, beside JPEG, WebP, JPEG 2000, AVIF and JPEG XL.

    Every file is cut at the end of each segment and in the middle of the large ones. A curve's points are means over
    images, of bits per pixel and of PSNR, at a place of the schedule or a quality; BD-rates are taken image by image.
    Also measures what the denoiser brings at each step. Writes bench-rd.json, the charts rd and rd-ssim as PNG and SVG,
    and compressai/*.json; prints tables.
    """
    refuse_existing(out, "rd", force=force)

    from ddpmcodec.benchmarks._data import load_dataset
    from ddpmcodec.benchmarks.rd import Plan, run

    dataset = load_dataset(data, split=split, limit=limit)
    plan = Plan(efforts, rates, bounds)
    options = {"baselines": not no_baselines, "quiet": quiet, "ray": ray}
    return measure(lambda: run(dataset, out, model, plan, command=command_line(), **options))
