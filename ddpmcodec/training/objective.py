"""The training loss: weighted bits per dimension of random steps of the code, through the quantised network."""

from __future__ import annotations

import torch
from torch import Tensor

from ddpmcodec.kernels import posterior, reverse, step_kl
from ddpmcodec.networks.eager import EagerOperations, patches, unpatch
from ddpmcodec.networks.exact import Architecture, denoise
from ddpmcodec.networks.features import pixel_features
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.prediction import Prediction, predict, range_bits
from ddpmcodec.schedule import HALF_RANGE
from ddpmcodec.training.simulate import GaussianBatch, UniformBatch, gaussian_batch, uniform_batch


def network_outputs(
    architecture: Architecture, ops: EagerOperations, estimate: Tensor, spread: Tensor, gaussian: Tensor
) -> Tensor:
    """[N, H, W, 9] outputs of the network for a state ([N, 3, H, W] estimate and spread, [N] gaussian)."""
    features = patches(pixel_features(estimate, spread, gaussian))
    features = features.to(torch.bfloat16, memory_format=torch.channels_last)
    outputs: Tensor = denoise(architecture, ops, features)
    return unpatch(outputs)


class LatentPredictor:
    """The denoiser contract on a network in training: (estimate, spread, gaussian) -> `Prediction`."""

    def __init__(self, latent: LatentNetwork, quantise: bool = True) -> None:
        self.latent, self.quantise = latent, quantise

    def __call__(self, estimate: Tensor, spread: Tensor, gaussian: Tensor) -> Prediction:
        params = self.latent.integer_parameters(quantise=self.quantise)
        ops = EagerOperations(params, train=True, quantise=self.quantise)
        outputs = network_outputs(self.latent.architecture, ops, estimate, spread, gaussian)
        return predict(outputs, estimate, spread, gaussian)


def loss(denoiser: LatentPredictor, uniform: UniformBatch, gaussian: GaussianBatch) -> Tensor:
    """Mean weighted bits/dim of both channels, through one network call."""
    split = len(uniform.lo)
    kinds = uniform.lo.new_zeros(split), uniform.lo.new_ones(len(gaussian.c_t))
    prediction = denoiser(
        torch.cat([uniform.estimate, gaussian.estimate]), torch.cat([uniform.spread, gaussian.spread]), torch.cat(kinds)
    )
    of_uniform, of_gaussian = (
        Prediction(*(t[part] for t in prediction)) for part in (slice(split), slice(split, None))
    )
    bits = range_bits(of_uniform, uniform.lo, uniform.hi, uniform.new_lo, uniform.new_hi)
    return (
        ((bits * uniform.weight).sum() + gaussian_bits(of_gaussian, gaussian).sum())
        / torch.cat(kinds).numel()
        / bits[0].numel()
    )


def gaussian_bits(prediction: Prediction, batch: GaussianBatch) -> Tensor:
    """Weighted bits of the Gaussian channel, [N, 3, H, W]: L_{t-1} of a step to s_u, and of the pixel itself."""
    mean, scale = prediction.mean - HALF_RANGE, torch.exp(prediction.log_scale)
    told = posterior(batch.c_t, batch.pixels - HALF_RANGE, batch.s_t, batch.s_u)
    step = step_kl(told, reverse(batch.c_t, mean, scale, prediction.coupling, batch.s_t, batch.s_u))
    lo, hi = torch.zeros_like(batch.pixels), torch.full_like(batch.pixels, 255.0)
    final = range_bits(prediction, lo, hi, batch.pixels, batch.pixels)
    return step * batch.step_weight + final * batch.final_weight


def draw(pixels: Tensor, gaussian_share: float, generator: torch.Generator) -> tuple[UniformBatch, GaussianBatch]:
    """A training batch from images [N, 3, H, W] (0..255): uniform channel, the last share Gaussian."""
    split = len(pixels) - round(gaussian_share * len(pixels))
    return uniform_batch(pixels[:split], generator), gaussian_batch(pixels[split:], generator)
