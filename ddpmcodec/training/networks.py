"""The networks of runs and of model files: how large they are, how often they are trained, and what they begin as."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ddpmcodec import _native
from ddpmcodec.errors import TrainingError
from ddpmcodec.models import context
from ddpmcodec.models.architectures import RESIDUAL
from ddpmcodec.models.context import BAND_ROLES, EFFORTS, ROLES, contract_role, network_of, parse, part
from ddpmcodec.models.registry import read
from ddpmcodec.training import state
from ddpmcodec.training.state import State
from ddpmcodec.training.trainable import (
    ACTIVATION_UNIT,
    CHANNELS,
    GAINS,
    NEIGHBOURS,
    Networks,
    Outputs,
    Shape,
    Trainable,
    TrainableNetwork,
    trainable,
)

# --- sizes, and how often a run trains each network


class Size(NamedTuple):
    """Width and depth of a network, the components of its mixtures, and the activations that positions show."""

    width: int
    depth: int
    components: int
    shown: int = 32


class Sizes(NamedTuple):
    """Sizes of the networks of exact pixels, after up to one noise level and after several, and of those of bands: the
    finest, the second, all coarser ones."""

    direct: Size
    last: Size
    bands: tuple[Size, Size, Size]

    def of(self, role: str) -> Size:
        if role in BAND_ROLES:
            return self.bands[BAND_ROLES.index(role)]
        return self.last if role == "last" else self.direct


# An effort has the size of its number, unless a run says otherwise: thumbnails have few pixels, and larger networks.
# Coding time goes with the weights, and with how many positions there are: coarse bands have few, and half of the bits
# of all bands, and previews depend on them. After several noise levels, the last network is smaller but at effort 3.
SIZES = {
    1: Sizes(Size(64, 2, 3, 0), Size(64, 2, 1, 0), (Size(32, 2, 1, 0), Size(32, 2, 1, 0), Size(64, 3, 1, 0))),
    2: Sizes(Size(192, 3, 3), Size(192, 2, 3), (Size(32, 2, 1, 0), Size(64, 3, 1, 0), Size(128, 3, 1))),
    3: Sizes(Size(320, 4, 3), Size(320, 4, 3), (Size(64, 3, 1), Size(96, 3, 1), Size(192, 3, 1))),
    4: Sizes(Size(448, 4, 3), Size(448, 4, 3), (Size(128, 3, 3), Size(192, 3, 3), Size(256, 3, 3))),
}
SIZES = {0: SIZES[1]._replace(direct=Size(64, 2, 1, 0)), **SIZES}  # one logistic: `direct` alone is trained
# Steps of each role in a round: most of the bits are in exact pixels.
SHARES = {"direct": 4, "single": 4, "last": 4, "band1": 1, "band2": 1, "band3": 2}


def shape_of(size: int, role: str, architecture: str = RESIDUAL) -> Shape:
    """The shape of the network of a role (`models.context.ROLES`). Raises TrainingError for an unknown size."""
    if size not in SIZES:  # of a run that another version began
        raise TrainingError(f"there are no networks of size {size}, but of {', '.join(map(str, SIZES))}")
    width, depth, components, shown = SIZES[size].of(role)
    return Shape(contract_role(role), width, depth, components, architecture, shown if architecture == RESIDUAL else 0)


def round_robin(roles: Collection[str], shares: Mapping[str, int] = SHARES) -> list[str]:
    """One role for each step of a round, evenly spaced.

    >>> round_robin(["last", "band1"], {"last": 2, "band1": 1})
    ['last', 'band1', 'last']
    """
    turns = [((k + 0.5) / shares[role], role) for role in roles for k in range(shares[role])]
    return [role for _, role in sorted(turns, key=lambda turn: turn[0])]


def roles_of(text: str) -> tuple[str, ...]:
    """The roles in a text such as 'direct,last', in the order of `ROLES`. Raises TrainingError for an unknown one."""
    named = {name.strip() for name in text.split(",")}
    if unknown := named - set(ROLES):
        raise TrainingError(f"roles={text}: no network is called {min(unknown)!r}; there are {', '.join(ROLES)}")
    return tuple(role for role in ROLES if role in named)


# --- the networks of runs and of model files

ALL = [f"{effort}.{role}" for effort in EFFORTS for role in ROLES]  # networks of a model file


def networks_of(saved: State, folder: Path) -> Networks:
    """The networks of a run by role. Raises TrainingError where it is another kind of run."""
    with state.is_state(folder):
        networks = {role: trainable(Shape(*shape)) for role, shape in saved.facts["shapes"].items()}
        for role, network in networks.items():
            state.load_module(network, role, saved.tensors)
        return networks


def tensors_of(networks: Mapping[str, Trainable], effort: int) -> dict[str, Tensor]:
    """The tensors of networks, under the names that they have in a model file."""
    return {
        f"{effort}.{role}.{name}": tensor.cpu()
        for role, network in networks.items()
        for name, tensor in network.exported().items()
    }


class ModelFile:
    """The tensors of a model file; how many components the mixtures of each network have; and the architectures of
    networks that are not the core's own, and how many conditions those have."""

    def __init__(self, source: str | Path) -> None:
        """Raises ModelError."""
        model = parse(read(source), str(source))
        self.tensors = {key: torch.from_numpy(tensor) for key, tensor in context.tensors_of(model).items()}
        self.components = {key: facts.components for key, facts in model.facts.items()}
        named = {key: facts.architecture for key, facts in model.facts.items()}
        self.architectures = {key: name for key, name in named.items() if name is not None}
        self.conditions = {key: facts.conditions for key, facts in model.facts.items() if facts.conditions}

    def network(self, effort: int, role: str) -> Trainable:
        """A network in training, but for what its integers left out. Raises TrainingError where it is not the core's
        own, as the file then has no more than its integers; ModelError where the core refuses its tensors."""
        key = f"{effort}.{role}"
        if key in self.architectures:
            raise TrainingError(
                f"its network {key}, of the architecture {self.architectures[key]!r}, can only begin as the run that"
                " trained it: give start=... the folder of that run"
            )
        if key not in self.components:
            raise TrainingError(f"it has no network {key}: begin without start=..., or with another model")
        tensors = part(self.tensors, key)
        network_of({name: tensor.numpy() for name, tensor in tensors.items()}, role, self.components[key])
        return of_integers(tensors, contract_role(role), self.components[key])


def first_networks(
    effort: int, roles: Collection[str], start: str | None, *, size: int, architecture: str = RESIDUAL
) -> Networks:  # fmt: skip
    """By role, the networks of `start`, a model or the folder of a run, grown to the shapes of this size; new ones
    for roles that it lacks. Raises TrainingError where a network would shrink, and ModelError where `start` is no
    model."""
    start_networks = _of_start(start, effort, roles) if start is not None else {}
    networks: Networks = {}
    for role in roles:
        shape = shape_of(size, role, architecture)
        if role not in start_networks:
            networks[role] = trainable(shape)
            continue
        try:
            networks[role] = _begun_as(start_networks[role], shape)
        except ValueError as error:
            raise TrainingError(
                f"{start}: its network {role} does not grow to one of size {size} ({error}): give another size=... or"
                " start=..."
            ) from error
    return networks


def _begun_as(network: Trainable, shape: Shape) -> Trainable:
    """The network, grown to a shape. Raises ValueError where it cannot be."""
    if network.shape == shape:
        return network
    if not isinstance(network, TrainableNetwork):
        raise ValueError(f"architecture {network.shape.architecture!r}")
    return grown(network, shape)


def _of_start(start: str, effort: int, roles: Collection[str]) -> Networks:
    folder = Path(start)
    if state.exists(folder):
        networks = networks_of(state.read(folder), folder)
        if networks.keys().isdisjoint(ROLES):
            raise TrainingError(f"{start}: is a run of a network for previews: give start=... one of those that code")
        return networks
    file = ModelFile(start)
    return {role: file.network(effort, role) for role in roles}


# --- what a network begins as if it is not new: the integers of a model file, or a smaller network

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
