"""What the exact network is made of, in PyTorch, in coding and in training.

Shapes are [N, C, H, W] in channels_last memory. Tensors hold integers where the docstrings say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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
