"""From training runs to a model file: the integers of all networks, and a denoiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ddpmcodec.errors import TrainingError
from ddpmcodec.models.context import pack
from ddpmcodec.training import run, state
from ddpmcodec.training.context_networks import ALL, Contents, networks_of, tensors_of
from ddpmcodec.training.context_trainer import ContextSettings

DENOISER = "denoiser."


class Parts(NamedTuple):
    """What a model file is made of."""

    tensors: dict[str, Tensor]
    components: dict[str, int]  # by '<effort>.<role>'
    made: list[dict[str, Any]]  # facts about the runs

    def packed(self, name: str) -> bytes:
        """The bytes of the file."""
        arrays = {key: tensor.numpy() for key, tensor in self.tensors.items()}
        return pack(arrays, self.components, name, {"runs": self.made})

    def with_denoiser(self, tensors: Mapping[str, Tensor]) -> Parts:
        """With this one instead of its own."""
        rest = {key: tensor for key, tensor in self.tensors.items() if not key.startswith(DENOISER)}
        return self._replace(tensors=rest | {DENOISER + key: tensor.detach().cpu() for key, tensor in tensors.items()})


def gathered(folders: Sequence[Path], base: str | None) -> Parts:
    """The networks of runs, of which later ones win, and what no run has from the model `base`.

    Raises TrainingError where a network is missing, ModelError where `base` is no model.
    """
    parts = Parts({}, {}, [])
    if base is not None:
        contents = Contents(base)
        parts.tensors.update(contents.tensors)
        parts.components.update(contents.components)
    for folder in folders:
        _add(parts, folder)
    if missing := [key for key in ALL if key not in parts.components]:
        raise TrainingError(
            f"no run has the networks {', '.join(missing)} (effort.role): train them, or take them from another model"
            " with --base"
        )
    return parts


def _add(parts: Parts, folder: Path) -> None:
    saved = state.read(folder)
    networks, settings = networks_of(saved, folder), run.saved_settings(folder, ContextSettings)
    for role, network in networks.items():
        key = f"{settings.effort}.{role}"
        for name in [name for name in parts.tensors if name.startswith(f"{key}.")]:
            del parts.tensors[name]  # it may have had more blocks
        parts.components[key] = network.shape.components
    parts.tensors.update(tensors_of(networks, settings.effort))
    parts.made.append(_made(saved.facts, settings))


def _made(facts: Mapping[str, Any], settings: ContextSettings) -> dict[str, Any]:
    return {
        "effort": settings.effort, "roles": list(settings.roles), "hours": round(facts["seconds"] / 3600, 3),
        "images": facts["images"], "steps": facts["step"],
    }  # fmt: skip
