"""ddpmcodec test"""

from __future__ import annotations

import click

from ._common import (
    EXIT_CODES,
    each,
    file_model_option,
    files_argument,
    label,
    max_pixels_option,
    model_loader,
    naming,
    printable,
    progress,
    quiet_option,
    read_input,
)


@click.command(epilog=EXIT_CODES)
@files_argument
@file_model_option
@max_pixels_option
@quiet_option
def test(files: tuple[str, ...], model: str | None, max_pixels: int, quiet: bool) -> int:
    """Decode files, check them, and throw the images away. FILE - is standard input."""
    network = model_loader(model, quiet=quiet)

    def test_one(name: str) -> None:
        from ddpmcodec.format.ddpm import parse_header

        data = read_input(name)
        with naming(name):
            header, _ = parse_header(data)
        loaded = network()
        with naming(name), progress(name, header.width * header.height, quiet=quiet) as advance:
            from ddpmcodec import codec

            codec.decode_details(data, model=loaded, max_pixels=max_pixels, progress=advance)
        if not quiet:
            click.echo(printable(f"{label(name)}: ok"))

    return each(files, test_one)
