"""From images to a context model: a training run in a folder, and the model file that comes of it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ddpmcodec.networks.context.model_file import parse
from ddpmcodec.training import context_export, reconstruction, run, state
from ddpmcodec.training.context_data import (
    SOURCE_PIXELS,
    Ahead,
    Source,
    adaptation_images,
    held_out_batches,
)
from ddpmcodec.training.context_trainer import Batches, ContextSettings, ContextTrainer, networks_of
from ddpmcodec.training.data import crops_of, image_sets, left_out, load_images
from ddpmcodec.training.device import device_of
from ddpmcodec.training.run import Say

DENOISER_PIXELS = 1 << 14  # of images that states for the denoiser are taken from at a time
CHANGES = ("hours",)  # settings that a resumed run may change


def train(
    settings: ContextSettings, out: Path, say: Say = print, *, resume: bool = False, chosen: Collection[str] = (),
    device: str | None = None, evaluate_minutes: float = 5.0, compiled: bool = True,
) -> tuple[ContextTrainer, bool]:  # fmt: skip
    """Train until the hours are spent, or SIGTERM; the trainer, and whether it is done.

    `out` gets the state and a log. With `resume`, a run that `out` holds goes on with its own settings; those that are
    named in `chosen` must be the same, except for `CHANGES`. device: as PyTorch names it; None: a GPU where there is
    one; it may change from one part of a run to the next.

    Raises TrainingError when the data or the saved state cannot be used, or `out` holds a run and `resume` is off.
    """
    settings, resumes = run.settings_of(out, settings, resume=resume, chosen=chosen, changes=CHANGES)
    settings.shape()
    where = device_of(device)
    sets, held_out = image_sets(settings.data, validate=settings.validate, hold_out=settings.hold_out)
    crops = crops_of(sets, settings.crop, settings.seed, settings.camera_share)
    if note := left_out(sets, crops):
        say(note)
    source = Source(crops, settings.seed, SOURCE_PIXELS * settings.batch)
    ready: Batches = source if where.type == "cpu" else Ahead(source, threads=os.cpu_count() or 1)
    trainer = ContextTrainer(
        settings, ready, held_out_batches(held_out), device=where, compiled=compiled, begins=not resumes
    )
    if resumes:
        saved = state.read(out)
        with state.is_state(out):
            trainer.restore(saved)
    done = run.run(trainer, out, say, evaluate_minutes=evaluate_minutes)
    return trainer, done


def export(folder: Path, name: str, say: Say, *, data: Sequence[str] = (), denoiser_hours: float = 0.0) -> bytes:
    """The model file of a run: integers, what online adaptation begins with, and a denoiser that was trained for so
    many hours. data: images instead of the run's own. Raises TrainingError."""
    saved = state.read(folder)
    networks, settings = networks_of(saved, folder), run.saved_settings(folder, ContextSettings)
    if data:
        sets = [load_images(source) for source in data]
    else:
        sets, _ = image_sets(settings.data, validate=settings.validate, hold_out=settings.hold_out)
    exported = context_export.export(networks, adaptation_images(sets), name, training=_made(saved.facts))
    if not denoiser_hours:
        return exported

    def log(record: Mapping[str, Any]) -> None:
        say(f"denoiser: {record['done']:.0%}, step {record['step']}: {record['decibel']:.2f} dB better previews")

    source = Source(crops_of(sets, settings.crop, settings.seed + 1), settings.seed + 1, DENOISER_PIXELS)
    torch.manual_seed(settings.seed)
    denoiser = reconstruction.train(parse(exported, name), source, denoiser_hours, log)
    tensors = {key: value.detach().numpy() for key, value in denoiser.state_dict().items()}
    return context_export.with_denoiser(exported, tensors, name)


def _made(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"hours": round(facts["seconds"] / 3600, 3), "images": facts["images"], "steps": facts["step"]}
