"""ddpmcodec bench bpd"""

from __future__ import annotations

import click

from ._bench import Request, numbers, request_options, run_options
from ._cluster import ray_option
from ._common import EXIT_CODES


@click.command(epilog=EXIT_CODES)
@request_options("2", "Of one file an image.")
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
@ray_option
@run_options
def bpd(request: Request, archives: tuple[int, ...], bits_back: tuple[int, ...], ray: str | None) -> int:
    """Size of whole files without loss, in bits/dim, beside PNG, WebP and JPEG XL.

    Every file is decoded and compared. With each size stand the ideal code length, which is what the model itself
    needs, and the overhead of a file beyond it. Writes bench-bpd.json and the chart bpd.png, bpd.svg; prints tables.
    """
    return request.measure("bpd", lambda plan: plan(request.efforts, archives, bits_back), ray=ray)
