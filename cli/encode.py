"""ddpmcodec encode"""

from __future__ import annotations

import time

import click
from click.core import ParameterSource

from ._common import (
    EXIT_CODES,
    Outputs,
    each,
    files_argument,
    force_option,
    label,
    model_loader,
    model_option,
    naming,
    output_option,
    progress,
    quiet_option,
    read_input,
    say,
    verbose_option,
)


@click.command(epilog=EXIT_CODES)
@files_argument
@output_option
@click.option(
    "--effort",
    type=click.IntRange(1, 9),
    default=7,
    show_default=True,
    help="1, the quickest, to 9, the smallest files, as far as the model tells them apart.",
)
@click.option("--progressive", is_flag=True, help="Better previews from prefixes, for more bytes in all; no --effort.")
@model_option
@force_option
@click.option("--strip", is_flag=True, help="Leave out the ICC profile and EXIF.")
@click.option("--no-verify", is_flag=True, help="Do not decode and compare the result before it is written.")
@quiet_option
@verbose_option
def encode(
    files: tuple[str, ...],
    output: str | None,
    effort: int,
    progressive: bool,
    model: str | None,
    force: bool,
    strip: bool,
    no_verify: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Compress images without loss: photo.png becomes photo.ddpm. FILE - is standard input."""
    given = click.get_current_context().get_parameter_source("effort") is not ParameterSource.DEFAULT
    if progressive and given:
        raise click.UsageError("--progressive and --effort are two ways to choose the steps: give one")
    outputs = Outputs(files, output, ".ddpm", force=force)
    network = model_loader(model, quiet=quiet)

    def encode_one(name: str) -> None:
        from ddpmcodec.images import load_image

        image = load_image(read_input(name), label(name))
        place = outputs.place(name)
        start, pixels = time.monotonic(), image.width * image.height
        loaded = network()
        with naming(name), progress(name, pixels * (1 if no_verify else 2), quiet=quiet) as advance:
            from ddpmcodec import codec

            chosen = {"progressive": True} if progressive else {"effort": effort}
            data = codec.encode(image, **chosen, model=loaded, strip=strip, verify=not no_verify, progress=advance)
        outputs.write(place, data)
        if not quiet:
            target, rate = label(place, "standard output"), 8 * len(data) / pixels
            say(f"{label(name)} -> {target}: {len(data)} bytes, {rate:.3f} bpp")
        if verbose:
            way = "progressive" if progressive else f"effort {effort}"
            say(f"  {image.width} x {image.height} {image.mode}, {way}, {time.monotonic() - start:.2f} s")

    return each(files, encode_one)
