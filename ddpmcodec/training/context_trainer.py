"""Training of the networks of one effort, round-robin: a step trains one of them on positions of its role. And
their evaluation on held-out images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec import _native
from ddpmcodec.errors import TrainingError
from ddpmcodec.models.architectures import RESIDUAL
from ddpmcodec.models.context import BAND_ROLES, CODING_EFFORTS, ROLES, pixels_role
from ddpmcodec.training import run, state
from ddpmcodec.training.data import Pixels
from ddpmcodec.training.networks import first_networks, round_robin
from ddpmcodec.training.optim import Muon, product_type
from ddpmcodec.training.replay import FIRST, LEVELS, Columns, ReplayBuffer, ReplayBuffers, bands_of, parts_of, pixels_of
from ddpmcodec.training.settings import Count, CountFrom0, Positive, Range, Seed, Share, check
from ddpmcodec.training.state import State
from ddpmcodec.training.trainable import CHANNELS, NEIGHBOURS, ZERO, Networks, Positions, Trainable, code_length, loss

WARMUP, CLIP = 100, 1.0  # rounds of all roles; norm of a gradient
# The learning rate of gains, in that of head, skip layer and biases: saves 0.3 to 0.7% of the bits in 600 updates
# (docs/experiments).
GAIN_PACE = 8.0
# Positions in a replay buffer, 0.3 kB each, and draws of each. A network overfits to a small buffer, and to positions
# that it draws several times: both were tried (docs/experiments).
CAPACITY, USES = 1 << 19, 1.0


LEAST_EFFORT, MOST_EFFORT = CODING_EFFORTS[0], CODING_EFFORTS[-1]
Effort = Annotated[int, Range(f"an effort from {LEAST_EFFORT} to {MOST_EFFORT}", LEAST_EFFORT, MOST_EFFORT)]


@dataclass(frozen=True)
class ContextSettings:
    """One training run; rates fall linearly to zero over its hours."""

    data: tuple[str, ...]  # several data sets are taken round-robin, a batch of images each
    validate: str | None = None  # images to evaluate on, instead of images held out
    hold_out: CountFrom0 | None = None  # last images of the first data set; None: a tenth, 2,000 at most
    hours: Positive = 1.5
    effort: Effort = 2  # whose networks they are
    size: Count | None = None  # their shapes (`sizes.SIZES`); None: those of the effort's number
    roles: tuple[str, ...] = ROLES  # that are trained
    network: str = RESIDUAL  # their architecture
    crop: Count = 96  # side; of sets with smaller images smaller
    start: str | None = None  # a model, or the folder of a run: networks begin as these, grown where they are smaller
    camera_share: Share = 0.0  # of the crops of the largest size that get a sensor's noise and blur
    batch: Count = 4096  # positions a step
    muon_rate: Positive = 0.016
    adam_rate: Positive = 4e-3
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Raises TrainingError for a role that there is not, or none, and for what makes no run."""
        roles = (self.roles,) if isinstance(self.roles, str) else tuple(self.roles)
        if not roles or not set(roles) <= set(ROLES):
            raise TrainingError(f"roles are some of {', '.join(ROLES)}, not {', '.join(map(str, roles)) or 'none'}")
        if not self.effort and roles != ("direct",):
            raise TrainingError(f"effort=0 has a network of direct alone, not of {', '.join(roles)}: give roles")
        object.__setattr__(self, "roles", roles)  # a list is not what a state has
        check(self)


class Batches(Protocol):
    """Each call gives a batch of images, uint8 [N, H, W, 3]. `number`: of the next batch; a resumed run sets it. sides:
    of the smallest and the largest images."""

    number: int

    @property
    def sides(self) -> tuple[int, int]: ...

    def __call__(self) -> NDArray[np.uint8]: ...


class ContextTrainer:
    """The networks, their optimisers, and the positions that they learn from (`run.Trainer`)."""

    unit = "bits/dim"

    def __init__(
        self, settings: ContextSettings, source: Batches, held_out: Sequence[NDArray[np.uint8]] = (), *,
        device: torch.device | str = "cpu", compiled: bool = True, networks: Networks | None = None,
    ) -> None:  # fmt: skip
        """source: of training images; held_out: batches to evaluate on, uint8 [N, H, W, 3]. networks: those of a state
        that is restored; None: the run begins, as `settings` say.

        Raises TrainingError where networks cannot begin as `settings` say, ModelError where they name no model.
        """
        self.settings, self.source, self.held_out = settings, source, held_out
        self.step, self.seconds, self.images_digest = 0, 0.0, ""
        torch.manual_seed(settings.seed)
        size = settings.effort if settings.size is None else settings.size
        if networks is None:
            networks = first_networks(
                settings.effort, settings.roles, settings.start, size=size, architecture=settings.network
            )
        self.networks = {role: network.to(device) for role, network in networks.items()}
        rates = settings.muon_rate, settings.adam_rate
        self.optimizers = {role: optimizers_of(network, *rates) for role, network in self.networks.items()}
        self.round = round_robin(settings.roles)
        self.compiled = compiled
        self.loss = torch.compile(loss, dynamic=False) if compiled else loss
        self.dtype = product_type(torch.device(device))
        self.replay = ReplayBuffers(
            source, settings.roles, capacity=max(CAPACITY, FIRST * settings.batch), sides=source.sides, uses=USES,
            seed=settings.seed, device=device,
        )  # fmt: skip

    @property
    def images(self) -> int:
        return self.replay.images

    def compile(self) -> None:
        """Compile the loss of every network before training time counts: it takes a minute a shape, or more."""
        for role, network in self.networks.items():
            positions = _any_positions(network, self.replay.buffers[role], self.settings.batch)
            self.loss(network, positions, self.dtype).backward()  # type: ignore[no-untyped-call]
            for optimizer in self.optimizers[role]:
                optimizer.zero_grad()

    def progress(self) -> float:
        return min(1.0, self.seconds / (3600 * self.settings.hours))

    def update(self) -> dict[str, float]:
        """One step of the next network; its loss is in bits a position."""
        role = self.round[self.step % len(self.round)]
        value = self.loss(self.networks[role], self.replay.draw(role, self.settings.batch), self.dtype)
        value.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.networks[role].parameters(), CLIP)
        bits = float(value.detach())
        run.require_finite(bits, float(norm), self.step)
        self._step_optimizers(role)
        self.step += 1
        return {"loss": bits, f"loss_{role}": bits}

    def _step_optimizers(self, role: str) -> None:
        multiplier = min(1.0, (self.step // len(self.round) + 1) / WARMUP) * (1 - self.progress())
        for optimizer in self.optimizers[role]:
            optimizer.param_groups[0]["lr"] = optimizer.param_groups[0]["initial_lr"] * multiplier
            optimizer.step()
            optimizer.zero_grad()

    def evaluate(self) -> dict[str, Any]:
        """Figures of held-out images (`figures`); nothing where there are none."""
        return figures(self.networks, self.held_out) if self.held_out else {}

    def state(self) -> State:
        tensors: dict[str, Tensor] = {}
        for role, network in self.networks.items():
            tensors |= state.of_module(network, role)
            for number, optimizer in enumerate(self.optimizers[role]):
                tensors |= state.of_optimizer(optimizer, f"{role}:{number}")
        facts = {
            "settings": asdict(self.settings), "step": self.step, "seconds": self.seconds, "images": self.images,
            "batches": self.source.number, "shapes": {role: list(n.shape) for role, n in self.networks.items()},
            "compiled": self.compiled,
        }  # fmt: skip
        return State(tensors, facts)

    def restore(self, saved: State) -> None:
        """Raises LookupError, ValueError or RuntimeError where it is not the state of such networks."""
        self.step, self.seconds = int(saved.facts["step"]), float(saved.facts["seconds"])
        self.source.number = int(saved.facts["batches"])
        self.replay.go_on(int(saved.facts["images"]), self.source.number, self.step)
        for role, network in self.networks.items():
            state.load_module(network, role, saved.tensors)
            for number, optimizer in enumerate(self.optimizers[role]):
                state.load_optimizer(optimizer, f"{role}:{number}", saved.tensors)

    def files(self) -> dict[str, bytes]:
        """No files: a model takes the networks of several runs (`exporting.export`)."""
        return {}


def optimizers_of(network: Trainable, muon_rate: float, adam_rate: float) -> tuple[torch.optim.Optimizer, ...]:
    """Of a network's parameters by how they learn. Each has its rate, which the progress of a run lowers, as
    `initial_lr`, too."""
    groups = network.groups()
    optimizers: list[torch.optim.Optimizer] = [Muon(groups.inner, lr=muon_rate)] if groups.inner else []
    for parameters, rate in ((groups.gains, GAIN_PACE * adam_rate), (groups.rest, adam_rate)):
        if parameters:
            optimizers.append(torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.99), weight_decay=0.0))
    for optimizer in optimizers:
        optimizer.param_groups[0]["initial_lr"] = optimizer.param_groups[0]["lr"]
    return tuple(optimizers)


def _any_positions(network: Trainable, buffer: ReplayBuffer, count: int) -> Positions:
    """As many positions as the buffer would give, with arbitrary values."""
    device, count = network.units.device, buffer.drawn(count)
    near = torch.full((count, NEIGHBOURS), -1, device=device)
    rows = torch.full((count, network.shape.contract[0]), ZERO, dtype=torch.uint8, device=device)
    low, high = (torch.full((count, CHANNELS), end, device=device) for end in (0, 9))
    values = {"base": low, "lo": low, "hi": high, "new_lo": low, "new_hi": low}
    return Positions.of({"rows": rows, "condition": torch.zeros(count, device=device), "near": near, **values})


# --- evaluation: ideal code lengths of images, without online adaptation

PIXELS, POSITIONS = 1 << 16, 1 << 14  # of images, and of positions, that are computed together
Bits = NDArray[np.float64]


def pixel_rate(levels: int) -> str:
    """Return the name of the figure of exact pixels after so many noise levels: their network's role, and the number if
    it codes them after others, too.

    >>> [pixel_rate(levels) for levels in (0, 1, 2)]
    ['direct', 'single', 'last 2']
    """
    role = pixels_role(levels)
    return f"{role} {levels}" if role == "last" else role


def figures(networks: Networks, batches: Sequence[Pixels]) -> dict[str, Any]:
    """'held_out': bits/dim of exact pixels, of all noise levels and of whole files, by how many levels there are, where
    there are the networks for them. 'steps': of every noise level, by schedule. batches: uint8 [N, H, W, 3]."""
    dims = sum(batch.size for batch in batches)
    pixels = {
        pixel_rate(levels): _pixel_bits(networks[role], levels, batches) / dims
        for levels in _native.SCHEDULES
        if (role := pixels_role(levels)) in networks
    }
    bands = {role: network for role, network in networks.items() if role in BAND_ROLES}
    steps = {levels: _step_bits(bands, levels, batches) / dims for levels in LEVELS if bands}
    rates = pixels | {f"bands {levels}": float(bits.sum()) for levels, bits in steps.items()}
    rounded = {name: round(value, 4) for name, value in (rates | _totals(rates, bands)).items()}
    listed = {str(levels): [round(float(value), 4) for value in bits] for levels, bits in steps.items()}
    return {"held_out": rounded} | ({"steps": listed} if listed else {})


def _totals(rates: Mapping[str, float], bands: Networks) -> dict[str, float]:
    totals = {"levels 0": rates["direct"]} if "direct" in rates else {}
    for levels in LEVELS:
        if pixel_rate(levels) in rates and len(bands) == len(BAND_ROLES):
            totals[f"levels {levels}"] = rates[pixel_rate(levels)] + rates[f"bands {levels}"]
    return totals


def _pixel_bits(network: Trainable, levels: int, batches: Sequence[Pixels]) -> float:
    lengths = (bits_of(network, pixels_of(images, levels)) for images in _parts(batches))
    return sum(float(bits.sum()) for bits in lengths)


def _step_bits(networks: Networks, levels: int, batches: Sequence[Pixels]) -> Bits:
    """Bits of every step of a schedule."""
    numbers = [number for number, _ in _native.SCHEDULES[levels]]
    total = np.zeros(numbers[-1] + 1)
    for images in _parts(batches):
        for role, columns in bands_of(images, levels).items():
            if role in networks:
                steps = columns["condition"] // _native.BANDS_OF_STEP
                total += np.bincount(steps, bits_of(networks[role], columns), minlength=len(total))
    return total[numbers]


@torch.no_grad()
def bits_of(network: Trainable, columns: Columns) -> Bits:
    """The code length of each position."""
    device, lengths = network.units.device, [np.zeros(0)]
    for some in _together(columns):
        numbers = columns["near"][some]
        taken = {name: columns[name][some] for name in Positions._fields}
        taken["near"] = np.where(numbers < 0, -1, numbers - some.start)
        positions = Positions.of({name: torch.from_numpy(column).to(device) for name, column in taken.items()})
        lengths.append(code_length(network.shape, network.outputs(positions), positions).double().cpu().numpy())
    return np.concatenate(lengths)


def _together(columns: Columns) -> Iterator[slice]:
    """Positions that are computed together: whole parts."""
    first = end = 0
    for one in parts_of(columns):
        if one.stop - first > POSITIONS and end > first:
            yield slice(first, end)
            first = end
        end = one.stop
    if end > first:
        yield slice(first, end)


def _parts(batches: Sequence[Pixels]) -> Iterator[Pixels]:
    for batch in batches:
        count = max(1, PIXELS // (batch.shape[1] * batch.shape[2]))
        yield from (np.ascontiguousarray(batch[first : first + count]) for first in range(0, len(batch), count))
