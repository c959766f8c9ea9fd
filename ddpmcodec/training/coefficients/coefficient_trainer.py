"""Training of the networks that code the coefficients of JPEG files: a run in a folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from ddpmcodec._native import MOST_JPEG_LEVELS
from ddpmcodec.errors import TrainingError
from ddpmcodec.format.header import DEFAULT_LEVELS
from ddpmcodec.training import run, state
from ddpmcodec.training.coefficients.coefficient_model import PREDICTING_EFFORT, begin_as, take_predictors
from ddpmcodec.training.coefficients.coefficient_network import (
    CHROMA,
    LUMA,
    REFINE_CHROMA,
    REFINE_LUMA,
    ROLES,
    CoefficientNetwork,
    CoefficientShape,
    code_lengths,
    loss,
)
from ddpmcodec.training.coefficients.jpeg_files import (
    SUFFIXES,
    FileSource,
    JpegSetting,
    ReplayFiles,
    in_training,
    levels_of,
    parsed,
    robidoux,
    whole,
    write,
)
from ddpmcodec.training.coefficients.positions import GROUP, Group, JpegFile, Seen, seen
from ddpmcodec.training.coefficients.predictors import LAST_PREDICTED, Statistics, measure, measure_cells
from ddpmcodec.training.data import Pixels, image_sets
from ddpmcodec.training.networks import round_robin
from ddpmcodec.training.optim import Muon, device_of, product_type
from ddpmcodec.training.run import Say
from ddpmcodec.training.settings import Count, CountFrom0, Positive, Range, Seed, check
from ddpmcodec.training.state import State

POSITIONS = 1 << 13  # of a file that are computed, about: as many of each condition as it has
TOGETHER = 64  # groups


@torch.no_grad()
def code_length(network: CoefficientNetwork, file: JpegFile, positions: int = POSITIONS) -> float:
    """Return the ideal code length of the components of a network, bits, by about so many positions."""
    numbers = network.shape.components if file.has(network.shape.is_chroma) else ()
    total = sum(int(file.components[number].counts.sum()) for number in numbers)
    parts = [part for number in numbers for part in _parts(file, number, max(1, total // positions))]
    bits = 0.0
    for first in range(0, len(parts), TOGETHER):
        groups, weights = zip(*parts[first : first + TOGETHER], strict=True)
        positions_seen = seen(groups).to(network.scale.device)
        lengths = code_lengths(network(positions_seen), positions_seen).double().cpu().numpy()
        bits += float((lengths * np.stack(weights)).sum())
    return bits


def code_lengths_of_levels(network: CoefficientNetwork, data: bytes, most: int = MOST_JPEG_LEVELS) -> dict[int, float]:
    """Return the ideal code lengths of the levels of a file that are a network's, bits. It has as many levels besides
    the exact one as its steps suit, and at most `most`."""
    components = whole(data)
    levels = min(most, levels_of(components))
    if not network.shape.refines:
        return {levels: code_length(network, in_training(components, levels))}
    return {level: code_length(network, in_training(components, levels, level)) for level in range(levels)}


def _parts(file: JpegFile, component: int, stride: int) -> Iterator[tuple[Group, np.ndarray]]:
    """Groups of every `stride`-th position, and how many positions each of theirs stands for; fillers for none."""
    for condition in np.flatnonzero(file.components[component].counts).tolist():
        group = file.group(component, condition)
        blocks = group.blocks[min(condition % stride, len(group.blocks) - 1) :: stride]
        for first in range(0, len(blocks), GROUP):
            some = blocks[first : first + GROUP]
            weights = np.where(np.arange(GROUP) < len(some), len(group.blocks) / len(blocks), 0.0)
            yield group._replace(blocks=np.resize(some, GROUP)), weights


EFFORTS = (1, 2)
# Width and blocks. An effort has the size of its number, unless a run says otherwise.
SIZES = {
    1: {LUMA: (96, 3), CHROMA: (64, 2), REFINE_LUMA: (64, 2), REFINE_CHROMA: (48, 2)},
    2: {LUMA: (192, 3), CHROMA: (128, 3), REFINE_LUMA: (160, 3), REFINE_CHROMA: (96, 3)},
    3: {LUMA: (320, 4), CHROMA: (192, 3), REFINE_LUMA: (192, 3), REFINE_CHROMA: (128, 3)},
    4: {LUMA: (448, 4), CHROMA: (256, 4), REFINE_LUMA: (320, 4), REFINE_CHROMA: (192, 3)},
}
SHARES = {LUMA: 5, CHROMA: 2, REFINE_LUMA: 4, REFINE_CHROMA: 2}  # of steps: most of the bits are luma's
WARMUP, CLIP = 10, 1.0  # rounds of all roles; norm of a gradient
FALLING = 0.55  # share of a run, its last, in which rates fall to zero
# Learning rates of predictors, in that of what AdamW trains besides: weights of linear sums are small, and magnitudes
# have logarithms of weights.
LINEAR_PACE, MAGNITUDE_PACE = 1 / 8, 2.5
SPARSE_FROM = 0.6  # share of a run after which predictors have no more weights than a model file keeps
MEASURED = 192  # groups of positions by which each frequency is measured before training


@dataclass(frozen=True)
class CoefficientSettings:
    """One training run. Rates fall linearly to zero over the last half of `steps`, or else of `hours` of training."""

    data: tuple[str, ...]  # several data sets round-robin, a file each
    validate: str | None = None  # images and files to evaluate on, instead of some held out
    hold_out: CountFrom0 | None = None  # last images of the first data set; None: a tenth, 2,000 at most
    hours: Positive = 1.5
    steps: Count | None = None  # takes the place of `hours`: a run that repeats exactly
    effort: Annotated[int, Range("an effort, 1 or 2", *EFFORTS)] = 2
    size: Annotated[int, Range("a size from 1 to 4", 1, len(SIZES))] | None = None  # None: that of the effort's number
    roles: tuple[str, ...] = ROLES
    start: str | None = None  # a model, or the folder of a run: networks begin as these
    predictors: str | None = None  # a model, or the folder of a run: at effort 1, networks take those; None: of `start`
    crop: Annotated[int, Range("a whole number from 16", 16)] = 384  # side, in pixels, of what is seen of an image
    batch: Annotated[int, Range(f"a whole number from {GROUP}", GROUP)] = 4096  # positions
    muon_rate: Positive = 0.016
    adam_rate: Positive = 4e-3
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Raises TrainingError for settings that make no run."""
        check(self)
        if not self.roles or not set(self.roles) <= set(ROLES):
            raise TrainingError(f"roles={','.join(self.roles)}: give some of {', '.join(ROLES)}")
        if self.trains_predictors and self.predictors:
            raise TrainingError(f"predictors={self.predictors}: networks of effort {self.effort} train their own")
        if not self.trains_predictors and not (self.predictors or self.start):
            raise TrainingError(
                f"effort={self.effort}: its networks use the predictors of effort {PREDICTING_EFFORT}: give"
                " predictors=..., the folder of such a run or a model"
            )

    @property
    def trains_predictors(self) -> bool:
        return self.effort == PREDICTING_EFFORT


class CoefficientTrainer:
    """The networks, their optimisers, and the files that they learn from (`run.Trainer`)."""

    unit = "of the bytes of JPEG files"

    def __init__(
        self, settings: CoefficientSettings, replay: ReplayFiles, held_out: Mapping[str, Sequence[bytes]], *,
        device: torch.device | str = "cpu", begins: bool = True,
    ) -> None:  # fmt: skip
        """held_out: files by the name of their figure. begins: False if a state is restored, which has what is measured
        before training. Raises TrainingError, ModelError if networks cannot begin as `settings.start`."""
        self.settings, self.replay, self.held_out = settings, replay, held_out
        self.step, self.seconds, self.images_digest = 0, 0.0, ""
        self.device, self.dtype = torch.device(device), product_type(torch.device(device))
        torch.manual_seed(settings.seed)
        self.networks = {role: self._network(role, begins).to(self.device) for role in settings.roles}
        self.optimizers = {role: self._optimizers(network) for role, network in self.networks.items()}
        self.round = round_robin(settings.roles, SHARES)

    def _network(self, role: str, begins: bool) -> CoefficientNetwork:
        settings = self.settings
        shape = CoefficientShape(role, *SIZES[settings.size or settings.effort][role])
        network = CoefficientNetwork(shape, self._measured(shape) if begins else None)
        if begins and settings.start:
            begin_as(network, settings.start, settings.effort)
        if begins and settings.predictors:
            take_predictors(network, settings.predictors)
        for predictor in (network.linear, network.magnitudes):
            predictor.requires_grad_(settings.trains_predictors)
        return network

    def _measured(self, shape: CoefficientShape) -> Statistics:
        """What the predictors of a new network are made from, of the first files."""

        def draw(condition: int) -> Seen:
            count = MEASURED // len(shape.components)
            of_condition = partial(self.replay.of_condition, condition=condition, count=count, refines=shape.refines)
            return seen([group for component in shape.components for group in of_condition(component)])

        if shape.refines:
            return measure_cells(draw, shape.entries)
        return measure(draw, shape.entries, LAST_PREDICTED[shape.is_chroma])

    def _optimizers(self, network: CoefficientNetwork) -> list[torch.optim.Optimizer]:
        rate = self.settings.adam_rate
        inner = [network.stem, *network.blocks]
        predictors = {network.linear: LINEAR_PACE * rate, network.magnitudes: MAGNITUDE_PACE * rate}
        rest = [p for p in network.parameters() if all(p is not other for other in (*inner, *predictors))]
        paces = predictors if self.settings.trains_predictors else {}
        adam = [(rest, rate), *(([parameter], pace) for parameter, pace in paces.items())]
        return [
            Muon(inner, lr=self.settings.muon_rate),
            *(torch.optim.AdamW(p, lr=lr, betas=(0.9, 0.99), weight_decay=0.0) for p, lr in adam),
        ]

    @property
    def images(self) -> int:
        return self.replay.count(self.step)

    def _positions(self, role: str) -> Seen:
        shape, count = self.networks[role].shape, self.settings.batch // GROUP
        groups = self.replay.draw(self.step, count, chroma=shape.is_chroma, refines=shape.refines)
        return seen(groups).to(self.device)

    def progress(self) -> float:
        settings = self.settings
        return min(1.0, self.step / settings.steps if settings.steps else self.seconds / (3600 * settings.hours))

    def update(self) -> dict[str, float]:
        """One step of the next network, on positions that depend on the seed and the step alone; its loss is in bits a
        position."""
        role = self.round[self.step % len(self.round)]
        network = self.networks[role]
        if self.progress() >= SPARSE_FROM and not network.is_sparse:
            network.prune()
        value = loss(network, self._positions(role), self.dtype)
        value.backward()  # type: ignore[no-untyped-call]
        clipped = [p for p in network.parameters() if p is not network.linear and p is not network.magnitudes]
        norm = torch.nn.utils.clip_grad_norm_(clipped, CLIP)
        bits = float(value.detach())
        run.require_finite(bits, float(norm), self.step)
        self._step_optimizers(role)
        self.step += 1
        return {"loss": bits, f"loss_{role}": bits, "gradient_norm": float(norm)}

    def _step_optimizers(self, role: str) -> None:
        warm = (self.step // len(self.round) + 1) / WARMUP
        multiplier = min(1.0, warm, (1 - self.progress()) / FALLING)
        for optimizer in self.optimizers[role]:
            (group,) = optimizer.param_groups
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * multiplier
            optimizer.step()
            optimizer.zero_grad()

    def evaluate(self) -> dict[str, Any]:
        """Return code lengths of held-out files as shares of their bytes."""
        return {"held_out": shares(self.networks, self.held_out)} if self.held_out else {}

    def state(self) -> State:
        tensors: dict[str, Tensor] = {}
        for role, network in self.networks.items():
            tensors |= state.of_module(network, role)
            for number, optimizer in enumerate(self.optimizers[role]):
                tensors |= state.of_optimizer(optimizer, f"{role}:{number}")
        facts = {
            "settings": asdict(self.settings), "step": self.step, "seconds": self.seconds, "images": self.images,
            "shapes": {role: list(network.shape) for role, network in self.networks.items()},
        }  # fmt: skip
        return State(tensors, facts)

    def restore(self, saved: State) -> None:
        """Raises LookupError, ValueError or RuntimeError where it is not the state of such networks."""
        self.step, self.seconds = int(saved.facts["step"]), float(saved.facts["seconds"])
        for role, network in self.networks.items():
            state.load_module(network, role, saved.tensors)
            for number, optimizer in enumerate(self.optimizers[role]):
                state.load_optimizer(optimizer, f"{role}:{number}", saved.tensors)

    def files(self) -> dict[str, bytes]:
        """No files: a model takes the networks of several runs."""
        return {}


def shares(networks: Mapping[str, CoefficientNetwork], files: Mapping[str, Sequence[bytes]]) -> dict[str, float]:
    """Return by the name of files the code length of their coefficients as a share of all their bytes, without headers.
    Those of one network have its role in the name, and those of one finer level its number."""
    found: dict[str, float] = {}
    for name, each in files.items():
        size, total = 8 * sum(map(len, each)), 0.0
        for role, network in networks.items():
            bits: Counter[int] = Counter()
            for data in each:
                bits.update(code_lengths_of_levels(network, data, DEFAULT_LEVELS))
            found[f"{role} {name}"] = sum(bits.values()) / size
            if network.shape.refines:
                found |= {f"{role} {level} {name}": length / size for level, length in sorted(bits.items())}
            total += sum(bits.values())
        if len(networks) > 1:
            found[name] = total / size
    return {name: round(share, 5) for name, share in found.items()}


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
