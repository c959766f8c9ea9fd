"""Training of a Gaussian model: its settings, a step on the bound, the averaged network, and its run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddpmcodec.errors import TrainingError
from ddpmcodec.paper.bits_back import PRIOR_STD
from ddpmcodec.paper.bound import Estimate
from ddpmcodec.paper.bound import evaluate as evaluate_bound
from ddpmcodec.paper.gaussian import load_gaussian, model_file
from ddpmcodec.paper.gaussian.architecture import MULTIPLE, Architecture
from ddpmcodec.paper.gaussian.latent import LatentNetwork
from ddpmcodec.paper.gaussian.model import coding_levels
from ddpmcodec.training import run, state
from ddpmcodec.training.data import Mixture, crops_of, image_sets, left_out
from ddpmcodec.training.gaussian import LatentPredictor, Objective, draw, loss
from ddpmcodec.training.optim import Muon
from ddpmcodec.training.run import Say
from ddpmcodec.training.state import State

MODEL = "gaussian.safetensors"  # in a run's folder: the averaged network, ready to use
CHANGES = ("hours", "steps")  # settings that a resumed run may change


@dataclass(frozen=True)
class GaussianSettings:
    """One training run. Learning rates decay linearly to zero over `steps`, or else over `hours` of training time."""

    data: tuple[str, ...]  # several data sets round-robin, a step each
    name: str = "gaussian"  # of the model
    start: str | None = None  # folder of a run, or a model, whose (averaged) network this one starts from
    hours: float = 1.5
    steps: int | None = None  # takes the place of `hours`: a run that repeats exactly
    objective: Objective = "bound"
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
    seed: int = 0
    evaluate_images: int = 200
    evaluate_levels: int = 32
    architecture: Architecture = field(default_factory=Architecture)


class GaussianTrainer:
    """The network and its optimisers (`run.Trainer`). `latent` is trained; `averaged` (EMA) is what gets evaluated and
    exported."""

    def __init__(
        self, settings: GaussianSettings, crops: Mixture, held_out: Tensor, *, begins: bool = True
    ) -> None:  # fmt: skip
        """held_out: images uint8 [N, 3, H, W]. begins: False where a state is restored: what the run began with may be
        gone."""
        self.settings, self.crops, self.held_out = settings, crops, held_out
        torch.manual_seed(settings.seed)
        self.latent, self.averaged = (LatentNetwork(settings.architecture) for _ in range(2))
        if settings.start and begins:
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

    def _start_from(self, source: str) -> None:
        if state.exists(Path(source)):
            network = averaged_network(Path(source))
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

    @property
    def images(self) -> int:
        return self.step * self.settings.batch

    def progress(self) -> float:
        settings = self.settings
        return min(1.0, self.step / settings.steps if settings.steps else self.seconds / (3600 * settings.hours))

    def update(self) -> dict[str, float]:
        """One step of the optimisers, on images that depend on the seed and the step alone."""
        settings, pixels = self.settings, self.crops.batch(self.step, self.settings.batch)
        generator = torch.Generator().manual_seed((settings.seed << 32) + self.step)
        batch = draw(pixels, generator, settings.objective)
        value = loss(LatentPredictor(self.latent), batch)
        value.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.latent.parameters(), settings.clip)
        multiplier = min(1.0, (self.step + 1) / settings.warmup) * (1 - self.progress())
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * multiplier
            optimizer.step()
            optimizer.zero_grad()
        self._average()
        self.step += 1
        return {"loss": float(value.detach()), "gradient_norm": float(norm)}

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        for mean, p in zip(self.averaged.parameters(), self.latent.parameters(), strict=True):
            mean.lerp_(p, 1 - decay)

    def export(self) -> bytes:
        """The averaged network as a model file."""
        facts = {"step": self.step, "seconds": self.seconds, "images": self.images}
        return model_file.export(self.averaged, name=self.settings.name, training=facts)

    def evaluate(self) -> dict[str, Any]:
        estimate = self.bound()
        error = estimate.standard_error
        return {
            "held_out": {"bound": round(estimate.mean, 4)},
            "standard_error": None if error is None else round(error, 4),
        }

    def bound(self) -> Estimate:
        """Of the held-out images by the averaged network, exported, bits/dim: what bits back pays."""
        model = model_file.parse(self.export(), "the network in training")
        levels, generator = coding_levels(self.settings.evaluate_levels), torch.Generator().manual_seed(0)
        return evaluate_bound(model, self.held_out, levels, generator, prior_std=PRIOR_STD).total()

    def state(self) -> State:
        tensors = state.of_module(self.latent, "latent") | state.of_module(self.averaged, "averaged")
        for number, optimizer in enumerate(self.optimizers):
            tensors |= state.of_optimizer(optimizer, f"optimizer{number}")
        return State(tensors, {"settings": asdict(self.settings), "step": self.step, "seconds": self.seconds})

    def restore(self, saved: State) -> None:
        """Raises LookupError, ValueError or RuntimeError where it is not the state of such a network."""
        self.step, self.seconds = int(saved.facts["step"]), float(saved.facts["seconds"])
        state.load_module(self.latent, "latent", saved.tensors)
        state.load_module(self.averaged, "averaged", saved.tensors)
        for number, optimizer in enumerate(self.optimizers):
            state.load_optimizer(optimizer, f"optimizer{number}", saved.tensors)

    def files(self) -> dict[str, bytes]:
        return {MODEL: self.export()}


def averaged_network(folder: Path) -> LatentNetwork:
    """The averaged network of a run. Raises TrainingError."""
    settings, saved = run.saved_settings(folder, GaussianSettings), state.read(folder)
    latent = LatentNetwork(settings.architecture)
    with state.is_state(folder):
        state.load_module(latent, "averaged", saved.tensors)
    return latent


def crops_and_held_out(settings: GaussianSettings, say: Say = print) -> tuple[Mixture, Tensor]:
    """Training crops, and images to evaluate on, uint8 [N, 3, side, side] (`data.image_sets`). Raises TrainingError
    where there is nothing to train or to evaluate on."""
    if settings.crop % MULTIPLE:
        raise TrainingError(f"crops of {settings.crop} pixels: --crop must be a multiple of {MULTIPLE}")
    sets, held = image_sets(settings.data, validate=settings.validate, hold_out=settings.hold_out)
    crops = crops_of(sets, settings.crop, settings.seed, settings.camera_share, multiple=MULTIPLE)
    if note := left_out(sets, crops):
        say(note)
    count = min(settings.evaluate_images, len(held))
    chosen = crops_of([held], settings.crop, 1, multiple=MULTIPLE).batch(0, count)
    return crops, chosen.to(torch.uint8)


def train(
    settings: GaussianSettings, out: Path, say: Say = print, *, resume: bool = False, chosen: Collection[str] = (),
    evaluate_minutes: float = 10.0,
) -> tuple[GaussianTrainer, bool]:  # fmt: skip
    """Train until the run's steps or hours are spent, or SIGTERM; the trainer, and whether it is done.

    `out` gets the state, a log, and the averaged network as a model. With `resume`, a run that `out` holds goes on with
    its own settings; those that are named in `chosen` must be the same, except for `CHANGES`.

    Raises TrainingError when the data or the saved state cannot be used, or `out` holds a run and `resume` is off.
    """
    settings, resumes = run.settings_of(out, settings, resume=resume, chosen=chosen, changes=CHANGES)
    crops, held_out = crops_and_held_out(settings, say)
    trainer = GaussianTrainer(settings, crops, held_out, begins=not resumes)
    if resumes:
        saved = state.read(out)
        with state.is_state(out):
            trainer.restore(saved)
    return trainer, run.run(trainer, out, say, evaluate_minutes=evaluate_minutes)
