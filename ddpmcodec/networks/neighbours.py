"""Means as weighted sums of the values around a pixel, with weights from the network.

A network whose activations have seven bits is a poor adder of grey levels: what it does well is to see which neighbours
a pixel goes with. So it gives a weight for each of them, and the sum is taken over the values themselves (kernel
prediction: Bako et al. 2017, "Kernel-Predicting Convolutional Networks for Denoising Monte Carlo Renderings").

    mean = estimate + spread * offset + blend * (m - estimate) + sum_j weight_j visible_j (estimate_j - m)

m is the mean of the neighbourhood, of two windows, the inner one counting `NEAR` times as much, by precision; visible_j
says how much is known of neighbour j, from 0 (nothing) to 1 (exact), and in the Gaussian channel, where all are alike,
is 1. Weights belong to a pixel, blends to each of its channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpmcodec.networks.features import ESTIMATE_UNIT, LARGEST_WEIGHT, WINDOWS, box_sum, weights

NEAR = 8  # how often the inner window counts
NEIGHBOURS = tuple((y, x) for y in range(-2, 3) for x in range(-2, 3) if (y, x) != (0, 0)) + tuple(
    (y, x) for y in (-4, 0, 4) for x in (-4, 0, 4) if (y, x) != (0, 0)
)
REACH = 4


def visibility(spread: Tensor, gaussian: Tensor) -> Tensor:
    """[N, 3, H, W] in 0..1 from spreads in grey levels; gaussian: [N] 1.0 where the noise is Gaussian."""
    return torch.where(gaussian.view(-1, 1, 1, 1) > 0, 1.0, weights(spread) * (1 / LARGEST_WEIGHT))


def local_mean(estimate: Tensor, weight: Tensor) -> Tensor:
    """m, centred grey levels, [N, 3, H, W]: sums of integers and one quotient in float64, rounded to float32."""
    units, weight = (torch.round(ESTIMATE_UNIT * estimate) * weight).double(), weight.double()
    total, count = (NEAR * box_sum(x, WINDOWS[0]) + box_sum(x, WINDOWS[1]) for x in (units, weight))
    return (total / (ESTIMATE_UNIT * count)).float()


def blend(estimate: Tensor, weight: Tensor, visible: Tensor, around: Tensor) -> Tensor:
    """What neighbours add to the mean, [N, 3, H, W], summed in the order of `NEIGHBOURS`.

    around: [N, BLENDS + len(NEIGHBOURS), H, W] from the network.
    """
    middle = local_mean(estimate, weight)
    h, w = estimate.shape[2:]
    values, visible = (F.pad(x, (REACH,) * 4) for x in (estimate, visible))
    total = around[:, :3] * (middle - estimate)
    for j, (y, x) in enumerate(NEIGHBOURS, 3):
        place = (..., slice(REACH + y, REACH + y + h), slice(REACH + x, REACH + x + w))
        total = total + around[:, j : j + 1] * (visible[place] * (values[place] - middle))
    return total
