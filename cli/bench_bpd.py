"""ddpmcodec bench bpd"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._bench import Request, codings, numbers, request_options, run_options
from ._cluster import ray_option
from ._common import EXIT_CODES

if TYPE_CHECKING:
    from ddpmcodec.codec.efforts import Coding


@click.command(epilog=EXIT_CODES)
@request_options("1/0,2/0,2/2", "Of one file an image.")
@click.option(
    "--archives",
    type=codings(none=True),
    default="",
    metavar="E/L,E/L,...",
    help="And archives.",
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
def bpd(request: Request, archives: tuple[Coding, ...], bits_back: tuple[int, ...], ray: str | None) -> int:
    """Size of whole files without loss, in bits/dim, beside PNG, WebP and JPEG XL.

    Every file is decoded and compared. With each size stand the ideal code length, which is what the model itself
    needs, and the overhead of a file beyond it. Writes bench-bpd.json and the chart bpd.png, bpd.svg; prints tables.
    """
    return request.measure("bpd", lambda plan: plan(request.settings, archives, bits_back), ray=ray)
