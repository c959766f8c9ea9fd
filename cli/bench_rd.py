"""ddpmcodec bench rd"""

from __future__ import annotations

import click

from ._bench import Request, numbers, reals, request_options, run_options
from ._cluster import ray_option
from ._common import EXIT_CODES


@click.command(epilog=EXIT_CODES)
@request_options("2/2,2/5", "Of our files.", limit=500)
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
@ray_option
@run_options
def rd(request: Request, rates: tuple[float, ...], bounds: tuple[int, ...], ray: str | None) -> int:
    """Rate versus distortion of real prefixes of files, beside JPEG, WebP, JPEG 2000, AVIF and JPEG XL.

    Every file is cut at the end of each segment. A curve's points are means over images, of bits per pixel and of PSNR,
    at a place in the file or a quality; BD-rates are taken image by image.
    Also measures what the denoiser brings at each step. Writes bench-rd.json, the charts rd and rd-ssim as PNG and SVG,
    and compressai/*.json; prints tables.
    """
    return request.measure("rd", lambda plan: plan(request.settings, rates, bounds), ray=ray)
