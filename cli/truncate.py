"""ddpmcodec truncate"""

from __future__ import annotations

import click

from ._common import (
    EXIT_CODES,
    Outputs,
    each,
    file_model_option,
    force_option,
    label,
    model_loader,
    naming,
    quiet_option,
    read_input,
    say,
)


@click.command(epilog=EXIT_CODES)
@click.argument("file", metavar="FILE")
@click.option("--bpp", type=click.FloatRange(min=0), metavar="X", help="Keep at most X bits per pixel.")
@click.option("--bytes", "size", type=click.IntRange(min=0), metavar="N", help="Keep at most N bytes.")
@click.option("--step", type=click.IntRange(min=0), metavar="K", help="Keep what the first K steps need.")
@click.option("-o", "--output", required=True, metavar="OUT", help="Output file, or - for standard output.")
@file_model_option
@force_option
@quiet_option
def truncate(
    file: str,
    bpp: float | None,
    size: int | None,
    step: int | None,
    output: str,
    model: str | None,
    force: bool,
    quiet: bool,
) -> int:
    """Cut a file to a rate. The result decodes with --partial, to a preview."""
    if sum(limit is not None for limit in (bpp, size, step)) != 1:
        raise click.UsageError("give exactly one of --bpp, --bytes and --step")
    outputs = Outputs([file], output, ".ddpm", force=force)

    def truncate_one(name: str) -> None:
        from ddpmcodec.format.ddpm import parse_header

        data = read_input(name)
        with naming(name):
            header, _ = parse_header(data)
        place = outputs.place(name)
        needs_decoding = step is not None and header.index is None and not header.webp
        loaded = model_loader(model, quiet=quiet)() if needs_decoding else None
        with naming(name):
            from ddpmcodec import codec

            cut = codec.truncate(data, bytes=size, bpp=bpp, step=step, model=loaded)
        outputs.write(place, cut)
        if not quiet:
            rate = 8 * len(cut) / (header.width * header.height)
            say(f"{label(place, 'standard output')}: {len(cut)} of {len(data)} bytes, {rate:.3f} bpp")

    return each([file], truncate_one)
