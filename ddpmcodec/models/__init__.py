"""Models that come with the package: safetensors files in this folder, by name. Each says of what kind it is."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

DEFAULT = "cifar10"
PHOTO = "photo"
GAUSSIAN = "gaussian-cifar10"  # denoiser of the Gaussian channel, for thumbnails
THUMBNAIL_PIXELS = 64 * 64  # an image of more is a photograph, as far as the choice of a model goes
FOLDER = Path(__file__).parent


@cache
def names() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in FOLDER.glob("*.safetensors")))


def path(name: str) -> Path:
    return FOLDER / f"{name}.safetensors"


def default_name(pixels: int) -> str:
    """The model for an image of so many pixels, where none is named: `photo` for more than a thumbnail."""
    return PHOTO if pixels > THUMBNAIL_PIXELS and PHOTO in names() else DEFAULT


@cache
def ids() -> dict[str, bytes]:
    """Name -> sha256 of the exported file, which is the model's id."""
    return {name: hashlib.sha256(path(name).read_bytes()).digest() for name in names()}
