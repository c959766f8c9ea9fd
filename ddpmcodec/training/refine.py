"""Give an exported model local networks: train them on its predictions, and write the model with them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import presets
from ddpmcodec.container import PROGRESSIVE
from ddpmcodec.errors import TrainingError
from ddpmcodec.files import write_file
from ddpmcodec.networks import checkpoint
from ddpmcodec.networks.local import Shape, dilation
from ddpmcodec.schedule import Step, steps_to_json
from ddpmcodec.training import local_state
from ddpmcodec.training.data import Mixture
from ddpmcodec.training.local import LocalTrainer, train
from ddpmcodec.training.trainer import Settings as CropSettings
from ddpmcodec.training.trainer import split


@dataclass(frozen=True)
class Settings:
    """One run. Learning rates decay linearly to zero over `hours` of a clock."""

    data: tuple[str, ...]  # several data sets take turns, a step each
    hours: float = 0.5
    batch: int = 32
    crop: int = 32
    hold_out: int = 2000
    validate: str | None = None
    camera_share: float = 0.0
    progressive: bool = False  # networks of the progressive list, instead of those of the efforts
    learn: bool = True  # lists let networks learn from an image: from effort 7 on, and the progressive one
    width: int = Shape().width
    muon_rate: float = 0.02
    adam_rate: float = 5e-3
    warmup: int = 50
    seed: int = 0
    evaluate_minutes: float = 5.0
    evaluate_images: int = 200


def refine(
    model: bytes,
    settings: Settings,
    out: Path,
    say: Callable[[str], object] = print,
    *,
    resume: bool = False,
    compiled: bool = True,
    name: str = "the model to refine",
) -> bytes:
    """The exported model with local networks, which is written to `out` every few minutes too; log and, until the run
    is over, its state beside it, from which `resume` goes on.

    Networks of this width that the model has already are trained further; where it has one for a step that tells more
    at once, the networks of its parts begin as that one. Networks that no list of the model takes any more go.
    name: of the model, in errors. Raises ModelError, TrainingError, OutputError.
    """
    parsed = checkpoint.parse(model, name)
    steps, shape = presets.refined_steps(progressive=settings.progressive), Shape(settings.width)
    kept = {step: checkpoint.local_params(model, step) for step in parsed.local}
    if (found := checkpoint.local_shape(model)) != shape and kept:
        if kept.keys() - set(steps):
            raise TrainingError(f"the model has networks of another shape for other steps, {found}: refine those first")
        say(f"its local networks have another shape, {found}: they are replaced")
        kept = {}
    keys = ("data", "batch", "crop", "hold_out", "validate", "camera_share", "seed", "evaluate_images")
    crops, held_out = split(CropSettings(out=str(out), **{key: getattr(settings, key) for key in keys}))
    batches = [held_out[i : i + settings.batch] for i in range(0, len(held_out), settings.batch)]
    source = _Source(crops)
    trainer = LocalTrainer(
        parsed, steps, source, shape=shape, batch=settings.batch, muon_rate=settings.muon_rate,
        adam_rate=settings.adam_rate, warmup=settings.warmup, compiled=compiled,
    )  # fmt: skip
    run = {"model": parsed.id.hex(), "steps": steps_to_json(steps), "width": settings.width}
    for step, network in trainer.networks.items():
        if (start := _start(step, kept)) is not None:
            network.load_integers(kept[start])
    if resume:
        source.drawn = local_state.read(out, trainer, run)
    lists = {PROGRESSIVE: presets.REFINED_PROGRESSIVE} if settings.progressive else presets.REFINED
    if not settings.learn:
        lists = {effort: presets.without_learning(steps) for effort, steps in lists.items()}

    def save() -> bytes:
        trainer.learn_laws()
        networks = {step: network.exported() for step, network in trainer.networks.items()}
        merged = {**parsed.presets, **lists}
        taken = {step for steps in merged.values() for step in presets.without_learning(steps)}
        local = {step: params for step, params in {**kept, **networks}.items() if step in taken}
        found = checkpoint.with_local(model, local, shape, merged)
        write_file(out, found)
        local_state.write(out, trainer, run, source.drawn)
        return found

    with out.with_suffix(".jsonl").open("a") as log:
        _write(log, {"settings": asdict(settings), "steps": steps_to_json(steps)})
        report = _Report(log, trainer, settings, batches, say, save)
        train(trainer, settings.hours, report)
        refined = report.evaluate(1.0)
        local_state.path(out).unlink()
        return refined


class _Source:
    """Images of crops, uint8 [N, H, W, 3], in the order of the crops."""

    def __init__(self, crops: Mixture) -> None:
        self.crops, self.drawn = crops, 0

    def __call__(self, images: int) -> NDArray[np.uint8]:
        pixels = self.crops.batch(self.drawn, images)
        self.drawn += 1
        return pixels.permute(0, 2, 3, 1).contiguous().numpy().astype(np.uint8)


def _start(step: Step, kept: Collection[Step]) -> Step | None:
    """Whose network that of a step begins as: its own, or that of the shortest step which tells the same and more."""
    wider = [
        other
        for other in kept
        if other[:2] == step[:2] and other.first <= step.first and step.last <= other.last
        if dilation(other) == dilation(step)
    ]
    return min(wider, key=lambda other: other.last - other.first, default=None)


def _write(log: TextIO, record: dict[str, Any]) -> None:
    log.write(json.dumps(record) + "\n")
    log.flush()


class _Report:
    """Logs losses every 100 optimiser steps; evaluates and saves every few minutes."""

    def __init__(
        self,
        log: TextIO,
        trainer: LocalTrainer,
        settings: Settings,
        batches: list[NDArray[np.uint8]],
        say: Callable[[str], object],
        save: Callable[[], bytes],
    ) -> None:
        self.log, self.trainer, self.settings, self.batches = log, trainer, settings, batches
        self.say, self.save = say, save
        self.losses: list[float] = []
        self.evaluated = time.perf_counter()

    def __call__(self, done: float, loss: float) -> None:
        self.losses.append(loss)
        if self.trainer.taken % 100 == 0:
            mean = round(float(np.mean(self.losses)), 4)
            record = {"step": self.trainer.taken, "images": self.images(), "done": round(done, 4), "loss": mean}
            _write(self.log, record)
            self.losses = []
        if time.perf_counter() - self.evaluated > 60 * self.settings.evaluate_minutes:
            self.evaluate(done)
            self.evaluated = time.perf_counter()

    def images(self) -> int:
        """How many images the networks have seen places of, all together."""
        return sum(pool.seen for pool in self.trainer.pools.values())

    def evaluate(self, done: float) -> bytes:
        """Logs the held-out costs, without what an image teaches, and saves the model, which is returned."""
        costs = {str(step[:4]): round(bits, 4) for step, bits in self.trainer.evaluate(self.batches).items()}
        seconds, images = round(self.trainer.seconds, 1), self.images()
        record = {"step": self.trainer.taken, "images": images, "seconds": seconds, "done": round(done, 4)}
        _write(self.log, record | {"held_out": costs})
        self.say(f"{100 * done:.0f}%: {images} images, bits/dim of the steps on held-out images {costs}")
        return self.save()
