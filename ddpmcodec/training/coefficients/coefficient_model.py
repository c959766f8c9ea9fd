"""From training runs to a model file of JPEG coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ddpmcodec.errors import TrainingError
from ddpmcodec.models import jpeg
from ddpmcodec.models.context import part
from ddpmcodec.training import run, state
from ddpmcodec.training.coefficients.coefficient_export import exported
from ddpmcodec.training.coefficients.coefficient_network import ROLES, CoefficientNetwork, CoefficientShape
from ddpmcodec.training.coefficients.coefficient_start import tensors_of
from ddpmcodec.training.coefficients.coefficient_trainer import CoefficientSettings
from ddpmcodec.training.state import State


def is_run(folder: Path) -> bool:
    """Return whether a folder's run trains networks of coefficients. Raises TrainingError if it holds no run."""
    roles = set(state.read(folder).facts.get("shapes", {}))
    return bool(roles) and roles <= set(ROLES)


def export(folders: Sequence[Path], name: str, *, base: str | None = None) -> bytes:
    """Return the model file of runs, of which later ones win.

    Parameters:
        base: the model that has the networks that no run has; None: runs must have all.

    Raises:
        TrainingError: if a network is missing, or a folder has no such run.
        ModelError: if `base` is not a model of JPEG coefficients.
    """
    tensors: dict[str, NDArray[Any]] = {} if base is None else dict(tensors_of(base))
    made = []
    for folder in folders:
        saved, settings = state.read(folder), run.saved_settings(folder, CoefficientSettings)
        networks = networks_of(saved, folder)
        replaced = tuple(f"{settings.effort}.{role}." for role in networks)
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(replaced)}
        tensors |= exported(networks, settings.effort)
        made.append(_made(saved, settings, networks))
    if missing := [key for key in jpeg.NETWORKS if not part(tensors, key)]:
        raise TrainingError(
            f"no run has the networks {', '.join(missing)} (effort.role): train them, or take them from another model"
            " with base=..."
        )
    return jpeg.pack(tensors, name, {"runs": made})


def networks_of(saved: State, folder: Path) -> dict[str, CoefficientNetwork]:
    """Return the networks of a run by role. Raises TrainingError if it is another kind of run."""
    with state.is_state(folder):
        networks = {role: CoefficientNetwork(CoefficientShape(*shape)) for role, shape in saved.facts["shapes"].items()}
        for role, network in networks.items():
            state.load_module(network, role, saved.tensors)
        return networks


def _made(saved: State, settings: CoefficientSettings, networks: dict[str, CoefficientNetwork]) -> dict[str, Any]:
    """What a model says of a run."""
    return {
        "effort": settings.effort, "roles": list(networks), "files": saved.facts["images"],
        "hours": round(saved.facts["seconds"] / 3600, 3), "steps": saved.facts["step"],
    }  # fmt: skip
