"""The exact network, and finding exported models: embedded in the package by name or id, or a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.networks.checkpoint import load
from ddpmcodec.networks.model import Model

__all__ = ["Model", "default_model", "find_model", "load_model"]


@cache
def _embedded(name: str) -> Model:
    return load(models.path(name))


def load_model(source: str | Path | None = None) -> Model:
    """The embedded model for thumbnails (None), an embedded one by name, or an exported file. Raises ModelError."""
    if source is None:
        return _embedded(models.DEFAULT)
    if isinstance(source, str) and source in models.names():
        return _embedded(source)
    return load(source)


def default_model(pixels: int) -> Model:
    """The embedded model for an image of so many pixels."""
    return _embedded(models.default_name(pixels))


def find_model(model_id: bytes) -> Model:
    """The embedded model whose id starts with `model_id`. Raises ModelError naming the ids there are."""
    known = models.ids()
    for name, digest in known.items():
        if digest.startswith(model_id):
            return _embedded(name)
    embedded = ", ".join(f"{digest[: len(model_id)].hex()} ({name})" for name, digest in known.items())
    raise ModelError(
        f"the file was written with model {model_id.hex()}, and the embedded models are {embedded or 'none'}:"
        " decode with the model that wrote it (--model PATH)"
    )
