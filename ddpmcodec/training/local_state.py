"""A refining run on disk, beside its model: one safetensors file, from which a run that was stopped goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ddpmcodec.errors import TrainingError
from ddpmcodec.files import write_file
from ddpmcodec.networks.checkpoint import local_prefix
from ddpmcodec.training.local import LocalTrainer

MOMENTS = ("momentum", "exp_avg", "exp_avg_sq", "step")  # of Muon, and of AdamW


def path(out: Path) -> Path:
    """Of the state of a run that writes the model `out`."""
    return out.with_name(f"{out.name}.state")


def write(out: Path, trainer: LocalTrainer, run: dict[str, Any], drawn: int) -> None:
    """Weights, moments, and how far they are. run: what must be the same when it goes on. drawn: how often images were.

    Raises OutputError.
    """
    tensors = {name: p.detach().contiguous() for name, p in _weights(trainer)}
    for name, optimizer, p in _moments(trainer):
        tensors |= {f"{name}.{key}": optimizer.state[p][key] for key in MOMENTS if key in optimizer.state[p]}
    seen = [pool.seen for pool in trainer.pools.values()]
    written = {"run": run, "taken": trainer.taken, "seconds": trainer.seconds, "seen": seen, "drawn": drawn}
    write_file(path(out), save(tensors, metadata={"ddpmcodec": json.dumps(written)}))


def read(out: Path, trainer: LocalTrainer, run: dict[str, Any]) -> int:
    """Go on from the state beside `out`; how often images were drawn.

    Raises TrainingError where there is none, or it is that of another run.
    """
    file = path(out)
    try:
        with safe_open(file, framework="pt") as content:
            tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
            written: dict[str, Any] = json.loads((content.metadata() or {})["ddpmcodec"])
        before, drawn, seen = dict(written["run"]), int(written["drawn"]), list(map(int, written["seen"]))
        trainer.taken, trainer.seconds = int(written["taken"]), float(written["seconds"])
        changed = [key for key in run if run[key] != before.get(key)]
        if not changed:
            _restore(trainer, tensors, seen)
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(f"{file}: not the state of a refining run ({error}): start one without --resume") from error
    if changed:
        raise TrainingError(f"{file}: is of a run with another {', '.join(changed)}: go on with the options it had")
    return drawn


def _restore(trainer: LocalTrainer, tensors: dict[str, Tensor], seen: list[int]) -> None:
    for pool, images in zip(trainer.pools.values(), seen, strict=True):
        pool.seen = images
    with torch.no_grad():
        for name, p in _weights(trainer):
            p.copy_(tensors[name])
    for name, optimizer, weight in _moments(trainer):
        optimizer.state[weight] |= {key: tensors[f"{name}.{key}"] for key in MOMENTS if f"{name}.{key}" in tensors}


def _weights(trainer: LocalTrainer) -> Iterator[tuple[str, nn.Parameter]]:
    for step, network in trainer.networks.items():
        yield from ((f"{local_prefix(step)}{name}", p) for name, p in network.named_parameters())


def _moments(trainer: LocalTrainer) -> Iterator[tuple[str, torch.optim.Optimizer, Tensor]]:
    for step, optimizers in trainer.optimizers.items():
        for number, optimizer in enumerate(optimizers):
            for place, p in enumerate(optimizer.param_groups[0]["params"]):
                yield f"{local_prefix(step)}optimizer.{number}.{place}", optimizer, p
