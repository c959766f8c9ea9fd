"""ddpmcodec decode"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from ._common import (
    EXIT_CODES,
    Outputs,
    each,
    file_model_option,
    files_argument,
    force_option,
    label,
    max_pixels_option,
    model_loader,
    naming,
    output_option,
    progress,
    quiet_option,
    read_input,
    say,
    verbose_option,
)
from ._costs import StepCosts

if TYPE_CHECKING:
    from ddpmcodec.codec.decoder import Decoded
    from ddpmcodec.format.header import Header


@click.command(epilog=EXIT_CODES)
@files_argument
@output_option
@click.option("--partial", is_flag=True, help="Accept a file that is cut off, and decode what is there to a preview.")
@click.option("--max-bytes", type=click.IntRange(min=0), metavar="N", help="A preview from the first N bytes only.")
@click.option("--step", type=click.IntRange(min=0), metavar="K", help="A preview: stop after K steps.")
@file_model_option
@max_pixels_option
@force_option
@quiet_option
@verbose_option
def decode(
    files: tuple[str, ...],
    output: str | None,
    partial: bool,
    max_bytes: int | None,
    step: int | None,
    model: str | None,
    max_pixels: int,
    force: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Restore images bit for bit: photo.ddpm becomes photo.png. FILE - is standard input.

    The extension of OUT picks the format (PNG on standard output); formats such as JPEG lose what the file kept.
    """
    outputs = Outputs(files, output, ".png", force=force)
    network = model_loader(model, quiet=quiet)
    preview = partial or max_bytes is not None or step is not None

    def decode_one(name: str) -> None:
        from ddpmcodec.format.ddpm import parse_header
        from ddpmcodec.images import image_format, is_kept, save_image

        data = read_input(name)
        with naming(name):
            header, _ = parse_header(data if max_bytes is None else data[:max_bytes])
        place = outputs.place(name)
        file_format = image_format(place)
        start, costs = time.monotonic(), StepCosts()
        loaded = network()
        with naming(name), progress(name, header.width * header.height, quiet=quiet) as advance:
            from ddpmcodec import codec

            decoded = codec.decode_details(
                data,
                partial=partial,
                max_bytes=max_bytes,
                step=step,
                model=loaded,
                max_pixels=max_pixels,
                progress=advance,
                report=costs.add if verbose else None,
            )
            content = save_image(decoded.image, file_format)
        outputs.write(place, content)
        if not quiet and file_format != "PNG" and not is_kept(decoded.image, content):
            say(f"{place}: {file_format} does not keep every pixel as it was: .png does")
        if preview and not quiet:
            whole = "damaged: not the image that was encoded, get the file again" if decoded.damaged else "a preview"
            account = "complete and exact" if decoded.exact else whole
            say(f"{label(name)}: {_seen(header, decoded)}: {account}")
        if verbose:
            say(f"{label(name)} -> {label(place, 'standard output')}: {time.monotonic() - start:.2f} s")
            costs.say()

    return each(files, decode_one)


def _seen(header: Header, decoded: Decoded) -> str:
    """What of the file was there, and how well every pixel is known by it."""
    from ddpmcodec.codec.contents import noise_level

    rate = 8 * decoded.bytes_used / (header.width * header.height)
    level = noise_level(header, decoded.steps_done)
    known = f", noise level {level:.2f}" if level else ""
    return f"{decoded.steps_done} of {decoded.steps} steps from {decoded.bytes_used} bytes, {rate:.3f} bpp{known}"
