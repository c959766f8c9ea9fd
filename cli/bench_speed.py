"""ddpmcodec bench speed"""

from __future__ import annotations

import click

from ._bench import Request, reals, request_options, run_options
from ._common import EXIT_CODES


@click.command(epilog=EXIT_CODES)
@request_options("1/0,1/2,2/0,2/2", "Of our files.", limit=512)
@click.option(
    "--megapixels",
    type=reals(0.001, none=True),
    default="",
    metavar="M,M,...",
    help="Also synthetic photographs of these sizes, with the peak memory of encode and decode: 6,24, say.",
)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Of every timing.")
@run_options
def speed(request: Request, megapixels: tuple[float, ...], repeats: int) -> int:
    """Throughput, time by step, previews, peak memory, start-up and installed size, beside PNG, WebP and JPEG XL.

    On one thread and on all; thumbnails in batches of 256, photographs one by one. Keep the machine idle meanwhile. The
    kernels are the fastest for this processor, or those that the environment variable DDPMCODEC_KERNELS names.
    Writes bench-speed.json, the chart speed-throughput and, of photographs of two sizes or more, speed-growth, as PNG
    and SVG; prints tables.
    """
    return request.measure("speed", lambda plan: plan(request.settings, megapixels, repeats))
