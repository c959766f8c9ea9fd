"""A float denoiser as the predictor of bits back: its numbers rounded to the coder's."""

from __future__ import annotations

import torch

from ddpmcodec.paper.denoiser import Denoiser, Latents
from ddpmcodec.paper.prediction import IntegerPrediction, to_integers
from ddpmcodec.paper.schedule import LEVEL_UNIT


class RoundedDenoiser:
    """The integers are those of the machine, and a file decodes where they are the same (`paper.profile`)."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser

    @torch.no_grad()
    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        c_t = torch.from_numpy(c * spacing).float().permute(0, 3, 1, 2)
        return to_integers(self.denoiser(c_t, level / LEVEL_UNIT))
