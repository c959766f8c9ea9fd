"""From training runs to a model file, which has the integers of all networks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ddpmcodec.errors import TrainingError
from ddpmcodec.models.architectures import RESIDUAL
from ddpmcodec.models.context import EFFORTS, PREVIEW, ROLES, pack
from ddpmcodec.training import run, state
from ddpmcodec.training.context_trainer import ContextSettings
from ddpmcodec.training.networks import ALL, Contents, networks_of, tensors_of
from ddpmcodec.training.trainable import Trainable


def export(folders: Sequence[Path], name: str, *, base: str | None = None) -> bytes:
    """The model file of runs. Later runs win; the model `base` has the networks that no run has. Raises TrainingError,
    ModelError."""
    return gathered(folders, base).packed(name)


class Parts(NamedTuple):
    """What a model file is made of."""

    tensors: dict[str, Tensor]
    components: dict[str, int]  # by '<effort>.<role>'
    architectures: dict[str, str]  # of networks that are not the core's own
    conditions: dict[str, int]  # of those; all that there are of others
    made: list[dict[str, Any]]  # facts about the runs

    def packed(self, name: str) -> bytes:
        """The bytes of the file."""
        arrays = {key: tensor.numpy() for key, tensor in self.tensors.items()}
        return pack(arrays, self.components, name, {"runs": self.made}, self.architectures, self.conditions)


def gathered(folders: Sequence[Path], base: str | None) -> Parts:
    """The networks of runs, of which later ones win, and those of the model `base` that no run has.

    Raises TrainingError where a network is missing, ModelError where `base` is no model.
    """
    parts = Parts({}, {}, {}, {}, [])
    if base is not None:
        contents = Contents(base)
        parts.tensors.update(contents.tensors)
        parts.components.update(contents.components)
        parts.architectures.update(contents.architectures)
        parts.conditions.update(contents.conditions)
    for folder in folders:
        _add(parts, folder)
    if missing := [key for key in ALL if key not in parts.components]:
        raise TrainingError(
            f"no run has the networks {', '.join(missing)} (effort.role): train them, or take them from another model"
            " with base=..."
        )
    return parts


def _add(parts: Parts, folder: Path) -> None:
    saved = state.read(folder)
    networks = networks_of(saved, folder)
    efforts = _efforts_of(folder, networks)
    for effort in efforts:
        for role, network in networks.items():
            key = f"{effort}.{role}"
            for name in [name for name in parts.tensors if name.startswith(f"{key}.")]:
                del parts.tensors[name]  # it may have had more blocks
            parts.components[key] = network.shape.components
            parts.architectures.pop(key, None)
            parts.conditions.pop(key, None)
            if network.shape.architecture != RESIDUAL:
                parts.architectures[key] = network.shape.architecture
        parts.tensors.update(tensors_of(networks, effort))
    parts.made.append(_made(saved.facts, efforts, networks))


def _efforts_of(folder: Path, networks: Mapping[str, Trainable]) -> Collection[int]:
    """Whose networks a run trains: one network of previews is for all."""
    return EFFORTS if PREVIEW in networks else [run.saved_settings(folder, ContextSettings).effort]


def _made(facts: Mapping[str, Any], efforts: Collection[int], roles: Collection[str]) -> dict[str, Any]:
    return {
        "efforts": [*efforts], "roles": sorted(roles, key=(*ROLES, PREVIEW).index), "images": facts["images"],
        "hours": round(facts["seconds"] / 3600, 3), "steps": facts["step"],
    }  # fmt: skip
