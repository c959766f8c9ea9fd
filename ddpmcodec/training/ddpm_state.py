"""A run of the paper's training on disk: one safetensors file that goes on exactly where it was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ddpmcodec.errors import TrainingError
from ddpmcodec.files import write_file
from ddpmcodec.networks.profile import differences

if TYPE_CHECKING:
    from ddpmcodec.training.ddpm_trainer import Trainer

FILE = "state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def exists(folder: Path) -> bool:
    return (folder / FILE).exists()


def write(folder: Path, trainer: Trainer) -> None:
    """Write the whole state: weights, averages, Adam's moments, step and training time. Raises OutputError."""
    tensors = {f"network.{k}": v for k, v in trainer.network.state_dict().items()}
    tensors |= {f"averaged.{k}": v for k, v in trainer.averaged.state_dict().items()}
    for name, p, key in _moments(trainer):
        if key in trainer.optimizer.state[p]:
            tensors[name] = trainer.optimizer.state[p][key]
    facts = {"run": _run(trainer), "step": trainer.step, "seconds": trainer.seconds}
    contiguous = {k: v.contiguous() for k, v in tensors.items()}
    write_file(folder / FILE, save(contiguous, metadata={"ddpmcodec": json.dumps(facts)}))


def read(folder: Path, trainer: Trainer) -> None:
    """Go on from `folder`. Raises TrainingError when it holds no state, or that of another network or objective."""
    try:
        facts, tensors = _load(folder)
        run, trainer.step, trainer.seconds = dict(facts["run"]), int(facts["step"]), float(facts["seconds"])
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{folder / FILE}: not a training state ({error}); was --out the folder of `ddpmcodec train-ddpm`?"
        ) from error
    if run != _run(trainer):
        changed = differences(run, _run(trainer))
        raise TrainingError(f"{folder}: {changed}: go on with the options of the run, or choose another folder")
    _restore(trainer.network, tensors, "network.")
    _restore(trainer.averaged, tensors, "averaged.")
    for name, p, key in _moments(trainer):
        if name in tensors:
            moment = tensors[name]
            trainer.optimizer.state[p][key] = moment if key == "step" else moment.to(p.device)


def _run(trainer: Trainer) -> dict[str, Any]:
    """What must be the same when a run goes on, as JSON returns it."""
    settings = trainer.settings
    process = {"objective": settings.objective, "schedule": settings.schedule, "timesteps": settings.T}
    run: dict[str, Any] = json.loads(json.dumps(settings.network.to_json() | process))
    return run


def _moments(trainer: Trainer) -> Iterator[tuple[str, nn.Parameter, str]]:
    for name, p in trainer.network.named_parameters():
        for key in MOMENTS:
            yield f"adam.{name}.{key}", p, key


def _load(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(folder / FILE, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return json.loads((file.metadata() or {})["ddpmcodec"]), tensors


def _restore(module: nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
