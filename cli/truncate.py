"""ddpmcodec truncate, ddpmcodec thumbnail: less of a file"""

from __future__ import annotations

from math import isinf
from typing import Any, NamedTuple

import click

from ._common import EXIT_CODES, each, input_content, label, model_loader, naming, read_input, say
from ._options import (
    PATH_NAME,
    ByteCount,
    FiniteRange,
    file_model_option,
    force_option,
    max_pixels_option,
    quiet_option,
)
from ._outputs import Outputs, refuse_image_name


@click.command(epilog=EXIT_CODES)
@click.argument("file", type=PATH_NAME, metavar="FILE")
@click.option("--bpp", type=FiniteRange(min=0), metavar="X", help="Keep at most X bits per pixel.")
@click.option("--bytes", type=ByteCount(), metavar="N", help="Keep at most N bytes; N may be 20k or 1M.")
@click.option("--step", type=click.IntRange(min=0), metavar="K", help="Keep what the first K steps need.")
@click.option(
    "--psnr",
    type=FiniteRange(min=0),
    metavar="DB",
    help="Keep the shortest prefix whose preview has this PSNR; some ten previews are decoded to find it.",
)
@click.option(
    "--original",
    type=PATH_NAME,
    metavar="IMAGE",
    help="Measure --psnr against this image; of a whole file its own is the default.",
)
@click.option(
    "--mark/--no-mark",
    default=True,
    help="Say in the file that it was cut on purpose, in 6 bytes at its end (the default), or write the prefix alone,"
    " which decodes with --partial.",
)
@click.option(
    "-o", "--output", required=True, type=PATH_NAME, metavar="OUT", help="Output file, or - for standard output."
)
@file_model_option
@max_pixels_option
@force_option
@quiet_option
def truncate(
    file: str,
    output: str,
    original: str | None,
    mark: bool,
    model: str | None,
    max_pixels: int,
    force: bool,
    quiet: bool,
    **limits: float | None,
) -> int:
    """Cut a file to a rate or a quality: a lossy file.

    \b
    ddpmcodec truncate photo.ddpm --bpp 1 -o small.ddpm
    ddpmcodec truncate photo.ddpm --psnr 38 -o good.ddpm
    """
    limit = _limit(limits, original)
    refuse_image_name(output, "truncate", ".ddpm")
    outputs = Outputs([file], output, ".ddpm", force=force)

    def truncate_one(name: str) -> None:
        from ddpmcodec._native import parse_header

        data = read_input(name)
        with naming(name):
            header = parse_header(data)
        target = outputs.output_for(name)
        loaded = model_loader(model)()
        with naming(name):
            cut, reached = _cut(data, limit, {"model": loaded, "original": original, "max_pixels": max_pixels}, mark)
        outputs.write(target, cut, name)
        if not quiet:
            rate = 8 * len(cut) / (header.width * header.height)
            say(f"{label(target, 'standard output')}: {len(cut)} of {len(data)} bytes, {rate:.3f} bpp{reached}")

    return each([file], truncate_one)


class Limit(NamedTuple):
    """A limit of what is kept. name: that of an argument of `ddpmcodec.truncate`."""

    name: str
    value: float


def _limit(limits: dict[str, float | None], original: str | None) -> Limit:
    given = [Limit(name, value) for name, value in limits.items() if value is not None]
    if len(given) != 1:
        raise click.UsageError("give exactly one of --bpp, --bytes, --step and --psnr")
    if original is not None and given[0].name != "psnr":
        raise click.UsageError("--original goes with --psnr, which alone measures")
    return given[0]


def _cut(data: bytes, limit: Limit, options: dict[str, Any], mark: bool) -> tuple[bytes, str]:
    """The file, and for --psnr what it reaches. options: of `find_quality`."""
    from ddpmcodec import codec
    from ddpmcodec.codec.truncation import cut, find_quality

    if limit.name != "psnr":
        only: dict[str, Any] = {limit.name: limit.value}
        return codec.truncate(data, **only, mark=mark, model=options["model"], max_pixels=options["max_pixels"]), ""
    size, psnr = find_quality(data, limit.value, **options)
    file = cut(data, size, mark)
    return file, ", no error" if isinf(psnr) else f", {psnr:.2f} dB"


# --- ddpmcodec thumbnail


@click.command(epilog=EXIT_CODES)
@click.argument("file", type=PATH_NAME, metavar="FILE")
@click.option(
    "-o",
    "--output",
    required=True,
    type=PATH_NAME,
    metavar="OUT",
    help="Output file, a folder, or - for standard output.",
)
@click.option(
    "--size",
    type=click.IntRange(min=1, max=4096),
    default=256,
    show_default=True,
    metavar="N",
    help="Pixels of the longer side, at most.",
)
@file_model_option
@max_pixels_option
@force_option
def thumbnail(file: str, output: str, size: int, model: str | None, max_pixels: int, force: bool) -> None:
    """Write a small upright picture of a file, also of one that is cut off or damaged. FILE - is standard input.

    Where there are noise levels and alpha does not vary, no more is read and decoded than it needs: the first
    hundredth of a large file. The extension of OUT picks the format; PNG without one. File managers of freedesktop.org
    call this command.
    """
    from ddpmcodec.codec.decoder import thumbnail as thumbnail_of
    from ddpmcodec.formats.image_files import image_format, save_image

    file_format, outputs = image_format(output), Outputs([file], output, ".png", force=force)
    target = outputs.output_for(file)
    data = input_content(file)
    with naming(file):
        content = save_image(thumbnail_of(data, size, model=model_loader(model)(), max_pixels=max_pixels), file_format)
    outputs.write(target, content, file)
