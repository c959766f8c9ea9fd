"""The networks of runs and of model files, and what those of a new run begin as."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ddpmcodec.errors import TrainingError
from ddpmcodec.models.architectures import RESIDUAL
from ddpmcodec.models.context import BAND_ROLES, EFFORTS, ROLES, network_of, parse, part
from ddpmcodec.models.registry import read
from ddpmcodec.training import state
from ddpmcodec.training.sizes import shape_of
from ddpmcodec.training.state import State
from ddpmcodec.training.trainable import Networks, Shape, Trainable, TrainableNetwork, trainable
from ddpmcodec.training.warm_start import grown, of_integers

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


class Contents:
    """The tensors of a model file; how many components the mixtures of each network have; and the architectures of
    networks that are not the core's own, and how many conditions those have."""

    def __init__(self, source: str | Path) -> None:
        """Raises ModelError."""
        model = parse(read(source), str(source))
        self.tensors = {key: torch.from_numpy(tensor) for key, tensor in model.tensors.items()}
        self.components = {key: int(facts["components"]) for key, facts in model.facts.items()}
        self.architectures = {
            key: str(facts["architecture"]) for key, facts in model.facts.items() if "architecture" in facts
        }
        self.conditions = {key: int(facts["conditions"]) for key, facts in model.facts.items() if "conditions" in facts}

    def network(self, effort: int, role: str) -> Trainable:
        """A network in training, but for what its integers left out. Raises TrainingError where it is not the core's
        own, as the file then has no more than its integers; ModelError where the core refuses its tensors."""
        key, shape_role = f"{effort}.{role}", "band" if role in BAND_ROLES else role
        if key in self.architectures:
            raise TrainingError(
                f"its network {key}, of the architecture {self.architectures[key]!r}, can only begin as the run that"
                " trained it: give start=... the folder of that run"
            )
        tensors = part(self.tensors, key)
        network_of({name: tensor.numpy() for name, tensor in tensors.items()}, role, self.components[key])
        return of_integers(tensors, shape_role, self.components[key])


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
    contents = Contents(start)
    return {role: contents.network(effort, role) for role in roles}
