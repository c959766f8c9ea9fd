"""Training of all networks of a context model, in turns, under a clock: rates fall to zero over its hours."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ddpmcodec.coding_schedule import SCHEDULES, STEPS
from ddpmcodec.errors import TrainingError
from ddpmcodec.files import write_file
from ddpmcodec.networks.context.shape import BAND_KINDS, SHAPE, Shape, band_kind
from ddpmcodec.training.context import LatentContext, Positions, bits, loss
from ddpmcodec.training.optim import Muon
from ddpmcodec.training.positions import Pool, positions_of, step_states, unfinished

MUON_RATE, ADAM_RATE, WARMUP = 0.02, 5e-3, 100
TURNS = (0, 1, 0, 2, 0, 1, 0)  # kinds of bands
MOMENTS = ("momentum", "exp_avg", "exp_avg_sq", "step")  # of Muon, and of AdamW


class ContextTrainer:
    """The networks, their optimisers, and the positions that they learn from."""

    def __init__(
        self, pool: Pool, *, networks: Sequence[LatentContext] = (), batch: int = 4096, muon_rate: float = MUON_RATE,
        adam_rate: float = ADAM_RATE, compiled: bool = True,
    ) -> None:  # fmt: skip
        """networks: to begin with, one for each kind of bands; new ones of `SHAPE` where there are none."""
        self.pool, self.batch, self.rates = pool, batch, (muon_rate, adam_rate)
        self.taken, self.seconds = 0, 0.0
        self.networks = [*networks] or [LatentContext(SHAPE) for _ in range(BAND_KINDS)]
        self.optimizers = [self._optimizers(network) for network in self.networks]
        self.loss = torch.compile(loss, dynamic=False) if compiled else loss

    def _optimizers(self, network: LatentContext) -> list[torch.optim.Optimizer]:
        inner = [weight for layer, weight in network.weights.items() if layer != "leave"]
        rest = [p for p in network.parameters() if all(p is not w for w in inner)]
        muon, adam = self.rates
        return [Muon(inner, lr=muon), torch.optim.AdamW(rest, lr=adam, betas=(0.9, 0.99), weight_decay=0.0)]

    def update(self, progress: float) -> tuple[int, float]:
        """One step of the network whose turn it is; its mean bits a position."""
        kind = TURNS[self.taken % len(TURNS)]
        network = self.networks[kind]
        if not self.taken // len(TURNS) and not network.biases["leave"].any():
            begin_scales(network, self.pool.draw(kind, self.batch))
        value = self.loss(network, self.pool.draw(kind, self.batch))
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        multiplier = min(1.0, (self.taken // len(TURNS) + 1) / WARMUP) * (1 - progress)
        for optimizer, rate in zip(self.optimizers[kind], self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * multiplier
            optimizer.step()
            optimizer.zero_grad()
        self.taken += 1
        return kind, float(value.detach())

    @torch.no_grad()
    def evaluate(self, batches: Sequence[NDArray[np.uint8]]) -> list[float]:
        """Ideal code length of every one of `STEPS`, bits/dim of whole images uint8 [N, H, W, 3]."""
        total, dims = np.zeros(len(STEPS)), 0
        for pixels in batches:
            dims += pixels.size
            for state in (s for schedule in SCHEDULES.values() for s in step_states(pixels, schedule)):
                at = unfinished(state)
                network = self.networks[band_kind(state.band.number)]
                for first in range(0, len(at), 8192):
                    positions = Positions.of(positions_of(state, at[first : first + 8192]))
                    total[state.step.number] += float(bits(network, positions).double().sum())
        return list(total / dims)


def begin_scales(network: LatentContext, positions: Positions) -> None:
    """First biases of the scales: of the mean size of what a situation codes."""
    middle = ((positions.new_lo + positions.new_hi) / 2).abs().t()
    network.biases["leave"].data[:, 3:6] = torch.log(middle.mean(0) * 0.6 + 0.3) + 48 / (8 / np.log(2))
    for s in positions.situation.unique():  # type: ignore[no-untyped-call]
        mean = middle[positions.situation == s].mean(0)
        network.biases["leave"].data[s, 3:6] = torch.log(mean * 0.6 + 0.3) + 48 / (8 / np.log(2))


def write_state(path: Path, trainer: ContextTrainer, facts: Mapping[str, Any] | None = None) -> None:
    """Weights, moments, how far they are, and what else a run wants to find again (JSON values)."""
    tensors: dict[str, Tensor] = {}
    for name, network, optimizers in _parts(trainer):
        for key, p in network.named_parameters():
            tensors[f"{name}.{key}"] = p.detach().contiguous()
            for optimizer in optimizers:
                for moment in MOMENTS:
                    if p in optimizer.state and moment in optimizer.state[p]:
                        tensors[f"{name}.{key}:{moment}"] = optimizer.state[p][moment]
    written = {**(facts or {}), "taken": trainer.taken, "seconds": trainer.seconds, "images": trainer.pool.images}
    write_file(path, save(tensors, metadata={"ddpmcodec": json.dumps(written)}))


@contextmanager
def _is_state(path: Path) -> Iterator[None]:
    """Names the file in a TrainingError for what goes wrong with what it holds."""
    try:
        yield
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"{path}: not the state of a training run ({error}): name a folder that `ddpmcodec train` wrote"
        ) from error


def _content(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as content:
        tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
        return tensors, dict(json.loads((content.metadata() or {})["ddpmcodec"]))


def read_facts(path: Path) -> dict[str, Any]:
    """What `write_state` was given, and `taken`, `seconds` and `images`. Raises TrainingError."""
    with _is_state(path):
        return _content(path)[1]


def read_networks(path: Path) -> list[LatentContext]:
    """The networks of a state. Raises TrainingError where it is none."""
    with _is_state(path):
        tensors, _ = _content(path)
        depth = sum(key.startswith("band0.weights.block") and ":" not in key for key in tensors)
        shape = Shape(len(tensors["band0.weights.enter"]), depth)
        networks = [LatentContext(shape) for _ in range(BAND_KINDS)]
        for k, network in enumerate(networks):
            network.load_state_dict({key: tensors[f"band{k}.{key}"] for key, _ in network.named_parameters()})
    return networks


def read_state(path: Path, trainer: ContextTrainer) -> None:
    """Go on from a state. Raises TrainingError where it is none."""
    with _is_state(path):
        tensors, written = _content(path)
        trainer.taken, trainer.seconds = int(written["taken"]), float(written["seconds"])
        trainer.pool.images = int(written["images"])
        for name, network, optimizers in _parts(trainer):
            network.load_state_dict({k: tensors[f"{name}.{k}"] for k, _ in network.named_parameters()})
            for key, p in network.named_parameters():
                for optimizer in optimizers:
                    if any(p is q for q in optimizer.param_groups[0]["params"]):
                        kept = {m: tensors[f"{name}.{key}:{m}"] for m in MOMENTS if f"{name}.{key}:{m}" in tensors}
                        optimizer.state[p] = kept


def _parts(trainer: ContextTrainer) -> list[tuple[str, LatentContext, list[torch.optim.Optimizer]]]:
    return [(f"band{k}", n, o) for k, (n, o) in enumerate(zip(trainer.networks, trainer.optimizers, strict=True))]


def train(
    trainer: ContextTrainer,
    hours: float,
    held_out: Sequence[NDArray[np.uint8]],
    log: Callable[[dict[str, Any]], object],
    save_to: Path,
    evaluate_minutes: float = 5.0,
    *,
    facts: Callable[[], Mapping[str, Any]] = dict,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train until the trainer has had so many hours, or until `stop`; log, evaluate and save now and then.

    facts: what `write_state` keeps. Raises TrainingError when the loss is no number.
    """
    start, evaluated = time.perf_counter() - trainer.seconds, time.perf_counter()
    losses: dict[int, list[float]] = {}

    def report(done: float) -> None:
        costs = trainer.evaluate(held_out)
        log({
            "step": trainer.taken, "images": trainer.pool.images, "seconds": round(trainer.seconds, 1),
            "done": round(done, 4), "held_out": {
                name: round(sum(costs[step.number] for step in schedule), 4) for name, schedule in SCHEDULES.items()
            },
            "steps": [round(float(cost), 4) for cost in costs],
        })  # fmt: skip
        write_state(save_to, trainer, facts())

    while (done := (time.perf_counter() - start) / (3600 * hours)) < 1:
        kind, value = trainer.update(done)
        if not math.isfinite(value):
            raise TrainingError(f"the loss is {value} after {trainer.taken} steps: go back to the last save (--resume)")
        losses.setdefault(kind, []).append(value)
        trainer.seconds = time.perf_counter() - start
        if trainer.taken % 1000 == 0:
            means = {kind + 1: round(float(np.mean(found)), 4) for kind, found in losses.items()}
            log({"step": trainer.taken, "images": trainer.pool.images, "done": round(done, 4), "bits": means})
            losses = {}
        if stop():
            write_state(save_to, trainer, facts())
            return
        if time.perf_counter() - evaluated > 60 * evaluate_minutes:
            report(done)
            evaluated = time.perf_counter()
            start = evaluated - trainer.seconds
    trainer.seconds = max(trainer.seconds, 3600 * hours)
    report(1.0)
