"""The integers of networks of coefficients, as a model file keeps them (`models.jpeg`)."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.training.coefficients.coefficient_network import SKIP_UNIT, STEM_UNIT, CoefficientNetwork
from ddpmcodec.training.trainable import ACTIVATION_UNIT, LARGEST_WEIGHT

PADDED = 16  # rows of weights are padded to multiples of it
GAIN_UNIT, BIAS_UNIT = 4096.0, 32.0  # integers per 1: of a gain; of a bias in steps of activations
LARGEST_SHORT, LARGEST_SUM = 32767, 65535  # of weights; of the weights of a sum, so that it fits 32 bits
PLACES, LARGEST_GAP = 64, 255  # of the weights of a sum; entries that are skipped before one
OCTAVE, TOP_OCTAVE, NO_WEIGHT = 16, 14, 255  # weights of magnitudes are 2 ** (TOP_OCTAVE - number / OCTAVE)

Tensors = dict[str, NDArray[np.generic]]


def exported(networks: Mapping[str, CoefficientNetwork], effort: int) -> Tensors:
    """Return the tensors of networks of an effort, under the names that they have in a model file."""
    return {
        f"{effort}.{role}.{name}": tensor for role, network in networks.items() for name, tensor in _of(network).items()
    }


@torch.no_grad()
def _of(network: CoefficientNetwork) -> Tensors:
    if not network.is_sparse:  # the run is not done
        network = copy.deepcopy(network)
        network.prune()
    network = network.cpu()
    units, bias_unit = network.units, ACTIVATION_UNIT * BIAS_UNIT
    linear, magnitudes = network.weights()
    return {
        **_layer("stem", network.stem / STEM_UNIT, torch.tensor(ACTIVATION_UNIT)),
        "stem.gain": _short(network.gain * GAIN_UNIT),
        "stem.bias": _short(network.bias * bias_unit),
        **{
            name: tensor
            for number, (block, bias) in enumerate(zip(network.blocks, network.block_biases, strict=True))
            for name, tensor in {
                **_layer(f"block{number}", block, torch.tensor(1.0)),
                f"block{number}.bias": _short(bias * bias_unit),
            }.items()
        },
        **_layer("head", network.head, units / ACTIVATION_UNIT),
        "head.bias": (network.head_bias * units).float().numpy(),
        **_layer("skip", network.skip / SKIP_UNIT, units),
        **_linear_sums(linear.numpy(), network.kept_linear.numpy() > 0),
        **_magnitude_sums(magnitudes.numpy(), network.kept_magnitudes.numpy() > 0),
    }


def _layer(name: str, weight: Tensor, unit: Tensor) -> Tensors:
    """The weights of a layer in eight bits, and the factors of its sums."""
    grid = weight.abs().amax(1).clamp(min=1e-8) / LARGEST_WEIGHT
    integers = (weight / grid[:, None]).round().clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT).to(torch.int8)
    padded = torch.nn.functional.pad(integers, (0, -weight.shape[1] % PADDED))
    return {f"{name}.weight": padded.numpy(), f"{name}.factor": (grid * unit).float().numpy()}


def _short(x: Tensor) -> NDArray[np.int16]:
    return x.round().clamp(-LARGEST_SHORT, LARGEST_SHORT).to(torch.int16).numpy()


def _linear_sums(weights: NDArray[np.float32], kept: NDArray[np.bool_]) -> Tensors:
    sizes = np.abs(weights)
    factor = np.maximum(sizes.sum(2) / (LARGEST_SUM - PLACES), sizes.max(2) / LARGEST_SHORT).clip(min=1e-12)
    integers = np.rint(weights / factor[:, :, None]).astype(np.int16)
    places = places_of(kept)
    return {
        "linear.gap": _gaps(places),
        "linear.weight": np.take_along_axis(integers, places, 2),
        "linear.factor": factor.astype(np.float32),
    }


def _magnitude_sums(weights: NDArray[np.float32], kept: NDArray[np.bool_]) -> Tensors:
    top, rounding = 2.0**TOP_OCTAVE, 2 ** (0.5 / OCTAVE)
    factor = np.maximum(weights.sum(2) * rounding / (LARGEST_SUM - PLACES), weights.max(2) / top).clip(min=1e-12)
    relative = weights / factor[:, :, None]
    numbers = np.rint(OCTAVE * (TOP_OCTAVE - np.log2(relative.clip(min=1 / top)))).clip(0, NO_WEIGHT - 1)
    numbers = np.where(kept & (relative >= 0.5), numbers, NO_WEIGHT).astype(np.uint8)
    places = places_of(kept)
    found = np.take_along_axis(numbers, places, 2)
    return {
        "magnitude.gap": _gaps(places),
        "magnitude.weight": found,
        "magnitude.factor": (weights.sum(2) / powers(found).sum(2).clip(min=1)).astype(np.float32),
    }


def powers(numbers: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the integers that numbers of magnitudes stand for."""
    return np.where(numbers == NO_WEIGHT, 0.0, np.floor(2.0 ** (TOP_OCTAVE - numbers.astype(np.int64) / OCTAVE) + 0.5))


def places_of(kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the 64 entries of each sum that have a place in a model file, in order and not too far apart.

    kept: which entries have weights, at most 62 of a sum, [conditions, sums, entries].
    """
    has_place = kept.copy()
    has_place[..., LARGEST_GAP :: LARGEST_GAP + 1] = True
    return np.sort(np.argsort(~has_place, axis=2, kind="stable")[..., :PLACES], 2)


def _gaps(places: NDArray[np.int64]) -> NDArray[np.uint8]:
    return (np.diff(places, axis=2, prepend=-1) - 1).astype(np.uint8)
