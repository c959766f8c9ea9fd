"""From images to a context model: a training run in a folder, which learns from crops of them, and the model file of
runs."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.formats.files import write_file
from ddpmcodec.models.architectures import RESIDUAL
from ddpmcodec.models.context import EFFORTS, PREVIEW, ROLES, ContextModel, pack, parse
from ddpmcodec.training import run, state
from ddpmcodec.training.context_trainer import Batches, ContextSettings, ContextTrainer
from ddpmcodec.training.data import Images, Mixture, Pixels, crops_of, grey, image_sets, left_out
from ddpmcodec.training.networks import ALL, ModelFile, networks_of, tensors_of
from ddpmcodec.training.optim import device_of
from ddpmcodec.training.run import Say
from ddpmcodec.training.trainable import Trainable

SOURCE_PIXELS = 16  # pixels in a batch of images, for each position of a step
GREY_SHARE = 0.03  # of images that are made grey
HELD_OUT_SIDE, HELD_OUT_IMAGES, HELD_OUT_PIXELS = 128, 300, 1 << 20
CHANGES = ("hours",)  # settings that a resumed run may change
MODEL, IMAGES = "model.safetensors", "images.npy"  # in the folder of a run that `fit` made


def train(
    settings: ContextSettings, out: Path, say: Say = print, *, resume: bool = False, chosen: Collection[str] = (),
    device: str | None = None, evaluate_minutes: float = run.EVALUATE_MINUTES, compiled: bool | None = None,
) -> tuple[ContextTrainer, bool]:  # fmt: skip
    """Train until the hours are spent, or SIGTERM; the trainer, and whether it is done.

    `out` gets the state and a log. With `resume`, a run that `out` holds goes on with its own settings; those that are
    named in `chosen` must be the same, except for `CHANGES`. device: as PyTorch names it; None: a GPU where there is
    one. compiled: whether PyTorch compiles the loss; None: as before, and True at first. Both may change from one part
    of a run to the next.

    Raises TrainingError when the data or the saved state cannot be used, or `out` holds a run and `resume` is off.
    """
    with run.alone_in(out):
        settings, resumes = run.settings_of(out, settings, resume=resume, chosen=chosen, changes=CHANGES)
        saved = state.read(out) if resumes else None
        trainer = _trainer(settings, out, say, saved, device, compiled)
        run.prepare(trainer, saved, out, say)
        return trainer, run.run(trainer, out, say, evaluate_minutes=evaluate_minutes)


def _trainer(
    settings: ContextSettings, out: Path, say: Say, saved: state.State | None, device: str | None, compiled: bool | None
) -> ContextTrainer:
    where = device_of(device)
    images = image_sets(settings.data, validate=settings.validate, hold_out=settings.hold_out)
    trainer = ContextTrainer(
        settings, _batches(settings, images, where, say), held_out_batches(images.held_out), device=where,
        compiled=run.compiles(compiled, saved), networks=networks_of(saved, out) if saved else None,
    )  # fmt: skip
    trainer.images_digest = images.digest
    run.say_if_changed(saved, images.digest, say)
    _require_codable(trainer.networks)
    return trainer


def _require_codable(networks: Mapping[str, Trainable]) -> None:
    """Raises ModelError where a file could not be coded with what is trained, before that takes hours."""
    for role, network in networks.items():
        shape = network.shape
        if shape.architecture == RESIDUAL:
            continue
        key = f"{EFFORTS[0]}.{role}"
        try:
            tensors = {f"{key}.{name}": tensor.cpu().numpy() for name, tensor in network.exported().items()}
            pack(tensors, {key: shape.components}, "untrained", named={key: shape.architecture})
        except Exception as error:  # of any kind, as it is somebody else's code
            raise ModelError(
                f"networks of the architecture {shape.architecture!r} cannot code what is trained of them as {role}"
                f" ({type(error).__name__}: {error}): mend the class that codes, or `exported`"
            ) from error


def fit(
    data: str | Path | Pixels | Sequence[str | Path], out: str | Path, *, name: str = "mine",
    base: str = "photo", say: Say = print, resume: bool = False, device: str | None = None,
    compiled: bool | None = None, **settings: Any,
) -> ContextModel:  # fmt: skip
    """Train networks and put them into a model, in one call: `ddpmcodec train` and `ddpmcodec export`.

    Parameters:
        data: folders of images, or uint8 [N, H, W, 3], which `out` keeps.
        out: the folder of the run; it gets `model.safetensors`, too.
        name: of the model. base: the model that has the networks which are not trained.
        settings: of `ContextSettings`: `hours`, `effort`, `roles`, `network` and others.

    Returns the model, as `encode` and `decode` take it (`model=`). After SIGTERM it is of an unfinished run, which goes
    on with `resume`.

    Raises TrainingError where the data or a saved run cannot be used, ModelError where `base` or `network` is unknown,
    TypeError for a setting that there is not.

    >>> from ddpmcodec.training import fit
    >>> model = fit("photos", "run", hours=1.5)  # doctest: +SKIP
    >>> data = ddpmcodec.encode("photo.png", model=model)  # doctest: +SKIP
    """
    known = [field.name for field in fields(ContextSettings) if field.name != "data"]
    if unknown := sorted(settings.keys() - {*known}):
        raise TypeError(f"fit() takes no {', '.join(unknown)}: settings are {', '.join(known)}")
    folder, array = Path(out), Path(out) / IMAGES
    if isinstance(data, np.ndarray):
        sources = [array]
    else:
        sources = [Path(source) for source in ([data] if isinstance(data, (str, Path)) else data)]
    chosen = ContextSettings(tuple(str(source.absolute()) for source in sources), **settings)
    _require_base(base, chosen)
    if isinstance(data, np.ndarray):
        _keep(data, array, begins=not state.exists(folder))
    train(chosen, folder, say, resume=resume, chosen={*settings, "data"}, device=device, compiled=compiled)
    content = export([folder], name, base=base)
    model = parse(content, str(folder / MODEL))
    write_file(folder / MODEL, content, replace=True)
    return model


def _require_base(base: str, settings: ContextSettings) -> None:
    """Raises ModelError or TrainingError where a model does not have what is not trained: before that takes hours."""
    there = {f"{settings.effort}.{role}" for role in settings.roles}.union(ModelFile(base).components)
    if missing := [key for key in ALL if key not in there]:
        raise TrainingError(f"{base}: lacks the networks {', '.join(missing)} (effort.role): name another base=...")


def _keep(images: Pixels, path: Path, *, begins: bool) -> None:
    """Keeps the images of a run. Raises TrainingError where they are not those that it was begun with, or another
    process is training there."""
    if begins:
        with run.alone_in(path.parent):
            np.save(path, images)
    elif path.exists() and not np.array_equal(np.load(path), images):  # of a run on folders, `train` says so
        raise TrainingError(f"{path.parent}: its run was started with other images: train in another folder")


def _batches(settings: ContextSettings, images: Images, where: torch.device, say: Say) -> Batches:
    crops = crops_of(images.sets, settings.crop, settings.seed, settings.camera_share)
    for note in (*images.notes, *left_out(images.sets, crops.parts)):
        say(note)
    source = Source(crops, settings.seed, SOURCE_PIXELS * settings.batch)
    return source if where.type == "cpu" else BatchPrefetcher(source, threads=os.cpu_count() or 1)


# --- training images


class Source:
    """Batches of training images uint8 [N, H, W, 3], some of them grey. What it gives depends on the seed and on
    `number` alone: a resumed run goes on with the images that come next."""

    def __init__(self, crops: Mixture, seed: int, pixels: int) -> None:
        self.crops, self.seed, self.number = crops, seed, 0
        self.count = max(1, pixels // crops.largest**2)

    @property
    def sides(self) -> tuple[int, int]:
        """Of the smallest and the largest crops."""
        return min(part.size for part in self.crops.parts), self.crops.largest

    def __call__(self) -> NDArray[np.uint8]:
        self.number += 1
        return self.batch(self.number - 1)

    def batch(self, number: int) -> NDArray[np.uint8]:
        batch = self.crops.batch(number, self.count).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        chosen = np.random.default_rng((self.seed, 2**33, number)).random(len(batch)) < GREY_SHARE
        batch[chosen] = grey(batch[chosen])
        return batch


class BatchPrefetcher:
    """The batches of a source, made by threads before they are asked for: a GPU does not wait for crops."""

    def __init__(self, source: Source, threads: int) -> None:
        self.source, self.number, self.threads = source, source.number, threads
        self.executor = ThreadPoolExecutor(threads)
        self.coming: dict[int, Future[NDArray[np.uint8]]] = {}

    @property
    def sides(self) -> tuple[int, int]:
        return self.source.sides

    def __call__(self) -> NDArray[np.uint8]:
        for number in range(self.number, self.number + self.threads):
            if number not in self.coming:
                self.coming[number] = self.executor.submit(self.source.batch, number)
        self.number += 1
        return self.coming.pop(self.number - 1).result()


def held_out_batches(images: Sequence[Pixels]) -> list[NDArray[np.uint8]]:
    """A square of each image, those of one size in one batch; as many as are quickly evaluated."""
    rng, batches, pixels = np.random.default_rng(5), defaultdict[int, list[Pixels]](list), 0
    for image in images[:HELD_OUT_IMAGES]:
        side = min(HELD_OUT_SIDE, *image.shape[:2])
        top, left = (int(rng.integers(full - side + 1)) for full in image.shape[:2])
        batches[side].append(image[top : top + side, left : left + side])
        pixels += side * side
        if pixels >= HELD_OUT_PIXELS:
            break
    return [np.stack(batch) for batch in batches.values()]


# --- export: from runs to a model file, which has the integers of all networks


def export(folders: Sequence[Path], name: str, *, base: str | None = None) -> bytes:
    """The model file of runs. Later runs win; the model `base` has the networks that no run has. Raises TrainingError,
    ModelError."""
    return gathered(folders, base).packed(name)


class Parts(NamedTuple):
    """What a model file is made of."""

    tensors: dict[str, Tensor]
    components: dict[str, int]  # by '<effort>.<role>'
    architectures: dict[str, str]  # of networks that are not the core's own
    conditions: dict[str, int]  # of those; all that there are of others
    made: list[dict[str, Any]]  # facts about the runs

    def packed(self, name: str) -> bytes:
        """The bytes of the file."""
        arrays = {key: tensor.numpy() for key, tensor in self.tensors.items()}
        return pack(arrays, self.components, name, {"runs": self.made}, self.architectures, self.conditions)


def gathered(folders: Sequence[Path], base: str | None) -> Parts:
    """The networks of runs, of which later ones win, and those of the model `base` that no run has.

    Raises TrainingError where a network is missing, ModelError where `base` is no model.
    """
    parts = Parts({}, {}, {}, {}, [])
    if base is not None:
        file = ModelFile(base)
        parts.tensors.update(file.tensors)
        parts.components.update(file.components)
        parts.architectures.update(file.architectures)
        parts.conditions.update(file.conditions)
    for folder in folders:
        _add(parts, folder)
    if missing := [key for key in ALL if key not in parts.components]:
        raise TrainingError(
            f"no run has the networks {', '.join(missing)} (effort.role): train them, or take them from another model"
            " with base=..."
        )
    return parts


def _add(parts: Parts, folder: Path) -> None:
    saved = state.read(folder)
    networks = networks_of(saved, folder)
    efforts = _efforts_of(folder, networks)
    for effort in efforts:
        for role, network in networks.items():
            key = f"{effort}.{role}"
            for name in [name for name in parts.tensors if name.startswith(f"{key}.")]:
                del parts.tensors[name]  # it may have had more blocks
            parts.components[key] = network.shape.components
            parts.architectures.pop(key, None)
            parts.conditions.pop(key, None)
            if network.shape.architecture != RESIDUAL:
                parts.architectures[key] = network.shape.architecture
        parts.tensors.update(tensors_of(networks, effort))
    parts.made.append(_made(saved.facts, efforts, networks))


def _efforts_of(folder: Path, networks: Mapping[str, Trainable]) -> Collection[int]:
    """Whose networks a run trains: one network of previews is for all."""
    return EFFORTS if PREVIEW in networks else [run.saved_settings(folder, ContextSettings).effort]


def _made(facts: Mapping[str, Any], efforts: Collection[int], roles: Collection[str]) -> dict[str, Any]:
    return {
        "efforts": [*efforts], "roles": sorted(roles, key=(*ROLES, PREVIEW).index), "images": facts["images"],
        "hours": round(facts["seconds"] / 3600, 3), "steps": facts["step"],
    }  # fmt: skip
