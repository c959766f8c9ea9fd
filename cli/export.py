"""ddpmcodec export"""

from __future__ import annotations

from pathlib import Path

import click

from ddpmcodec.files import check_output, write_file

from ._common import EXIT_CODES, Finite, force_option, say


@click.command(epilog=EXIT_CODES)
@click.argument("run", metavar="RUN")
@click.option("-o", "--output", required=True, metavar="OUT", help="The exported model, a .safetensors file.")
@click.option("--name", help="What the model calls itself; default: the output's name.")
@click.option("--data", multiple=True, metavar="PATH", help="Training images; default: those of the run.")
@click.option(
    "--denoiser-hours",
    type=Finite(0),
    default=0.0,
    show_default=True,
    help="Train a denoiser of previews for so long; 0: none.",
)
@force_option
def export(run: str, output: str, name: str | None, data: tuple[str, ...], denoiser_hours: float, force: bool) -> int:
    """Turn the networks of a training run into one integer model file, and check it.

    Training images teach what online adaptation begins with.
    """
    check_output(Path(output), None, force=force)
    from ddpmcodec.networks.context.model_file import parse
    from ddpmcodec.training.context_run import export as exported

    content = exported(Path(run), name or Path(output).stem, say, data=data, denoiser_hours=denoiser_hours)
    model = parse(content, output)
    write_file(Path(output), content, replace=force)
    say(f"{output}: model {model.name!r}, id {model.id[:4].hex()}, {len(content)} bytes; use it with --model {output}")
    return 0
