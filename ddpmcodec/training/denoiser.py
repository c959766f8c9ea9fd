"""A network in training under the denoiser contract, for its bound, its samples and its previews."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpmcodec.networks.exact import MULTIPLE
from ddpmcodec.networks.features import gaussian_estimate
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.prediction import Prediction
from ddpmcodec.training.objective import LatentPredictor


class LatentDenoiser:
    """A `Denoiser` at any noise level. Sides are continued to a multiple of `MULTIPLE` with the last row and column."""

    def __init__(self, latent: LatentNetwork, quantise: bool = True) -> None:
        self.predictor = LatentPredictor(latent, quantise)

    @torch.no_grad()
    def __call__(self, c_t: Tensor, s_t: float) -> Prediction:
        height, width = c_t.shape[2:]
        padded = F.pad(c_t.float(), (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        estimate, spread = gaussian_estimate(padded, padded.new_tensor(s_t))
        prediction = self.predictor(estimate, spread, padded.new_ones(len(padded)))
        return Prediction(*(tensor[:, :, :height, :width].to(c_t.dtype) for tensor in prediction))
