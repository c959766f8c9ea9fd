"""The denoiser contract: in float for the bound and sampling, in integers for bits back.

Everything a step from s_t to any s_u < s_t needs follows from p(v | c_t) in closed form (`paper.diffusion`), so
that one network call serves every schedule of noise levels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.paper.prediction import IntegerPrediction, Prediction

Latents = NDArray[np.int64]  # c_t [N, H, W, 3], in units of a power of two of grey levels


class Denoiser(Protocol):
    """c_t [N, 3, H, W] float, s_t one finite noise level for the batch, both in grey levels -> p(v | c_t).

    c_t = v + s_t n with v = pixel - 127.5. Of the `Prediction` the mean counts from 0 to 255, the scale may be as small
    as a float's logarithm allows, and the coefficients are zero where channels are independent.
    """

    def __call__(self, c_t: Tensor, s_t: float) -> Prediction: ...


class Predictor(Protocol):
    """p(v | c_t) in the coder's integers, for latents in units of `spacing` grey levels.

    level: the noise level in 1/1024 grey level.
    The same arguments must give the same integers whenever and wherever a file is decoded.
    """

    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction: ...


def watched(denoiser: Denoiser, progress: Callable[[int], object]) -> Denoiser:
    """The same denoiser, which reports after every call how many images it had."""

    def ask(c_t: Tensor, s_t: float) -> Prediction:
        prediction = denoiser(c_t, s_t)
        progress(len(c_t))
        return prediction

    return ask
