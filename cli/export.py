"""ddpmcodec export"""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from ddpmcodec.files import check_output, write_file

from ._common import EXIT_CODES, naming_options, say
from ._options import PATH_NAME, force_option
from ._outputs import refuse_image_name


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
