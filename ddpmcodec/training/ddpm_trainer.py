"""The paper's training: Adam, warm-up, an exponential moving average; on one device or, under torchrun, on many.

Ho, Jain & Abbeel 2020 (arXiv 2006.11239), appendix B; clipping at 1 and the warm-up are those of the authors' code.

Under torchrun every process takes its share of each batch. Images, flips, t and noise depend on the seed, the step and
the position in the batch alone, so that any number of processes computes the same gradient, to rounding. Dropout does
not: its masks depend on the process too. A run with dropout repeats exactly with as many processes as before, and with
another number is another draw of the same distribution. On a CPU runs repeat bit for bit; a GPU's sums may vary, and it
draws other noise than a CPU does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode

from ddpmcodec.errors import TrainingError
from ddpmcodec.paper import denoisers
from ddpmcodec.paper.bound import evaluate as evaluate_bound
from ddpmcodec.paper.paper_denoiser import PaperDenoiser
from ddpmcodec.paper.schedule import Levels, cosine, ddpm_linear
from ddpmcodec.paper.unet import CIFAR10, UNet, UNetConfig
from ddpmcodec.training import run, state
from ddpmcodec.training.data import Crops, DeviceCrops, Images, left_out, load_sets, without_held_out
from ddpmcodec.training.ddpm_objective import NoiseSchedule, Objective, losses, noisy_batch
from ddpmcodec.training.optim import device_of, follow
from ddpmcodec.training.run import Say
from ddpmcodec.training.settings import Count, CountFrom0, LevelCount, Positive, Seed, check
from ddpmcodec.training.state import State

CHANGES = ("steps",)  # settings that a resumed run may change
CLIP, AVERAGE = 1.0, 0.9999  # norm of a gradient; decay of the exponential moving average
EVALUATED_LEVELS = 100  # at most, of the bound of images held out
LARGEST_BETA = 0.999
BACKWARD = 2  # passes over the network, in operations, that gradients take


@dataclass(frozen=True)
class DdpmSettings:
    """One training run; the defaults are those of the paper for CIFAR-10.

    The hybrid objective, and no other, trains a network with learned variances.
    """

    data: tuple[str, ...]  # all images of all of them make an epoch
    network: UNetConfig = CIFAR10
    objective: Objective = "simple"
    schedule: Literal["linear", "cosine"] = "linear"
    levels: LevelCount = 1000  # T, the number of noise levels
    steps: Count = 800_000
    batch: Count = 128  # images of a step, on all devices together
    size: Count = 32  # side of the images, or of crops from larger ones
    rate: Positive = 2e-4  # of Adam
    warmup: Count = 5000  # steps to the full rate
    bfloat16: bool = False  # products and convolutions of the network; weights, losses and averages are float32
    hold_out: CountFrom0 = 0  # last images of the data, for evaluation; the paper holds none out
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Raises TrainingError for what makes no run."""
        check(self)

    def noise_levels(self) -> Levels:
        """The paper's betas are those of 1000 levels. Other numbers of levels have them scaled, so that the last level
        is nearly all noise, too (as in the code of Nichol & Dhariwal 2021, arXiv 2102.09672)."""
        if self.schedule == "cosine":
            return cosine(self.levels)
        scale = 1000 / self.levels
        return ddpm_linear(self.levels, min(1e-4 * scale, LARGEST_BETA), min(0.02 * scale, LARGEST_BETA))


@dataclass(frozen=True)
class Processes:
    """How many processes train together, which of them this one is, and its device."""

    rank: int
    count: int
    device: torch.device

    def share(self, images: int) -> slice:
        """This process's part of a batch."""
        return slice(images * self.rank // self.count, images * (self.rank + 1) // self.count)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.count == 1:
            return flag
        flags = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(flags)
        return bool(flags)


@contextmanager
def processes(device: str | None = None) -> Iterator[Processes]:
    """The processes of `torchrun`, connected (NCCL between GPUs, else Gloo), or this one alone.

    device: as PyTorch names it; default: a GPU where there is one. Of several GPUs each process takes its own. Raises
    TrainingError where this PyTorch has no such device.
    """
    chosen = device_of(device)
    if not dist.is_torchelastic_launched():
        yield Processes(0, 1, chosen)
        return
    if cuda := chosen.type == "cuda":
        chosen = device_of(f"cuda:{os.environ['LOCAL_RANK']}")
    if cuda:
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), chosen)
        dist.barrier()  # one that leaves early takes the others' connections with it
    finally:
        dist.destroy_process_group()


class DdpmTrainer:
    """The network and its optimiser (`run.Trainer`). `network` is trained; `averaged` (EMA) is the one to code and
    sample with."""

    unit = "bits/dim"

    def __init__(
        self, settings: DdpmSettings, crops: Crops, where: Processes, held_out: Tensor | None = None, *,
        compiled: bool = True,
    ) -> None:  # fmt: skip
        """held_out: images uint8 [N, 3, size, size], or none."""
        self.settings, self.crops, self.where, self.held_out = settings, crops, where, held_out
        torch.manual_seed(settings.seed)
        self.network = UNet(settings.network).to(where.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = deepcopy(self.network).eval().requires_grad_(False)
        parallel = DistributedDataParallel(self.network) if where.count > 1 else self.network
        self.compiled = compiled
        self.parallel = torch.compile(parallel, dynamic=False) if compiled else parallel
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.rate)
        self.schedule = NoiseSchedule(settings.noise_levels(), where.device)
        self.flops = (1 + BACKWARD) * flops(settings.network, settings.size)
        self.step, self.seconds, self.images_digest = 0, 0.0, ""

    def compile(self) -> None:
        """Compile the network before training time counts: it takes minutes."""
        self._backward(self.crops.batch(self.step, self.settings.batch))
        self.optimizer.zero_grad()

    @property
    def images(self) -> int:
        return self.step * self.settings.batch

    def progress(self) -> float:
        return min(1.0, self.step / self.settings.steps)

    def update(self) -> dict[str, float]:
        """One step of the optimiser on a batch that is the same in all processes.

        Raises TrainingError, before anything changes, when the loss or the gradient is no number.
        """
        settings, start = self.settings, time.perf_counter()
        total = self._total(self._backward(self.crops.batch(self.step, settings.batch)))
        gradient_norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        loss, norm = torch.stack([total, gradient_norm]).tolist()  # once a step is waited for the device
        run.require_finite(loss, norm, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate * min(1.0, (self.step + 1) / settings.warmup)
        self.optimizer.step()
        self.optimizer.zero_grad()
        follow(self.averaged, self.network, self.step, AVERAGE)
        self.step += 1
        speed = self.flops * settings.batch / (time.perf_counter() - start)
        return {"loss": loss, "gradient_norm": norm, "tflops": speed / 1e12}

    def evaluate(self) -> dict[str, Any]:
        """The bound of the images held out by the averaged network, through at most `EVALUATED_LEVELS` noise levels."""
        if self.held_out is None:
            return {}
        denoiser, generator = self.denoiser(), torch.Generator().manual_seed(0)
        levels = denoiser.coding_levels(min(self.settings.levels, EVALUATED_LEVELS))
        bound = evaluate_bound(denoiser, self.held_out, levels, generator, prior_std=denoiser.prior_std)
        return bound.total().figures()

    def denoiser(self) -> PaperDenoiser:
        """The averaged network under the denoiser contract."""
        learned = self.settings.network.learned_variance
        return PaperDenoiser(self.averaged, self.settings.noise_levels(), "learned" if learned else "large")

    def state(self) -> State:
        tensors = state.of_module(self.network, "network") | state.of_module(self.averaged, "averaged")
        tensors |= state.of_optimizer(self.optimizer, "adam")
        facts = {
            "settings": asdict(self.settings), "step": self.step, "seconds": self.seconds, "compiled": self.compiled
        }  # fmt: skip
        return State(tensors, facts)

    def restore(self, saved: State) -> None:
        """Raises LookupError, ValueError or RuntimeError where it is not the state of such a network."""
        self.step, self.seconds = int(saved.facts["step"]), float(saved.facts["seconds"])
        state.load_module(self.network, "network", saved.tensors)
        state.load_module(self.averaged, "averaged", saved.tensors)
        state.load_optimizer(self.optimizer, "adam", saved.tensors)

    def files(self) -> dict[str, bytes]:
        settings = self.settings
        made = {
            "objective": settings.objective, "schedule": settings.schedule, "steps": self.step, "images": self.images
        }  # fmt: skip
        return {denoisers.OWN: denoisers.export_checkpoint(self.denoiser(), training=made)}

    def _backward(self, pixels: Tensor) -> Tensor:
        """Gradients of the mean loss of the batch, in all processes; this process's part of that loss."""
        settings, where = self.settings, self.where
        batch = noisy_batch(pixels, settings.levels, (settings.seed, self.step)).part(where.share(len(pixels)))
        _seed_dropout(settings.seed, self.step, where.rank)
        part = losses(settings.objective, self._noise, self.schedule, batch).sum() / len(pixels)
        (part * where.count).backward()  # type: ignore[no-untyped-call]  # the processes' gradients are averaged
        return part.detach()

    def _noise(self, z: Tensor, t: Tensor) -> Tensor:
        with torch.autocast(self.where.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            outputs: Tensor = self.parallel(z, t)
        return outputs.float()

    def _total(self, part: Tensor) -> Tensor:
        if self.where.count > 1:
            dist.all_reduce(part)
        return part


def flops(network: UNetConfig, size: int) -> int:
    """Floating-point operations of one call with one image of that side, a multiplication and an addition each."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        UNet(network)(torch.empty(1, 3, size, size), torch.zeros(1))
    return int(counter.get_total_flops())


def _seed_dropout(*key: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))


def train(
    settings: DdpmSettings, out: Path, say: Say = print, *, resume: bool = False, chosen: Collection[str] = (),
    device: str | None = None, evaluate_minutes: float = run.EVALUATE_MINUTES, compiled: bool | None = None,
) -> tuple[DdpmTrainer, bool]:  # fmt: skip
    """Train up to `steps`, or SIGTERM; the trainer, and whether it is done.

    `out`, one folder that all processes see, gets the state, a log, and the averaged network. With `resume`, a run that
    `out` holds goes on with its own settings; those that are named in `chosen` must be the same, except for `CHANGES`.
    device, and whether the network is compiled, may change from one part of a run to the next; compiled: None: as
    before, and True at first. Under torchrun this is called by every process.

    Raises TrainingError when the data, the device, the settings or the saved state cannot be used, or `out` holds a run
    and `resume` is off.
    """
    with processes(device) as where, nullcontext() if where.rank else run.alone_in(out):
        tell: Say = (lambda _: None) if where.rank else say
        settings, resumes = run.settings_of(out, settings, resume=resume, chosen=chosen, changes=CHANGES)
        _check(settings, where)
        images, held_out = split(settings)
        crops = DeviceCrops(images.sets[0], settings.size, settings.seed, where.device)
        for note in (*images.notes, *left_out(images.sets, [crops])):
            tell(note)
        held_out = None if held_out is None else held_out.to(where.device)
        saved = state.read(out) if resumes else None
        trainer = DdpmTrainer(settings, crops, where, held_out, compiled=run.compiles(compiled, saved))
        trainer.images_digest = images.digest
        run.say_if_changed(saved, images.digest, tell)
        run.prepare(trainer, saved, out, tell)
        how = {"evaluate_minutes": evaluate_minutes, "writes": where.rank == 0, "agree": where.any}
        done = run.run(trainer, out, say, **how)  # type: ignore[arg-type]
    return trainer, done


def split(settings: DdpmSettings) -> tuple[Images, Tensor | None]:
    """Images to train on, all in one set, and a crop of each that is held out, uint8 [N, 3, size, size]; None where
    none is. Raises TrainingError."""
    images = [image for images in load_sets(settings.data) for image in images]
    count, size = settings.hold_out, settings.size
    if count >= len(images):
        raise TrainingError(
            f"{settings.data[0]}: {len(images)} images, of which hold_out=... keeps {count}; nothing is"
            " left: give a smaller hold_out=..."
        )
    apart = without_held_out([images[: len(images) - count]], images[len(images) - count :])
    for what, some in (("is to be trained on", apart.sets[0]), ("is held out", apart.held_out)):
        if some and all(min(image.shape[:2]) < size for image in some):
            raise TrainingError(f"no image that {what} has {size} x {size} pixels: give a smaller size=...")
    held_out = Crops(apart.held_out, size, seed=1).each(count).to(torch.uint8) if count else None
    return apart, held_out


def _check(settings: DdpmSettings, where: Processes) -> None:
    multiple = settings.network.multiple
    if settings.size % multiple:
        raise TrainingError(f"images of {settings.size} pixels: size=... must be a multiple of {multiple}")
    if settings.batch < where.count:
        raise TrainingError(f"a batch of {settings.batch} is too small for {where.count} processes: raise batch=...")
    if settings.network.learned_variance != (settings.objective == "hybrid"):
        raise TrainingError("the hybrid objective, and no other, trains a network with learned variances")
