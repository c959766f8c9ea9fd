"""A network of the context model in training: float weights, and the integers derived from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpmcodec.networks.context import shape as contract
from ddpmcodec.networks.context.shape import (
    ACTIVATION_UNIT,
    CROSS_CHANNEL_UNIT,
    INPUT_UNIT,
    LARGEST_ACTIVATION,
    LARGEST_WEIGHT,
    OFFSET_UNIT,
    OUTPUT_LIMIT,
    OUTPUTS,
    SITUATIONS,
    WEIGHT_UNIT,
    Shape,
)
from ddpmcodec.networks.context.window import CHANNELS, PLACES, ZERO

LN2 = math.log(2)
OCTAVE = 8 / LN2  # scale indices per unit of the logarithm
SCALE_ONE = 48  # index of a scale of 1
FIRST_GAIN, BRANCH_GAIN, LAST_GAIN = 1.0, 0.5, 0.5
# Of directions, which are of length 1 at first. Muon's step is as long as its rate, so that it changes a
# longer direction less, and they grow; after an hour they are about so long. A model's file has no lengths.
TRAINED_LENGTH = 8.0
UNITS = (
    [float(OFFSET_UNIT)] * CHANNELS
    + [OCTAVE] * CHANNELS
    + [float(CROSS_CHANNEL_UNIT)] * CHANNELS
    + [float(WEIGHT_UNIT)] * (2 * PLACES)
)


class Positions(NamedTuple):
    """What K positions see, and what is coded there."""

    rows: Tensor  # uint8 [K, INPUTS]
    lo: Tensor  # float32 [3, K], as the next three
    hi: Tensor
    new_lo: Tensor
    new_hi: Tensor
    around: Tensor  # float32 [3, PLACES, K]
    situation: Tensor  # int64 [K]

    @classmethod
    def of(cls, found: Mapping[str, Tensor]) -> Positions:
        """From tensors by these names, positions first: the last axis is the one to vectorise over."""
        last = {name: found[name].movedim(0, -1).float().contiguous() for name in cls._fields[1:-1]}
        return cls(rows=found["rows"], situation=found["situation"], **last)


def _rounded(x: Tensor, low: float, high: float) -> Tensor:
    """To the nearest integer in bounds; gradients go through both, which needs no mask of what was clipped."""
    return x + (torch.round(x.clamp(low, high)) - x).detach()


class LatentContext(nn.Module):
    """Rows of weights are directions times gains, so that Muon may move the directions freely."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.weights, self.gains, self.biases = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        for layer, (outputs, inputs) in shape.layers().items():
            last, first = layer == "leave", layer == "enter"
            gain = FIRST_GAIN if first else LAST_GAIN if last else BRANCH_GAIN
            self.weights[layer] = nn.Parameter(torch.randn(outputs, inputs) / inputs**0.5)
            self.gains[layer] = nn.Parameter(torch.full((outputs,), gain))
            if first or last:
                self.biases[layer] = nn.Parameter(torch.zeros(SITUATIONS, outputs))
        self.weights["leave"].data.zero_()
        self.units: Tensor
        self.register_buffer("units", torch.tensor(UNITS), persistent=False)

    def _unit(self, layer: str) -> float:
        return float(INPUT_UNIT if layer == "enter" else ACTIVATION_UNIT)

    def integers(self) -> dict[str, Tensor]:
        """'<layer>.weight' integers, '<layer>.factor' and, of the first and the last, '<layer>.bias' float: a layer's
        result is sums * factor + bias, in activation levels or output units."""
        found = {}
        for layer, weight in self.weights.items():
            last = layer == "leave"
            direction = weight if last else F.normalize(weight)
            grid = (direction.detach().abs().amax(1) / LARGEST_WEIGHT).clamp(min=1e-8)
            found[f"{layer}.weight"] = _rounded(direction / grid[:, None], -LARGEST_WEIGHT, LARGEST_WEIGHT)
            scale = self.units if last else float(ACTIVATION_UNIT)
            found[f"{layer}.factor"] = self.gains[layer] * grid / self._unit(layer) * scale
            if layer in self.biases:
                found[f"{layer}.bias"] = self.biases[layer] * scale
        return found

    def exported(self) -> dict[str, Tensor]:
        """The integers as a model file keeps them."""
        found = {key: value.detach() for key, value in self.integers().items()}
        return {k: v.to(torch.int8) if k.endswith(".weight") else v.float().clone() for k, v in found.items()}

    def forward(self, rows: Tensor, situation: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Inputs uint8 [K, INPUTS] to outputs [OUTPUTS, K], integers. dtype of products: in bfloat16 they round."""
        params = self.integers()
        chosen = F.one_hot(situation, SITUATIONS)  # a product: gathering is not vectorised

        def weight(name: str) -> Tensor:
            """With its factors: their gradients then come out of products, too."""
            return (params[f"{name}.weight"] * params[f"{name}.factor"][:, None]).to(dtype)

        bias = chosen.to(dtype) @ params["enter.bias"].to(dtype)
        trunk = F.linear((rows.float() - ZERO).to(dtype), weight("enter")).float() + bias.float()
        for k in range(self.shape.depth):
            trunk = trunk + F.linear(self._activation(trunk).to(dtype), weight(f"block{k}")).float()
        last = torch.mm(weight("leave"), self._activation(trunk).to(dtype).t()).float()
        return _rounded(last + params["leave.bias"].t() @ chosen.float().t(), -OUTPUT_LIMIT, OUTPUT_LIMIT)

    @staticmethod
    def _activation(trunk: Tensor) -> Tensor:
        """ReLU, quantised; written so that no mask is kept below, which would not be vectorised. What is above the
        largest activation has no gradient: a run in which it had one grew its gains until all was above."""
        clipped = (0.5 * (trunk + trunk.abs())).clamp(max=LARGEST_ACTIVATION)
        return clipped + (torch.round(clipped) - clipped).detach()


def grown(network: LatentContext, shape: Shape) -> LatentContext:
    """A network as wide and as deep or more, which computes the same as yet: nothing reads the new activations, and the
    new blocks add nothing (Net2Net, Chen, Goodfellow & Shlens 2016)."""
    if shape.width < network.shape.width or shape.depth < network.shape.depth:
        raise ValueError(f"a network of {network.shape} cannot shrink to {shape}")
    found = LatentContext(shape)
    with torch.no_grad():
        for layer, weight in found.weights.items():
            if layer not in network.weights:
                found.gains[layer].zero_()
                continue
            old = network.weights[layer]
            outputs, inputs = old.shape
            weight[:outputs] = 0
            weight[:outputs, :inputs] = old
            found.gains[layer][:outputs] = network.gains[layer]
            if layer in found.biases:
                found.biases[layer][:, :outputs] = network.biases[layer]
    return found


def _log_sigmoid(x: Tensor) -> Tensor:
    return x.clamp(max=0) - torch.log1p(torch.exp(-x.abs()))


def _log_mass(mean: Tensor, inverse_scale: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """log P(lo - 1/2 < x < hi + 1/2) under a logistic, stable in both tails."""
    below, above = (lo - 0.5 - mean) * inverse_scale, (hi + 0.5 - mean) * inverse_scale
    return _log_sigmoid(above) + _log_sigmoid(-below) + torch.log(-torch.expm1(below - above))


def residual(mean: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
    """What a channel's new range says of its mean: the mean drawn into the inner half of the range, minus the mean."""
    quarter = (hi - lo) / 4
    return torch.minimum(torch.maximum(mean, lo + quarter), hi - quarter) - mean


def bits(network: LatentContext, positions: Positions, dtype: torch.dtype = torch.float32) -> Tensor:
    """Ideal code length of every coefficient, bits [3, K]: of its new range under the predicted logistic, truncated to
    the old one."""
    out = network(positions.rows, positions.situation, dtype)
    lo, hi, new_lo, new_hi, around = positions[1:6]
    log_scale = (out[contract.SCALE : contract.CROSS_CHANNEL].clamp(0, 127) - SCALE_ONE) / OCTAVE
    scale, inverse = torch.exp(log_scale), torch.exp(-log_scale)
    luma, chroma = (out[contract.WEIGHTS :] / WEIGHT_UNIT).chunk(2)
    sums = torch.stack([(luma * around[0]).sum(0), (chroma * around[1]).sum(0), (chroma * around[2]).sum(0)])
    mean = sums + scale * out[: contract.SCALE] / OFFSET_UNIT
    pull = out[contract.CROSS_CHANNEL : contract.WEIGHTS] / CROSS_CHANNEL_UNIT
    known_luma = residual(mean[0], new_lo[0], new_hi[0])
    orange = mean[1] + pull[0] * known_luma
    known_orange = residual(orange, new_lo[1], new_hi[1])
    coupled = torch.stack([mean[0], orange, mean[2] + pull[1] * known_luma + pull[2] * known_orange])
    return (_log_mass(coupled, inverse, lo, hi) - _log_mass(coupled, inverse, new_lo, new_hi)) / LN2


def loss(network: LatentContext, positions: Positions) -> Tensor:
    """Mean bits of a position."""
    return bits(network, positions, torch.bfloat16).sum(0).mean()


def load_integers(network: LatentContext, params: Mapping[str, Tensor]) -> None:
    """The inverse of `exported`, up to rounding."""
    with torch.no_grad():
        for layer in network.shape.layers():
            weight, factor = (params[f"{layer}.{key}"].float() for key in ("weight", "factor"))
            unit = network._unit(layer)
            if layer == "leave":
                network.gains[layer].fill_(LAST_GAIN)
                network.weights[layer].copy_(weight * (factor * unit / LAST_GAIN / network.units)[:, None])
                network.biases[layer].copy_(params["leave.bias"] / network.units)
                continue
            norm = weight.norm(dim=1)
            network.weights[layer].copy_(weight * (TRAINED_LENGTH / norm)[:, None])
            network.gains[layer].copy_(factor * unit * norm / ACTIVATION_UNIT)
            if layer in network.biases:
                network.biases[layer].copy_(params[f"{layer}.bias"] / ACTIVATION_UNIT)


assert len(UNITS) == OUTPUTS
