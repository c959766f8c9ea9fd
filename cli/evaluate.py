"""ddpmcodec bound, ddpmcodec quality: how good the networks of the paper's system are"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddpmcodec.errors import ImageError

from ._common import EXIT_CODES, counted, echo, naming_options, progress, say
from ._options import PATH_NAME, denoiser_option, most_levels, quiet_option, steps_option, verbose_option

if TYPE_CHECKING:
    from ddpmcodec.paper.bound import Bound

ROWS = 10  # of the table that is printed, before the pixels themselves


@click.command(epilog=EXIT_CODES)
@click.argument("images", type=PATH_NAME, metavar="IMAGES")
@denoiser_option
@steps_option
@click.option("--limit", type=click.IntRange(1), default=16, show_default=True, metavar="N", help="The first N images.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with every term and every noise level.")
@quiet_option
def bound(images: str, model: str | None, T: int, limit: int, seed: int, as_json: bool, quiet: bool) -> None:
    """Measure the variational bound of a denoiser, in bits/dim, and its rate and distortion.

    IMAGES is a folder, an .npy array [N, H, W, 3], a .ddpma archive, or torchvision's CIFAR-10, whose test set is
    taken. Images must have one size. A row of the table is what a receiver has paid who knows the latent of that noise
    level, and how far the denoiser's mean is from the image (Figure 5 and Table 4 of the DDPM paper). It is a bound: no
    file is made.
    """
    import numpy as np
    import torch

    from ddpmcodec.paper.bound import evaluate
    from ddpmcodec.paper.denoisers import find_denoiser
    from ddpmcodec.training.data import load_images

    denoiser = find_denoiser(model)
    try:
        levels = denoiser.coding_levels(most_levels(T, denoiser))
    except ValueError as error:
        raise click.UsageError(f"--levels: {error}") from error
    chosen = load_images(images, "test")[:limit]
    for number, image in enumerate(chosen, start=1):
        if image.shape != chosen[0].shape:
            raise ImageError(f"{images}: image {number} has another size than the first: choose images of one size")
    pixels = torch.from_numpy(np.stack(chosen)).permute(0, 3, 1, 2)
    area = pixels.shape[2] * pixels.shape[3]
    with progress(images, len(levels) * len(chosen) * area, quiet=quiet) as advance:
        found = evaluate(
            denoiser.accelerated(), pixels, levels, torch.Generator().manual_seed(seed),
            prior_std=denoiser.prior_std,
            progress=None if advance is None else lambda count: advance(count * area),
        )  # fmt: skip
    if as_json:
        echo(json.dumps({"model": denoiser.id.hex(), "levels": len(levels), **found.to_json()}, allow_nan=False))
    else:
        echo(_text(found))


def _text(bound: Bound) -> str:
    T = len(bound.levels)
    cells = [row.cells(T) for row in bound.rows(ROWS)]
    lines = [list(cells[0]), *(list(row.values()) for row in cells)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    images = counted(bound.bits.shape[1], "image")
    return "\n".join([*table, f"bound: {bound.total().text(4)} bits/dim, {images}, {T} noise levels"])


@click.command(epilog=EXIT_CODES)
@click.argument("samples", type=PATH_NAME, metavar="SAMPLES")
@click.argument("reference", type=PATH_NAME, metavar="REFERENCE")
@click.option(
    "--inception",
    required=True,
    type=PATH_NAME,
    metavar="WEIGHTS",
    help="torch-fidelity's Inception weights, a .pth file.",
)
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Images at a time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@quiet_option
@verbose_option
def quality(samples: str, reference: str, inception: str, batch: int, as_json: bool, quiet: bool, verbose: bool) -> int:
    """Compare two folders of images: FID, Inception score, precision and recall.

    SAMPLES are generated (`ddpmcodec sample -o FOLDER`), REFERENCE are real images. Nothing is downloaded.
    """
    from ddpmcodec.paper.quality import FEATURES, measure

    with naming_options():
        scores = measure(Path(samples), Path(reference), Path(inception), batch=batch, verbose=verbose)
    if min(scores.samples, scores.references) < FEATURES and not quiet:
        say(f"fewer than {FEATURES} images: these figures are biased, compare them with those of as many images only")
    facts = scores._asdict()
    echo(
        json.dumps(facts, indent=2, allow_nan=False)
        if as_json
        else "\n".join(f"{k:20} {v:.6g}" for k, v in facts.items())
    )
    return 0
