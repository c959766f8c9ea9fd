"""ddpmcodec interpolate"""

from __future__ import annotations

from typing import Any

import click

from ._common import EXIT_CODES
from ._sampling import place, read_images, sampler, sampling_options, watched, write_grid

ROWS = 5  # without --timesteps


@click.command(epilog=EXIT_CODES)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("-o", "--output", required=True, metavar="OUT", help="The PNG to write, or - for standard output.")
@click.option(
    "--timesteps",
    metavar="t,t,...",
    help="A row for each t of 0 to T: the images are mixed in their latents x_t; default: five.",
)
@click.option("--weights", type=click.IntRange(2), default=9, show_default=True, help="Images in a row, from A to B.")
@sampling_options
def interpolate(
    first: str,
    second: str,
    output: str,
    timesteps: str | None,
    weights: int,
    T: int,
    scale: int,
    force: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Interpolate between two images of one size in the latents of a model, coarse or fine.

    The forward process takes both to x_t, where they are mixed linearly, and the reverse process takes the mixtures
    to images (section 4.4 of the paper). At t = 0 the pixels themselves are mixed, at t = T only noise is.
    """
    times = [T * row // (ROWS - 1) for row in range(ROWS)] if timesteps is None else _times(timesteps, T)
    where = place(output, (first, second), force=force)
    ends = read_images([first, second])
    found = sampler(T=T, **options)
    fractions = [k / (weights - 1) for k in range(weights)]
    with watched(found, "interpolate", weights * sum(times), ends.shape[2:], quiet=quiet) as ready:
        import torch

        rows = [ready.interpolate(ends, t, fractions).float() for t in times]
        write_grid(where, torch.stack(rows), scale=scale, force=force)
    return 0


def _times(listed: str, T: int) -> list[int]:
    try:
        times = [int(t) for t in listed.split(",")]
    except ValueError as error:
        raise click.UsageError(
            f"--timesteps {listed}: give numbers with commas between them, such as 0,25,50"
        ) from error
    if not all(0 <= t <= T for t in times):
        raise click.UsageError(f"--timesteps {listed}: each is 0 to {T}, the number of --levels")
    return times
