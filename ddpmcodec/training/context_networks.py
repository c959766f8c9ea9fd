"""The networks of runs and of model files, and what those of a new run begin as."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load
from torch import Tensor

from ddpmcodec.errors import TrainingError
from ddpmcodec.format import model_file
from ddpmcodec.models.context import BAND_ROLES, EFFORTS, KIND, ROLES, parse
from ddpmcodec.models.registry import read
from ddpmcodec.training import state
from ddpmcodec.training.state import State
from ddpmcodec.training.trainable import Shape, TrainableNetwork, grown, of_integers, shape_of

ALL = [f"{effort}.{role}" for effort in EFFORTS for role in ROLES]  # networks of a model file
Networks = dict[str, TrainableNetwork]


def networks_of(saved: State, folder: Path) -> Networks:
    """The networks of a run by role. Raises TrainingError where it is another kind of run."""
    with state.is_state(folder):
        found = {role: TrainableNetwork(Shape(*shape)) for role, shape in saved.facts["shapes"].items()}
        for role, network in found.items():
            state.load_module(network, role, saved.tensors)
        return found


def tensors_of(networks: Mapping[str, TrainableNetwork], effort: int) -> dict[str, Tensor]:
    """As a model file has them."""
    return {
        f"{effort}.{role}.{name}": tensor.cpu()
        for role, network in networks.items()
        for name, tensor in network.exported().items()
    }


class Contents:
    """The tensors of a model file, and how many components the mixtures of each network have."""

    def __init__(self, source: str | Path) -> None:
        """Raises ModelError."""
        data = read(source)
        parse(data, str(source))
        metadata: dict[str, Any] = model_file.metadata(data, str(source), KIND)
        self.tensors = load(data)
        self.components = {key: int(facts["components"]) for key, facts in metadata["networks"].items()}

    def network(self, effort: int, role: str) -> TrainableNetwork:
        """Up to what its integers left out."""
        key, kind = f"{effort}.{role}", "band" if role in BAND_ROLES else role
        return of_integers(state.part(key, self.tensors), kind, self.components[key])


def first_networks(effort: int, roles: Collection[str], start: str | None) -> Networks:
    """By role: of `start`, a model or the folder of a run, grown to the shapes of this effort; roles it lacks begin
    anew. Raises TrainingError where a network would shrink, and ModelError where `start` is no model."""
    begun = _of_start(start, effort, roles) if start is not None else {}
    found: Networks = {}
    for role in roles:
        shape = shape_of(effort, role)
        try:
            found[role] = grown(begun[role], shape) if role in begun else TrainableNetwork(shape)
        except ValueError as error:
            raise TrainingError(
                f"{start}: its network {role} is larger than one of effort {effort} ({error}): give another --effort or"
                " --start"
            ) from error
    return found


def _of_start(start: str, effort: int, roles: Collection[str]) -> Networks:
    folder = Path(start)
    if state.exists(folder):
        return networks_of(state.read(folder), folder)
    contents = Contents(start)
    return {role: contents.network(effort, role) for role in roles}
