"""A run of `training.gaussian_trainer` on disk: one safetensors file, replaced atomically."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from ddpmcodec.errors import TrainingError
from ddpmcodec.files import write_file
from ddpmcodec.networks.gaussian.architecture import Architecture
from ddpmcodec.networks.gaussian.latent import LatentNetwork

if TYPE_CHECKING:
    from ddpmcodec.training.gaussian_trainer import Trainer

FILE = "state.safetensors"


def exists(folder: Path) -> bool:
    return (folder / FILE).exists()


def _optimizer_tensors(trainer: Trainer) -> Iterator[tuple[str, torch.optim.Optimizer, Tensor, str]]:
    for number, optimizer in enumerate(trainer.optimizers):
        for place, p in enumerate(optimizer.param_groups[0]["params"]):
            for key in ("momentum",) if number == 0 else ("exp_avg", "exp_avg_sq", "step"):
                yield f"optimizer.{number}.{place}.{key}", optimizer, p, key


def save(folder: Path, trainer: Trainer) -> None:
    """Write the whole state: weights, averages, moments of the optimisers, step and training time."""
    tensors = {f"latent.{k}": v for k, v in trainer.latent.state_dict().items()}
    tensors |= {f"averaged.{k}": v for k, v in trainer.averaged.state_dict().items()}
    for name, optimizer, p, key in _optimizer_tensors(trainer):
        if key in optimizer.state[p]:
            tensors[name] = optimizer.state[p][key]
    meta = {"architecture": trainer.settings.architecture.to_json(), "step": trainer.step, "seconds": trainer.seconds}
    contiguous = {k: v.contiguous() for k, v in tensors.items()}
    write_file(folder / FILE, save_tensors(contiguous, metadata={"ddpmcodec": json.dumps(meta)}))


def _read(folder: Path) -> tuple[dict[str, object], dict[str, Tensor]]:
    try:
        with safe_open(folder / FILE, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return json.loads((file.metadata() or {})["ddpmcodec"]), tensors
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(
            f"{folder / FILE}: not a training state ({error}); was --out the folder of `ddpmcodec train-gaussian`?"
        ) from error


def load(folder: Path, trainer: Trainer) -> None:
    """Continue from `folder`. Raises TrainingError when its network has another shape."""
    meta, tensors = _read(folder)
    if meta["architecture"] != trainer.settings.architecture.to_json():
        raise TrainingError(
            f"{folder}: the saved network is {meta['architecture']}, not {trainer.settings.architecture.to_json()}"
        )
    for module, prefix in ((trainer.latent, "latent."), (trainer.averaged, "averaged.")):
        _restore(module, tensors, prefix)
    for name, optimizer, p, key in _optimizer_tensors(trainer):
        if name in tensors:
            optimizer.state[p][key] = tensors[name]
    trainer.step, trainer.seconds = int(str(meta["step"])), float(str(meta["seconds"]))


def averaged_network(folder: Path) -> LatentNetwork:
    """The averaged network of a run. Raises TrainingError."""
    meta, tensors = _read(folder)
    try:
        latent = LatentNetwork(Architecture(**meta["architecture"]))  # type: ignore[arg-type]
        _restore(latent, tensors, "averaged.")
    except (KeyError, TypeError, RuntimeError) as error:
        raise TrainingError(f"{folder / FILE}: not a training state; was it made by another version?") from error
    return latent


def _restore(module: LatentNetwork, tensors: dict[str, Tensor], prefix: str) -> None:
    module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
