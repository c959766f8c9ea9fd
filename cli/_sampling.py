"""What `sample` and `interpolate` share: options, the sampler they describe, and pictures in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddpmcodec.errors import ImageError
from ddpmcodec.files import check_output, write_file

from ._common import STANDARD, Finite, Outputs, force_option, label, progress, quiet_option, read_input, write_stdout

if TYPE_CHECKING:
    from torch import Tensor

    from ddpmcodec.paper.sampling import Sampler

Command = Callable[..., object]

SAMPLING = (
    click.option(
        "--model",
        metavar="SOURCE",
        help="Gaussian model, or a checkpoint of the paper's network: a folder, a file, or hub:OWNER/NAME.",
    ),
    click.option(
        "--levels",
        "T",
        type=click.IntRange(2),
        default=100,
        show_default=True,
        metavar="T",
        help="T, the number of noise levels of the reverse process: network calls an image.",
    ),
    click.option(
        "--method",
        type=click.Choice(["ancestral", "ddim"]),
        default="ancestral",
        show_default=True,
        help="Of the reverse process: Algorithm 2 of the paper (ancestral), or DDIM.",
    ),
    click.option(
        "--eta",
        type=Finite(0, 1),
        help="Of ddim: fresh noise, from none to that of the forward process posterior.  [default: 0]",
    ),
    click.option(
        "--scale",
        type=click.IntRange(1, 64),
        default=1,
        show_default=True,
        metavar="N",
        help="Every pixel becomes N x N: for figures of small images.",
    ),
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True),
    force_option,
    quiet_option,
)


def sampling_options(command: Command) -> Command:
    """What a sampler is made of, -f and -q."""
    return reduce(lambda decorated, option: option(decorated), reversed(SAMPLING), command)


def sampler(model: str | None, T: int, method: str, eta: float | None, seed: int) -> Sampler:
    """The sampler that the options describe; the paper's network runs on a GPU where there is one."""
    import torch

    from ddpmcodec.paper.denoisers import accelerated, find_denoiser, levels_of
    from ddpmcodec.paper.sampling import Sampler, ancestral, ddim

    if eta is not None and method != "ddim":
        raise click.UsageError("--eta belongs to --method ddim")
    denoiser = find_denoiser(model)
    try:
        levels = levels_of(denoiser, T)
    except ValueError as error:
        raise click.UsageError(f"--levels: {error}") from error
    step = ddim(eta or 0.0) if method == "ddim" else ancestral
    return Sampler(accelerated(denoiser), levels, torch.Generator().manual_seed(seed), step)


@contextmanager
def watched(found: Sampler, name: str, calls: int, size: Sequence[int], *, quiet: bool) -> Iterator[Sampler]:
    """The same sampler under a progress bar over so many network calls with an image of that height and width."""
    height, width = size
    pixels = height * width
    with progress(name, calls * pixels, quiet=quiet) as advance:
        if advance is None:
            yield found
        else:
            from ddpmcodec.paper import denoiser

            yield replace(found, denoiser=denoiser.watched(found.denoiser, lambda images: advance(images * pixels)))


def read_images(names: Sequence[str]) -> Tensor:
    """[N, 3, H, W] float, 0..255, in colour. Raises ImageError unless they are images of one size."""
    import numpy as np
    import torch

    from ddpmcodec.images import load_image

    images = [load_image(read_input(name), label(name), any_format=True).convert("RGB") for name in names]
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
    if output != STANDARD and Path(output).suffix.lower() != ".png":
        raise click.UsageError(f"-o {output}: pictures are PNG files: name one that ends in .png, or - for a pipe")
    where = Outputs([STANDARD], output, ".png", force=force).place(STANDARD)
    for source in sources:
        if where != STANDARD and source != STANDARD:
            check_output(Path(where), Path(source), force=force)
    return where


def write_grid(where: str, images: Tensor, *, scale: int, force: bool) -> None:
    """[rows, columns, 3, H, W] as a PNG. scale: the side that a pixel gets. force: a file of that name is
    overwritten."""
    from ddpmcodec.images import save_image
    from ddpmcodec.paper.sampling import grid

    enlarged = images.repeat_interleave(scale, -2).repeat_interleave(scale, -1)
    data = save_image(grid(enlarged), "PNG")
    if where == STANDARD:
        write_stdout(data)
    else:
        write_file(Path(where), data, replace=force)
