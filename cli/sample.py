"""ddpmcodec sample"""

from __future__ import annotations

from itertools import islice
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddpmcodec.files import check_output

from ._common import EXIT_CODES
from ._sampling import place, read_images, sampler, sampling_options, watched, write_grid

if TYPE_CHECKING:
    from torch import Tensor

    from ddpmcodec.paper.sampling import Sampler

COLUMNS = 10  # of --progressive
BATCH = 64  # images of a folder, drawn before they are written


@click.command(epilog=EXIT_CODES)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="One PNG of all images, an existing folder for a PNG each, or -.",
)
@click.option(
    "--count", type=click.IntRange(1), default=16, show_default=True, help="Images; with --shared-latent, of each."
)
@click.option("--size", type=click.IntRange(1, 4096), default=32, show_default=True, help="Side of the images, pixels.")
@click.option(
    "--progressive",
    is_flag=True,
    help="Progressive generation: a row for each image, the prediction of x_0 from x_t over the reverse process.",
)
@click.option(
    "--shared-latent",
    "times",
    type=click.IntRange(1),
    multiple=True,
    metavar="t",
    help="A row for this timestep of 1 to T: a latent x_t, and images drawn from it. May be repeated.",
)
@click.option(
    "--image",
    metavar="FILE",
    help="With --shared-latent: latents of this image (the forward process), and not of a sample.",
)
@sampling_options
def sample(
    output: str,
    count: int,
    size: int,
    progressive: bool,
    times: tuple[int, ...],
    image: str | None,
    T: int,
    scale: int,
    force: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Draw images from a model, by the reverse process of the diffusion: from noise x_T to x_0."""
    _check_usage(Path(output), progressive, times, image, T)
    places = (
        _numbered(Path(output), count, force)
        if Path(output).is_dir()
        else [place(output, [image] if image else [], force=force)]
    )
    known = None if image is None else read_images([image])
    height, width = (size, size) if known is None else known.shape[2:]
    found = sampler(T=T, **options)
    calls = count * (sum(set(times)) or T) + (T - min(times) + 1 if times and known is None else 0)
    with watched(found, "sample", calls, (height, width), quiet=quiet) as ready:
        if Path(output).is_dir():
            _write_each(ready, places, size, scale, force)
        elif times:
            write_grid(
                places[0], ready.shared_rows(_latents(ready, known, size, times), count), scale=scale, force=force
            )
        else:
            c_T = ready.start(count, size, size)
            rows = ready.progress_rows(c_T, COLUMNS) if progressive else _square(ready.finish(c_T))
            write_grid(places[0], rows, scale=scale, force=force)
    return 0


def _check_usage(output: Path, progressive: bool, times: tuple[int, ...], image: str | None, T: int) -> None:
    if progressive and times:
        raise click.UsageError("give one of --progressive and --shared-latent")
    if (progressive or times) and output.is_dir():
        raise click.UsageError(f"rows of images go to one PNG: name a file with -o, which {output} is not")
    if image is not None and not times:
        raise click.UsageError("--image needs --shared-latent: which latents of the image?")
    if max(times, default=0) > T:
        raise click.UsageError(f"--shared-latent {max(times)}: timesteps are 1 to {T}, the number of --levels")


def _numbered(folder: Path, count: int, force: bool) -> list[str]:
    """A PNG for each image, none of which may exist."""
    paths = [folder / f"sample-{number:05}.png" for number in range(count)]
    for path in paths:
        check_output(path, None, force=force)
    return [str(path) for path in paths]


def _write_each(found: Sampler, places: list[str], size: int, scale: int, force: bool) -> None:
    for first in range(0, len(places), BATCH):
        batch = places[first : first + BATCH]
        images = found.finish(found.start(len(batch), size, size))
        for where, image in zip(batch, images, strict=True):
            write_grid(where, image[None, None], scale=scale, force=force)


def _latents(found: Sampler, known: Tensor | None, size: int, times: tuple[int, ...]) -> dict[int, Tensor]:
    """Of an image, or on the way of one sample, by t from the noisiest."""
    if known is not None:
        return {t: found.noised(known, t)[0] for t in sorted(set(times), reverse=True)}
    states = islice(found.descend(found.start(1, size, size)), found.T - min(times) + 1)
    return {state.t: state.c[0] for state in states if state.t in times}


def _square(images: Tensor) -> Tensor:
    """[rows, columns, 3, H, W], the last row filled up with black."""
    n, shape = len(images), images.shape[1:]
    columns = isqrt(n - 1) + 1
    rows = -(-n // columns)
    tiles = images.new_zeros(rows * columns, *shape)
    tiles[:n] = images
    return tiles.view(rows, columns, *shape)
