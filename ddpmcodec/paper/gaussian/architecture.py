"""The exact denoiser: a convolutional network whose result is the same bits on every machine.

Convolutions see integers in [-127, 127] on both sides, so their sums are exact in any order; everything else is
elementwise IEEE arithmetic (`operations`). In training rounding passes gradients straight through.

A U-net of two resolutions on 2x2 patches: the residual stream holds integers (1/64 of a unit), and every branch is
normalise - activate - quantise - 3x3 convolution - activate - quantise - 3x3 convolution.

Means are weighted sums of the values around a pixel, with weights from the network. A network whose activations have
seven bits is a poor adder of grey levels: what it does well is to see which neighbours a pixel goes with. So it gives a
weight for each of them, and the sum is taken over the values themselves (kernel prediction: Bako et al. 2017,
"Kernel-Predicting Convolutional Networks for Denoising Monte Carlo Renderings").

    mean = estimate + std * offset + blend * (m - estimate) + sum_j weight_j (estimate_j - m)

m is the mean of the neighbourhood, of two windows, the inner one counting `NEAR` times as much; j runs over the
neighbours inside the image. Weights belong to a pixel, blends to each of its channels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpmcodec.paper.gaussian.features import ESTIMATE_UNIT, PER_PIXEL, WINDOWS, box_sum
from ddpmcodec.paper.gaussian.operations import Operations

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
