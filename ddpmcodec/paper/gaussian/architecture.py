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

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ddpmcodec.paper.gaussian.features import ESTIMATE_UNIT, PER_PIXEL, WINDOWS, box_sum

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
