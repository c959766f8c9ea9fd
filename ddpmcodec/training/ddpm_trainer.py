"""The paper's training: Adam, warm-up, an exponential moving average; on one device or, under torchrun, on many.

Ho, Jain & Abbeel 2020 (arXiv 2006.11239), appendix B; clipping at 1 and the warm-up are those of the authors' code.

Under torchrun every process takes its share of each batch. Images, flips, t and noise depend on the seed, the step and
the place in the batch alone, so that any number of processes computes the same gradient, to rounding. Dropout does not:
its masks depend on the process too. A run with dropout repeats exactly with as many processes as before, and with
another number is another draw of the same distribution. On a CPU runs repeat bit for bit; a GPU's sums may vary.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ddpmcodec.errors import TrainingError
from ddpmcodec.networks import pretrained
from ddpmcodec.networks.ddpm import PaperDenoiser
from ddpmcodec.networks.unet import CIFAR10, UNet, UNetConfig
from ddpmcodec.schedule import Levels, cosine, ddpm_linear
from ddpmcodec.training import run, state
from ddpmcodec.training.data import Crops, load_images
from ddpmcodec.training.ddpm_objective import Objective, Process, losses, noisy_batch
from ddpmcodec.training.run import Say
from ddpmcodec.training.state import State

CHECKPOINT = "ddpm.safetensors"
CHANGES = ("steps",)  # settings that a resumed run may change


@dataclass(frozen=True)
class DdpmSettings:
    """One training run; the defaults are those of the paper for CIFAR-10.

    The hybrid objective, and no other, trains a network with learned variances.
    """

    data: tuple[str, ...]  # all images of all of them make an epoch
    network: UNetConfig = CIFAR10
    objective: Objective = "simple"
    schedule: Literal["linear", "cosine"] = "linear"
    T: int = 1000
    steps: int = 800_000
    batch: int = 128  # images of a step, on all devices together
    size: int = 32  # side of the images, or of crops from larger ones
    rate: float = 2e-4  # of Adam
    warmup: int = 5000  # steps to the full rate
    clip: float = 1.0  # of the gradient's norm
    average: float = 0.9999  # decay of the exponential moving average
    seed: int = 0

    def levels(self) -> Levels:
        return ddpm_linear(self.T) if self.schedule == "linear" else cosine(self.T)


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
def processes() -> Iterator[Processes]:
    """The processes of `torchrun`, connected (NCCL between GPUs, else Gloo), or this one alone."""
    cuda = torch.cuda.is_available()
    if not dist.is_torchelastic_launched():
        yield Processes(0, 1, torch.device("cuda" if cuda else "cpu"))
        return
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
        dist.barrier()  # one that leaves early takes the others' connections with it
    finally:
        dist.destroy_process_group()


class DdpmTrainer:
    """The network and its optimiser (`run.Trainer`). `network` is trained; `averaged` (EMA) is the one to code and
    sample with."""

    def __init__(self, settings: DdpmSettings, crops: Crops, where: Processes) -> None:
        self.settings, self.crops, self.where = settings, crops, where
        torch.manual_seed(settings.seed)
        self.network = UNet(settings.network).to(where.device)
        self.averaged = deepcopy(self.network).eval().requires_grad_(False)
        self.parallel = DistributedDataParallel(self.network) if where.count > 1 else self.network
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.rate)
        self.process = Process(settings.levels(), where.device)
        self.step, self.seconds = 0, 0.0

    @property
    def images(self) -> int:
        return self.step * self.settings.batch

    def progress(self) -> float:
        return min(1.0, self.step / self.settings.steps)

    def update(self) -> dict[str, float]:
        """One step of the optimiser on a batch that is the same in all processes.

        Raises TrainingError, before anything changes, when the loss or the gradient is no number.
        """
        settings = self.settings
        loss = self._total(self._backward(self.crops.batch(self.step, settings.batch)))
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip))
        if not math.isfinite(loss + norm):
            raise TrainingError(f"the loss is {loss} after {self.step} steps: go back to the last save (--resume)")
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate * min(1.0, (self.step + 1) / settings.warmup)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._average()
        self.step += 1
        return {"loss": loss, "gradient_norm": norm}

    def evaluate(self) -> dict[str, Any]:
        """Nothing: the paper holds no images out."""
        return {}

    def denoiser(self) -> PaperDenoiser:
        """The averaged network under the denoiser contract."""
        learned = self.settings.network.learned_variance
        return PaperDenoiser(self.averaged, self.settings.levels(), "learned" if learned else "large")

    def state(self) -> State:
        tensors = state.of_module(self.network, "network") | state.of_module(self.averaged, "averaged")
        tensors |= state.of_optimizer(self.optimizer, "adam")
        return State(tensors, {"settings": asdict(self.settings), "step": self.step, "seconds": self.seconds})

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
        return {CHECKPOINT: pretrained.export(self.denoiser(), training=made)}

    def _backward(self, pixels: Tensor) -> Tensor:
        """Gradients of the mean loss of the batch, in all processes; this process's part of that loss."""
        settings, share = self.settings, self.where.share(len(pixels))
        batch = noisy_batch(pixels[share], settings.T, (settings.seed, self.step), share.start).to(self.where.device)
        _seed_dropout(settings.seed, self.step, self.where.rank)
        part = losses(settings.objective, self.parallel, self.process, batch).sum() / len(pixels)
        (part * self.where.count).backward()  # type: ignore[no-untyped-call]  # the processes' gradients are averaged
        return part.detach()

    def _total(self, part: Tensor) -> float:
        if self.where.count > 1:
            dist.all_reduce(part)
        return float(part)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        for mean, p in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(p, 1 - decay)


def _seed_dropout(*key: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))


def train(
    settings: DdpmSettings, out: Path, say: Say = print, *, resume: bool = False, chosen: Collection[str] = ()
) -> tuple[DdpmTrainer, bool]:
    """Train up to `steps`, or SIGTERM; the trainer, and whether it is done.

    `out`, one folder that all processes see, gets the state, a log, and the averaged network. With `resume`, a run that
    `out` holds goes on with its own settings; those that are named in `chosen` must be the same, except for `CHANGES`.
    Under torchrun this is called by every process.

    Raises TrainingError when the data, the settings or the saved state cannot be used, or `out` holds a run and
    `resume` is off.
    """
    settings, resumes = run.settings_of(out, settings, resume=resume, chosen=chosen, changes=CHANGES)
    if not settings.data:
        raise TrainingError("no training images: name a folder, an array or a CIFAR-10 root with --data")
    images = [image for source in settings.data for image in load_images(source)]
    crops = Crops(images, settings.size, settings.seed)
    with processes() as where:
        _check(settings, where)
        trainer = DdpmTrainer(settings, crops, where)
        if resumes:
            saved = state.read(out)
            with state.is_state(out):
                trainer.restore(saved)
        done = run.run(trainer, out, say, evaluate_minutes=math.inf, writes=where.rank == 0, agree=where.any)
    return trainer, done


def _check(settings: DdpmSettings, where: Processes) -> None:
    multiple = settings.network.multiple
    if settings.size % multiple:
        raise TrainingError(f"images of {settings.size} pixels: --size must be a multiple of {multiple}")
    if settings.batch < where.count:
        raise TrainingError(f"a batch of {settings.batch} is too small for {where.count} processes: raise --batch")
    if settings.network.learned_variance != (settings.objective == "hybrid"):
        raise TrainingError("the hybrid objective, and no other, trains a network with learned variances")
