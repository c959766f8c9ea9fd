"""Finds a denoiser of the paper's system: a Gaussian model, of which `ddpm-cifar10` is embedded, or a checkpoint of the
paper's U-Net."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.format.model_file import kind_of
from ddpmcodec.models import registry
from ddpmcodec.paper import checkpoints
from ddpmcodec.paper.gaussian import model as gaussian
from ddpmcodec.paper.gaussian.model import GaussianModel
from ddpmcodec.paper.paper_denoiser import PaperDenoiser

TRAINED = "gaussian.safetensors"  # in the folder of a run


def find_denoiser(source: GaussianModel | PaperDenoiser | str | Path | None) -> GaussianModel | PaperDenoiser:
    """A denoiser by what a user calls it.

    Parameters:
        source: the name of an embedded model; its id, eight hexadecimal digits or more; the path of a model's file, or
            of a checkpoint: a file, or a folder, also of a run; hub:OWNER/NAME, which alone uses the network. A
            denoiser is returned as it is. None: the embedded one.

    Raises:
        ModelError: there is none, or it is damaged, or of another kind.
        TypeError: it is neither a name nor a path nor a denoiser.

    >>> from ddpmcodec.paper.denoisers import find_denoiser
    >>> find_denoiser(None).name
    'ddpm-cifar10'
    """
    if source is None:
        return _embedded(models.GAUSSIAN)
    if isinstance(source, (GaussianModel, PaperDenoiser)):
        return source
    if not isinstance(source, (str, Path)):
        raise TypeError(f"a denoiser is a name, a path or a loaded one, not {source!r}")
    if (name := registry.name_of(source)) is not None:
        return _embedded(name)
    if (trained := Path(source) / TRAINED).is_file():
        source = trained
    if kind_of(Path(source)) is None:
        return checkpoints.load(source)
    return gaussian.parse(registry.read(source), str(source))


def is_embedded(model_id: bytes) -> bool:
    """Whether an archive's Gaussian model is an embedded one. model_id: the first bytes of its id."""
    return any(models.ids()[name].startswith(model_id) for name in _gaussian_names())


def written_with(model_id: bytes) -> GaussianModel:
    """The embedded Gaussian model of an archive. model_id: the first bytes of its id. Raises ModelError."""
    for name in (names := _gaussian_names()):
        if models.ids()[name].startswith(model_id):
            return _embedded(name)
    embedded = ", ".join(f"{models.ids()[name][: len(model_id)].hex()} ({name})" for name in names)
    raise ModelError(
        f"the file was written with model {model_id.hex()}, and the embedded models of its kind are"
        f" {embedded or 'none'}: decode with the model that wrote it (model=PATH)"
    )


def _gaussian_names() -> list[str]:
    return [name for name in models.names() if registry.is_denoiser(name)]


@cache
def _embedded(name: str) -> GaussianModel:
    """An embedded model, which is read once."""
    return gaussian.parse(models.read(name), name)
