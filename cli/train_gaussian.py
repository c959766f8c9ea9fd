"""ddpmcodec train-gaussian"""

from __future__ import annotations

from pathlib import Path

import click

from ._common import EXIT_CODES, say, training_interrupted
from ._training import (
    camera_option,
    data_option,
    hold_out_option,
    no_compile_option,
    seed_option,
    validate_option,
)


@click.command(epilog=EXIT_CODES)
@data_option
@click.option("--out", required=True, metavar="DIR", help="Folder for the state, the model and log.jsonl.")
@click.option("--name", default="gaussian", show_default=True, help="What the model calls itself.")
@click.option("--resume", is_flag=True, help="Go on from the state in --out.")
@click.option("--start", metavar="RUN|MODEL", help="Start from the network of another run, or of a model: fine-tuning.")
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    default=1.5,
    show_default=True,
    help="Training time; learning rates reach zero at its end.",
)
@click.option(
    "--steps", type=click.IntRange(1), help="Number of steps, instead of --hours: a run that repeats exactly."
)
@click.option(
    "--muon-rate",
    type=click.FloatRange(0, min_open=True),
    default=0.02,
    show_default=True,
    help="Learning rate of the inner convolutions; about half of it to go on with a trained network.",
)
@click.option(
    "--adam-rate",
    type=click.FloatRange(0, min_open=True),
    default=7e-4,
    show_default=True,
    help="Learning rate of everything else.",
)
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
@click.option(
    "--evaluate-minutes",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Between held-out evaluations and saves.",
)
@no_compile_option
def train_gaussian(
    out: str, resume: bool, blocks: tuple[int, int, int], width: int, no_compile: bool, **options: object
) -> int:
    """Train an exact denoiser for bits back, the bound and sampling, or go on with one.

    Progress is on stderr; Ctrl-C keeps the last save.
    """
    from ddpmcodec.networks.gaussian.architecture import Architecture
    from ddpmcodec.training.gaussian_state import exists
    from ddpmcodec.training.gaussian_trainer import MODEL, Settings
    from ddpmcodec.training.gaussian_trainer import train as run

    down, bottom, up = blocks
    architecture = Architecture(width, 2 * width, down, bottom, up)
    settings = Settings(out=out, architecture=architecture, **options)  # type: ignore[arg-type]
    try:
        trainer = run(settings, resume=resume, compiled=not no_compile)
    except KeyboardInterrupt:
        return training_interrupted(out, saved=exists(Path(out)))
    done = f"{trainer.step} steps, {trainer.step * settings.batch} images"
    say(f"{out}: {done}; the model is {Path(out, MODEL)}")
    return 0
