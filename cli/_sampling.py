"""What `sample` and `interpolate` share: options, the sampler they describe, and pictures in and out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddpmcodec.errors import ImageError
from ddpmcodec.files import check_output, write_file

from ._common import STANDARD, Outputs, label, progress, read_input, write_stdout

if TYPE_CHECKING:
    from torch import Tensor

    from ddpmcodec.networks.prediction import Prediction
    from ddpmcodec.sampling import Sampler

denoiser_option = click.option(
    "--model",
    metavar="SOURCE",
    help="Exported model, or a checkpoint of the paper's network: a folder, a file, or a repository's name.",
)
levels_option = click.option(
    "--levels",
    "T",
    type=click.IntRange(2),
    default=100,
    show_default=True,
    help="Noise levels: network calls an image.",
)
method_option = click.option(
    "--method", type=click.Choice(["ancestral", "ddim"]), default="ancestral", show_default=True, help="How to step."
)
eta_option = click.option(
    "--eta", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Fresh noise in the steps of ddim."
)
seed_option = click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)


def sampler(source: str | None, T: int, method: str, eta: float, seed: int) -> Sampler:
    """The sampler that the options describe."""
    import torch

    from ddpmcodec.networks.denoisers import find_denoiser, levels_of
    from ddpmcodec.sampling import Sampler, ancestral, ddim

    denoiser = find_denoiser(source)
    try:
        levels = levels_of(denoiser, T)
    except ValueError as error:
        raise click.UsageError(f"--levels: {error}") from error
    step = ddim(eta) if method == "ddim" else ancestral
    return Sampler(denoiser, levels, torch.Generator().manual_seed(seed), step)


@contextmanager
def watched(found: Sampler, name: str, calls: int, size: Sequence[int], *, quiet: bool) -> Iterator[Sampler]:
    """The same sampler under a progress bar over so many network calls with an image of that height and width."""
    height, width = size
    pixels = height * width
    with progress(name, calls * pixels, quiet=quiet) as advance:

        def denoiser(c_t: Tensor, s_t: float) -> Prediction:
            prediction = found.denoiser(c_t, s_t)
            if advance is not None:
                advance(len(c_t) * pixels)
            return prediction

        yield replace(found, denoiser=denoiser)


def read_images(names: Sequence[str]) -> Tensor:
    """[N, 3, H, W] float, 0..255, in colour. Raises ImageError unless they are images of one size."""
    import numpy as np
    import torch

    from ddpmcodec.images import load_image

    images = [load_image(read_input(name), label(name)).convert("RGB") for name in names]
    for name, image in zip(names, images, strict=True):
        if image.size != images[0].size:
            (width, height), (first_width, first_height) = image.size, images[0].size
            raise ImageError(
                f"{label(name)}: {width} x {height} pixels, but {label(names[0])} has {first_width} x {first_height}: "
                "give images of one size"
            )
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2).float()


def place(output: str, sources: Sequence[str], *, force: bool) -> str:
    """Where a grid goes, a file or "-". Raises OutputError when it must not be written, or is one of the sources."""
    where = Outputs([STANDARD], output, ".png", force=force).place(STANDARD)
    for source in sources:
        if where != STANDARD and source != STANDARD:
            check_output(Path(where), Path(source), force=force)
    return where


def write_grid(where: str, images: Tensor) -> None:
    """[rows, columns, 3, H, W] as a PNG."""
    from ddpmcodec.images import save_image
    from ddpmcodec.sampling import grid

    data = save_image(grid(images), "PNG")
    if where == STANDARD:
        write_stdout(data)
    else:
        write_file(Path(where), data)
