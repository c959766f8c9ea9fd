"""ddpmcodec train-ddpm"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._common import EXIT_CODES, say, training_interrupted

if TYPE_CHECKING:
    from ddpmcodec.networks.unet import UNetConfig

PAPER = {"cifar10": {"size": 32, "batch": 128, "rate": 2e-4}, "large256": {"size": 256, "batch": 64, "rate": 2e-5}}


@click.command("train-ddpm", epilog=EXIT_CODES)
@click.option("--data", required=True, metavar="PATH", help="Folder of images, .npy/.npz array, or CIFAR-10 root.")
@click.option("--out", required=True, metavar="DIR", help="Folder for the state, the averaged network and log.jsonl.")
@click.option("--resume", is_flag=True, help="Go on from the state in --out.")
@click.option(
    "--network",
    type=click.Choice(list(PAPER)),
    default="cifar10",
    show_default=True,
    help="The paper's network for CIFAR-10, or that for CelebA-HQ and LSUN at 256x256.",
)
@click.option(
    "--channels", type=click.IntRange(4, 4096), help="Width of the network, for small runs; the paper's is 128."
)
@click.option(
    "--dropout", type=click.FloatRange(0, 1, max_open=True), help="The paper's is 0.1 (cifar10), 0 (large256)."
)
@click.option(
    "--objective",
    type=click.Choice(["simple", "bound", "hybrid"]),
    default="simple",
    show_default=True,
    help="L_simple; the variational bound; or L_simple and 0.001 of the bound, with learned variances.",
)
@click.option("--schedule", type=click.Choice(["linear", "cosine"]), default="linear", show_default=True)
@click.option("--timesteps", "T", type=click.IntRange(2), default=1000, show_default=True, help="Noise levels.")
@click.option("--steps", type=click.IntRange(1), default=800_000, show_default=True, help="Optimiser steps in all.")
@click.option("--size", type=click.IntRange(1), help="Side of the images, or of crops; 32 (cifar10), 256 (large256).")
@click.option("--batch", type=click.IntRange(1), help="Images a step, on all devices; 128 (cifar10), 64 (large256).")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Learning rate; 0.0002 (cifar10), 0.00002 (large256)."
)
@click.option("--warmup", type=click.IntRange(1), default=5000, show_default=True, help="Steps to the full rate.")
@click.option(
    "--save-every",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Steps from one save to the next, which comes after ten minutes at the latest.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
def train_ddpm(
    data: str, out: str, resume: bool, network: str, channels: int | None, dropout: float | None, **options: object
) -> int:
    """Train the network of the DDPM paper, or go on. Progress is on stderr; Ctrl-C keeps the last save.

    \b
    On several devices:
      torchrun --standalone --nproc-per-node 8 -m ddpmcodec.cli train-ddpm ...
    """
    from ddpmcodec.training.ddpm_state import exists
    from ddpmcodec.training.ddpm_trainer import CHECKPOINT, Settings
    from ddpmcodec.training.ddpm_trainer import train as run

    config = _config(network, channels, dropout, learned_variance=options["objective"] == "hybrid")
    chosen = PAPER[network] | {name: value for name, value in options.items() if value is not None}
    settings = Settings(data, out, config, **chosen)  # type: ignore[arg-type]
    try:
        trainer = run(settings, resume=resume)
    except KeyboardInterrupt:
        return training_interrupted(out, saved=exists(Path(out)))
    if trainer.where.rank == 0:
        done = f"{trainer.step} steps, {trainer.step * settings.batch} images"
        say(f"{out}: {done}; the averaged network is {Path(out, CHECKPOINT)}")
    return 0


def _config(network: str, channels: int | None, dropout: float | None, *, learned_variance: bool) -> UNetConfig:
    from ddpmcodec.errors import ModelError
    from ddpmcodec.networks.unet import CIFAR10, LARGE256

    config = {"cifar10": CIFAR10, "large256": LARGE256}[network]
    channels = channels or config.channels
    dropout = config.dropout if dropout is None else dropout
    groups = channels * config.groups // config.channels  # of normalisation, of as many channels as in the paper
    try:
        return replace(config, channels=channels, groups=groups, dropout=dropout, learned_variance=learned_variance)
    except ModelError as error:
        raise click.UsageError(str(error)) from error
