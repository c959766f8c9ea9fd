"""ddpmcodec train"""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from ._common import EXIT_CODES, say, training_interrupted
from ._training import camera_option, hold_out_option, no_compile_option, seed_option, validate_option


@click.command(epilog=EXIT_CODES)
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    help="Folder of images, .npy/.npz array, or CIFAR-10 root. Given several times: round-robin.",
)
@click.option("--out", required=True, metavar="RUN", help="Folder for the state and log.jsonl.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, with its settings; --hours may be changed.")
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    default=1.5,
    show_default=True,
    help="Training time; learning rates reach zero at its end.",
)
@click.option(
    "--crop",
    type=click.IntRange(8),
    default=96,
    show_default=True,
    help="Side of the training crops; smaller for data sets of smaller images.",
)
@click.option(
    "--width", type=int, default=192, show_default=True, help="Of each network: a multiple of 16, up to 512."
)
@click.option("--depth", type=int, default=3, show_default=True, help="Residual blocks of each network, up to 8.")
@click.option("--start", metavar="MODEL", help="Begin with a model's networks, or a run's, grown to this shape.")
@camera_option
@click.option("--batch", type=click.IntRange(1), default=4096, show_default=True, help="Positions a step.")
@click.option(
    "--muon-rate",
    type=click.FloatRange(0, min_open=True),
    default=0.02,
    show_default=True,
    help="Learning rate of all weights but the last layers'.",
)
@click.option(
    "--adam-rate",
    type=click.FloatRange(0, min_open=True),
    default=5e-3,
    show_default=True,
    help="Learning rate of everything else.",
)
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
def train(
    data: tuple[str, ...],
    out: str,
    resume: bool,
    start: str | None,
    validate: str | None,
    evaluate_minutes: float,
    no_compile: bool,
    **options: object,
) -> int:
    """Train a context model, or go on with one.

    Progress is on stderr. Ctrl-C keeps the last save; SIGTERM saves first.
    """
    from ddpmcodec import models
    from ddpmcodec.training.context_run import STATE, Settings
    from ddpmcodec.training.context_run import train as run

    context = click.get_current_context()
    given = [name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
    chosen = {name for name in given if name in (*options, "data", "start", "validate")}
    places = tuple(str(Path(place).resolve()) for place in data)
    held = validate and str(Path(validate).resolve())
    first = start if start is None or start in models.names() else str(Path(start).resolve())
    settings = Settings(places, held, start=first, **options)  # type: ignore[arg-type]
    try:
        trainer, done = run(
            settings,
            Path(out),
            say,
            resume=resume,
            chosen=chosen,
            evaluate_minutes=evaluate_minutes,
            compiled=not no_compile,
        )
    except KeyboardInterrupt:
        return training_interrupted(out, saved=Path(out, STATE).exists())
    if not done:
        return training_interrupted(out, saved=True)
    images = f"{trainer.taken} steps, {trainer.pool.images} images"
    say(f"{out}: {images}; next: ddpmcodec export {out} -o MODEL.safetensors")
    return 0
