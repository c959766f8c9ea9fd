"""A network of one's own, as docs/extending.md explains it: outputs that are linear in what a position sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.models.architectures import Contract, exact_sums, register


@register("linear")
class Linear:
    """As a file is coded with it."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]], contract: Contract) -> None:
        self.weight = tensors["weight"]  # int8 [outputs, inputs]
        self.factor = tensors["factor"]  # float32 [outputs]
        self.bias = tensors["bias"]  # float32 [conditions, outputs]
        if self.weight.shape != (contract.outputs, contract.inputs):
            raise ValueError("weights do not fit")

    def outputs(self, rows: NDArray[np.uint8], condition: int) -> NDArray[np.int32]:
        """A product, a sum, each rounded once: the same on every machine."""
        found = exact_sums(rows, self.weight) * self.factor + self.bias[condition]
        return np.rint(found).astype(np.int32)

    @staticmethod
    def trainable(shape: Any) -> Any:
        """Imported late: coding needs no PyTorch."""
        from linear_training import TrainableLinear

        return TrainableLinear(shape)
