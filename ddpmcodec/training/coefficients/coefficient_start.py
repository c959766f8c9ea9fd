"""Networks of coefficients that begin as those of a run, or as the integers of a model file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load
from torch import Tensor

from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.format import model_file
from ddpmcodec.models.context import part
from ddpmcodec.models.jpeg import KIND
from ddpmcodec.models.registry import read
from ddpmcodec.training import state
from ddpmcodec.training.coefficients.coefficient_export import (
    BIAS_UNIT,
    GAIN_UNIT,
    powers,
)
from ddpmcodec.training.coefficients.coefficient_network import SKIP_UNIT, STEM_UNIT, CoefficientNetwork
from ddpmcodec.training.trainable import ACTIVATION_UNIT


def begin_as(network: CoefficientNetwork, start: str, effort: int) -> None:
    """Give a network the weights of the folder of a run, or of a model of JPEG coefficients.

    Raises:
        TrainingError: if its network of this role is missing, or has other sizes.
        ModelError: if `start` is not such a model.
    """
    role, folder = network.shape.role, Path(start)
    try:
        if state.exists(folder):
            state.load_module(network, role, state.read(folder).tensors)
        else:
            _take(network, part(tensors_of(start), f"{effort}.{role}"))
    except (LookupError, RuntimeError) as error:
        raise TrainingError(
            f"{start}: has no network {role} of these sizes: give another effort=... or start=..."
        ) from error


def tensors_of(source: str) -> dict[str, NDArray[np.generic]]:
    """Return the tensors of a model of JPEG coefficients. Raises ModelError."""
    data = read(source)
    model_file.metadata(data, source, KIND)
    try:
        return dict(load(data))
    except (SafetensorError, ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{source}: the model file is damaged ({error}); get it again") from error


@torch.no_grad()
def _take(network: CoefficientNetwork, tensors: dict[str, NDArray[np.generic]]) -> None:
    """Raises LookupError or RuntimeError if names or sizes differ."""
    found = {name: torch.from_numpy(tensor).float() for name, tensor in tensors.items()}
    inputs, units, bias_unit = network.shape.inputs, network.units, ACTIVATION_UNIT * BIAS_UNIT

    def weight(layer: str) -> Tensor:
        return found[f"{layer}.weight"] * found[f"{layer}.factor"][:, None]

    network.stem.copy_(weight("stem")[:, :inputs] * (STEM_UNIT / ACTIVATION_UNIT))
    network.gain.copy_(found["stem.gain"] / GAIN_UNIT)
    network.bias.copy_(found["stem.bias"] / bias_unit)
    for number, (block, bias) in enumerate(zip(network.blocks, network.block_biases, strict=True)):
        block.copy_(weight(f"block{number}"))
        bias.copy_(found[f"block{number}.bias"] / bias_unit)
    network.head.copy_(weight("head") * (ACTIVATION_UNIT / units[:, None]))
    network.head_bias.copy_(found["head.bias"] / units)
    network.skip.copy_(weight("skip")[:, :inputs] * (SKIP_UNIT / units[:, None]))
    _take_predictors(network, found)


def _take_predictors(network: CoefficientNetwork, found: dict[str, Tensor]) -> None:
    integers = torch.from_numpy(powers(found["magnitude.weight"].numpy())).float()
    linear = _dense(found["linear.gap"], found["linear.weight"] * found["linear.factor"][:, :, None], network.linear)
    sizes = _dense(found["magnitude.gap"], integers * found["magnitude.factor"][:, :, None], network.magnitudes)
    scale = network.scale[:, None].clamp(min=1e-6)
    network.linear.copy_(linear / scale)
    network.magnitudes.copy_(torch.log((sizes / scale).clamp(min=1e-9)))
    network.kept_linear.copy_(linear != 0)
    network.kept_magnitudes.copy_(sizes > 0)
    network.prune()


def _dense(gaps: Tensor, weights: Tensor, like: Tensor) -> Tensor:
    """Weights by entry, [conditions, sums, entries]. Raises RuntimeError if the sizes are not those of `like`."""
    places = (gaps.long() + 1).cumsum(2) - 1
    return torch.zeros_like(like).scatter(2, places, weights)
