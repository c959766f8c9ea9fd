"""Finding a denoiser by what a user calls it, and the noise levels that it can be asked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ddpmcodec import models
from ddpmcodec.format import model_file
from ddpmcodec.paper import pretrained
from ddpmcodec.paper.ddpm import PaperDenoiser
from ddpmcodec.paper.denoiser import Denoiser
from ddpmcodec.paper.gaussian import GaussianModel, load_gaussian
from ddpmcodec.paper.schedule import LEVEL_UNIT, Levels, check_levels, log_linear, respace

FIRST_LEVEL, LAST_LEVEL = 0.75, 1000.0  # grey levels: hardly visible, and nothing left to see


def find_denoiser(source: str | Path | None = None) -> GaussianModel | PaperDenoiser:
    """The embedded Gaussian model (None), one by name, an exported file, or a checkpoint of the paper's network.

    A checkpoint is what `pretrained.load` takes: a folder, a file, or hub:OWNER/NAME. Raises
    ModelError, also for a model of another kind.
    """
    if source is None or source in models.names() or model_file.kind_of(Path(source)):
        return load_gaussian(source)
    return pretrained.load(source)


def levels_of(denoiser: Denoiser, T: int) -> Levels:
    """T noise levels from one hardly visible to one that hides everything: of the paper's network some of its own, of
    others a log-linear schedule in the steps that they count in. Raises ValueError for fewer than 2, or too many.
    """
    if isinstance(denoiser, PaperDenoiser):
        return respace(denoiser.levels, T)
    return check_levels(np.round(log_linear(FIRST_LEVEL, LAST_LEVEL, T) * LEVEL_UNIT) / LEVEL_UNIT)


def accelerated(denoiser: Denoiser) -> Denoiser:
    """The paper's network on a GPU, where there is one; it is asked, and answers, on any device. Others as they are."""
    if isinstance(denoiser, PaperDenoiser) and torch.cuda.is_available():
        denoiser.unet.cuda()
    return denoiser
