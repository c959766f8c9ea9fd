"""A Gaussian model ready to use: the exact denoiser of latents c_t = v + s n in the pixel domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddpmcodec.paper.denoiser import Latents, Predictor
from ddpmcodec.paper.gaussian.architecture import Architecture
from ddpmcodec.paper.gaussian.predictors import KnownAnswer
from ddpmcodec.paper.prediction import IntegerPrediction, Prediction, to_floats
from ddpmcodec.paper.schedule import LEVEL_UNIT, Levels, log_linear
from ddpmcodec.parallel import run_all

FINE_SPACING = 1 / 1024  # grey levels, to which a model rounds latents that it is given in float

CHANNELS = 3

# Levels of a code by bits back, grey levels: max(FINEST_LEVEL, FEW_STEPS / T) to COARSEST_LEVEL. The smallest bound of
# 96 held-out CIFAR-10 training images, at T = 16, 32, 64 and 128: docs/experiments.
FINEST_LEVEL, FEW_STEPS, COARSEST_LEVEL = 0.6, 14.0, 400.0


@dataclass(frozen=True)
class GaussianModel:
    """p(v | c_t), exactly: the same integers on every machine, for every thread count and batch size.

    It is a `Predictor` (`predict`), which bits back codes with, and a `Denoiser` (called), for the bound and sampling.
    id: sha256 of the model's file. predictor: the path that gives the known answer on this machine.
    """

    id: bytes
    name: str
    architecture: Architecture
    params: Mapping[str, Tensor]
    known_answers: tuple[KnownAnswer, ...]
    metadata: Mapping[str, Any]
    predictor: Predictor

    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        """c int64 [N, H, W, 3] in units of `spacing`, a power of two of grey levels; level: 1/1024 grey level.

        A batch in pieces side by side, which is faster than all of it on all cores. Raises ValueError for a level
        below 1, and for images of other than three channels.
        """
        if c.ndim != 4 or c.shape[3] != CHANNELS:  # kernels do not look
            raise ValueError(f"latents must be [N, H, W, {CHANNELS}], got {list(c.shape)}")
        pieces = np.array_split(np.ascontiguousarray(c, np.int64), min(len(c), torch.get_num_threads()))
        found = run_all(lambda piece: self.predictor.predict(piece, spacing, level), pieces)
        return IntegerPrediction(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))

    def __call__(self, c_t: Tensor, s_t: float) -> Prediction:
        """c_t [N, 3, H, W] is rounded to 1/1024 grey level, and so is s_t."""
        c = torch.round(c_t.detach().double() / FINE_SPACING).to(torch.int64).permute(0, 2, 3, 1).cpu().numpy()
        return to_floats(self.predict(c, FINE_SPACING, max(round(LEVEL_UNIT * s_t), 1)), c_t)


def coding_levels(T: int) -> Levels:
    """The T noise levels, in grey levels, that bits back codes with. Raises ValueError for fewer than 2."""
    return log_linear(max(FINEST_LEVEL, FEW_STEPS / max(T, 1)), COARSEST_LEVEL, T)
