"""ddpmcodec train"""

from __future__ import annotations

from pathlib import Path

import click

from ._common import EXIT_CODES, INTERRUPTED, say
from ._training import (
    absolute,
    camera_option,
    chosen,
    data_option,
    device_option,
    evaluate_option,
    hold_out_option,
    hours_option,
    no_compile_option,
    out_option,
    rate_options,
    resume_option,
    seed_option,
    trained,
    validate_option,
)


@click.command(epilog=EXIT_CODES)
@data_option
@out_option
@resume_option
@hours_option
@click.option(
    "--crop",
    type=click.IntRange(8),
    default=96,
    show_default=True,
    help="Side of the training crops; smaller for data sets of smaller images.",
)
@click.option("--width", type=int, default=192, show_default=True, help="Of each network: a multiple of 16, up to 512.")
@click.option("--depth", type=int, default=3, show_default=True, help="Residual blocks of each network, up to 8.")
@click.option("--start", metavar="MODEL", help="Begin with a model's networks, or a run's, grown to this shape.")
@camera_option
@click.option("--batch", type=click.IntRange(1), default=4096, show_default=True, help="Positions a step.")
@rate_options("all weights but the last layers'.", adam=5e-3)
@hold_out_option
@validate_option
@seed_option
@evaluate_option(5.0)
@device_option
@no_compile_option
def train(
    data: tuple[str, ...], out: str, resume: bool, start: str | None, validate: str | None, evaluate_minutes: float,
    device: str | None, no_compile: bool, **options: object,
) -> int:  # fmt: skip
    """Train a context model, or go on with one.

    Progress is on stderr. Ctrl-C keeps the last save; SIGTERM saves first.
    """
    from ddpmcodec import models
    from ddpmcodec.training import context_run
    from ddpmcodec.training.context_trainer import ContextSettings

    first = start if start is None or start in models.names() else absolute((start,))[0]
    held = validate and absolute((validate,))[0]
    settings = ContextSettings(absolute(data), held, start=first, **options)  # type: ignore[arg-type]
    named = chosen() & {"data", "start", "validate", *options}
    how = {"resume": resume, "chosen": named, "device": device, "compiled": not no_compile}
    how["evaluate_minutes"] = evaluate_minutes
    trainer = trained(out, lambda: context_run.train(settings, Path(out), say, **how))  # type: ignore[arg-type]
    if trainer is None:
        return INTERRUPTED
    images = f"{trainer.step} steps, {trainer.images} images"
    say(f"{out}: {images}; next: ddpmcodec export {out} -o MODEL.safetensors")
    return 0
