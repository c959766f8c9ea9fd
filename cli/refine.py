"""ddpmcodec refine"""

from __future__ import annotations

from pathlib import Path

import click

from ddpmcodec.files import check_output

from ._common import EXIT_CODES, force_option, say, training_interrupted
from ._training import (
    camera_option,
    data_option,
    hold_out_option,
    no_compile_option,
    seed_option,
    validate_option,
)


@click.command(epilog=EXIT_CODES)
@click.argument("model", metavar="MODEL")
@click.option("-o", "--output", required=True, metavar="OUT", help="The refined model, a .safetensors file.")
@data_option
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    default=0.5,
    show_default=True,
    help="Training time; learning rates reach zero at its end.",
)
@click.option(
    "--progressive",
    is_flag=True,
    help="Networks for the list of `encode --progressive`, not for those of the efforts.",
)
@click.option(
    "--learn/--no-learn",
    default=True,
    show_default=True,
    help="Networks learn from the image, from effort 7 on and with --progressive: for photographs, not for thumbnails.",
)
@click.option("--muon-rate", type=click.FloatRange(0, min_open=True), default=0.02, show_default=True)
@click.option("--adam-rate", type=click.FloatRange(0, min_open=True), default=5e-3, show_default=True)
@click.option(
    "--batch", type=click.IntRange(1), default=32, show_default=True, help="Images a step, with 128 places each."
)
@click.option("--width", type=click.IntRange(1, 256), default=256, show_default=True, help="Channels of a network.")
@click.option("--crop", type=click.IntRange(16), default=32, show_default=True, help="Side of the training crops.")
@camera_option
@hold_out_option
@validate_option
@seed_option
@click.option(
    "--evaluate-minutes",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="Between held-out evaluations and saves.",
)
@no_compile_option
@click.option("--resume", is_flag=True, help="Go on with the run that writes OUT, from the state it left beside it.")
@force_option
def refine(model: str, output: str, force: bool, no_compile: bool, resume: bool, **options: object) -> int:
    """Train local networks for MODEL, embedded or exported, and write the model with them.

    They predict what a step tells from what it has told so far. Networks that MODEL has in
    this shape are trained further. Ctrl-C keeps the last save, from which --resume goes on.
    """
    from ddpmcodec.training import local_state

    out = Path(output)
    for file in (out, local_state.path(out)):
        check_output(file, None, force=force or resume)
    from ddpmcodec import models
    from ddpmcodec.networks import checkpoint
    from ddpmcodec.training.refine import Settings
    from ddpmcodec.training.refine import refine as run

    data = checkpoint.read(models.path(model) if model in models.names() else model)
    settings = Settings(**options)  # type: ignore[arg-type]
    try:
        refined = run(data, settings, out, say, resume=resume, compiled=not no_compile, name=model)
    except KeyboardInterrupt:
        return training_interrupted(output, saved=local_state.path(out).exists())
    found = checkpoint.parse(refined, output)
    say(f"{output}: model {found.name!r}, id {found.id[:4].hex()}, {len(refined)} bytes; use it with --model {output}")
    return 0
