"""How the network of linear.py is trained: in float, rounded where the coder rounds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ddpmcodec.training.trainable import ZERO, Shape, Trainable, first_bias, rounded

LARGEST = 127  # of an int8 weight


class TrainableLinear(Trainable):
    """Linear from inputs to outputs, in units of the outputs."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        inputs, outputs, conditions = shape.contract
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(first_bias(shape).repeat(conditions, 1))

    def exported(self) -> dict[str, Tensor]:
        """Integers, and what they are multiplied by."""
        weight, factor = self._integers()
        found = {"weight": weight.to(torch.int8), "factor": factor, "bias": self.bias * self.units}
        return {name: tensor.detach().clone() for name, tensor in found.items()}

    def _integers(self) -> tuple[Tensor, Tensor]:
        grid = (self.weight.detach().abs().amax(1) / LARGEST).clamp(min=1e-8)
        return rounded(self.weight / grid[:, None], -LARGEST, LARGEST), grid * self.units

    def forward(self, rows: Tensor, condition: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        weight, factor = self._integers()
        sums = (rows.float() - ZERO).to(dtype) @ weight.to(dtype).t()
        return rounded((sums.float() * factor + self.bias[condition] * self.units).t(), -32767, 32767)
