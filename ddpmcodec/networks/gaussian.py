"""The Gaussian channel's predictions, p(v | c_t) of latents c_t = v + s n, in the coder's integers and in floats.

The archive coder asks an object with `predict(c, spacing, level)` for integers; the bound and sampling ask a
`Denoiser` for floats. An exported model is both, exactly; `RoundedDenoiser` makes any float network the first.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ddpmcodec.networks.denoiser import Denoiser
from ddpmcodec.networks.features import SCALE_UNIT
from ddpmcodec.networks.gaussian_features import LEVEL_UNIT_FINE
from ddpmcodec.networks.model import IntegerPrediction, Latents, Model
from ddpmcodec.networks.prediction import LN2, Prediction
from ddpmcodec.parallel import run_all

FINE_SPACING = 1 / 1024  # grey levels, to which `ExactDenoiser` rounds


class ExactPredictor:
    """`Model.predict_gaussian` as the archive coder's predictor: the same integers on every machine."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        """A batch in pieces side by side, which is faster than all of it on all cores."""
        pieces = np.array_split(c, min(len(c), torch.get_num_threads()))
        found = run_all(lambda piece: predict_gaussian(self.model, piece, spacing, level), pieces)
        return IntegerPrediction(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))


def predict_gaussian(model: Model, c: Latents, spacing: float, level: int) -> IntegerPrediction:
    """p(v | c_t): c int64 [N, H, W, 3] in units of `spacing`, a power of two of grey levels; level: 1/1024 grey level.

    Exact: the same integers on every machine, thread count and batch size. Raises ValueError for a level below 1.
    """
    return model.predict_gaussian(np.ascontiguousarray(c, np.int64), spacing, level)


class ExactDenoiser:
    """An exported model as a `Denoiser`: c_t is rounded to 1/1024 grey level, and so is s_t."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __call__(self, c_t: Tensor, s_t: float) -> Prediction:
        c = torch.round(c_t.detach().double() / FINE_SPACING).to(torch.int64).permute(0, 2, 3, 1).cpu().numpy()
        found = predict_gaussian(self.model, c, FINE_SPACING, max(round(LEVEL_UNIT_FINE * s_t), 1))
        mean, scale, coupling = (torch.from_numpy(a).permute(0, 3, 1, 2).to(c_t) for a in found)
        return Prediction(mean / 64, (scale - SCALE_UNIT) * (LN2 / 8), coupling / 64)


class RoundedDenoiser:
    """A float `Denoiser` as the archive coder's predictor: its numbers rounded to the coder's.

    The integers are those of the machine, and a file decodes where they are the same.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser

    @torch.no_grad()
    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        c_t = torch.from_numpy(c * spacing).float().permute(0, 3, 1, 2)
        found = self.denoiser(c_t, level / LEVEL_UNIT_FINE)
        index = SCALE_UNIT + (8 / LN2) * found.log_scale
        scaled = (64 * found.mean).clamp(-32767, 32767), index.clamp(0, 127), (64 * found.coupling).clamp(-1023, 1023)
        mean, scale, coupling = (torch.round(x).permute(0, 2, 3, 1).cpu().numpy() for x in scaled)
        return IntegerPrediction(mean.astype(np.int32), scale.astype(np.uint8), coupling.astype(np.int16))
