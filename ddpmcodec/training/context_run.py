"""A training run of a context model: its data, its settings, its folder; and the model file that comes of it."""

from __future__ import annotations

import json
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load

from ddpmcodec.errors import TrainingError
from ddpmcodec.networks.context import model_file
from ddpmcodec.networks.context.model_file import parse
from ddpmcodec.networks.context.shape import BAND_KINDS, LARGEST_DEPTH, LARGEST_WIDTH, SHAPE, WIDTH_UNIT, Shape
from ddpmcodec.training import context_export, context_trainer, reconstruction
from ddpmcodec.training.context import LatentContext, grown, load_integers
from ddpmcodec.training.context_trainer import ContextTrainer
from ddpmcodec.training.data import Crops, Mixture, Pixels, load_images
from ddpmcodec.training.positions import Pool

STATE, LOG = "state.safetensors", "log.jsonl"
SMALLEST_CROP = 8
BATCH_PIXELS = 1 << 16  # of images that positions are taken from at a time
LONG_SHARE = 0.6  # positions of a step of the long schedule, for one of the short schedule
CAPACITY, USES = 200_000, 4  # of a reservoir; draws of a position
GREY_SHARE, LUMA = 0.03, (299, 587, 114)  # of images that are made grey; weights in 1/1000
HELD_OUT_SIDE, HELD_OUT_IMAGES, HELD_OUT_PIXELS = 128, 300, 1 << 20
ADAPTATION_SIDE, ADAPTATION_IMAGES, ADAPTATION_PIXELS = 256, 256, 1 << 21
DENOISER_PIXELS = 1 << 14  # of images that states for the denoiser are taken from at a time
CHANGES = ("hours",)  # settings that a resumed run may change

Say = Callable[[object], object]


@dataclass(frozen=True)
class Settings:
    """One training run; rates fall linearly to zero over its hours."""

    data: tuple[str, ...]  # several data sets take turns, a batch of images each
    validate: str | None = None  # images to evaluate on, instead of images held out
    hold_out: int = 2000  # last images of every data set that has more
    hours: float = 1.5
    crop: int = 96  # side; of sets with smaller images smaller
    width: int = SHAPE.width  # of each network
    depth: int = SHAPE.depth
    start: str | None = None  # a model, or the folder of a run: networks begin as these, grown where they are smaller
    camera_share: float = 0.0  # of the crops of the largest size that get a sensor's noise and blur
    batch: int = 4096  # positions a step
    muon_rate: float = context_trainer.MUON_RATE
    adam_rate: float = context_trainer.ADAM_RATE
    seed: int = 0


class Source:
    """Batches of training images uint8 [N, H, W, 3], some of them grey. What it gives depends on the seed and on
    `number` alone: a resumed run goes on with the images that come next."""

    def __init__(self, crops: Mixture, seed: int, pixels: int = BATCH_PIXELS) -> None:
        self.crops, self.seed, self.number = crops, seed, 0
        self.count = max(1, pixels // crops.largest**2)

    def __call__(self) -> NDArray[np.uint8]:
        batch = self.crops.batch(self.number, self.count).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        grey = np.random.default_rng((self.seed, 2**33, self.number)).random(len(batch)) < GREY_SHARE
        batch[grey] = (batch[grey].astype(np.int32) @ LUMA // sum(LUMA))[..., None]
        self.number += 1
        return batch


def image_sets(settings: Settings) -> tuple[list[list[Pixels]], list[Pixels]]:
    """Training images of every data set, and the images to evaluate on. Raises TrainingError where there are none."""
    if not settings.data:
        raise TrainingError("no training images: name a folder, an array or a CIFAR-10 root with --data")
    sets = [load_images(source) for source in settings.data]
    if settings.validate is not None:
        return sets, load_images(settings.validate)
    first = len(sets[0])
    if not 0 < settings.hold_out < first:
        raise TrainingError(
            f"{settings.data[0]}: {first} images, of which --hold-out keeps {settings.hold_out}: at least one must be"
            " left to train on, and one to evaluate on: give another --hold-out, or images to --validate with"
        )
    return [images[: -settings.hold_out] or images for images in sets], sets[0][-settings.hold_out :]


def crops_of(sets: Sequence[list[Pixels]], side: int, seed: int, camera: float = 0.0) -> Mixture:
    """Crops of every set, of `side` or of the largest size that most of its images hold."""
    sides = [min(side, max(_usual_side(images), SMALLEST_CROP)) for images in sets]
    shares = [camera if own == max(sides) else 0.0 for own in sides]
    parts = zip(sets, sides, shares, strict=True)
    return Mixture([Crops(images, own, seed + n, camera=share) for n, (images, own, share) in enumerate(parts)])


def _usual_side(images: Sequence[Pixels]) -> int:
    return int(np.median([min(image.shape[:2]) for image in images]))


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


# --- the run


def train(
    settings: Settings, out: Path, say: Say, *, resume: bool = False, chosen: Collection[str] = (),
    evaluate_minutes: float = 5.0, compiled: bool = True,
) -> tuple[ContextTrainer, bool]:  # fmt: skip
    """Train until the hours are spent, or SIGTERM; the trainer, and whether it is done.

    `out` gets the state, every few minutes and at SIGTERM, and a log. With `resume`, a run that `out` holds goes on
    with its own settings; those that are named in `chosen` must be the same, except for `CHANGES`.

    Raises TrainingError when the data or the saved state cannot be used, or `out` holds a run and `resume` is off.
    """
    state = out / STATE
    resumes = state.exists()
    if resumes and not resume:
        raise TrainingError(f"{out}: holds a training run already; go on with --resume, or choose another folder")
    if resumes:
        settings = _resumed(out, settings, chosen)
    sets, held_out = image_sets(settings)
    source = Source(crops_of(sets, settings.crop, settings.seed, settings.camera_share), settings.seed)
    torch.manual_seed(settings.seed)
    trainer = _trainer(settings, source, compiled)
    if resumes:
        source.number = int(context_trainer.read_facts(state).get("batches", 0))
        context_trainer.read_state(state, trainer)
        trainer.pool.rng = np.random.default_rng((settings.seed, trainer.taken))
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOG).open("a") as log, _termination() as stop:
        record = _logger(log, say)
        record({"settings": asdict(settings), "step": trainer.taken})
        context_trainer.train(
            trainer, settings.hours, held_out_batches(held_out), record, state, evaluate_minutes,
            facts=lambda: {"settings": asdict(settings), "batches": source.number}, stop=stop,
        )  # fmt: skip
    return trainer, trainer.seconds >= 3600 * settings.hours


def _trainer(settings: Settings, source: Source, compiled: bool) -> ContextTrainer:
    share = min(0.2, 6.4 / source.crops.largest)  # small images are many, large ones alike
    pool = Pool(
        source, shares={"short": share, "long": LONG_SHARE * share}, capacity=CAPACITY, uses=USES, seed=settings.seed
    )
    return ContextTrainer(
        pool, networks=first_networks(settings), batch=settings.batch, muon_rate=settings.muon_rate,
        adam_rate=settings.adam_rate, compiled=compiled,
    )


def first_networks(settings: Settings) -> list[LatentContext]:
    """What a run begins with. Raises TrainingError where networks cannot have that shape, ModelError for no model."""
    shape = Shape(settings.width, settings.depth)
    if not shape.is_supported:
        raise TrainingError(
            f"networks {shape.width} wide with {shape.depth} blocks: give a --width that is a multiple of {WIDTH_UNIT}"
            f" up to {LARGEST_WIDTH}, and a --depth of 1 to {LARGEST_DEPTH}"
        )
    if settings.start is None:
        return [LatentContext(shape) for _ in range(BAND_KINDS)]
    state = Path(settings.start, STATE)
    networks = context_trainer.read_networks(state) if state.exists() else _networks_of(settings.start)
    try:
        return [grown(network, shape) for network in networks]
    except ValueError as error:
        own = networks[0].shape
        raise TrainingError(
            f"{settings.start}: its networks are {own.width} wide with {own.depth} blocks: give a --width and a --depth"
            " that are no smaller"
        ) from error


def _networks_of(model: str) -> list[LatentContext]:
    """The networks of a model, up to what their integers left out. Raises ModelError."""
    data = model_file.read(model)
    shape, tensors = parse(data, model).shape, load(data)
    networks = [LatentContext(shape) for _ in range(BAND_KINDS)]
    for k, network in enumerate(networks):
        prefix = f"band{k}."
        load_integers(network, {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)})
    return networks


def saved_settings(run: Path) -> Settings:
    """What a run was started with. Raises TrainingError."""
    found: Any = context_trainer.read_facts(run / STATE).get("settings")
    try:
        known: dict[str, Any] = {field.name: found[field.name] for field in fields(Settings)}
        return Settings(**known | {"data": tuple(found["data"])})
    except (LookupError, TypeError) as error:
        raise TrainingError(f"{run / STATE}: does not say how its run was started; start another run") from error


def _resumed(out: Path, settings: Settings, chosen: Collection[str]) -> Settings:
    saved = saved_settings(out)
    for name in chosen:
        before, now = getattr(saved, name), getattr(settings, name)
        if name not in CHANGES and before != now:
            option = f"--{name.replace('_', '-')}"
            raise TrainingError(
                f"{out}: its run was started with {option} {_shown(before)}, not {_shown(now)}: leave {option} out, or"
                " train in another folder"
            )
    return replace(saved, **{name: getattr(settings, name) for name in chosen if name in CHANGES})


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _logger(log: Any, say: Say) -> Callable[[Mapping[str, Any]], None]:
    """Writes records as lines of JSON, and tells a person of evaluations."""

    def record(facts: Mapping[str, Any]) -> None:
        log.write(json.dumps(facts) + "\n")
        log.flush()
        if "held_out" in facts:
            rates = ", ".join(f"{name} {rate:.4f}" for name, rate in facts["held_out"].items())
            say(f"{facts['done']:.0%}, step {facts['step']}: {rates} bits/dim on held-out images")

    return record


@contextmanager
def _termination() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM came meanwhile. Signals can be caught in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


# --- the model file


def export(run: Path, name: str, say: Say, *, data: Sequence[str] = (), denoiser_hours: float = 0.0) -> bytes:
    """The model file of a run: integers, what online adaptation begins with, and a denoiser that was trained for so
    many hours. data: images instead of the run's own. Raises TrainingError."""
    networks = context_trainer.read_networks(run / STATE)
    settings, facts = saved_settings(run), context_trainer.read_facts(run / STATE)
    sets = [load_images(source) for source in data] if data else image_sets(settings)[0]
    made = {"hours": round(facts["seconds"] / 3600, 3), "images": facts["images"], "steps": facts["taken"]}
    exported = context_export.export(networks, _adaptation_images(sets), name, training=made)
    if not denoiser_hours:
        return exported

    def log(record: Mapping[str, Any]) -> None:
        say(f"denoiser: {record['done']:.0%}, step {record['step']}: {record['decibel']:.2f} dB better previews")

    source = Source(crops_of(sets, settings.crop, settings.seed + 1), settings.seed + 1, DENOISER_PIXELS)
    torch.manual_seed(settings.seed)
    denoiser = reconstruction.train(parse(exported, name), source, denoiser_hours, log)
    tensors = {key: value.detach().numpy() for key, value in denoiser.state_dict().items()}
    return context_export.with_denoiser(exported, tensors, name)


def _adaptation_images(sets: Sequence[list[Pixels]]) -> list[NDArray[np.uint8]]:
    """Training images that are as large as they may be, of all sets."""
    source = Source(crops_of(sets, ADAPTATION_SIDE, 11), 11, 1)
    epoch = sum(len(part.order) for part in source.crops.parts)
    found: list[NDArray[np.uint8]] = []
    while len(found) < min(epoch, ADAPTATION_IMAGES) and sum(image[..., 0].size for image in found) < ADAPTATION_PIXELS:
        found += list(source())
    return found[:ADAPTATION_IMAGES]
