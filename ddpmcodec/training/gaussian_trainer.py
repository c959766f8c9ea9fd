"""The training loop: draw, step, average, evaluate, save; read top to bottom."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ddpmcodec.bound import Estimate
from ddpmcodec.bound import evaluate as evaluate_bound
from ddpmcodec.channels.bits_back import PRIOR_STD
from ddpmcodec.errors import TrainingError
from ddpmcodec.files import write_file
from ddpmcodec.networks.gaussian import load_gaussian, model_file
from ddpmcodec.networks.gaussian.architecture import MULTIPLE, Architecture
from ddpmcodec.networks.gaussian.latent import LatentNetwork
from ddpmcodec.networks.gaussian.model import coding_levels
from ddpmcodec.training import gaussian_state as state
from ddpmcodec.training.data import Crops, Mixture, Pixels, load_images
from ddpmcodec.training.gaussian import LatentPredictor, draw, loss
from ddpmcodec.training.optim import Muon

MODEL = "gaussian.safetensors"  # in a run's folder: the averaged network, ready to use


@dataclass(frozen=True)
class Settings:
    """One training run. Learning rates decay linearly to zero over `steps`, or else over `hours` of training time."""

    data: str | tuple[str, ...]  # several data sets round-robin, a step each
    out: str
    name: str = "gaussian"  # of the model
    start: str | None = None  # folder of a run, or a model, whose (averaged) network this one starts from
    hours: float = 1.5
    steps: int | None = None  # takes the place of `hours`: a run that repeats exactly
    batch: int = 64
    crop: int = 32
    camera_share: float = 0.0  # of the crops of the largest size that get a sensor's noise and blur
    hold_out: int = 2000  # last images of every data set that has more
    validate: str | None = None  # data to evaluate on instead
    muon_rate: float = 0.02
    adam_rate: float = 7e-4
    warmup: int = 200
    clip: float = 1.0
    average: float = 0.999
    quantise: bool = True
    seed: int = 0
    evaluate_minutes: float = 10.0
    evaluate_images: int = 200
    evaluate_levels: int = 32
    architecture: Architecture = field(default_factory=Architecture)


class Trainer:
    """Everything a run carries. `latent` is trained; `averaged` (EMA) is what gets evaluated and exported."""

    def __init__(self, settings: Settings, *, compiled: bool = True) -> None:
        self.settings = settings
        torch.manual_seed(settings.seed)
        self.latent, self.averaged = (LatentNetwork(settings.architecture) for _ in range(2))
        if settings.start:
            self._start_from(settings.start)
        self.averaged.load_state_dict(self.latent.state_dict())
        inner = [w for n, w in self.latent.weights.items() if n.rpartition("/")[2] in ("conv1", "conv2")]
        rest = [p for p in self.latent.parameters() if all(p is not w for w in inner)]
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon(inner, lr=settings.muon_rate),
            torch.optim.AdamW(rest, lr=settings.adam_rate, betas=(0.9, 0.99), weight_decay=0.0),
        ]
        self.rates = [settings.muon_rate, settings.adam_rate]
        self.step, self.seconds = 0, 0.0
        # One program for each size of crops: one for any size would be slower.
        self.loss = torch.compile(loss, dynamic=False) if compiled else loss

    def _start_from(self, source: str) -> None:
        if state.exists(Path(source)):
            network = state.averaged_network(Path(source))
            self._check_start(source, network.architecture)
            self.latent.load_state_dict(network.state_dict())
        else:
            model = load_gaussian(source)
            self._check_start(source, model.architecture)
            self.latent.load_integer_parameters(model.params)

    def _check_start(self, source: str, architecture: Architecture) -> None:
        if architecture != self.settings.architecture:
            raise TrainingError(
                f"{source}: its network is {architecture.to_json()}, "
                f"not {self.settings.architecture.to_json()}; start from another"
            )

    def progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        settings = self.settings
        return min(1.0, self.step / settings.steps if settings.steps else self.seconds / (3600 * settings.hours))

    def update(self, pixels: Tensor) -> tuple[float, float]:
        """One optimiser step on images [N, 3, H, W]; returns (loss, gradient norm)."""
        start, settings = time.perf_counter(), self.settings
        generator = torch.Generator().manual_seed((settings.seed << 32) + self.step)
        value = self.loss(LatentPredictor(self.latent, settings.quantise), draw(pixels, generator))
        value.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.latent.parameters(), settings.clip)
        multiplier = min(1.0, (self.step + 1) / settings.warmup) * (1 - self.progress())
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * multiplier
            optimizer.step()
            optimizer.zero_grad()
        self._average()
        self.step += 1
        self.seconds += time.perf_counter() - start
        return float(value.detach()), float(norm)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        for mean, p in zip(self.averaged.parameters(), self.latent.parameters(), strict=True):
            mean.lerp_(p, 1 - decay)

    def export(self) -> bytes:
        """The averaged network as a model file."""
        facts = {"step": self.step, "seconds": self.seconds, "images": self.step * self.settings.batch}
        return model_file.export(self.averaged, name=self.settings.name, training=facts)

    def evaluate(self, held_out: Tensor) -> Estimate:
        """The bound, bits/dim, of images uint8 [N, 3, H, W] by the averaged network, exported: what bits back pays."""
        model = model_file.parse(self.export(), "the network in training")
        levels, generator = coding_levels(self.settings.evaluate_levels), torch.Generator().manual_seed(0)
        return evaluate_bound(model, held_out, levels, generator, prior_std=PRIOR_STD).total()


def split(settings: Settings) -> tuple[Mixture, Tensor]:
    """Training crops and held-out images uint8 [N, 3, crop, crop].

    The last `hold_out` images of a data set are never trained on; those of the first are what is evaluated, unless
    `validate` names others. Raises TrainingError when that leaves nothing to train or to evaluate on.
    """
    if settings.crop % MULTIPLE:
        raise TrainingError(f"crops of {settings.crop} pixels: --crop must be a multiple of {MULTIPLE}")
    sources = (settings.data,) if isinstance(settings.data, str) else settings.data
    sets = [load_images(source) for source in sources]
    if settings.validate is None and len(sets[0]) <= settings.hold_out:
        raise TrainingError(
            f"{sources[0]}: {len(sets[0])} images, of which --hold-out keeps {settings.hold_out}; "
            "nothing is left: give a smaller --hold-out, or images to --validate with"
        )
    kept = [images[: max(len(images) - settings.hold_out, 0)] or images for images in sets]
    held = load_images(settings.validate) if settings.validate else sets[0][len(kept[0]) :] or sets[0]
    chosen = Crops(held, settings.crop, 1).batch(0, min(settings.evaluate_images, len(held)))
    sizes = [settings.crop if len(kept) == 1 else min(settings.crop, _fitting(images)) for images in kept]
    shares = [settings.camera_share if size == settings.crop else 0.0 for size in sizes]
    crops = Mixture(
        [Crops(images, size, settings.seed, camera=c) for images, size, c in zip(kept, sizes, shares, strict=True)]
    )
    return crops, chosen.to(torch.uint8)


def _fitting(images: list[Pixels]) -> int:
    """The largest crop that most of the images hold."""
    side = int(np.median([min(image.shape[:2]) for image in images]))
    return max(side // MULTIPLE, 1) * MULTIPLE


def train(settings: Settings, *, resume: bool = False, compiled: bool = True) -> Trainer:
    """Train until the run's steps or hours are spent; state, model and log.jsonl go to `out` every few minutes.

    Raises TrainingError when the data or the saved state cannot be used, or `out` holds a run and `resume` is off.
    """
    out = Path(settings.out)
    if state.exists(out) and not resume:
        raise TrainingError(f"{out}: holds a training run already; go on with --resume, or choose another folder")
    crops, held_out = split(settings)
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, compiled=compiled)
    if resume and state.exists(out):
        state.load(out, trainer)
    with (out / "log.jsonl").open("a") as log:
        _log(log, {"settings": json.loads(json.dumps(asdict(settings))), "step": trainer.step})
        for record in _steps(trainer, crops, held_out):
            _log(log, record)
            if "held_out" in record:
                state.save(out, trainer)
                write_file(out / MODEL, trainer.export())
    return trainer


def _log(log: Any, record: dict[str, Any]) -> None:
    log.write(json.dumps(record) + "\n")
    log.flush()


def _steps(trainer: Trainer, crops: Mixture, held_out: Tensor) -> Iterator[dict[str, Any]]:
    """Train, yielding a record every 50 steps and, with held-out rates, every few minutes and at the end."""
    settings, losses = trainer.settings, []
    evaluated = trainer.seconds
    with tqdm(total=1000, initial=round(1000 * trainer.progress()), unit="permille", disable=None) as bar:
        while trainer.progress() < 1:
            value, norm = trainer.update(crops.batch(trainer.step, settings.batch))
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss is {value} after {trainer.step} steps: go back to the last save (--resume)"
                )
            losses.append(value)
            bar.update(round(1000 * trainer.progress()) - bar.n)
            if trainer.step % 50 == 0:
                yield _record(trainer, losses, norm)
                losses = []
            if trainer.seconds - evaluated > 60 * settings.evaluate_minutes:
                evaluated = trainer.seconds
                yield _record(trainer, losses, norm) | _held_out(trainer, held_out)
        yield _record(trainer, losses, 0.0) | _held_out(trainer, held_out)


def _held_out(trainer: Trainer, images: Tensor) -> dict[str, Any]:
    return {"held_out": {key: value and round(value, 4) for key, value in trainer.evaluate(images)._asdict().items()}}


def _record(trainer: Trainer, losses: list[float], norm: float) -> dict[str, Any]:
    mean = sum(losses) / len(losses) if losses else None
    images = trainer.step * trainer.settings.batch
    return {
        "step": trainer.step,
        "images": images,
        "seconds": round(trainer.seconds, 1),
        "images_per_second": round(images / max(trainer.seconds, 1e-9), 1),
        "loss": None if mean is None else round(mean, 4),
        "gradient_norm": round(norm, 4),
    }
