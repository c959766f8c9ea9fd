"""Training of a Gaussian model: random terms of the bound, and their bits through the quantised network."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from ddpmcodec.errors import TrainingError
from ddpmcodec.paper.bound import Estimate
from ddpmcodec.paper.bound import evaluate as evaluate_bound
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.diffusion import (
    LAST_SCALE,
    LN2,
    OCTAVE,
    SCALE_UNIT,
    Prediction,
    pixel_bits,
    posterior,
    reverse,
    step_kl,
)
from ddpmcodec.paper.gaussian_features import gaussian_estimate, pixel_features, scale_origin
from ddpmcodec.paper.gaussian_model import (
    COARSEST_LEVEL,
    FEW_STEPS,
    FINEST_LEVEL,
    GaussianModel,
    export,
    parse,
)
from ddpmcodec.paper.gaussian_network import (
    MULTIPLE,
    PIXEL_OUTPUTS,
    Architecture,
    Operations,
    TrainableGaussian,
    blend,
    denoise,
    patches,
    unpatch,
)
from ddpmcodec.paper.schedule import HALF_RANGE, ddpm_linear
from ddpmcodec.training import run, state
from ddpmcodec.training.data import Mixture, crops_of, image_sets, left_out
from ddpmcodec.training.optim import Muon, follow
from ddpmcodec.training.run import Say
from ddpmcodec.training.settings import Count, CountFrom0, LevelCount, Positive, Seed, Share, check
from ddpmcodec.training.state import State

Objective = Literal["bound", "simple"]

SCHEDULES = (16, 256)  # least and most noise levels T of a code, between which the training draws
FINAL_SHARE = 0.2  # of the images of a batch that take the last step, to the pixel itself
FINE = 2.0  # steps are drawn with a density of exp(-FINE x), x from 0 at the finest level to 1, about as they cost


class Batch(NamedTuple):
    """Latents and pixels, [N, 3, H, W]; per image, [N, 1, 1, 1], the levels of a step and two weights."""

    pixels: Tensor
    c_t: Tensor
    s_t: Tensor
    s_u: Tensor
    step_weight: Tensor  # of the bits of the step to s_u
    final_weight: Tensor  # of the bits of the pixel itself


def _log_uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low * torch.exp(math.log(high / low) * torch.rand(n, 1, 1, 1, generator=generator))


def draw(pixels: Tensor, generator: torch.Generator, objective: Objective = "bound") -> Batch:
    """Random terms of the bound, each of a coding schedule of random length, for images [N, 3, H, W] (0..255).

    The terms of a batch lie evenly over the schedule (low-discrepancy: Kingma et al. 2021, arXiv 2107.00630, appendix
    I.1), and are weighted by the inverse of how often they are drawn, so that the loss is an unbiased estimate of the
    bound. With the objective "simple" they are drawn as often as the paper's 1,000 timesteps have such a level, and are
    not weighted: on a log-linear schedule that is L_simple for the means.
    """
    n = pixels.shape[0]
    quantile = ((torch.rand(1, generator=generator) + torch.arange(n) / n) % 1).view(n, 1, 1, 1)
    final, quantile = quantile < FINAL_SHARE, ((quantile - FINAL_SHARE) / (1 - FINAL_SHARE)).clamp(min=0)
    fewest, most = SCHEDULES
    T = torch.floor(_log_uniform(n, fewest, most + 1, generator))
    first = (FEW_STEPS / T).clamp(min=FINEST_LEVEL)
    ratio = (COARSEST_LEVEL / first) ** (1 / (T - 1))
    x, weight = _fine_positions(quantile) if objective == "bound" else _paper_positions(quantile, first)
    number = torch.minimum(torch.floor(x * (T - 1)), T - 2)  # of the step, from 0
    s_t = torch.where(final, first, first * ratio ** (1 + number))
    c_t = pixels - HALF_RANGE + s_t * torch.randn(pixels.shape, generator=generator)
    step_weight = torch.where(final, 0.0, (T - 1) * weight / (1 - FINAL_SHARE))
    return Batch(pixels, c_t, s_t, s_t / ratio, step_weight, final / FINAL_SHARE)


def _fine_positions(q: Tensor) -> tuple[Tensor, Tensor]:
    """Quantiles q of the density exp(-FINE x) on [0, 1), and its inverse there."""
    mass = -math.expm1(-FINE) / FINE
    x = -torch.log1p(-FINE * mass * q) / FINE
    return x, mass * torch.exp(FINE * x)


def _paper_positions(q: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Quantiles q of the paper's own levels, as positions in log from `first` to `COARSEST_LEVEL`; weights of one."""
    levels = torch.tensor(ddpm_linear(), dtype=torch.float32)
    levels = levels[levels < COARSEST_LEVEL]
    s = levels[(q * len(levels)).long()]
    return (torch.log(s / first) / torch.log(COARSEST_LEVEL / first)).clamp(min=0), torch.ones_like(q)


class TrainingPredictor:
    """The network in training: (c_t, s_t) -> `Prediction`, c_t [N, 3, H, W], s_t [N, 1, 1, 1]."""

    def __init__(self, network: TrainableGaussian) -> None:
        self.network = network

    def __call__(self, c_t: Tensor, s_t: Tensor) -> Prediction:
        estimate, std = gaussian_estimate(c_t, s_t)
        numbers = self._outputs(estimate, std).permute(0, 3, 1, 2)
        offset, index, coefficients = numbers[:, :PIXEL_OUTPUTS].chunk(3, 1)
        mean = estimate + std * offset + blend(estimate, numbers[:, PIXEL_OUTPUTS:])
        index = (scale_origin(std) + OCTAVE * index).clamp(0, LAST_SCALE)
        return Prediction(mean + HALF_RANGE, (index - SCALE_UNIT) * (LN2 / OCTAVE), coefficients)

    def _outputs(self, estimate: Tensor, std: Tensor) -> Tensor:
        """[N, H, W, OUTPUTS_PER_PIXEL]"""
        ops = Operations(self.network.integer_parameters(), train=True)
        features = patches(pixel_features(estimate, std))
        features = features.to(torch.bfloat16, memory_format=torch.channels_last)
        return unpatch(denoise(self.network.architecture, ops, features))


def weighted_bits(prediction: Prediction, batch: Batch) -> Tensor:
    """[N, 3, H, W]: L_{t-1} of the step to s_u, and L_0 of the pixel itself, each times its weight."""
    mean, scale = prediction.mean - HALF_RANGE, torch.exp(prediction.log_scale)
    q = posterior(batch.c_t, batch.pixels - HALF_RANGE, batch.s_t, batch.s_u)
    step = step_kl(q, reverse(batch.c_t, mean, scale, prediction.coefficients, batch.s_t, batch.s_u))
    return step * batch.step_weight + pixel_bits(prediction, batch.pixels) * batch.final_weight


def loss(predictor: Callable[[Tensor, Tensor], Prediction], batch: Batch) -> Tensor:
    """Mean weighted bits per dimension: with the objective "bound" an unbiased estimate of it, all terms but L_T."""
    return weighted_bits(predictor(batch.c_t, batch.s_t), batch).mean()


MODEL = "gaussian.safetensors"  # in a run's folder: the averaged network, ready to use
CHANGES = ("hours", "steps")  # settings that a resumed run may change
CLIP, AVERAGE = 1.0, 0.999  # norm of a gradient; decay of the exponential moving average


@dataclass(frozen=True)
class GaussianSettings:
    """One training run. Learning rates decay linearly to zero over `steps`, or else over `hours` of training time."""

    data: tuple[str, ...]  # several data sets round-robin, a step each
    name: str = "gaussian"  # of the model
    start: str | None = None  # folder of a run, or a model, whose (averaged) network this one starts from
    hours: Positive = 1.5
    steps: Count | None = None  # takes the place of `hours`: a run that repeats exactly
    objective: Objective = "bound"
    batch: Count = 64
    crop: Count = 32
    camera_share: Share = 0.0  # of the crops of the largest size that get a sensor's noise and blur
    hold_out: CountFrom0 | None = None  # last images of the first data set; None: a tenth, 2,000 at most
    validate: str | None = None  # data to evaluate on instead
    muon_rate: Positive = 0.02
    adam_rate: Positive = 7e-4
    warmup: Count = 200
    seed: Seed = 0
    evaluate_images: Count = 200
    evaluate_levels: LevelCount = 32
    architecture: Architecture = field(default_factory=Architecture)

    def __post_init__(self) -> None:
        """Raises TrainingError for what makes no run."""
        check(self)


class GaussianTrainer:
    """The network and its optimisers (`run.Trainer`). `network` is trained; `averaged` (EMA) is what gets evaluated and
    exported."""

    unit = "bits/dim"

    def __init__(
        self, settings: GaussianSettings, crops: Mixture, held_out: Tensor, *, compiled: bool = True,
        begins: bool = True,
    ) -> None:  # fmt: skip
        """held_out: images uint8 [N, 3, H, W]. begins: False where a state is restored: what the run began with may be
        gone."""
        self.settings, self.crops, self.held_out = settings, crops, held_out
        torch.manual_seed(settings.seed)
        self.network, self.averaged = (TrainableGaussian(settings.architecture) for _ in range(2))
        if settings.start and begins:
            self._start_from(settings.start)
        self.averaged.load_state_dict(self.network.state_dict())
        inner = [w for n, w in self.network.weights.items() if n.rpartition("/")[2] in ("conv1", "conv2")]
        rest = [p for p in self.network.parameters() if all(p is not w for w in inner)]
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon(inner, lr=settings.muon_rate),
            torch.optim.AdamW(rest, lr=settings.adam_rate, betas=(0.9, 0.99), weight_decay=0.0),
        ]
        self.rates = [settings.muon_rate, settings.adam_rate]
        self.compiled = compiled
        self.loss = torch.compile(loss, dynamic=False) if compiled else loss
        self.step, self.seconds, self.images_digest = 0, 0.0, ""

    def _start_from(self, source: str) -> None:
        if state.exists(Path(source)):
            network = averaged_network(Path(source))
            self._check_start(source, network.architecture)
            self.network.load_state_dict(network.state_dict())
        else:
            model = find_denoiser(source)
            if not isinstance(model, GaussianModel):
                raise TrainingError(f"{source}: no Gaussian model; start from one, or from a run that trained one")
            self._check_start(source, model.architecture)
            self.network.load_integer_parameters(model.params)

    def _check_start(self, source: str, architecture: Architecture) -> None:
        if architecture != self.settings.architecture:
            raise TrainingError(
                f"{source}: its network is {architecture.to_json()}, "
                f"not {self.settings.architecture.to_json()}; start from another"
            )

    def compile(self) -> None:
        """Compile the loss before training time counts: it takes a minute a size of crops."""
        for step in range(len(self.crops.parts)):
            batch = draw(self.crops.batch(step, self.settings.batch), torch.Generator())
            self.loss(TrainingPredictor(self.network), batch).backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            optimizer.zero_grad()

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
        value = self.loss(TrainingPredictor(self.network), batch)
        value.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        run.require_finite(float(value.detach()), float(norm), self.step)
        multiplier = min(1.0, (self.step + 1) / settings.warmup) * (1 - self.progress())
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * multiplier
            optimizer.step()
            optimizer.zero_grad()
        follow(self.averaged, self.network, self.step, AVERAGE)
        self.step += 1
        return {"loss": float(value.detach()), "gradient_norm": float(norm)}

    def export(self) -> bytes:
        """The averaged network as a model file, equal for equal runs."""
        facts = {"step": self.step, "images": self.images}
        return export(self.averaged, name=self.settings.name, training=facts)

    def evaluate(self) -> dict[str, Any]:
        return self.bound().figures()

    def bound(self) -> Estimate:
        """The bound of the held-out images, bits/dim, by the averaged network as exported: what bits back pays."""
        model = parse(self.export(), "the network in training")
        levels, generator = model.coding_levels(self.settings.evaluate_levels), torch.Generator().manual_seed(0)
        return evaluate_bound(model, self.held_out, levels, generator, prior_std=model.prior_std).total()

    def state(self) -> State:
        tensors = state.of_module(self.network, "latent") | state.of_module(self.averaged, "averaged")
        for number, optimizer in enumerate(self.optimizers):
            tensors |= state.of_optimizer(optimizer, f"optimizer{number}")
        facts = {
            "settings": asdict(self.settings), "step": self.step, "seconds": self.seconds, "compiled": self.compiled
        }  # fmt: skip
        return State(tensors, facts)

    def restore(self, saved: State) -> None:
        """Raises LookupError, ValueError or RuntimeError where it is not the state of such a network."""
        self.step, self.seconds = int(saved.facts["step"]), float(saved.facts["seconds"])
        state.load_module(self.network, "latent", saved.tensors)
        state.load_module(self.averaged, "averaged", saved.tensors)
        for number, optimizer in enumerate(self.optimizers):
            state.load_optimizer(optimizer, f"optimizer{number}", saved.tensors)

    def files(self) -> dict[str, bytes]:
        return {MODEL: self.export()}


def averaged_network(folder: Path) -> TrainableGaussian:
    """The averaged network of a run. Raises TrainingError."""
    settings, saved = run.saved_settings(folder, GaussianSettings), state.read(folder)
    network = TrainableGaussian(settings.architecture)
    with state.is_state(folder):
        state.load_module(network, "averaged", saved.tensors)
    return network


class Split(NamedTuple):
    """Of images: training crops; a crop of each that is held out, uint8 [N, 3, side, side]; `data.Images.digest`."""

    crops: Mixture
    held_out: Tensor
    digest: str


def crops_and_held_out(settings: GaussianSettings, say: Say = print) -> Split:
    """What a run trains and evaluates on (`data.image_sets`). Raises TrainingError
    where there is nothing to train or to evaluate on."""
    if settings.crop % MULTIPLE:
        raise TrainingError(f"crops of {settings.crop} pixels: crop=... must be a multiple of {MULTIPLE}")
    images = image_sets(settings.data, validate=settings.validate, hold_out=settings.hold_out)
    crops = crops_of(images.sets, settings.crop, settings.seed, settings.camera_share, multiple=MULTIPLE)
    for note in (*images.notes, *left_out(images.sets, crops.parts)):
        say(note)
    (held_out,) = crops_of([images.held_out], settings.crop, 1, multiple=MULTIPLE).parts
    return Split(crops, held_out.each(settings.evaluate_images).to(torch.uint8), images.digest)


def train(
    settings: GaussianSettings, out: Path, say: Say = print, *, resume: bool = False, chosen: Collection[str] = (),
    evaluate_minutes: float = run.EVALUATE_MINUTES, compiled: bool | None = None,
) -> tuple[GaussianTrainer, bool]:  # fmt: skip
    """Train until the run's steps or hours are spent, or SIGTERM; the trainer, and whether it is done.

    `out` gets the state, a log, and the averaged network as a model. With `resume`, a run that `out` holds goes on with
    its own settings; those that are named in `chosen` must be the same, except for `CHANGES`. Whether the loss is
    compiled may change from one part of a run to the next; None: as before, and it is at first.

    Raises TrainingError when the data or the saved state cannot be used, or `out` holds a run and `resume` is off.
    """
    with run.alone_in(out):
        settings, resumes = run.settings_of(out, settings, resume=resume, chosen=chosen, changes=CHANGES)
        crops, held_out, digest = crops_and_held_out(settings, say)
        saved = state.read(out) if resumes else None
        compiled = run.compiles(compiled, saved)
        trainer = GaussianTrainer(settings, crops, held_out, compiled=compiled, begins=not resumes)
        trainer.images_digest = digest
        run.say_if_changed(saved, digest, say)
        run.prepare(trainer, saved, out, say)
        return trainer, run.run(trainer, out, say, evaluate_minutes=evaluate_minutes)
