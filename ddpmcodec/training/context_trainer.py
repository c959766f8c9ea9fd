"""Training of the networks of a context model, round-robin: a step trains one of them on positions of its bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor

from ddpmcodec.coding_schedule import SCHEDULES, STEPS, CodingStep
from ddpmcodec.errors import TrainingError
from ddpmcodec.networks.context import model_file
from ddpmcodec.networks.context.shape import (
    BAND_KINDS,
    LARGEST_DEPTH,
    LARGEST_WIDTH,
    SHAPE,
    WIDTH_UNIT,
    Shape,
    band_kind,
)
from ddpmcodec.training import state
from ddpmcodec.training.context import LatentContext, Positions, bits, grown, load_integers, loss
from ddpmcodec.training.optim import Muon
from ddpmcodec.training.positions import FIRST, ReplayBuffers, positions_of
from ddpmcodec.training.state import State
from ddpmcodec.training.step_states import step_states, unfinished
from ddpmcodec.transform.pyramid import Band

WARMUP, CLIP = 100, 1.0  # steps of a network; norm of its gradient
ROUND_ROBIN = (0, 1, 0, 2, 0, 1, 0, 2)  # kinds of bands, a step each: as often as an image has values of them
SHARES = {"exact": 0.2, "short": 0.1, "long": 0.03}  # of an image's positions, for each step of its schedule
# Positions in a replay buffer, 0.5 kB each, and draws of each. A network overfits to a small buffer, and to positions
# that it draws several times: both were tried (docs/experiments).
CAPACITY, USES = 1 << 20, 1


@dataclass(frozen=True)
class ContextSettings:
    """One training run; rates fall linearly to zero over its hours."""

    data: tuple[str, ...]  # several data sets are taken round-robin, a batch of images each
    validate: str | None = None  # images to evaluate on, instead of images held out
    hold_out: int = 2000  # last images of every data set that has more
    hours: float = 1.5
    crop: int = 96  # side; of sets with smaller images smaller
    width: int = SHAPE.width  # of each network
    depth: int = SHAPE.depth
    start: str | None = None  # a model, or the folder of a run: networks begin as these, grown where they are smaller
    camera_share: float = 0.0  # of the crops of the largest size that get a sensor's noise and blur
    batch: int = 4096  # positions a step
    muon_rate: float = 0.02
    adam_rate: float = 5e-3
    seed: int = 0

    def shape(self) -> Shape:
        """Raises TrainingError where networks cannot have it."""
        shape = Shape(self.width, self.depth)
        if not shape.is_supported:
            raise TrainingError(
                f"networks {shape.width} wide with {shape.depth} blocks: give a --width that is a multiple of"
                f" {WIDTH_UNIT} up to {LARGEST_WIDTH}, and a --depth of 1 to {LARGEST_DEPTH}"
            )
        return shape


class Batches(Protocol):
    """Gives a batch of images uint8 [N, H, W, 3] a call; `number`: of the next, which a resumed run sets."""

    number: int

    def __call__(self) -> NDArray[np.uint8]: ...


class ContextTrainer:
    """The networks, their optimisers, and the positions that they learn from (`run.Trainer`)."""

    def __init__(
        self, settings: ContextSettings, source: Batches, held_out: Sequence[NDArray[np.uint8]] = (), *,
        device: torch.device | str = "cpu", compiled: bool = True, begins: bool = True,
    ) -> None:  # fmt: skip
        """source: of training images; held_out: batches to evaluate on, uint8 [N, H, W, 3]. begins: False where a state
        is restored: what the run began with may be gone.

        Raises TrainingError where networks cannot begin as `settings` say, ModelError where they name no model.
        """
        self.settings, self.source, self.held_out = settings, source, held_out
        self.step, self.seconds = 0, 0.0
        torch.manual_seed(settings.seed)
        first = first_networks(settings if begins else replace(settings, start=None))
        self.networks = [network.to(device) for network in first]
        self.optimizers = [self._optimizers(network) for network in self.networks]
        self.loss = torch.compile(loss, dynamic=False) if compiled else loss
        capacity = max(CAPACITY, FIRST * settings.batch)
        self.replay = ReplayBuffers(
            lambda: torch.from_numpy(source()), shares=SHARES, capacity=capacity, uses=USES, seed=settings.seed,
            device=device,
        )  # fmt: skip

    def _optimizers(self, network: LatentContext) -> list[torch.optim.Optimizer]:
        inner = [weight for layer, weight in network.weights.items() if layer != "leave"]
        rest = [p for p in network.parameters() if all(p is not w for w in inner)]
        muon, adam = self.settings.muon_rate, self.settings.adam_rate
        return [
            Muon(inner, lr=muon),
            torch.optim.AdamW(rest, lr=adam, betas=(0.9, 0.99), weight_decay=0.0),
        ]

    @property
    def images(self) -> int:
        return self.replay.images

    def progress(self) -> float:
        return min(1.0, self.seconds / (3600 * self.settings.hours))

    def update(self) -> dict[str, float]:
        """One step of the network that is next: its mean bits a position."""
        kind = ROUND_ROBIN[self.step % len(ROUND_ROBIN)]
        network = self.networks[kind]
        if not self.step // len(ROUND_ROBIN) and not network.biases["leave"].any():
            begin_scales(network, self.replay.draw(kind, self.settings.batch))
        value = self.loss(network, self.replay.draw(kind, self.settings.batch))
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        multiplier = min(1.0, (self.step // len(ROUND_ROBIN) + 1) / WARMUP) * (1 - self.progress())
        rates = self.settings.muon_rate, self.settings.adam_rate
        for optimizer, rate in zip(self.optimizers[kind], rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * multiplier
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        found = float(value.detach())
        return {"loss": found, f"loss_{kind + 1}": found}

    def evaluate(self) -> dict[str, Any]:
        """Bits/dim of held-out images by schedule, and of every one of `STEPS`; nothing where there are no images."""
        if not self.held_out:
            return {}
        costs = self.code_length(self.held_out)
        rates = {name: sum(costs[step.number] for step in schedule) for name, schedule in SCHEDULES.items()}
        return {"held_out": {k: round(v, 4) for k, v in rates.items()}, "steps": [round(cost, 4) for cost in costs]}

    @torch.no_grad()
    def code_length(self, batches: Sequence[NDArray[np.uint8]]) -> list[float]:
        """Ideal code length of every one of `STEPS`, bits/dim of whole images uint8 [N, H, W, 3]."""
        total, dims = np.zeros(len(STEPS)), 0
        for pixels in batches:
            dims += pixels.size
            images = torch.from_numpy(pixels).to(self.replay.generator.device)
            counted = set[tuple[CodingStep, Band]]()  # schedules share steps
            for found in (s for schedule in SCHEDULES.values() for s in step_states(images, schedule)):
                if (found.step, found.band) in counted:
                    continue
                counted.add((found.step, found.band))
                at = unfinished(found)
                network = self.networks[band_kind(found.band.number)]
                for first in range(0, len(at), 8192):
                    positions = Positions.of(positions_of(found, at[first : first + 8192]))
                    total[found.step.number] += float(bits(network, positions).double().sum())
        return [float(cost) for cost in total / dims]

    def state(self) -> State:
        tensors: dict[str, Tensor] = {}
        for name, network, optimizers in self._parts():
            tensors |= state.of_module(network, name)
            for number, optimizer in enumerate(optimizers):
                tensors |= state.of_optimizer(optimizer, f"{name}:{number}")
        facts = {
            "settings": asdict(self.settings), "step": self.step, "seconds": self.seconds, "images": self.images,
            "batches": self.source.number,
        }  # fmt: skip
        return State(tensors, facts)

    def restore(self, saved: State) -> None:
        """Raises LookupError, ValueError or RuntimeError where it is not the state of such networks."""
        self.step, self.seconds = int(saved.facts["step"]), float(saved.facts["seconds"])
        self.replay.images, self.source.number = int(saved.facts["images"]), int(saved.facts["batches"])
        self.replay.generator.manual_seed(self.settings.seed + 2**32 * self.step)
        for name, network, optimizers in self._parts():
            state.load_module(network, name, saved.tensors)
            for number, optimizer in enumerate(optimizers):
                state.load_optimizer(optimizer, f"{name}:{number}", saved.tensors)

    def files(self) -> dict[str, bytes]:
        """None: a model also takes images that it adapts to (`context_run.export`)."""
        return {}

    def _parts(self) -> list[tuple[str, LatentContext, list[torch.optim.Optimizer]]]:
        return [(f"band{k}", n, o) for k, (n, o) in enumerate(zip(self.networks, self.optimizers, strict=True))]


def begin_scales(network: LatentContext, positions: Positions) -> None:
    """First biases of the scales: of the mean size of what a situation codes."""
    middle = ((positions.new_lo + positions.new_hi) / 2).abs().t()
    network.biases["leave"].data[:, 3:6] = torch.log(middle.mean(0) * 0.6 + 0.3) + 48 / (8 / np.log(2))
    for s in positions.situation.unique():  # type: ignore[no-untyped-call]
        mean = middle[positions.situation == s].mean(0)
        network.biases["leave"].data[s, 3:6] = torch.log(mean * 0.6 + 0.3) + 48 / (8 / np.log(2))


# --- what networks begin as


def first_networks(settings: ContextSettings) -> list[LatentContext]:
    """One for each kind of bands. Raises TrainingError, and ModelError where `start` is no model."""
    shape = settings.shape()
    if settings.start is None:
        return [LatentContext(shape) for _ in range(BAND_KINDS)]
    source = Path(settings.start)
    networks = networks_of(state.read(source), source) if state.exists(source) else _networks_of_model(settings.start)
    try:
        return [grown(network, shape) for network in networks]
    except ValueError as error:
        own = networks[0].shape
        raise TrainingError(
            f"{source}: its networks are {own.width} wide with {own.depth} blocks: give a --width and a --depth that"
            " are no smaller"
        ) from error


def networks_of(saved: State, folder: Path) -> list[LatentContext]:
    """The networks of a run. Raises TrainingError where it is another kind of run."""
    with state.is_state(folder):
        depth = sum(f"band0.weights.block{k}" in saved.tensors for k in range(LARGEST_DEPTH))
        shape = Shape(len(saved.tensors["band0.weights.enter"]), depth)
        networks = [LatentContext(shape) for _ in range(BAND_KINDS)]
        for k, network in enumerate(networks):
            state.load_module(network, f"band{k}", saved.tensors)
        return networks


def _networks_of_model(source: str) -> list[LatentContext]:
    """The networks of a model, up to what their integers left out. Raises ModelError."""
    data = model_file.read(source)
    shape, tensors = model_file.parse(data, source).shape, load(data)
    networks = [LatentContext(shape) for _ in range(BAND_KINDS)]
    for k, network in enumerate(networks):
        load_integers(network, state.part(f"band{k}", tensors))
    return networks
