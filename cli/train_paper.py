"""ddpmcodec train-ddpm, ddpmcodec train-gaussian: networks of the paper's system"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._common import EXIT_CODES
from ._options import FiniteRange
from ._training import (
    RunOptions,
    camera_option,
    chosen_settings,
    compile_option,
    device_option,
    held_out_options,
    hours_option,
    progress_options,
    rate_options,
    run_options,
    steps_option,
)

if TYPE_CHECKING:
    from ddpmcodec.paper.unet import UNetConfig

PAPER = {"cifar10": {"size": 32, "batch": 128, "rate": 2e-4}, "large256": {"size": 256, "batch": 64, "rate": 2e-5}}


@click.command("train-ddpm", epilog=EXIT_CODES)
@run_options
@click.option(
    "--network",
    type=click.Choice(list(PAPER)),
    default="cifar10",
    show_default=True,
    help="The paper's network for CIFAR-10, or that for CelebA-HQ and LSUN at 256x256.",
)
@click.option(
    "--channels", type=click.IntRange(4, 1024), help="Width of the network, for small runs; the paper's is 128."
)
@click.option("--dropout", type=FiniteRange(0, 1, max_open=True), help="The paper's is 0.1 (cifar10), 0 (large256).")
@click.option(
    "--objective",
    type=click.Choice(["simple", "bound", "hybrid"]),
    default="simple",
    show_default=True,
    help="L_simple; the variational bound; or L_simple and 0.001 of the bound, with learned variances.",
)
@click.option(
    "--schedule",
    type=click.Choice(["linear", "cosine"]),
    default="linear",
    show_default=True,
    help="Noise schedule: linear beta_t as in the paper, or the squared-cosine schedule.",
)
@click.option(
    "--levels",
    type=click.IntRange(2),
    default=1000,
    show_default=True,
    metavar="T",
    help="T, the number of noise levels: the length of the forward process.",
)
@click.option("--steps", type=click.IntRange(1), default=800_000, show_default=True, help="Optimiser steps in all.")
@click.option("--size", type=click.IntRange(1), help="Side of the images, or of crops; 32 (cifar10), 256 (large256).")
@click.option("--batch", type=click.IntRange(1), help="Images a step, on all devices; 128 (cifar10), 64 (large256).")
@click.option("--rate", type=FiniteRange(0, min_open=True), help="Learning rate; 0.0002 (cifar10), 0.00002 (large256).")
@click.option("--warmup", type=click.IntRange(1), default=5000, show_default=True, help="Steps to the full rate.")
@click.option("--bfloat16", is_flag=True, help="Compute the network's products in bfloat16; weights stay float32.")
@click.option(
    "--hold-out",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Last images of the data, to evaluate the variational bound on; the paper holds none out.",
)
@progress_options(device_option, compile_option)
def train_ddpm(
    run: RunOptions, data: tuple[str, ...], network: str, channels: int | None, dropout: float | None, **options: object
) -> int:
    """Train the network of the DDPM paper, or go on.

    Progress is on stderr. Ctrl-C keeps the last save; SIGTERM saves first.

    \b
    On several devices:
      torchrun --standalone --nproc-per-node 8 -m ddpmcodec train-ddpm ...
    """
    from ddpmcodec.paper import denoisers
    from ddpmcodec.training import ddpm_trainer

    config = _config(network, channels, dropout, learned_variance=options["objective"] == "hybrid")
    values = PAPER[network] | {name: value for name, value in options.items() if value is not None}
    settings = ddpm_trainer.DdpmSettings(data, config, **values)  # type: ignore[arg-type]
    chosen = _with_settings(chosen_settings(), "network", {"network", "channels", "dropout"})

    def then(trainer: ddpm_trainer.DdpmTrainer) -> str | None:
        is_first = trainer.where.rank == 0  # one device alone prints
        return f"the averaged network is {Path(run.out, denoisers.OWN)}" if is_first else None

    return run.train(ddpm_trainer.train, settings, then, chosen=chosen)


def _with_settings(chosen: set[str], setting: str, options: set[str]) -> set[str]:
    """Return names of settings with one that several options make, in place of these."""
    return chosen - options | ({setting} if chosen & options else set())


def _config(network: str, channels: int | None, dropout: float | None, *, learned_variance: bool) -> UNetConfig:
    from ddpmcodec.errors import ModelError
    from ddpmcodec.paper.unet import CIFAR10, LARGE256

    config = {"cifar10": CIFAR10, "large256": LARGE256}[network]
    channels = channels or config.channels
    dropout = config.dropout if dropout is None else dropout
    groups = channels * config.groups // config.channels  # of normalisation, of as many channels as in the paper
    try:
        return replace(config, channels=channels, groups=groups, dropout=dropout, learned_variance=learned_variance)
    except ModelError as error:
        raise click.UsageError(str(error)) from error


@click.command(epilog=EXIT_CODES)
@run_options
@click.option("--name", default="gaussian", show_default=True, help="What the model calls itself.")
@click.option("--start", metavar="RUN|MODEL", help="Start from the network of another run, or of a model: fine-tuning.")
@hours_option
@steps_option
@click.option(
    "--objective",
    type=click.Choice(["bound", "simple"]),
    default="bound",
    show_default=True,
    help="The variational bound; or L_simple: its unweighted terms, with levels drawn as often as in the paper.",
)
@rate_options("the inner convolutions; about half of it to go on with a trained network.", adam=7e-4)
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Images a step.")
@click.option(
    "--crop", type=click.IntRange(4), default=32, show_default=True, help="Side of the training crops, a multiple of 4."
)
@camera_option
@held_out_options
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
@progress_options(compile_option)
def train_gaussian(
    run: RunOptions, data: tuple[str, ...], validate: str | None, blocks: tuple[int, int, int], width: int,
    **options: object,
) -> int:  # fmt: skip
    """Train an exact model of the paper's diffusion process, for bits back and sampling, or go on with one.

    Progress is on stderr. Ctrl-C keeps the last save; SIGTERM saves first.
    """
    from ddpmcodec.paper.gaussian_network import Architecture
    from ddpmcodec.training import gaussian_trainer

    down, bottom, up = blocks
    architecture = Architecture(width, 2 * width, down, bottom, up)
    settings = gaussian_trainer.GaussianSettings(
        data, architecture=architecture, validate=validate, **options  # type: ignore[arg-type]
    )  # fmt: skip
    chosen = _with_settings(chosen_settings(), "architecture", {"width", "blocks"})
    model = Path(run.out, gaussian_trainer.MODEL)
    return run.train(gaussian_trainer.train, settings, lambda _: f"the model is {model}", chosen=chosen)
