"""What a network in training begins as, where it is not new: the integers of a model file, or a smaller network."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ddpmcodec import _native
from ddpmcodec.training.trainable import ACTIVATION_UNIT, CHANNELS, GAINS, NEIGHBOURS, Outputs, Shape, TrainableNetwork

# About the length of directions, rows of weights, after an hour; at first they have length 1. Muon's step is as long as
# its rate, so that it turns a longer direction less, and directions grow. A model's file has no lengths.
TRAINED_LENGTH = 8.0
SPREAD = 0.25  # of the logarithms of scales, where one logistic becomes several


def grown(network: TrainableNetwork, shape: Shape) -> TrainableNetwork:
    """A network that is wider or deeper and still computes the same: nothing reads the new activations, and the new
    blocks add nothing (Net2Net, Chen, Goodfellow & Shlens 2016). A single logistic becomes several, some narrower and
    some wider, since equal ones would stay equal. Raises ValueError where the network would shrink, or where the shapes
    differ in more than size."""
    if network.shape.components == 1 < shape.components:
        network = _as_mixture(network, shape.components)
    current = network.shape
    shrinks = shape.width < current.width or shape.depth < current.depth or shape.shown < current.shown
    is_other = shape != current._replace(width=shape.width, depth=shape.depth, shown=shape.shown)
    if shrinks or is_other:
        pairs = zip(shape._fields, current, shape, strict=True)
        raise ValueError(", ".join(f"{name} {own} cannot become {new}" for name, own, new in pairs if own != new))
    larger = TrainableNetwork(shape)
    with torch.no_grad():
        for layer, weight in larger.weights.items():
            if layer not in network.weights:
                larger.gains[layer].zero_()
                continue
            smaller = network.weights[layer]
            outputs = len(smaller)
            weight[:outputs] = 0
            for columns, others in _columns(layer, shape, current):
                weight[:outputs, columns] = smaller[:, others]
            larger.gains[layer][:outputs] = network.gains[layer]
            if layer in larger.biases:
                larger.biases[layer][:, :outputs] = network.biases[layer]
    return larger


def _columns(layer: str, larger: Shape, smaller: Shape) -> list[tuple[slice, slice]]:
    """Where the inputs of a layer stand in a larger network, and where in the smaller one that it begins as."""
    _, inputs = smaller.layers()[layer]
    if not layer.startswith("block"):
        return [(slice(inputs), slice(inputs))]
    pairs = [(slice(smaller.width), slice(smaller.width))]
    for number in range(NEIGHBOURS):
        starts = (shape.width + number * shape.shown for shape in (larger, smaller))
        columns, others = (slice(start, start + smaller.shown) for start in starts)
        pairs.append((columns, others))
    return pairs


def _as_mixture(network: TrainableNetwork, components: int) -> TrainableNetwork:
    """The network with several components, copies of its only one that differ in their scales."""
    mixture = TrainableNetwork(network.shape._replace(components=components))
    numbers, cross = torch.arange(network.shape.contract[1]), Outputs(1).cross()
    sources = torch.cat([numbers[: cross.start].repeat_interleave(components), numbers[cross]])
    wider = torch.zeros(len(sources))
    wider[Outputs(components).scales()] = torch.linspace(-SPREAD, SPREAD, components).repeat(CHANNELS)
    with torch.no_grad():
        for layer, parameter in network.weights.items():
            rows = sources if layer in ("head", "skip") else slice(None)
            mixture.weights[layer].copy_(parameter[rows])
            mixture.gains[layer].copy_(network.gains[layer][rows])
            if layer in network.biases:
                mixture.biases[layer].copy_(network.biases[layer][:, rows])
        mixture.biases["head"] += wider
    return mixture


def of_integers(params: Mapping[str, Tensor], role: str, components: int) -> TrainableNetwork:
    """The inverse of `exported`, up to rounding."""
    depth = sum(f"block{k}.weight" in params for k in range(len(params)))
    width = len(params["stem.weight"])
    shown = (params["block0.weight"].shape[1] - width) // NEIGHBOURS
    network = TrainableNetwork(Shape(role, width, depth, components, shown=shown))
    with torch.no_grad():
        for layer in network.shape.layers():
            _load_layer(network, layer, params[f"{layer}.weight"].float(), params[f"{layer}.factor"].float())
            if layer in network.biases:
                scale = network.units if layer == "head" else ACTIVATION_UNIT
                biases = params[f"{layer}.bias"]
                network.biases[layer].copy_((of_all_steps(biases) if role == "band" else biases) / scale)
    return network


def of_all_steps(biases: Tensor) -> Tensor:
    """Biases [conditions, ...] of bands, from those of the first steps: a step of a newer schedule begins as the one
    whose noise level is nearest."""
    levels = dict(step for steps in _native.SCHEDULES.values() for step in steps)
    trained = len(biases) // _native.BANDS_OF_STEP
    nearest = [
        step if step < trained else min(range(trained), key=lambda other: abs(math.log(levels[other] / levels[step])))
        for step in sorted(levels)
    ]
    return biases.view(trained, _native.BANDS_OF_STEP, -1)[nearest].flatten(0, 1)


def _load_layer(network: TrainableNetwork, layer: str, weight: Tensor, factor: Tensor) -> None:
    real = factor * network.unit_of(layer)
    if layer in ("head", "skip"):
        network.gains[layer].fill_(GAINS[layer])
        network.weights[layer].copy_(weight * (real / GAINS[layer] / network.units)[:, None])
        return
    norm = weight.norm(dim=1).clamp(min=1e-8)
    network.weights[layer].copy_(weight * (TRAINED_LENGTH / norm)[:, None])
    network.gains[layer].copy_(real * norm / ACTIVATION_UNIT)
