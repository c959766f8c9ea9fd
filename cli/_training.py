"""Options that the commands which train an exact model share."""

from __future__ import annotations

import click

data_option = click.option(
    "--data",
    required=True,
    multiple=True,
    metavar="PATH",
    help="Folder of images, .npy/.npz array, or CIFAR-10 root. Given several times, round-robin.",
)
camera_option = click.option(
    "--camera-share",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the crops that get a sensor's noise and blur: for photographs that were made smaller.",
)
hold_out_option = click.option(
    "--hold-out",
    type=click.IntRange(0),
    default=2000,
    show_default=True,
    help="Last images of the data, kept for evaluation.",
)
validate_option = click.option("--validate", metavar="PATH", help="Data to evaluate on, instead of images held out.")
seed_option = click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
no_compile_option = click.option(
    "--no-compile", is_flag=True, help="Plain PyTorch: slower, and no C++ compiler is needed."
)
