"""Means as weighted sums of the values around a pixel, with weights from the network.

A network whose activations have seven bits is a poor adder of grey levels: what it does well is to see which neighbours
a pixel goes with. So it gives a weight for each of them, and the sum is taken over the values themselves (kernel
prediction: Bako et al. 2017, "Kernel-Predicting Convolutional Networks for Denoising Monte Carlo Renderings").

    mean = estimate + std * offset + blend * (m - estimate) + sum_j weight_j (estimate_j - m)

m is the mean of the neighbourhood, of two windows, the inner one counting `NEAR` times as much; j runs over the
neighbours inside the image. Weights belong to a pixel, blends to each of its channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpmcodec.paper.gaussian.features import ESTIMATE_UNIT, WINDOWS, box_sum

NEAR = 8  # how often the inner window counts
NEIGHBOUR_OFFSETS = tuple((y, x) for y in range(-2, 3) for x in range(-2, 3) if (y, x) != (0, 0)) + tuple(
    (y, x) for y in (-4, 0, 4) for x in (-4, 0, 4) if (y, x) != (0, 0)
)
LOCAL_REACH = 4
PIXEL_OUTPUTS = (
    9  # of the network for a pixel, first: three offsets of means, three scales, three cross-channel coefficients
)
BLENDS = 3  # then how far each mean starts from the local mean, and a weight for each neighbour


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
        place = (..., slice(LOCAL_REACH + y, LOCAL_REACH + y + h), slice(LOCAL_REACH + x, LOCAL_REACH + x + w))
        total = total + around[:, j : j + 1] * (inside[place] * (values[place] - middle))
    return total
