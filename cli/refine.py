"""ddpmcodec refine"""

from __future__ import annotations

from pathlib import Path

import click

from ddpmcodec.files import check_output, write_file

from ._common import EXIT_CODES, force_option, say


@click.command(epilog=EXIT_CODES)
@click.argument("model", metavar="MODEL")
@click.option("-o", "--output", required=True, metavar="OUT", help="The refined model, a .safetensors file.")
@click.option(
    "--data",
    required=True,
    multiple=True,
    metavar="PATH",
    help="Folder of images, .npy/.npz array, or CIFAR-10 root. Given several times, they take turns.",
)
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    default=0.5,
    show_default=True,
    help="Training time; learning rates reach zero at its end.",
)
@click.option("--muon-rate", type=click.FloatRange(0, min_open=True), default=0.01, show_default=True)
@click.option("--adam-rate", type=click.FloatRange(0, min_open=True), default=2e-3, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Images a step.")
@click.option("--crop", type=click.IntRange(16), default=32, show_default=True, help="Side of the training crops.")
@click.option(
    "--camera-share",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the crops that get a sensor's noise and blur: for photographs that were made smaller.",
)
@click.option(
    "--hold-out",
    type=click.IntRange(0),
    default=2000,
    show_default=True,
    help="Last images of the data, kept for evaluation.",
)
@click.option("--validate", metavar="PATH", help="Data to evaluate on, instead of images held out.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option(
    "--evaluate-minutes",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="Between held-out evaluations and saves.",
)
@click.option("--no-compile", is_flag=True, help="Plain PyTorch: slower, and no C++ compiler is needed.")
@force_option
def refine(model: str, output: str, force: bool, no_compile: bool, **options: object) -> int:
    """Train local networks for MODEL, embedded or exported, and write the model with them.

    They predict what a step tells from what it has told so far. Networks that MODEL has are trained further.
    """
    check_output(Path(output), None, force=force)
    from ddpmcodec import models
    from ddpmcodec.networks import checkpoint
    from ddpmcodec.training.refine import Settings
    from ddpmcodec.training.refine import refine as run

    data = checkpoint.read(models.path(model) if model in models.names() else model)
    refined = run(data, Settings(**options), Path(output), say, compiled=not no_compile)  # type: ignore[arg-type]
    found = checkpoint.parse(refined, output)
    write_file(Path(output), refined)
    say(f"{output}: model {found.name!r}, id {found.id[:4].hex()}, {len(refined)} bytes; use it with --model {output}")
    return 0
