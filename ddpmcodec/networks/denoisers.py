"""Finding a denoiser by what a user calls it, and the noise levels that it can be asked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from ddpmcodec import models
from ddpmcodec.networks import load_model, pretrained
from ddpmcodec.networks.ddpm import PaperDenoiser
from ddpmcodec.networks.denoiser import Denoiser
from ddpmcodec.networks.gaussian import ExactDenoiser
from ddpmcodec.networks.gaussian_features import LEVEL_UNIT_FINE
from ddpmcodec.schedule import Levels, check_levels, log_linear, respace

EXPORTED = "ddpmcodec"  # key of the metadata that networks.checkpoint writes
FIRST_LEVEL, LAST_LEVEL = 0.75, 1000.0  # grey levels: hardly visible, and nothing left to see


def find_denoiser(source: str | Path | None = None) -> Denoiser:
    """The default embedded model (None), one by name, an exported file, or a checkpoint of the paper's network.

    A checkpoint is what `networks.pretrained.load` takes: a folder, a file, or the name of a repository. Raises
    ModelError.
    """
    if source is None or source in models.names() or _is_exported(Path(source)):
        return ExactDenoiser(load_model(source))
    return pretrained.load(source)


def _is_exported(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            return EXPORTED in (file.metadata() or {})
    except (SafetensorError, OSError):  # no safetensors file: the loader says what is wrong
        return False


def levels_of(denoiser: Denoiser, T: int) -> Levels:
    """T noise levels from one hardly visible to one that hides everything: of the paper's network some of its own, of
    others a log-linear list in the steps that they count in. Raises ValueError for fewer than 2, or too many.
    """
    if isinstance(denoiser, PaperDenoiser):
        return respace(denoiser.levels, T)
    return check_levels(np.round(log_linear(FIRST_LEVEL, LAST_LEVEL, T) * LEVEL_UNIT_FINE) / LEVEL_UNIT_FINE)


def accelerated(denoiser: Denoiser) -> Denoiser:
    """The paper's network on a GPU, where there is one; it is asked, and answers, on any device. Others as they are."""
    if isinstance(denoiser, PaperDenoiser) and torch.cuda.is_available():
        denoiser.unet.cuda()
    return denoiser
