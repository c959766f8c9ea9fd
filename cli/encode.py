"""ddpmcodec encode"""

from __future__ import annotations

import time

import click

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
from ._costs import StepCosts


@click.command(epilog=EXIT_CODES)
@files_argument
@output_option
@click.option(
    "--effort",
    type=click.IntRange(1, 3),
    default=2,
    show_default=True,
    help="1: the quickest. 2: the networks also learn from large images. 3: and more noise levels, the best previews.",
)
@model_option
@force_option
@click.option("--strip", is_flag=True, help="Leave out the ICC profile and EXIF.")
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="Decode the result and compare it with the image before it is written.",
)
@quiet_option
@verbose_option
def encode(
    files: tuple[str, ...],
    output: str | None,
    effort: int,
    model: str | None,
    force: bool,
    strip: bool,
    verify: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Compress images without loss: photo.png becomes photo.ddpm. FILE - is standard input."""
    outputs = Outputs(files, output, ".ddpm", force=force)
    network = model_loader(model, quiet=quiet)

    def encode_one(name: str) -> None:
        from ddpmcodec.images import load_image

        image = load_image(read_input(name), label(name))
        place = outputs.place(name)
        start, costs, pixels = time.monotonic(), StepCosts(), image.width * image.height
        loaded = network()
        with naming(name), progress(name, pixels * (2 if verify else 1), quiet=quiet) as advance:
            from ddpmcodec import codec

            data = codec.encode(
                image,
                effort=effort,
                model=loaded,
                strip=strip,
                verify=verify,
                progress=advance,
                report=costs.add if verbose else None,
            )
        outputs.write(place, data)
        if not quiet:
            target, rate = label(place, "standard output"), 8 * len(data) / pixels
            say(f"{label(name)} -> {target}: {len(data)} bytes, {rate:.3f} bpp")
        if verbose:
            facts = codec.info(data)
            how = f"effort {effort}" if facts["effort"] else facts["coding"]
            say(f"  {image.width} x {image.height} {image.mode}, {how}, {time.monotonic() - start:.2f} s")
            if facts["effort"]:
                costs.say()

    return each(files, encode_one)
