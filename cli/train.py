"""ddpmcodec train, train-preview, train-jpeg: networks of the codec; ddpmcodec export: a model file of them"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddpmcodec.formats.files import check_output, write_file

from ._common import EXIT_CODES, naming_options, say
from ._options import PATH_NAME, force_option
from ._outputs import refuse_image_name
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

if TYPE_CHECKING:
    from ddpmcodec.training.coefficients.coefficient_trainer import CoefficientTrainer

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
    type=click.IntRange(0, 3),
    default=2,
    show_default=True,
    help="Effort to train networks for: 0 (direct alone) and 1 are fast, 3 makes small files.",
)
@size_option
@click.option("--roles", metavar="NAMES", help="Which of direct,single,last,band1,band2,band3 to train; default: all.")
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
    from ddpmcodec.training.networks import roles_of

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
@click.option("--roles", metavar="NAMES", help="Which of luma,chroma,refine-luma,refine-chroma to train; default: all.")
@click.option(
    "--start",
    metavar="MODEL|RUN",
    callback=model_or_path,
    help="Begin with the networks of a model of JPEG coefficients, or of a run.",
)
@click.option(
    "--predictors",
    metavar="MODEL|RUN",
    callback=model_or_path,
    help="At effort 1: use the predictors of a model, or of a run of effort 2. Default: those of --start.",
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
    from ddpmcodec.training.coefficients import coefficient_trainer
    from ddpmcodec.training.coefficients.coefficient_network import ROLES

    trains = tuple(roles.split(",")) if roles else ROLES
    with naming_settings():
        settings = coefficient_trainer.CoefficientSettings(data, validate, roles=trains, start=start, **options)  # type: ignore[arg-type]
    return run.train(coefficient_trainer.train, settings, lambda trainer: _after_jpeg(run.out, trainer), noun="file")


def _after_jpeg(out: str, trainer: CoefficientTrainer) -> str:
    """What comes next: networks of effort 1 see the predictors of a run of effort 2."""
    from ddpmcodec import models

    if trainer.settings.trains_predictors:
        return f"next: ddpmcodec train-jpeg --data DATA --out RUN --effort 1 --predictors {out}"
    source = trainer.settings.predictors or trainer.settings.start or models.JPEG
    if Path(source).is_dir():
        return _exported(f"{source} {out}", models.JPEG)
    return _exported(out, source)


def _exported(out: str, base: str) -> str:
    return f"next: ddpmcodec export {out} -o MODEL.safetensors --base {base}"


# --- ddpmcodec export


@click.command(epilog=EXIT_CODES)
@click.argument("runs", type=PATH_NAME, metavar="[RUN...]", nargs=-1)
@click.option(
    "-o", "--output", required=True, type=PATH_NAME, metavar="OUT", help="The exported model, a .safetensors file."
)
@click.option("--name", help="What the model calls itself; default: the output's name.")
@click.option("--base", metavar="MODEL", help="A model to take what no run has from.")
@force_option
def export(
    runs: tuple[str, ...], output: str, name: str | None, base: str | None, force: bool
) -> int:  # fmt: skip
    """Put the networks of training runs into one integer model file, and check it.

    A model has the networks of all efforts. Where two runs have the same network, the one named later wins. Without
    runs it is a copy of --base, to be kept beside files that must last.

    \b
    ddpmcodec export run-effort2 -o better.safetensors --base photo
    ddpmcodec export --base photo -o photo.safetensors
    """
    if not runs and (base is None or name):
        raise click.UsageError("name a run; or a --base alone, of which a copy is made, under its own name")
    refuse_image_name(output, "export", ".safetensors")
    if base and not runs:
        return _copy(base, output, force)
    return _export(runs, output, name, base, force)


def _copy(base: str, output: str, force: bool) -> int:
    """Copies a model file. Raises ModelError, OutputError."""
    from ddpmcodec.models.registry import read

    check_output(Path(output), Path(base), force=force)
    content = read(base)
    write_file(Path(output), content, replace=force)
    say(f"{output}: a copy of {base}, {len(content)} bytes; use it with --model {output}")
    return 0


def _export(runs: tuple[str, ...], output: str, name: str | None, base: str | None, force: bool) -> int:
    from ddpmcodec.training.coefficients import coefficient_model
    from ddpmcodec.training.state import FILE

    for run in runs:
        check_output(Path(output), Path(run, FILE), force=force)
    folders, title = [Path(run) for run in runs], name or Path(output).stem
    with naming_options():
        are_of_jpeg = {coefficient_model.is_run(folder) for folder in folders}
        if are_of_jpeg == {True, False}:
            raise click.UsageError("runs of train-jpeg have a model of their own: export them alone")
        if are_of_jpeg == {True}:
            content, used = coefficient_model.export(folders, title, base=base), ""
        else:
            content, used = _context_model(folders, title, base, output)
    write_file(Path(output), content, replace=force)
    digest = hashlib.sha256(content).hexdigest()[:8]
    say(f"{output}: model {title!r}, id {digest}, {len(content)} bytes{used}")
    return 0


def _context_model(folders: list[Path], name: str, base: str | None, output: str) -> tuple[bytes, str]:
    """The bytes of the file, and how it is used. Raises TrainingError, ModelError."""
    from ddpmcodec.format.header import DEFAULT_EFFORT
    from ddpmcodec.models.context import parse
    from ddpmcodec.training.context_run import gathered

    parts = gathered(folders, base)
    content = parts.packed(name)
    parse(content, output)
    efforts = {effort for made in parts.made for effort in made["efforts"]}
    options = f"--model {output}" + ("" if DEFAULT_EFFORT in efforts else f" --effort {max(efforts)}")
    return content, f"; use it with {options}"
