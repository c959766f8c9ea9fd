"""The denoiser contract in float: what the bound, sampling and the archives' rounded predictions ask of a network.

Everything a step from s_t to any s_u < s_t needs follows from p(v | c_t) in closed form (`ddpmcodec.kernels`), so that
one network call serves every list of noise levels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from ddpmcodec.networks.prediction import Prediction


class Denoiser(Protocol):
    """c_t [N, 3, H, W] float, s_t one finite noise level for the batch, both in grey levels -> p(v | c_t).

    c_t = v + s_t n with v = pixel - 127.5. Of the `Prediction` the mean counts from 0 to 255, the scale may be as small
    as a float's logarithm allows, and the coupling is zero where channels are independent.
    """

    def __call__(self, c_t: Tensor, s_t: float) -> Prediction: ...


def watched(denoiser: Denoiser, progress: Callable[[int], object]) -> Denoiser:
    """The same denoiser, which tells after every call how many images it had."""

    def ask(c_t: Tensor, s_t: float) -> Prediction:
        prediction = denoiser(c_t, s_t)
        progress(len(c_t))
        return prediction

    return ask
