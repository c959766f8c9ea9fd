"""The trainable form of the exact network: float weights, and the integer parameters derived from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ddpmcodec.paper.gaussian.architecture import (
    ACTIVATION_LEVELS,
    BLENDS,
    LARGEST_INTEGER,
    PIXEL_OUTPUTS,
    STREAM_LEVELS,
    Architecture,
)

INPUT_LEVELS = 64.0  # feature units per 1.0
BRANCH_GAIN = 0.3  # initial gain of a block's second convolution: residual branches start small
ACTIVATION_GAIN = 1.6  # initial gain of a convolution that follows an activation: undoes its shrinkage
TRAINED_NORMS = {True: 10.0, False: 2.0}  # of weights after thousands of steps: those that Muon trains, and the rest
INITIAL_COEFFICIENT = 0.8  # G follows R, B follows G, before anything is learned


class _Rounded(torch.autograd.Function):
    """Weights times a scale per output channel, rounded. The gradient goes straight through, and on to the direction
    of a channel's weights alone: their norm does not count."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(weight, scale)
        return torch.round(weight * scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        weight, scale = ctx.saved_tensors
        along, square = ((x * weight).sum((1, 2, 3), keepdim=True) for x in (gradients[0], weight))
        return scale * torch.addcmul(gradients[0], weight, (-along / square).expand_as(weight)), None


class TrainableGaussian(nn.Module):
    """Float parameters by name (dots become '/', as PyTorch forbids them in parameter names).

    Weights count by direction only: each output channel is divided by its norm. Without that Muon's steps, which never
    shrink, drive what enters the inner activation to eight times its intended size within 300 steps, and a sixth of it
    is clipped.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.weights, self.vectors = nn.ParameterDict(), nn.ParameterDict()
        for name, shape in architecture.convolutions().items():
            self._add_convolution(name, *shape)
        for name, channels in architecture.norms().items():
            self._add_vector(f"{name}.gain", channels, 1.0)
            self._add_vector(f"{name}.bias", channels, 0.0)
            self._add_vector(f"{name}.levels", channels, 1.0)
        self.weights["head"].data.zero_()
        bias = self.vector("head.bias").data.view(4, -1)
        bias[:, 6:PIXEL_OUTPUTS] = torch.tensor([INITIAL_COEFFICIENT, 0.0, INITIAL_COEFFICIENT])
        bias[:, PIXEL_OUTPUTS : PIXEL_OUTPUTS + BLENDS] = 1.0  # means start at the local mean

    def _add_convolution(self, name: str, outputs: int, inputs: int, size: int) -> None:
        fan_in = inputs * size * size
        self.weights[name.replace(".", "/")] = nn.Parameter(torch.randn(outputs, inputs, size, size) / fan_in**0.5)
        self._add_vector(f"{name}.gain", outputs, BRANCH_GAIN if name.endswith("conv2") else ACTIVATION_GAIN)
        self._add_vector(f"{name}.bias", outputs, 0.0)
        if name.endswith("conv1"):
            self._add_vector(f"{name}.levels", outputs, 1.0)

    def _add_vector(self, name: str, size: int, value: float) -> None:
        self.vectors[name.replace(".", "/")] = nn.Parameter(torch.full((size,), value))

    def vector(self, name: str) -> Tensor:
        parameter: Tensor = self.vectors[name.replace(".", "/")]
        return parameter

    @torch.no_grad()
    def load_integer_parameters(self, params: Mapping[str, Tensor]) -> None:
        """The inverse of `integer_parameters`, up to rounding.

        A weight's norm sets how far a step rotates it. Integers do not keep norms, so they become `TRAINED_NORMS`.
        """
        for name in self.architecture.convolutions():
            weight, factor = params[f"{name}.weight"].float(), params[f"{name}.factor"]
            stream = not (name.endswith("conv1") or name == "head")
            unit = (STREAM_LEVELS if stream else 1.0) / (INPUT_LEVELS if name == "stem" else ACTIVATION_LEVELS)
            bias = params[f"{name}.bias"] / (STREAM_LEVELS if stream else 1.0)
            if name == "head":
                self.weights["head"].copy_(weight * (factor / (ACTIVATION_GAIN * unit)).view(-1, 1, 1, 1))
                self.vector("head.gain").fill_(ACTIVATION_GAIN)
                self.vector("head.bias").copy_(bias)
                continue
            flat = weight.flatten(1)
            norm = flat.norm(dim=1)
            size = TRAINED_NORMS[name.endswith(("conv1", "conv2"))] / norm
            self.weights[name.replace(".", "/")].copy_(weight * size.view(-1, 1, 1, 1))
            self.vector(f"{name}.gain").copy_(factor / unit * LARGEST_INTEGER * norm / flat.abs().amax(1))
            self.vector(f"{name}.bias").copy_(bias)
        for name in (n for n in params if n.endswith(".levels")):
            self.vector(name).copy_(params[name] / ACTIVATION_LEVELS)
        for name in self.architecture.norms():
            for key in ("gain", "bias"):
                self.vector(f"{name}.{key}").copy_(params[f"{name}.{key}"])

    def integer_parameters(self) -> dict[str, Tensor]:
        """What `Operations` takes. Weights are rounded to a grid per channel; gradients go straight through."""
        params = {name.replace("/", "."): vector for name, vector in self.vectors.items() if not name.endswith("/gain")}
        params |= {name: ACTIVATION_LEVELS * vector for name, vector in params.items() if name.endswith(".levels")}
        for name in self.architecture.norms():
            params[f"{name}.gain"] = self.vector(f"{name}.gain")
        for key, weight in self.weights.items():
            name = key.replace("/", ".")
            params[f"{name}.weight"], grid = _on_grid(weight, normalised=name != "head")
            unit = grid / (INPUT_LEVELS if name == "stem" else ACTIVATION_LEVELS)
            stream = not (name.endswith("conv1") or name == "head")
            params[f"{name}.factor"] = self.vector(f"{name}.gain") * unit * (STREAM_LEVELS if stream else 1.0)
            if stream:
                params[f"{name}.bias"] = self.vector(f"{name}.bias") * STREAM_LEVELS
        return params


def _on_grid(weight: Tensor, *, normalised: bool) -> tuple[Tensor, Tensor]:
    """Integers in [-127, 127], and the weight that 1 stands for, [out]; normalised: after division by their norms."""
    flat = weight.detach().flatten(1)
    grid = (flat.abs().amax(1) / LARGEST_INTEGER).clamp(min=1e-12)
    scale = (1 / grid).view(-1, 1, 1, 1)
    if normalised:
        rounded: Tensor = _Rounded.apply(weight, scale)  # type: ignore[no-untyped-call]
        return rounded, grid / flat.norm(dim=1)
    scaled = weight * scale
    return scaled + (torch.round(scaled) - scaled).detach(), grid
