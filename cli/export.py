"""ddpmcodec export"""

from __future__ import annotations

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
    from ddpmcodec.format.header import DEFAULT_EFFORT
    from ddpmcodec.models.context import parse
    from ddpmcodec.training.exporting import gathered
    from ddpmcodec.training.state import FILE

    for run in runs:
        check_output(Path(output), Path(run, FILE), force=force)
    with naming_options():
        parts = gathered([Path(run) for run in runs], base)
        content = parts.packed(name or Path(output).stem)
    model = parse(content, output)
    write_file(Path(output), content, replace=force)
    efforts = {effort for made in parts.made for effort in made["efforts"]}
    options = f"--model {output}" + ("" if DEFAULT_EFFORT in efforts else f" --effort {max(efforts)}")
    say(f"{output}: model {model.name!r}, id {model.id[:4].hex()}, {len(content)} bytes; use it with {options}")
    return 0
