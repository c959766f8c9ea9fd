"""Gaussian models: exact denoisers for the paper's channel. Embedded in the package by name or id, or a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.format.model_file import kind_of
from ddpmcodec.paper.gaussian.model import GaussianModel
from ddpmcodec.paper.gaussian.model_file import KIND, load, parse

__all__ = ["GaussianModel", "find_gaussian", "load_gaussian"]


@cache
def _embedded(name: str) -> GaussianModel:
    return parse(models.read(name), name)


def load_gaussian(source: str | Path | None = None) -> GaussianModel:
    """The embedded model (None), an embedded one by name, or a file. Raises ModelError."""
    if source is None:
        return _embedded(models.GAUSSIAN)
    if isinstance(source, str) and source in models.names():
        return _embedded(source)
    return load(source)


def find_gaussian(model_id: bytes) -> GaussianModel:
    """The embedded model whose id starts with `model_id`. Raises ModelError naming the ids there are."""
    known = {name: digest for name, digest in models.ids().items() if kind_of(models.path(name)) == KIND}
    for name, digest in known.items():
        if digest.startswith(model_id):
            return _embedded(name)
    embedded = ", ".join(f"{digest[: len(model_id)].hex()} ({name})" for name, digest in known.items())
    raise ModelError(
        f"the file was written with model {model_id.hex()}, and the embedded Gaussian models are {embedded or 'none'}:"
        " decode with the model that wrote it (model=PATH)"
    )
