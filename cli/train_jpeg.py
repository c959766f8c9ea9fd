"""ddpmcodec train-jpeg"""

from __future__ import annotations

from pathlib import Path

import click

from ._common import EXIT_CODES, INTERRUPTED, counted, say
from ._training import (
    absolute,
    chosen_of_a_length,
    data_option,
    device_option,
    evaluate_option,
    hold_out_option,
    hours_option,
    naming_settings,
    out_option,
    rate_options,
    resume_option,
    seed_option,
    steps_option,
    trained,
    validate_option,
)


@click.command("train-jpeg", epilog=EXIT_CODES)
@data_option
@out_option
@resume_option
@hours_option
@steps_option
@click.option(
    "--effort",
    type=click.IntRange(1, 2),
    default=2,
    show_default=True,
    help="Effort to train networks for; 3 has those of 2.",
)
@click.option(
    "--size", type=click.IntRange(1, 4), help="How large they are: 1 to 4, docs/training.md; default: as the effort."
)
@click.option("--roles", metavar="NAMES", help="Which of luma,chroma to train; default: both.")
@click.option(
    "--start", metavar="MODEL|RUN", help="Begin with the networks of a model of JPEG coefficients, or of a run."
)
@click.option(
    "--crop",
    type=click.IntRange(16),
    default=384,
    show_default=True,
    help="Side of what is seen of an image, in pixels.",
)
@click.option("--batch", type=click.IntRange(64), default=4096, show_default=True, help="Positions a step.")
@rate_options("all weights but the last layers' and the predictors'.", adam=4e-3, muon=0.016)
@hold_out_option
@validate_option
@seed_option
@evaluate_option
@device_option
def train_jpeg(
    data: tuple[str, ...], out: str, resume: bool, roles: str | None, start: str | None, validate: str | None,
    evaluate_minutes: float, device: str | None, **options: object,
) -> int:  # fmt: skip
    """Train the networks that code the coefficients of JPEG files, or go on with them.

    JPEG files in the data are taken as they are. From all other images JPEG files of many kinds are made.

    Progress is on stderr. Ctrl-C keeps the last save; SIGTERM saves first.
    """
    from ddpmcodec import models
    from ddpmcodec.training.coefficients import coefficient_run
    from ddpmcodec.training.coefficients.coefficient_network import ROLES
    from ddpmcodec.training.coefficients.coefficient_trainer import CoefficientSettings

    first = start if start is None or start in models.names() else absolute((start,))[0]
    held, trains = validate and absolute((validate,))[0], tuple(roles.split(",")) if roles else ROLES
    with naming_settings():
        settings = CoefficientSettings(absolute(data), held, roles=trains, start=first, **options)  # type: ignore[arg-type]
    named = chosen_of_a_length() & {"data", "roles", "start", "validate", *options}
    how = {"resume": resume, "chosen": named, "device": device, "evaluate_minutes": evaluate_minutes}
    trainer = trained(out, lambda: coefficient_run.train(settings, Path(out), say, **how))  # type: ignore[arg-type]
    if trainer is None:
        return INTERRUPTED
    done = f"{counted(trainer.step, 'step')}, {counted(trainer.images, 'file')}"
    say(f"{out}: {done}; next: ddpmcodec export {out} -o MODEL.safetensors --base jpeg")
    return 0
