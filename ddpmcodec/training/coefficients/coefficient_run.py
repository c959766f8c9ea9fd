"""From images and JPEG files to the networks of coefficients: a training run in a folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch

from ddpmcodec.errors import TrainingError
from ddpmcodec.training import run, state
from ddpmcodec.training.coefficients.coefficient_trainer import CoefficientSettings, CoefficientTrainer
from ddpmcodec.training.coefficients.replay_files import SUFFIXES, FileSource, ReplayFiles, parsed
from ddpmcodec.training.coefficients.writing import JpegSetting, robidoux, write
from ddpmcodec.training.data import Pixels, image_sets
from ddpmcodec.training.optim import device_of
from ddpmcodec.training.run import Say

CHANGES = ("hours", "steps")  # settings that a resumed run may change
MOST_HELD_OUT = 24  # images, and files, that are evaluated on
# By the name of a figure how the files of held-out images are written.
HELD_OUT = {
    "q75 4:2:0": JpegSetting(75, "4:2:0"),
    "q80 4:2:0 robidoux": JpegSetting(80, "4:2:0", robidoux(80)),
    "q90 4:2:0": JpegSetting(90, "4:2:0"),
    "q95 4:4:4": JpegSetting(95, "4:4:4"),
}
FILES = "files"  # the name of the figure of files that are taken as they are


def train(
    settings: CoefficientSettings, out: Path, say: Say = print, *, resume: bool = False, chosen: Collection[str] = (),
    device: str | None = None, evaluate_minutes: float = run.EVALUATE_MINUTES,
) -> tuple[CoefficientTrainer, bool]:  # fmt: skip
    """Train until the hours or steps are spent, or SIGTERM; the trainer, and whether it is done. What it takes and
    raises is that of `context_run.train`."""
    with run.alone_in(out):
        settings, resumes = run.settings_of(out, settings, resume=resume, chosen=chosen, changes=CHANGES)
        saved = state.read(out) if resumes else None
        trainer = _trainer(settings, say, saved, device_of(device))
        if saved:
            with state.is_state(out):
                trainer.restore(saved)
        return trainer, run.run(trainer, out, say, evaluate_minutes=evaluate_minutes)


def _trainer(
    settings: CoefficientSettings, say: Say, saved: state.State | None, device: torch.device
) -> CoefficientTrainer:
    images = image_sets(settings.data, validate=settings.validate, hold_out=settings.hold_out, undecoded=SUFFIXES)
    *sets, held_out = [_readable(each) for each in (*images.sets, images.held_out)]
    for note in (*images.notes, *_left_out([*images.sets, images.held_out], [*sets, held_out])):
        say(note)
    _require_some(settings.data, sets)
    run.say_if_changed(saved, images.digest, say)
    if not saved:
        say("measuring coefficients takes a minute; then training begins")
    replay, files = ReplayFiles(FileSource(sets, settings.crop, settings.seed)), held_out_files(held_out, settings.crop)
    trainer = CoefficientTrainer(settings, replay, files, device=device, begins=not saved)
    trainer.images_digest = images.digest
    return trainer


def _readable(images: Sequence[Pixels]) -> list[Pixels]:
    """The images, and of the JPEG files those that the networks code."""
    return [image for image in images if image.ndim > 1 or parsed(image.tobytes())]


def _left_out(before: Sequence[Sequence[Pixels]], after: Sequence[Sequence[Pixels]]) -> list[str]:
    count = sum(map(len, before)) - sum(map(len, after))
    note = f"{count} JPEG files are damaged, or neither grey nor YCbCr of a usual sampling, and left out"
    return [note] if count else []


def _require_some(data: Sequence[str], sets: Sequence[Sequence[Pixels]]) -> None:
    for name, images in zip(data, sets, strict=True):
        if not images:
            raise TrainingError(f"{name}: none of its JPEG files can be learned from: give other data=...")


def held_out_files(images: Sequence[Pixels], side: int) -> Mapping[str, list[bytes]]:
    """Return the files to evaluate on by the name of their figure: those of the middle of images, at most `side`
    squared, and those that are files."""
    found = defaultdict[str, list[bytes]](list)
    for image in [image for image in images if image.ndim > 1][:MOST_HELD_OUT]:
        top, left = (max(0, (size - side) // 2) for size in image.shape[:2])
        middle = image[top : top + side, left : left + side]
        for name, setting in HELD_OUT.items():
            found[name].append(write(middle, setting))
    for image in [image for image in images if image.ndim == 1][:MOST_HELD_OUT]:
        found[FILES].append(image.tobytes())
    return dict(found)
