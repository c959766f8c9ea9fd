"""ddpmcodec train, ddpmcodec train-preview, ddpmcodec train-jpeg: networks of the codec"""

from __future__ import annotations

import click

from ._common import EXIT_CODES
from ._training import (
    RunOptions,
    camera_option,
    compile_option,
    device_option,
    held_out_options,
    hours_option,
    model_or_path,
    naming_settings,
    progress_options,
    rate_options,
    run_options,
    steps_option,
)

size_option = click.option(
    "--size", type=click.IntRange(1, 4), help="How large they are: 1 to 4, docs/training.md; default: as the effort."
)


@click.command(epilog=EXIT_CODES)
@run_options
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
@size_option
@click.option("--roles", metavar="NAMES", help="Which of direct,last,band1,band2,band3 to train; default: all.")
@click.option(
    "--network", metavar="NAME", default="residual", show_default=True,
    help="Their architecture: the core's, or one that an installed package registers.",
)  # fmt: skip
@click.option(
    "--start", metavar="MODEL|RUN", callback=model_or_path, help="Begin with these networks, grown to this size."
)
@camera_option
@click.option("--batch", type=click.IntRange(1), default=4096, show_default=True, help="Positions a step.")
@rate_options("all weights but the last layers'.", adam=4e-3, muon=0.016)
@held_out_options
@progress_options(device_option, compile_option)
def train(
    run: RunOptions, data: tuple[str, ...], validate: str | None, roles: str | None, start: str | None,
    **options: object,
) -> int:  # fmt: skip
    """Train the networks of one effort of a context model, or go on with them.

    Progress is on stderr. Ctrl-C keeps the last save; SIGTERM saves first.
    """
    from ddpmcodec import models
    from ddpmcodec.models.context import ROLES
    from ddpmcodec.training import context_run
    from ddpmcodec.training.context_trainer import ContextSettings
    from ddpmcodec.training.sizes import roles_of

    with naming_settings():
        trains = ROLES if roles is None else roles_of(roles)
    settings = ContextSettings(data, validate, roles=trains, start=start, **options)  # type: ignore[arg-type]
    base = start if start in models.names() else models.PHOTO  # which has the networks of other efforts
    return run.train(context_run.train, settings, lambda _: _exported(run.out, base))


@click.command("train-preview", epilog=EXIT_CODES)
@run_options
@click.option(
    "--model",
    metavar="MODEL",
    default="photo",
    callback=model_or_path,
    show_default=True,
    help="Whose files the previews are of.",
)
@hours_option
@steps_option
@click.option(
    "--crop", type=click.IntRange(8), default=128, show_default=True, help="Side of the crops that previews are of."
)
@click.option("--width", type=click.IntRange(16), default=48, show_default=True, help="Channels, a multiple of 16.")
@click.option("--depth", type=click.IntRange(1, 8), default=3, show_default=True, help="Blocks: convolutions of 3x3.")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Parts of previews a step.")
@rate_options("all weights but the last layers'.", adam=4e-3, muon=0.016)
@held_out_options
@progress_options(device_option, compile_option)
def train_preview(run: RunOptions, data: tuple[str, ...], validate: str | None, model: str, **options: object) -> int:
    """Train a network that corrects the previews of a context model, or go on with it.

    Progress is on stderr. Ctrl-C keeps the last save; SIGTERM saves first.
    """
    from ddpmcodec.training import preview_trainer

    with naming_settings():
        settings = preview_trainer.PreviewSettings(data, model, validate, **options)  # type: ignore[arg-type]
    return run.train(preview_trainer.train, settings, lambda trainer: _exported(run.out, trainer.settings.model))


@click.command("train-jpeg", epilog=EXIT_CODES)
@run_options
@hours_option
@steps_option
@click.option(
    "--effort",
    type=click.IntRange(1, 2),
    default=2,
    show_default=True,
    help="Effort to train networks for; 3 has those of 2.",
)
@size_option
@click.option("--roles", metavar="NAMES", help="Which of luma,chroma to train; default: both.")
@click.option(
    "--start",
    metavar="MODEL|RUN",
    callback=model_or_path,
    help="Begin with the networks of a model of JPEG coefficients, or of a run.",
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
@held_out_options
@progress_options(device_option)
def train_jpeg(
    run: RunOptions, data: tuple[str, ...], validate: str | None, roles: str | None, start: str | None,
    **options: object,
) -> int:  # fmt: skip
    """Train the networks that code the coefficients of JPEG files, or go on with them.

    JPEG files in the data are taken as they are. From all other images JPEG files of many kinds are made.

    Progress is on stderr. Ctrl-C keeps the last save; SIGTERM saves first.
    """
    from ddpmcodec import models
    from ddpmcodec.training.coefficients import coefficient_run
    from ddpmcodec.training.coefficients.coefficient_network import ROLES
    from ddpmcodec.training.coefficients.coefficient_trainer import CoefficientSettings

    trains = tuple(roles.split(",")) if roles else ROLES
    with naming_settings():
        settings = CoefficientSettings(data, validate, roles=trains, start=start, **options)  # type: ignore[arg-type]
    return run.train(coefficient_run.train, settings, lambda _: _exported(run.out, models.JPEG), noun="file")


def _exported(out: str, base: str) -> str:
    return f"next: ddpmcodec export {out} -o MODEL.safetensors --base {base}"
