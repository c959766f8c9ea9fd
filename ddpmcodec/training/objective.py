"""The training loss: weighted bits per dimension of random steps of the code, through the quantised network."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpmcodec.networks.eager import EagerOperations, patches, unpatch
from ddpmcodec.networks.exact import Architecture, denoise
from ddpmcodec.networks.features import pixel_features
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.prediction import Prediction, predict, range_bits
from ddpmcodec.training.simulate import Batch, gaussian_batch, uniform_batch


def network_outputs(
    architecture: Architecture, ops: EagerOperations, estimate: Tensor, spread: Tensor, gaussian: Tensor
) -> Tensor:
    """[N, H, W, 9] outputs of the network for a state ([N, 3, H, W] estimate and spread, [N] gaussian)."""
    features = patches(pixel_features(estimate, spread, gaussian))
    features = features.to(torch.bfloat16, memory_format=torch.channels_last)
    outputs: Tensor = denoise(architecture, ops, features)
    return unpatch(outputs)


def predictor(latent: LatentNetwork, *, quantise: bool = True) -> "LatentPredictor":
    return LatentPredictor(latent, quantise)


class LatentPredictor:
    """The denoiser contract on a network in training: (estimate, spread, gaussian) -> `Prediction`."""

    def __init__(self, latent: LatentNetwork, quantise: bool = True) -> None:
        self.latent, self.quantise = latent, quantise

    def __call__(self, estimate: Tensor, spread: Tensor, gaussian: Tensor) -> Prediction:
        params = self.latent.integer_parameters(quantise=self.quantise)
        ops = EagerOperations(params, train=True, quantise=self.quantise)
        outputs = network_outputs(self.latent.architecture, ops, estimate, spread, gaussian)
        return predict(outputs, estimate, spread)


def loss(denoiser: LatentPredictor, batch: Batch) -> Tensor:
    """Mean weighted bits/dim."""
    prediction = denoiser(batch.estimate, batch.spread, batch.gaussian)
    bits = range_bits(prediction, batch.lo, batch.hi, batch.new_lo, batch.new_hi)
    return (bits * batch.weight).mean()


def draw(pixels: Tensor, gaussian_share: float, generator: torch.Generator) -> Batch:
    """A training batch from images [N, 3, H, W] (0..255): most in the uniform channel, the last share in the Gaussian one."""
    split = len(pixels) - round(gaussian_share * len(pixels))
    uniform, gaussian = uniform_batch(pixels[:split], generator), gaussian_batch(pixels[split:], generator)
    return Batch(*(torch.cat(pair) for pair in zip(uniform, gaussian, strict=True)))
