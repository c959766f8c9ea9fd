"""ddpmcodec train, ddpmcodec train-preview: networks of the codec"""

from __future__ import annotations

from pathlib import Path

import click

from ._common import EXIT_CODES, INTERRUPTED, counted, say
from ._training import (
    absolute,
    camera_option,
    chosen,
    chosen_of_a_length,
    compile_option,
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
@click.option(
    "--effort",
    type=click.IntRange(1, 3),
    default=2,
    show_default=True,
    help="Effort to train networks for: 1 is fast, 3 makes small files.",
)
@click.option(
    "--size", type=click.IntRange(1, 4), help="How large they are: 1 to 4, docs/training.md; default: as the effort."
)
@click.option("--roles", metavar="NAMES", help="Which of direct,last,band1,band2,band3 to train; default: all.")
@click.option(
    "--network", metavar="NAME", default="residual", show_default=True,
    help="Their architecture: the core's, or one that an installed package registers.",
)  # fmt: skip
@click.option("--start", metavar="MODEL|RUN", help="Begin with these networks, grown to this size.")
@camera_option
@click.option("--batch", type=click.IntRange(1), default=4096, show_default=True, help="Positions a step.")
@rate_options("all weights but the last layers'.", adam=4e-3, muon=0.016)
@hold_out_option
@validate_option
@seed_option
@evaluate_option
@device_option
@compile_option
def train(
    data: tuple[str, ...], out: str, resume: bool, roles: str | None, start: str | None, validate: str | None,
    evaluate_minutes: float, device: str | None, compiled: bool | None, **options: object,
) -> int:  # fmt: skip
    """Train the networks of one effort of a context model, or go on with them.

    Progress is on stderr. Ctrl-C keeps the last save; SIGTERM saves first.
    """
    from ddpmcodec import models
    from ddpmcodec.models.context import ROLES
    from ddpmcodec.training import context_run
    from ddpmcodec.training.context_trainer import ContextSettings
    from ddpmcodec.training.sizes import roles_of

    first = start if start is None or start in models.names() else absolute((start,))[0]
    held = validate and absolute((validate,))[0]
    with naming_settings():
        trains = ROLES if roles is None else roles_of(roles)
    settings = ContextSettings(absolute(data), held, roles=trains, start=first, **options)  # type: ignore[arg-type]
    named = chosen() & {"data", "roles", "start", "validate", *options}
    how = {"resume": resume, "chosen": named, "device": device, "compiled": compiled}
    how["evaluate_minutes"] = evaluate_minutes
    trainer = trained(out, lambda: context_run.train(settings, Path(out), say, **how))  # type: ignore[arg-type]
    if trainer is None:
        return INTERRUPTED
    images = f"{counted(trainer.step, 'step')}, {counted(trainer.images, 'image')}"
    base = first if first in models.names() else models.PHOTO  # which has the networks of other efforts
    say(f"{out}: {images}; next: ddpmcodec export {out} -o MODEL.safetensors --base {base}")
    return 0


@click.command("train-preview", epilog=EXIT_CODES)
@data_option
@out_option
@resume_option
@click.option("--model", metavar="MODEL", default="photo", show_default=True, help="Whose files the previews are of.")
@hours_option
@steps_option
@click.option(
    "--crop", type=click.IntRange(8), default=128, show_default=True, help="Side of the crops that previews are of."
)
@click.option("--width", type=click.IntRange(16), default=48, show_default=True, help="Channels, a multiple of 16.")
@click.option("--depth", type=click.IntRange(1, 8), default=3, show_default=True, help="Blocks: convolutions of 3x3.")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Parts of previews a step.")
@rate_options("all weights but the last layers'.", adam=4e-3, muon=0.016)
@hold_out_option
@validate_option
@seed_option
@evaluate_option
@device_option
@compile_option
def train_preview(
    data: tuple[str, ...], out: str, resume: bool, model: str, validate: str | None, evaluate_minutes: float,
    device: str | None, compiled: bool | None, **options: object,
) -> int:  # fmt: skip
    """Train a network that corrects the previews of a context model, or go on with it.

    Progress is on stderr. Ctrl-C keeps the last save; SIGTERM saves first.
    """
    from ddpmcodec import models
    from ddpmcodec.training import preview_trainer

    base = model if model in models.names() else absolute((model,))[0]
    held = validate and absolute((validate,))[0]
    with naming_settings():
        settings = preview_trainer.PreviewSettings(absolute(data), base, held, **options)  # type: ignore[arg-type]
    given = chosen_of_a_length()
    how = {"resume": resume, "chosen": given & {"data", "model", "validate", *options}, "device": device}
    how |= {"evaluate_minutes": evaluate_minutes, "compiled": compiled}
    trainer = trained(out, lambda: preview_trainer.train(settings, Path(out), say, **how))  # type: ignore[arg-type]
    if trainer is None:
        return INTERRUPTED
    done = f"{counted(trainer.step, 'step')}, {counted(trainer.images, 'image')}"
    say(f"{out}: {done}; next: ddpmcodec export {out} -o MODEL.safetensors --base {trainer.settings.model}")
    return 0
