"""ddpmcodec train-gaussian"""

from __future__ import annotations

from pathlib import Path

import click

from ._common import EXIT_CODES, INTERRUPTED, counted, say
from ._training import (
    absolute,
    camera_option,
    chosen_of_a_length,
    compile_option,
    data_option,
    evaluate_option,
    hold_out_option,
    hours_option,
    out_option,
    rate_options,
    resume_option,
    seed_option,
    steps_option,
    trained,
    validate_option,
)


@click.command(epilog=EXIT_CODES)
@data_option
@out_option
@click.option("--name", default="gaussian", show_default=True, help="What the model calls itself.")
@resume_option
@click.option("--start", metavar="RUN|MODEL", help="Start from the network of another run, or of a model: fine-tuning.")
@hours_option
@steps_option
@click.option(
    "--objective",
    type=click.Choice(["bound", "simple"]),
    default="bound",
    show_default=True,
    help="The variational bound; or L_simple: its unweighted terms, with levels drawn as often as in the paper.",
)
@rate_options("the inner convolutions; about half of it to go on with a trained network.", adam=7e-4)
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Images a step.")
@click.option(
    "--crop", type=click.IntRange(4), default=32, show_default=True, help="Side of the training crops, a multiple of 4."
)
@camera_option
@hold_out_option
@validate_option
@click.option(
    "--width",
    type=click.IntRange(1),
    default=96,
    show_default=True,
    help="Channels at half resolution; twice as many at a quarter.",
)
@click.option(
    "--blocks",
    default=(2, 4, 4),
    type=(click.IntRange(1),) * 3,
    metavar="D B U",
    show_default=True,
    help="Blocks down, at the bottom, up.",
)
@seed_option
@evaluate_option
@compile_option
def train_gaussian(
    data: tuple[str, ...], out: str, resume: bool, blocks: tuple[int, int, int], width: int, validate: str | None,
    evaluate_minutes: float, compiled: bool | None, **options: object,
) -> int:  # fmt: skip
    """Train an exact model of the paper's diffusion process, for bits back and sampling, or go on with one.

    Progress is on stderr. Ctrl-C keeps the last save; SIGTERM saves first.
    """
    from ddpmcodec.paper.gaussian.architecture import Architecture
    from ddpmcodec.training import gaussian_trainer

    down, bottom, up = blocks
    settings = gaussian_trainer.GaussianSettings(
        absolute(data),
        architecture=Architecture(width, 2 * width, down, bottom, up),
        validate=validate and absolute((validate,))[0],
        **options,  # type: ignore[arg-type]
    )
    given = chosen_of_a_length()
    named = given & {"data", "validate", *options} | ({"architecture"} if given & {"width", "blocks"} else set())
    how = {"resume": resume, "chosen": named, "evaluate_minutes": evaluate_minutes, "compiled": compiled}
    trainer = trained(out, lambda: gaussian_trainer.train(settings, Path(out), say, **how))  # type: ignore[arg-type]
    if trainer is None:
        return INTERRUPTED
    done = f"{counted(trainer.step, 'step')}, {counted(trainer.images, 'image')}"
    say(f"{out}: {done}; the model is {Path(out, gaussian_trainer.MODEL)}")
    return 0
