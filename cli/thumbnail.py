"""ddpmcodec thumbnail"""

from __future__ import annotations

import click

from ._common import EXIT_CODES, input_content, model_loader, naming
from ._options import PATH_NAME, file_model_option, force_option, max_pixels_option
from ._outputs import Outputs


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
    from ddpmcodec.images import image_format, save_image

    file_format, outputs = image_format(output), Outputs([file], output, ".png", force=force)
    target = outputs.output_for(file)
    data = input_content(file)
    with naming(file):
        content = save_image(thumbnail_of(data, size, model=model_loader(model)(), max_pixels=max_pixels), file_format)
    outputs.write(target, content, file)
