"""The exact network's operations as PyTorch convolutions and fused CPU kernels: the fast path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.paper.gaussian import elementwise
from ddpmcodec.paper.gaussian.eager import exact_convolution

Array = NDArray[Any]


def _bits(x: Tensor) -> Array:
    """The bfloat16 bits of a channels_last tensor [N, C, H, W] as uint16 [N, H, W, C], sharing memory."""
    return x.permute(0, 2, 3, 1).contiguous().view(torch.int16).numpy().view(np.uint16)


def _tensor(bits: Array) -> Tensor:
    """The inverse view: uint16 [N, H, W, C] to a bfloat16 tensor [N, C, H, W]."""
    return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).permute(0, 3, 1, 2)


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


class FusedOperations:
    """`EagerOperations` for CPU inference. Activations and sums are bfloat16 bits [N, H, W, C], streams int16.

    low_precision: convolve in bfloat16; False convolves in float32 and rounds to bfloat16: the same bits.
    """

    def __init__(self, params: Mapping[str, Tensor], *, low_precision: bool = True) -> None:
        self.dtype = torch.bfloat16 if low_precision else torch.float32
        self.weights = {k.removesuffix(".weight"): self._weight(v) for k, v in params.items() if k.endswith(".weight")}
        self.weights = {k: v.float() if k == "leave" else v for k, v in self.weights.items()}
        self.params = {k: v.float().numpy() for k, v in params.items() if not k.endswith(".weight")}
        self.head_factor, self.head_bias = (params[f"leave.{k}"].view(1, -1, 1, 1) for k in ("factor", "bias"))

    def _weight(self, weight: Tensor) -> Tensor:
        return weight.to(self.dtype, memory_format=torch.channels_last)

    def _take(self, name: str, *keys: str) -> list[Array]:
        return [self.params[f"{name}.{key}"] for key in keys]

    def conv(self, name: str, q: Array) -> Array:
        y = exact_convolution(_tensor(q).to(self.dtype), self.weights[name])
        return _bits(y.to(torch.bfloat16))

    def head(self, name: str, q: Array) -> Array:
        y = exact_convolution(_tensor(q).float(), self.weights[name])
        return (y * self.head_factor + self.head_bias).permute(0, 2, 3, 1).contiguous().numpy()

    def start(self, name: str, y: Array) -> Array:
        return self.add(name, np.zeros(y.shape, np.int16), y)

    def add(self, name: str, x: Array, y: Array) -> Array:
        elementwise.add(_rows(x), _rows(y), *self._take(name, "factor", "bias"))
        return x

    def add_up(self, name: str, x: Array, y: Array) -> Array:
        elementwise.add_up(x, y, *self._take(name, "factor", "bias"))
        return x

    def norm_act(self, name: str, x: Array) -> Array:
        out = np.empty(x.shape, np.uint16)
        gain, bias, levels = self._take(name, "gain", "bias", "levels")
        elementwise.norm_act(_rows(x), gain, bias, levels, _rows(out))
        return out

    def act(self, name: str, y: Array) -> Array:
        out = np.empty(y.shape, np.uint16)
        factor, bias, levels = self._take(name, "factor", "bias", "levels")
        elementwise.act(_rows(y), factor, bias, levels, _rows(out))
        return out
