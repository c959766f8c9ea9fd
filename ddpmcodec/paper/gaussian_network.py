"""The exact denoiser: a convolutional network whose result is the same bits on every machine.

Convolutions see integers in [-127, 127] on both sides, so their sums are exact in any order; everything else is
elementwise IEEE arithmetic (`Operations`). In training rounding passes gradients straight through.

A U-net of two resolutions on 2x2 patches: the residual stream holds integers (1/64 of a unit), and every branch is
normalise - activate - quantise - 3x3 convolution - activate - quantise - 3x3 convolution.

Means are weighted sums of the values around a pixel, with weights from the network. A network whose activations have
seven bits is a poor adder of grey levels: what it does well is to see which neighbours a pixel goes with. So it gives a
weight for each of them, and the sum is taken over the values themselves (kernel prediction: Bako et al. 2017,
"Kernel-Predicting Convolutional Networks for Denoising Monte Carlo Renderings").

    mean = estimate + std * offset + blend * (m - estimate) + sum_j weight_j (estimate_j - m)

m is the mean of the neighbourhood, of two windows, the inner one counting `NEAR` times as much; j runs over the
neighbours inside the image. Weights belong to a pixel, blends to each of its channels.

Shapes are [N, C, H, W] in channels_last memory. Tensors hold integers where the docstrings say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpmcodec.paper.gaussian_features import ESTIMATE_UNIT, PER_PIXEL, WINDOWS, box_sum

# --- operations

ACTIVATION_LEVELS = 24.0  # quantised activation of 1.0 before the learned per-channel factor
STREAM_LEVELS = 64.0  # residual stream units per 1.0
STREAM_LIMIT = 32767.0
LARGEST_INTEGER = 127.0
NNPACK_BATCH = 16


def square_root(x: Tensor) -> Tensor:
    """Correctly rounded. On a CPU by numpy: PyTorch asks MKL, which is an ulp off for one value in six."""
    return torch.from_numpy(np.sqrt(x.detach().numpy())) if x.device.type == "cpu" else torch.sqrt(x)


def activation(x: Tensor, sqrt: Callable[[Tensor], Tensor] = square_root) -> Tensor:
    """x (1/2 + x / (2 sqrt(1 + x^2))): the shape of SiLU from IEEE-exact operations alone."""
    return x * (0.5 + (0.5 * x) / sqrt(1 + x * x))


def patches(x: Tensor) -> Tensor:
    """[N, H, W, C] -> [N, 4 C, H/2, W/2] (channels_last), channel order (row, column, channel) inside a patch."""
    n, h, w, c = x.shape
    y = x.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h // 2, w // 2, 4 * c)
    return y.permute(0, 3, 1, 2)


def unpatch(y: Tensor) -> Tensor:
    """Inverse of `patches`: [N, 4 C, H/2, W/2] -> [N, H, W, C]."""
    n, c4, h, w = y.shape
    x = y.permute(0, 2, 3, 1).reshape(n, h, w, 2, 2, c4 // 4).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * h, 2 * w, c4 // 4)


def convolution(x: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 convolution, a 2x2 one of patches, or a 1x1 one; all keep within the image."""
    size = weight.shape[-1]
    return F.conv2d(x, weight, stride=2 if size == 2 else 1, padding=1 if size == 3 else 0)


def exact_convolution(x: Tensor, weight: Tensor) -> Tensor:
    """`convolution` as exact sums of products. Without oneDNN PyTorch gives float32 batches of sixteen and more to
    NNPACK, whose Winograd convolutions round."""
    if x.dtype != torch.float32 or len(x) < NNPACK_BATCH:
        return convolution(x, weight)
    return torch.cat([convolution(part, weight) for part in torch.split(x, NNPACK_BATCH - 1)])


class Operations:
    """Operations over named parameters.

    params: '<conv>.weight' [O, I, k, k] integer-valued, '<conv>.factor' [O], '<conv>.bias' [O], '<conv>.levels' [O]
    (factor before quantising, where an activation follows), '<norm>.gain', '<norm>.bias', '<norm>.levels' [C]. All
    float32.
    train: rounding passes gradients straight through and sums of squares may round (the exact path sums integers in
    float64).
    low_precision: convolve in bfloat16; False convolves in float32 and rounds to bfloat16: the same bits.
    """

    def __init__(self, params: Mapping[str, Tensor], *, train: bool = False, low_precision: bool = True) -> None:
        self.params, self.train, self.low_precision = params, train, low_precision
        self.sqrt = torch.sqrt if train else square_root
        self._convolve = convolution if train else exact_convolution

    def _channel(self, name: str) -> Tensor:
        return self.params[name].view(1, -1, 1, 1)

    def _round(self, x: Tensor, limit: float) -> Tensor:
        x = x.clamp(-limit, limit)
        return x + (torch.round(x) - x).detach() if self.train else torch.round(x)

    def _quantised(self, x: Tensor, levels: str) -> Tensor:
        q = self._round(activation(x, self.sqrt) * self._channel(levels), LARGEST_INTEGER)
        return q.to(torch.bfloat16 if self.low_precision else torch.float32, memory_format=torch.channels_last)

    def conv(self, name: str, q: Tensor) -> Tensor:
        """Exact sum of products of integers, rounded once to bfloat16."""
        weight = self.params[f"{name}.weight"].to(q.dtype, memory_format=torch.channels_last)
        return self._convolve(q, weight).to(torch.bfloat16).float()

    def head(self, name: str, q: Tensor) -> Tensor:
        """The output convolution, not rounded, scaled: [N, 4 OUTPUTS_PER_PIXEL, H/2, W/2] float32."""
        y = self._convolve(q.float(), self.params[f"{name}.weight"])
        return y * self._channel(f"{name}.factor") + self._channel(f"{name}.bias")

    def start(self, name: str, y: Tensor) -> Tensor:
        """A residual stream from a convolution: integers in [-32767, 32767], in 1/64."""
        return self._round(y * self._channel(f"{name}.factor") + self._channel(f"{name}.bias"), STREAM_LIMIT)

    def add(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        """Residual stream plus a branch."""
        return self._round(x + self.start(name, y), STREAM_LIMIT)

    def add_up(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        """`add` with a branch at half the resolution and four times the channels."""
        return self._round(x + unpatch(self.start(name, y)).permute(0, 3, 1, 2), STREAM_LIMIT)

    def _mean_square(self, x: Tensor) -> Tensor:
        if self.train:
            return (x * x).mean(1, keepdim=True)
        total = x.double().square().sum(1, keepdim=True)  # integers below 2^53: exact in any order
        share = 1 / x.shape[1]  # times it, not a division: CUDA divides by a scalar through its rounded reciprocal
        return total.float() * share

    def norm_act(self, name: str, x: Tensor) -> Tensor:
        """RMS over channels, per-channel gain and bias, activation, quantisation: integers in [-127, 127]."""
        root = self.sqrt(self._mean_square(x) + 1)
        normal = x / root
        return self._quantised(normal * self._channel(f"{name}.gain") + self._channel(f"{name}.bias"), f"{name}.levels")

    def act(self, name: str, y: Tensor) -> Tensor:
        """Scale a convolution's sums back, activation, quantisation: integers in [-127, 127]."""
        real = y * self._channel(f"{name}.factor") + self._channel(f"{name}.bias")
        return self._quantised(real, f"{name}.levels")


# --- the network

NEAR = 8  # how often the inner window counts
NEIGHBOUR_OFFSETS = tuple((y, x) for y in range(-2, 3) for x in range(-2, 3) if (y, x) != (0, 0)) + tuple(
    (y, x) for y in (-4, 0, 4) for x in (-4, 0, 4) if (y, x) != (0, 0)
)
LOCAL_REACH = 4
PIXEL_OUTPUTS = (
    9  # of the network for a pixel, first: three offsets of means, three scales, three cross-channel coefficients
)
BLENDS = 3  # then how far each mean starts from the local mean, and a weight for each neighbour
PATCH = 2
OUTPUTS_PER_PIXEL = PIXEL_OUTPUTS + BLENDS + len(NEIGHBOUR_OFFSETS)  # numbers that the network returns for a pixel
MULTIPLE = 2 * PATCH  # image sides are padded to a multiple of this


@dataclass(frozen=True)
class Architecture:
    """Widths at half and quarter resolution, and residual blocks going down, at the bottom, and going up."""

    width: int = 96
    inner_width: int = 192
    down: int = 2
    bottom: int = 4
    up: int = 4

    def to_json(self) -> dict[str, int]:
        return asdict(self)

    def blocks(self) -> list[tuple[str, int]]:
        """(name, channels) of every residual block, in the order they run."""
        return (
            [(f"down{i}", self.width) for i in range(self.down)]
            + [(f"bottom{i}", self.inner_width) for i in range(self.bottom)]
            + [(f"up{i}", self.width) for i in range(self.up)]
        )

    def convolutions(self) -> dict[str, tuple[int, int, int]]:
        """Name -> (output channels, input channels, filter size) of every convolution."""
        a, b = self.width, self.inner_width
        shapes = {"stem": (a, PER_PIXEL * PATCH * PATCH, 3), "descend": (b, a, 2), "ascend": (4 * a, b, 1)}
        shapes["head"] = (OUTPUTS_PER_PIXEL * PATCH * PATCH, a, 1)
        for name, channels in self.blocks():
            shapes[f"{name}.conv1"] = shapes[f"{name}.conv2"] = (channels, channels, 3)
        return shapes

    def norms(self) -> dict[str, int]:
        """Name -> channels of every normalisation."""
        return {
            **{f"{name}.norm": channels for name, channels in self.blocks()},
            "descend.norm": self.width,
            "ascend.norm": self.inner_width,
            "head.norm": self.width,
        }


def denoise(architecture: Architecture, ops: Operations, features: Tensor) -> Tensor:
    """Run the network, patches to patches: features [N, 4 PER_PIXEL, H/2, W/2] to OUTPUTS_PER_PIXEL numbers a pixel."""

    def block(name: str, x: Tensor) -> Tensor:
        y = ops.conv(f"{name}.conv1", ops.norm_act(f"{name}.norm", x))
        return ops.add(f"{name}.conv2", x, ops.conv(f"{name}.conv2", ops.act(f"{name}.conv1", y)))

    x = ops.start("stem", ops.conv("stem", features))
    for i in range(architecture.down):
        x = block(f"down{i}", x)
    z = ops.start("descend", ops.conv("descend", ops.norm_act("descend.norm", x)))
    for i in range(architecture.bottom):
        z = block(f"bottom{i}", z)
    x = ops.add_up("ascend", x, ops.conv("ascend", ops.norm_act("ascend.norm", z)))
    for i in range(architecture.up):
        x = block(f"up{i}", x)
    return ops.head("head", ops.norm_act("head.norm", x))


def local_mean(estimate: Tensor) -> Tensor:
    """m, centred grey levels, [N, 3, H, W]: sums of integers and one quotient in float64, rounded to float32."""
    units, ones = torch.round(ESTIMATE_UNIT * estimate).double(), torch.ones_like(estimate).double()
    total, count = (NEAR * box_sum(x, WINDOWS[0]) + box_sum(x, WINDOWS[1]) for x in (units, ones))
    return (total / (ESTIMATE_UNIT * count)).float()


def blend(estimate: Tensor, around: Tensor) -> Tensor:
    """What neighbours add to the mean, [N, 3, H, W], summed in the order of `NEIGHBOUR_OFFSETS`.

    around: [N, BLENDS + len(NEIGHBOUR_OFFSETS), H, W] from the network.
    """
    middle = local_mean(estimate)
    h, w = estimate.shape[2:]
    values, inside = (F.pad(x, (LOCAL_REACH,) * 4) for x in (estimate, torch.ones_like(estimate)))
    total = around[:, :3] * (middle - estimate)
    for j, (y, x) in enumerate(NEIGHBOUR_OFFSETS, 3):
        shifted = (..., slice(LOCAL_REACH + y, LOCAL_REACH + y + h), slice(LOCAL_REACH + x, LOCAL_REACH + x + w))
        total = total + around[:, j : j + 1] * (inside[shifted] * (values[shifted] - middle))
    return total


# --- the trainable form: float weights, and the integer parameters that are derived from them

INPUT_LEVELS = 64.0  # feature units per 1.0
BRANCH_GAIN = 0.3  # initial gain of a block's second convolution: residual branches start small
ACTIVATION_GAIN = 1.6  # initial gain of a convolution that follows an activation: undoes its shrinkage
TRAINED_NORMS = {True: 10.0, False: 2.0}  # of weights after thousands of steps: those that Muon trains, and the rest
INITIAL_COEFFICIENT = 0.8  # G follows R, B follows G, before anything is learned


class _RoundedWeights(torch.autograd.Function):
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
        rounded: Tensor = _RoundedWeights.apply(weight, scale)  # type: ignore[no-untyped-call]
        return rounded, grid / flat.norm(dim=1)
    scaled = weight * scale
    return scaled + (torch.round(scaled) - scaled).detach(), grid
