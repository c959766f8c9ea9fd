"""ddpmcodec interpolate"""

from __future__ import annotations

from typing import Any

import click

from ._common import EXIT_CODES
from ._sampling import place, read_images, sampler, sampling_options, watched, write_grid

ROWS = 5  # without --steps


@click.command(epilog=EXIT_CODES)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("-o", "--output", required=True, metavar="OUT", help="The PNG to write, or - for standard output.")
@click.option(
    "--steps", metavar="t,t,...", help="A row for each: diffusion steps before mixing, 0 to --levels; default: five."
)
@click.option("--weights", type=click.IntRange(2), default=9, show_default=True, help="Images in a row, from A to B.")
@sampling_options
def interpolate(
    first: str,
    second: str,
    output: str,
    steps: str | None,
    weights: int,
    T: int,
    force: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Mix two images of one size in the latents of the model, from fine to coarse.

    Both are noised for some diffusion steps and mixed there, and the mixtures are denoised. After no step the pixels
    themselves are mixed; after all steps only noise is.
    """
    times = [T * row // (ROWS - 1) for row in range(ROWS)] if steps is None else _times(steps, T)
    where = place(output, (first, second), force=force)
    ends = read_images([first, second])
    found = sampler(T=T, **options)
    fractions = [k / (weights - 1) for k in range(weights)]
    with watched(found, "interpolate", weights * sum(times), ends.shape[2:], quiet=quiet) as ready:
        import torch

        rows = [ready.interpolate(ends, t, fractions).float() for t in times]
        write_grid(where, torch.stack(rows), force=force)
    return 0


def _times(steps: str, T: int) -> list[int]:
    try:
        times = [int(step) for step in steps.split(",")]
    except ValueError as error:
        raise click.UsageError(f"--steps {steps}: give numbers with commas between them, such as 0,25,50") from error
    if not all(0 <= t <= T for t in times):
        raise click.UsageError(f"--steps {steps}: each is 0 to {T}, the number of --levels")
    return times
