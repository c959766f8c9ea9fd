"""A training run on disk: one safetensors file of tensors and facts, replaced atomically."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ddpmcodec.errors import TrainingError
from ddpmcodec.formats.files import write_file
from ddpmcodec.models.context import part
from ddpmcodec.models.model_file import KEY, SEAL, seal

FILE = "state.safetensors"
ON_CPU = "step"  # a moment that optimisers keep there, wherever their parameters are


class State(NamedTuple):
    """All that a run needs to go on."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]  # JSON values


def exists(folder: Path) -> bool:
    return (folder / FILE).exists()


def write(folder: Path, state: State) -> None:
    """Writes a state with its hash. Raises OutputError, and keeps the old file then."""
    tensors = {key: value.detach().contiguous() for key, value in state.tensors.items()}
    write_file(folder / FILE, seal(save(tensors, metadata={KEY: json.dumps(state.facts)})))


def read(folder: Path) -> State:
    """Raises TrainingError where it is no state, or damaged."""
    with is_state(folder), safe_open(folder / FILE, framework="pt") as content:
        tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
        facts = dict(json.loads((content.metadata() or {})[KEY]))
    _check(folder / FILE, facts)
    return State(tensors, facts)


def _check(path: Path, facts: dict[str, Any]) -> None:
    """Takes the hash out of the facts. Raises TrainingError unless the file has it."""
    data = path.read_bytes()
    if seal(data) != data:
        raise TrainingError(
            f"{path}: is damaged: its hash does not match; restore it from a copy, or train in another folder"
        )
    del facts[SEAL]


@contextmanager
def is_state(folder: Path) -> Iterator[None]:
    """Converts what goes wrong with the content of a folder's state into a TrainingError that names the file."""
    try:
        yield
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"{folder / FILE}: not the state of such a run ({error}): name a folder that this kind of training wrote"
        ) from error


def of_module(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}.{key}": value for key, value in module.state_dict().items()}


def load_module(module: nn.Module, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    """Raises RuntimeError where names or shapes differ."""
    module.load_state_dict(part(tensors, prefix))


def of_optimizer(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """Moments of its parameters, by number."""
    return {
        f"{prefix}.{number}.{moment}": value
        for number, p in enumerate(optimizer.param_groups[0]["params"])
        for moment, value in optimizer.state.get(p, {}).items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    parameters = optimizer.param_groups[0]["params"]
    for key, value in part(tensors, prefix).items():
        number, moment = key.split(".")
        p = parameters[int(number)]
        optimizer.state[p][moment] = value if moment == ON_CPU else torch.empty_like(p).copy_(value)
