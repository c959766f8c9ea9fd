"""From images to a context model: a training run in a folder, and the model file that comes of several."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ddpmcodec.models.context import parse
from ddpmcodec.training import context_export, reconstruction, run, state
from ddpmcodec.training.context_data import SOURCE_PIXELS, Ahead, Source, held_out_batches
from ddpmcodec.training.context_trainer import Batches, ContextSettings, ContextTrainer
from ddpmcodec.training.data import Pixels, crops_of, image_sets, left_out, load_images
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
    where = device_of(device)
    sets, held_out = image_sets(settings.data, validate=settings.validate, hold_out=settings.hold_out)
    trainer = ContextTrainer(
        settings, _batches(settings, sets, where, say), held_out_batches(held_out), device=where, compiled=compiled,
        begins=not resumes,
    )  # fmt: skip
    if resumes:
        saved = state.read(out)
        with state.is_state(out):
            trainer.restore(saved)
    if compiled:
        trainer.compile()
    done = run.run(trainer, out, say, evaluate_minutes=evaluate_minutes)
    return trainer, done


def _batches(settings: ContextSettings, sets: Sequence[list[Pixels]], where: torch.device, say: Say) -> Batches:
    crops = crops_of(sets, settings.crop, settings.seed, settings.camera_share)
    if note := left_out(sets, crops):
        say(note)
    source = Source(crops, settings.seed, SOURCE_PIXELS * settings.batch)
    return source if where.type == "cpu" else Ahead(source, threads=os.cpu_count() or 1)


def export(
    folders: Sequence[Path], name: str, say: Say, *, base: str | None = None, data: Sequence[str] = (),
    denoiser_hours: float = 0.0,
) -> bytes:  # fmt: skip
    """The model file of runs, of which later ones win; what none of them has is taken from the model `base`. With
    hours, a denoiser is trained on images of `data`, or on those of the last run. Raises TrainingError, ModelError."""
    parts = context_export.gathered(folders, base)
    content = parts.packed(name)
    if not denoiser_hours:
        return content

    def log(record: Mapping[str, Any]) -> None:
        say(f"denoiser: {record['done']:.0%}, step {record['step']}: {record['decibel']:.2f} dB better previews")

    source = _denoiser_source(run.saved_settings(folders[-1], ContextSettings), data)
    denoiser = reconstruction.train(parse(content, name), source, denoiser_hours, log)
    return parts.with_denoiser(denoiser.state_dict()).packed(name)


def _denoiser_source(settings: ContextSettings, data: Sequence[str]) -> Source:
    if data:
        sets = [load_images(source) for source in data]
    else:
        sets, _ = image_sets(settings.data, validate=settings.validate, hold_out=settings.hold_out)
    torch.manual_seed(settings.seed)
    return Source(crops_of(sets, settings.crop, settings.seed + 1), settings.seed + 1, DENOISER_PIXELS)
