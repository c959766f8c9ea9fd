"""Training of a network of previews (`preview_network.h`), which brings what bands say of an image nearer to it.

The networks that code are trained before: it sees what they leave open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec import _native
from ddpmcodec.codec.efforts import Coding, Segment, segments
from ddpmcodec.codec.passes import new_pass
from ddpmcodec.codec.passes import run as run_pass
from ddpmcodec.errors import TrainingError
from ddpmcodec.models.context import EFFORTS, PREVIEW, ContextModel
from ddpmcodec.models.registry import find_context
from ddpmcodec.training import run, state
from ddpmcodec.training.context_trainer import optimizers_of
from ddpmcodec.training.data import Mixture, Pixels, crops_of, grey, image_sets, left_out
from ddpmcodec.training.optim import device_of, product_type
from ddpmcodec.training.replay import LEVELS
from ddpmcodec.training.run import Say
from ddpmcodec.training.settings import Count, CountFrom0, Positive, Range, Seed, check
from ddpmcodec.training.state import State
from ddpmcodec.training.trainable import OUTPUT_LIMIT, Shape, TrainableNetwork, rounded

SQUARE = 2  # side, in pixels, of what is a position
CAPACITY, USES = 1 << 24, 8.0  # pixels of states that are kept, 15 bytes each; how often each is used
GREY_SHARE, ONE_CHANNEL = 0.1, 0.5  # of images that are made grey; of those, which are coded as such
PART = 64  # side of what a step sees of a state
HELD_OUT_IMAGES, HELD_OUT_SEED = 60, 5
WARMUP, CLIP = 100, 1.0  # steps; norm of a gradient
FLOOR = 0.3  # added to mean squared errors, in grey levels squared: about that of rounding
# What the core computes: widths that are multiples, of which nine make a block of its largest size; blocks.
VECTOR, LARGEST_WIDTH, LARGEST_DEPTH = 16, 112, 8
CHANGES = ("hours", "steps")  # settings that a resumed run may change


@dataclass(frozen=True)
class PreviewSettings:
    """One training run. Rates fall linearly to zero over `steps`, or else over `hours` of training time."""

    data: tuple[str, ...]  # several data sets round-robin, an image each
    model: str = "photo"  # whose files the previews are of
    validate: str | None = None  # images to evaluate on, instead of images held out
    hold_out: CountFrom0 | None = None  # last images of the first data set; None: a tenth, 2,000 at most
    hours: Positive = 1.5
    steps: Count | None = None  # takes the place of `hours`: a run that repeats exactly
    width: Count = 48
    depth: Annotated[int, Range(f"1 to {LARGEST_DEPTH}", 1, LARGEST_DEPTH)] = 3
    crop: Count = 128
    batch: Count = 16  # parts of states
    muon_rate: Positive = 0.016
    adam_rate: Positive = 4e-3
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Raises TrainingError for what makes no run."""
        check(self)
        if self.width % VECTOR or self.width > LARGEST_WIDTH:
            raise TrainingError(f"width={self.width}: give a multiple of {VECTOR} up to {LARGEST_WIDTH}")


def shape_of(width: int, depth: int) -> Shape:
    """The shape of a network whose positions see all activations around them."""
    return Shape(PREVIEW, width, depth, 1, shown=width)


class TrainablePreviewNetwork(TrainableNetwork):
    """A network of previews in training."""

    def corrections(self, rows: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Of rows uint8 [N, h, w, inputs] (`_native.squares`), float [N, 2 h, 2 w, 3] in standard deviations. dtype: of
        products."""
        last = rounded(self.layers(rows, None, dtype, _with_neighbours), -OUTPUT_LIMIT, OUTPUT_LIMIT) / self.units
        n, h, w, _ = last.shape
        squares = last.view(n, h, w, SQUARE, SQUARE, 3).transpose(2, 3)
        return squares.reshape(n, SQUARE * h, SQUARE * w, 3)


def _some_grey(image: Pixels, rng: np.random.Generator) -> Pixels:
    """The image, or a grey one, with three channels or one."""
    if rng.random() >= GREY_SHARE:
        return image
    channel = grey(image)
    return channel if rng.random() < ONE_CHANNEL else np.repeat(channel, 3, 2)


def _with_neighbours(activations: Tensor) -> Tensor:
    """[N, h, w, C] to [N, h, w, 9 C]: each position's own, then those around it by rows."""
    _, h, w, _ = activations.shape
    padded = F.pad(activations, (0, 0, 1, 1, 1, 1))
    around = [padded[:, y : y + h, x : x + w] for y in range(3) for x in range(3)]
    return torch.cat([activations, *around[:4], *around[5:]], 3)


def to_rgb(planes: Tensor) -> Tensor:
    """Red, green, blue [..., 3] of Y, Co, Cg, not rounded."""
    y, co, cg = planes.unbind(-1)
    middle = y - cg / 2
    blue = middle - co / 2
    return torch.stack([blue + co, middle + cg, blue], -1)


class Examples(NamedTuple):
    """States of one size: what the network sees, uint8 [N, h, w, inputs], planes and pixels, float [N, H, W, 3]."""

    rows: Tensor
    mean: Tensor
    deviation: Tensor
    pixels: Tensor

    @classmethod
    def of(cls, states: Sequence[CodingState], device: torch.device) -> Examples:
        mean = np.stack([each.mean for each in states]).astype(np.float32)
        variance = np.stack([each.variance for each in states]).astype(np.float32)
        pixels = np.stack([each.pixels for each in states]).astype(np.float32)
        rows = np.stack([_native.squares(*planes) for planes in zip(mean, variance, strict=True)])
        arrays = {"rows": rows, "mean": mean, "deviation": np.sqrt(variance), "pixels": pixels}
        return cls(**{name: torch.from_numpy(array).to(device) for name, array in arrays.items()})


def gain(network: TrainablePreviewNetwork, examples: Examples, dtype: torch.dtype = torch.float32) -> Tensor:
    """By how many decibels corrections raise the PSNR of previews, [N]. PyTorch compiles it."""
    _, height, width, _ = examples.mean.shape
    corrections = network.corrections(examples.rows, dtype)[:, :height, :width]

    def errors(planes: Tensor) -> Tensor:
        return ((to_rgb(planes) - examples.pixels) ** 2).mean((1, 2, 3)) + FLOOR

    return 10 * torch.log10(errors(examples.mean) / errors(examples.mean + corrections * examples.deviation))


class PreviewTrainer:
    """The network, its optimisers, and the states that it learns from (`run.Trainer`)."""

    unit = "dB"

    def __init__(
        self, settings: PreviewSettings, crops: Mixture, held_out: Sequence[Pixels] = (), *,
        device: torch.device | str = "cpu", compiled: bool = True,
    ) -> None:  # fmt: skip
        """held_out: images uint8 [H, W, 3]. Raises ModelError where there is no such model."""
        self.settings, self.crops, self.device = settings, crops, torch.device(device)
        self.model = find_context(settings.model)
        self.step, self.seconds, self.images_digest, self.number = 0, 0.0, "", 0
        torch.manual_seed(settings.seed)
        self.network = TrainablePreviewNetwork(shape_of(settings.width, settings.depth)).to(self.device)
        self.optimizers = optimizers_of(self.network, settings.muon_rate, settings.adam_rate)
        self.compiled, self.dtype = compiled, product_type(self.device)
        self.gain = torch.compile(gain, dynamic=False) if compiled else gain
        self.part = min(PART, *(part.size for part in crops.parts))
        self.states = CodingStates(self._next_states, CAPACITY, settings.seed)
        rng = np.random.default_rng(HELD_OUT_SEED)
        self.held_out = [found for image in held_out for found in states_of(_some_grey(image, rng), self.model, rng)]

    @property
    def images(self) -> int:
        return self.number

    def compile(self) -> None:
        """Compile what is gained before training time counts: it takes a minute."""
        parts = self.states.draw(self.settings.batch, self.part, USES)
        self.gain(self.network, Examples.of(parts, self.device), self.dtype).mean().backward()  # type: ignore[no-untyped-call]
        self.network.zero_grad()

    def _next_states(self) -> Iterator[CodingState]:
        """Those of the next image, which depend on the seed and its number alone."""
        rng = np.random.default_rng((self.settings.seed, 2**34, self.number))
        step, part = divmod(self.number, len(self.crops.parts))
        crop = self.crops.parts[part].batch(step, 1)[0].permute(1, 2, 0).to(torch.uint8).contiguous().numpy()
        self.number += 1
        return states_of(_some_grey(crop, rng), self.model, rng)

    def progress(self) -> float:
        settings = self.settings
        return min(1.0, self.step / settings.steps if settings.steps else self.seconds / (3600 * settings.hours))

    def update(self) -> dict[str, float]:
        """One step of the optimisers. The loss is minus what is gained, in decibels."""
        parts = self.states.draw(self.settings.batch, self.part, USES)
        value = -self.gain(self.network, Examples.of(parts, self.device), self.dtype).mean()
        value.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        loss = float(value.detach())
        run.require_finite(loss, float(norm), self.step)
        multiplier = min(1.0, (self.step + 1) / WARMUP) * (1 - self.progress())
        for optimizer in self.optimizers:
            optimizer.param_groups[0]["lr"] = optimizer.param_groups[0]["initial_lr"] * multiplier
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        return {"loss": loss, "gradient_norm": float(norm)}

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """What is gained, in decibels, by the number of levels and the level that is being reached."""
        gains = defaultdict[tuple[int, int], list[float]](list)
        for found in self.held_out:
            won = float(gain(self.network, Examples.of([found], self.device)))
            gains[found.levels, found.level].append(won)
        every = [gain for values in gains.values() for gain in values]
        rates = {f"{levels}/{level}": values for (levels, level), values in sorted(gains.items())}
        means = {
            name: round(sum(values) / len(values), 4) for name, values in {"mean": every, **rates}.items() if values
        }
        return {"held_out": means, "least": min(every)} if every else {}

    def state(self) -> State:
        tensors = state.of_module(self.network, PREVIEW)
        for number, optimizer in enumerate(self.optimizers):
            tensors |= state.of_optimizer(optimizer, f"optimizer{number}")
        facts = {
            "settings": asdict(self.settings), "step": self.step, "seconds": self.seconds, "images": self.number,
            "shapes": {PREVIEW: list(self.network.shape)}, "compiled": self.compiled,
        }  # fmt: skip
        return State(tensors, facts)

    def restore(self, saved: State) -> None:
        """Raises LookupError, ValueError or RuntimeError where it is not the state of such a network."""
        self.step, self.seconds, self.number = (saved.facts[key] for key in ("step", "seconds", "images"))
        self.states.rng = np.random.default_rng((self.settings.seed, self.step))
        state.load_module(self.network, PREVIEW, saved.tensors)
        for number, optimizer in enumerate(self.optimizers):
            state.load_optimizer(optimizer, f"optimizer{number}", saved.tensors)

    def files(self) -> dict[str, bytes]:
        """No files: `exporting.export` puts the network into a model."""
        return {}


def train(
    settings: PreviewSettings, out: Path, say: Say = print, *, resume: bool = False, chosen: Collection[str] = (),
    device: str | None = None, evaluate_minutes: float = run.EVALUATE_MINUTES, compiled: bool | None = None,
) -> tuple[PreviewTrainer, bool]:  # fmt: skip
    """Train until the hours or steps are spent, or SIGTERM; the trainer, and whether it is done. What it takes and
    raises is that of `context_run.train`."""
    with run.alone_in(out):
        settings, resumes = run.settings_of(out, settings, resume=resume, chosen=chosen, changes=CHANGES)
        find_context(settings.model)  # before images are read, which may take long
        images = image_sets(settings.data, validate=settings.validate, hold_out=settings.hold_out)
        crops = crops_of(images.sets, settings.crop, settings.seed)
        for note in (*images.notes, *left_out(images.sets, crops.parts)):
            say(note)
        (held_out,) = crops_of([images.held_out], settings.crop, 1).parts
        tested = held_out.each(HELD_OUT_IMAGES).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        saved = state.read(out) if resumes else None
        compiled = run.compiles(compiled, saved)
        trainer = PreviewTrainer(settings, crops, list(tested), device=device_of(device), compiled=compiled)
        trainer.images_digest = images.digest
        run.say_if_changed(saved, images.digest, say)
        run.prepare(trainer, saved, out, say)
        return trainer, run.run(trainer, out, say, evaluate_minutes=evaluate_minutes)


# --- images as decoders know them in the middle of a file: the network learns from these states

PER_PASS = 4  # states of an image, about evenly from its first band to the last
STOPS_WITHIN = 0.5  # share of the states that are in the middle of a segment


class CodingState(NamedTuple):
    """What is known of an image. mean, variance: float16 [H, W, 3] of its planes Y, Co, Cg, as its bands say."""

    mean: NDArray[np.float16]
    variance: NDArray[np.float16]
    pixels: Pixels  # uint8 [H, W, 3], what it is
    levels: int  # of the file
    level: int  # that its bands are being brought to


def states_of(image: Pixels, model: ContextModel, rng: np.random.Generator) -> Iterator[CodingState]:
    """Random states of an image uint8 [H, W, C], C 1 or 3, in a file of a random effort and number of levels."""
    coding = Coding(int(rng.choice(EFFORTS)), int(rng.choice(LEVELS)))
    height, width, channels = image.shape
    pixels = image if channels == 3 else np.repeat(image, 3, 2)
    schedule = [segment for segment in segments(coding.levels, height, width) if segment.level]
    coder = new_pass(model, coding, (1, *image.shape), lanes=True)
    coder.encode(np.ascontiguousarray(image)[None], for_previews=True)
    ends = 1 + (np.arange(PER_PASS) + rng.random(PER_PASS)) / PER_PASS * len(schedule)
    for end in ends.astype(int):
        run_pass(coder, (1, *image.shape), coding, end, None)
        if end < len(schedule) and rng.random() < STOPS_WITHIN:
            coder.advance(int(rng.integers(1, 1 + _waves(schedule[end], max(height, width)))), end + 1)
        mean, variance = _native.estimate(coder)
        level = schedule[min(end, len(schedule) - 1)].level
        yield CodingState(mean.astype(np.float16), variance.astype(np.float16), pixels, coding.levels, level)


def _waves(segment: Segment, side: int) -> int:
    """About as many as a segment has. A wave is a column later in each row below, by four; two bands halve both."""
    return max(1, 5 * side >> segment.band // 2)


class CodingStates:
    """The latest states, as many as it has room for. A draw takes parts of random ones."""

    def __init__(self, source: Callable[[], Iterator[CodingState]], capacity: int, seed: int) -> None:
        """source: gives the states of the next image. capacity: in pixels."""
        self.source, self.capacity = source, capacity
        self.rng = np.random.default_rng(seed)
        self.states: list[CodingState] = []
        self.due = 0.0  # states that were drawn and not yet made up for
        self.next = 0  # the oldest one

    def draw(self, count: int, side: int, uses: float) -> list[CodingState]:
        """Squares of `side` from random places of `count` states. Every state's area is used about `uses` times."""
        while self.due >= 0 or len(self.states) < 4 * count:
            self._add()
        chosen = [self.states[number] for number in self.rng.integers(len(self.states), size=count)]
        drawn = [self._part(sample, side) for sample in chosen]
        areas = (part.pixels.size / sample.pixels.size for part, sample in zip(drawn, chosen, strict=True))
        self.due += sum(areas) / uses
        return drawn

    def _add(self) -> None:
        for sample in self.source():
            if len(self.states) * sample.pixels[..., 0].size < self.capacity:
                self.states.append(sample)
            else:
                self.states[self.next % len(self.states)] = sample
                self.next += 1
            self.due -= 1

    def _part(self, sample: CodingState, side: int) -> CodingState:
        top, left = (int(self.rng.integers(max(size - side, 0) + 1)) for size in sample.pixels.shape[:2])
        part = slice(top, top + side), slice(left, left + side)
        return sample._replace(mean=sample.mean[part], variance=sample.variance[part], pixels=sample.pixels[part])
