"""ddpmcodec sample, ddpmcodec interpolate"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddpmcodec.errors import ImageError
from ddpmcodec.formats.files import check_output, make_folder, write_file

from ._common import EXIT_CODES, STANDARD, label, progress, read_input, say, write_stdout
from ._options import (
    PATH_NAME,
    Command,
    FiniteRange,
    denoiser_option,
    force_option,
    most_levels,
    quiet_option,
    steps_option,
    with_options,
)
from ._outputs import Outputs, is_whole

if TYPE_CHECKING:
    from torch import Tensor

    from ddpmcodec.paper.sampling import Sampler

COLUMNS = 10  # of --progressive
ROWS = 5  # of interpolate, without --timesteps
BATCH = 64  # images of a folder, drawn before they are written
SAMPLING = (
    denoiser_option,
    steps_option,
    click.option(
        "--method",
        type=click.Choice(["ancestral", "ddim"]),
        default="ancestral",
        show_default=True,
        help="Of the reverse process: Algorithm 2 of the paper (ancestral), or DDIM.",
    ),
    click.option(
        "--eta",
        type=FiniteRange(0, 1),
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
    """Adds the options that a sampler is made from, -f and -q."""
    return with_options(command, SAMPLING)


def sampler(model: str | None, T: int, method: str, eta: float | None, seed: int) -> Sampler:
    """The sampler that the options describe; the paper's network runs on a GPU where there is one."""
    import torch

    from ddpmcodec.paper.denoisers import find_denoiser
    from ddpmcodec.paper.sampling import Sampler, ancestral, ddim

    if eta is not None and method != "ddim":
        raise click.UsageError("--eta belongs to --method ddim")
    denoiser = find_denoiser(model)
    try:
        levels = denoiser.sampling_levels(most_levels(T, denoiser))
    except ValueError as error:
        raise click.UsageError(f"--levels: {error}") from error
    step = ddim(eta or 0.0) if method == "ddim" else ancestral
    return Sampler(denoiser.accelerated(), levels, torch.Generator().manual_seed(seed), step)


@contextmanager
def watched(sampler: Sampler, name: str, calls: int, size: Sequence[int], *, quiet: bool) -> Iterator[Sampler]:
    """The sampler under a progress bar over so many network calls with an image of that height and width."""
    height, width = size
    pixels = height * width
    with progress(name, calls * pixels, quiet=quiet) as advance:
        if advance is None:
            yield sampler
        else:
            from ddpmcodec.paper.diffusion import watched

            yield replace(sampler, denoiser=watched(sampler.denoiser, lambda images: advance(images * pixels)))


def read_images(names: Sequence[str], *, quiet: bool) -> Tensor:
    """[N, 3, H, W] float, 0..255, in colour; says where transparency is left out. Raises ImageError unless they are
    images of one size."""
    import numpy as np
    import torch

    from ddpmcodec.formats.image_files import load_image

    images = [np.asarray(load_image(read_input(name), label(name), any_format=True).convert("RGBA")) for name in names]
    for name, image in zip(names, images, strict=True):
        if not quiet and (image[..., 3] < 255).any():
            say(f"{label(name)}: its alpha is left out, as the model knows colours alone")
        if image.shape != images[0].shape:
            (height, width), (first_height, first_width) = image.shape[:2], images[0].shape[:2]
            raise ImageError(
                f"{label(name)}: {width} x {height} pixels, but {label(names[0])} has {first_width} x {first_height}: "
                "give images of one size"
            )
    return torch.from_numpy(np.stack(images)[..., :3]).permute(0, 3, 1, 2).float()


def grid_output(output: str, sources: Sequence[str], *, force: bool) -> str:
    """Where a grid goes, a file or "-". Raises OutputError when it must not be written, or is one of the sources."""
    if output != STANDARD and Path(output).suffix.lower() != ".png":
        raise click.UsageError(f"-o {output}: pictures are PNG files: name one that ends in .png, or - for a pipe")
    target = Outputs([STANDARD], output, ".png", force=force).output_for(STANDARD)
    for source in sources:
        if target != STANDARD and source != STANDARD:
            check_output(Path(target), Path(source), force=force)
    return target


def write_grid(output: str, images: Tensor, *, scale: int, force: bool) -> None:
    """[rows, columns, 3, H, W] as a PNG. scale: the side that a pixel gets. force: a file of that name is
    overwritten."""
    from ddpmcodec.formats.image_files import save_image
    from ddpmcodec.paper.sampling import grid

    enlarged = images.repeat_interleave(scale, -2).repeat_interleave(scale, -1)
    data = save_image(grid(enlarged), "PNG")
    if output == STANDARD:
        write_stdout(data)
    else:
        write_file(Path(output), data, replace=force)


@click.command(epilog=EXIT_CODES)
@click.option(
    "-o",
    "--output",
    required=True,
    type=PATH_NAME,
    metavar="OUT",
    help="One PNG of all images, or -; or a folder for a PNG each, a new one with a slash at its end.",
)
@click.option(
    "--count", type=click.IntRange(1), default=16, show_default=True, help="Images; with --shared-latent, of each."
)
@click.option(
    "--size",
    type=click.IntRange(1, 4096),
    default=32,
    show_default=True,
    help="Side of the images, pixels; with --image that of the image.",
)
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
@click.option(
    "--skip-existing",
    is_flag=True,
    help="Draw only images that the folder lacks, as after an interruption; with the same options they are the same.",
)
@sampling_options
def sample(
    output: str,
    count: int,
    size: int,
    progressive: bool,
    times: tuple[int, ...],
    image: str | None,
    skip_existing: bool,
    T: int,
    scale: int,
    force: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Draw images from a model, by the reverse process of the diffusion: from noise x_T to x_0.

    In a folder, --seed and its number determine an image, whatever --count is; the rounding of a checkpoint's network
    may differ.
    """
    is_folder = Path(output).is_dir() or output.endswith("/")
    _check_usage(output, progressive, times, image, is_folder=is_folder)
    if skip_existing and (force or not is_folder):
        raise click.UsageError("--skip-existing leaves the images of a folder: name one with -o, and leave out -f")
    outputs = {} if is_folder else {0: grid_output(output, [image] if image else [], force=force)}
    if is_folder:
        outputs = _numbered(Path(output), count, force, skip_existing)
        count = len(outputs)
    pixels = None if image is None else read_images([image], quiet=quiet)
    height, width = (size, size) if pixels is None else pixels.shape[2:]
    base_sampler = sampler(T=T, **options)
    T = base_sampler.T
    if max(times, default=0) > T:
        raise click.UsageError(f"--shared-latent {max(times)}: timesteps are 1 to {T}, the number of --levels")
    calls = count * (sum(set(times)) or T) + (T - min(times) + 1 if times and pixels is None else 0)
    with watched(base_sampler, "sample", calls, (height, width), quiet=quiet) as watched_sampler:
        if is_folder:
            make_folder(Path(output))
            _write_each(watched_sampler, outputs, options["seed"], size, scale, force)
        elif times:
            write_grid(
                outputs[0],
                watched_sampler.shared_rows(_latents(watched_sampler, pixels, size, times), count),
                scale=scale,
                force=force,
            )
        else:
            c_T = watched_sampler.start(count, size, size)
            rows = watched_sampler.progress_rows(c_T, COLUMNS) if progressive else _square(watched_sampler.finish(c_T))
            write_grid(outputs[0], rows, scale=scale, force=force)
    return 0


def _check_usage(output: str, progressive: bool, times: tuple[int, ...], image: str | None, *, is_folder: bool) -> None:
    if progressive and times:
        raise click.UsageError("give one of --progressive and --shared-latent")
    if (progressive or times) and is_folder:
        raise click.UsageError(f"rows of images go to one PNG: name a file with -o, which {output} is not")
    if image is not None and not times:
        raise click.UsageError("--image needs --shared-latent: which latents of the image?")


def _numbered(folder: Path, count: int, force: bool, skip_existing: bool) -> dict[int, str]:
    """A PNG for each image by its number, none of which may exist. skip_existing: those that are there are left out."""
    paths = {number: folder / f"sample-{number:05}.png" for number in range(count)}
    if skip_existing:
        paths = {number: path for number, path in paths.items() if not is_whole(path)}
    for path in paths.values() if folder.is_dir() else ():
        check_output(path, None, force=force)
    return {number: str(path) for number, path in paths.items()}


def _write_each(sampler: Sampler, outputs: dict[int, str], seed: int, size: int, scale: int, force: bool) -> None:
    from ddpmcodec.paper.sampling import generator_of

    numbers = list(outputs)
    for first in range(0, len(numbers), BATCH):
        batch = numbers[first : first + BATCH]
        each = replace(sampler, generator=[generator_of(seed, number) for number in batch])
        for number, image in zip(batch, each.finish(each.start(len(batch), size, size)), strict=True):
            write_grid(outputs[number], image[None, None], scale=scale, force=force)


def _latents(sampler: Sampler, pixels: Tensor | None, size: int, times: tuple[int, ...]) -> dict[int, Tensor]:
    """Latents of the image `pixels`, or on the way of one sample, by t from the noisiest."""
    if pixels is not None:
        return {t: sampler.noised(pixels, t)[0] for t in sorted(set(times), reverse=True)}
    states = islice(sampler.descend(sampler.start(1, size, size)), sampler.T - min(times) + 1)
    return {state.t: state.c[0] for state in states if state.t in times}


def _square(images: Tensor) -> Tensor:
    """[rows, columns, 3, H, W], the last row filled up with black."""
    n, shape = len(images), images.shape[1:]
    columns = isqrt(n - 1) + 1
    rows = -(-n // columns)
    tiles = images.new_zeros(rows * columns, *shape)
    tiles[:n] = images
    return tiles.view(rows, columns, *shape)


@click.command(epilog=EXIT_CODES)
@click.argument("first", type=PATH_NAME, metavar="A")
@click.argument("second", type=PATH_NAME, metavar="B")
@click.option(
    "-o", "--output", required=True, type=PATH_NAME, metavar="OUT", help="The PNG to write, or - for standard output."
)
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
    target = grid_output(output, (first, second), force=force)
    ends = read_images([first, second], quiet=quiet)
    base_sampler = sampler(T=T, **options)
    T = base_sampler.T
    times = [T * row // (ROWS - 1) for row in range(ROWS)] if timesteps is None else _times(timesteps, T)
    fractions = [k / (weights - 1) for k in range(weights)]
    with watched(base_sampler, "interpolate", weights * sum(times), ends.shape[2:], quiet=quiet) as watched_sampler:
        import torch

        rows = [watched_sampler.interpolate(ends, t, fractions).float() for t in times]
        write_grid(target, torch.stack(rows), scale=scale, force=force)
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
