"""The paper's training: Adam, warm-up, an exponential moving average; on one device or, under torchrun, on many.

Ho, Jain & Abbeel 2020 (arXiv 2006.11239), appendix B; clipping at 1 and the warm-up are those of the authors' code.

Under torchrun every process takes its share of each batch. Images, flips, t and noise depend on the seed, the step and
the place in the batch alone, so that any number of processes computes the same gradient, to rounding. Dropout does not:
its masks depend on the process too. A run with dropout repeats exactly with as many processes as before, and with
another number is another draw of the same distribution. On a CPU runs repeat bit for bit; a GPU's sums may vary.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
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
from tqdm import tqdm

from ddpmcodec.errors import TrainingError
from ddpmcodec.files import write_file
from ddpmcodec.networks import pretrained
from ddpmcodec.networks.ddpm import PaperDenoiser
from ddpmcodec.networks.unet import CIFAR10, UNet, UNetConfig
from ddpmcodec.schedule import Levels, cosine, ddpm_linear
from ddpmcodec.training import ddpm_state
from ddpmcodec.training.data import Crops, load_images
from ddpmcodec.training.ddpm_objective import Objective, Process, losses, noisy_batch

CHECKPOINT = "ddpm.safetensors"
LOG_EVERY = 50  # steps
SAVE_SECONDS = 600  # at most, from one save to the next


@dataclass(frozen=True)
class Settings:
    """One training run; the defaults are those of the paper for CIFAR-10.

    The hybrid objective, and no other, trains a network with learned variances.
    """

    data: str
    out: str  # one folder, that all processes see
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
    save_every: int = 1000

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
    finally:
        dist.destroy_process_group()


class Trainer:
    """Everything a run carries. `network` is trained; `averaged` (EMA) is the one to code and sample with."""

    def __init__(self, settings: Settings, where: Processes) -> None:
        self.settings, self.where = settings, where
        torch.manual_seed(settings.seed)
        self.network = UNet(settings.network).to(where.device)
        self.averaged = deepcopy(self.network).eval().requires_grad_(False)
        self.parallel = DistributedDataParallel(self.network) if where.count > 1 else self.network
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.rate)
        self.process = Process(settings.levels(), where.device)
        self.step, self.seconds = 0, 0.0

    def update(self, pixels: Tensor) -> tuple[float, float]:
        """One optimiser step on the whole batch [N, 3, H, W], the same in all processes; (loss, gradient norm).

        Raises TrainingError, before anything changes, when the loss or the gradient is no number.
        """
        start, settings = time.perf_counter(), self.settings
        loss = self._total(self._backward(pixels))
        norm = float(torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip))
        if not math.isfinite(loss + norm):
            raise TrainingError(f"the loss is {loss} after {self.step} steps: go back to the last save (--resume)")
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate * min(1.0, (self.step + 1) / settings.warmup)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._average()
        self.step += 1
        self.seconds += time.perf_counter() - start
        return loss, norm

    def denoiser(self) -> PaperDenoiser:
        """The averaged network under the denoiser contract."""
        learned = self.settings.network.learned_variance
        return PaperDenoiser(self.averaged, self.settings.levels(), "learned" if learned else "large")

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


def train(settings: Settings, *, resume: bool = False) -> Trainer:
    """Train up to `steps`; the state, the averaged network and log.jsonl go to `out` now and then and at the end.

    Under torchrun this is called by every process. Raises TrainingError when the data, the settings or the saved state
    cannot be used, or `out` holds a run and `resume` is off.
    """
    out = Path(settings.out)
    saved = ddpm_state.exists(out)
    if saved and not resume:
        raise TrainingError(f"{out}: holds a training run already; go on with --resume, or choose another folder")
    crops = Crops(load_images(settings.data), settings.size, settings.seed)
    with processes() as where:
        _check(settings, where)
        trainer = Trainer(settings, where)
        if saved:
            ddpm_state.read(out, trainer)
        for record in _steps(trainer, crops):
            if where.rank == 0:
                _keep(out, trainer, record)
    return trainer


def _check(settings: Settings, where: Processes) -> None:
    multiple = settings.network.multiple
    if settings.size % multiple:
        raise TrainingError(f"images of {settings.size} pixels: --size must be a multiple of {multiple}")
    if settings.batch < where.count:
        raise TrainingError(f"a batch of {settings.batch} is too small for {where.count} processes: raise --batch")
    if settings.network.learned_variance != (settings.objective == "hybrid"):
        raise TrainingError("the hybrid objective, and no other, trains a network with learned variances")


def _steps(trainer: Trainer, crops: Crops) -> Iterator[dict[str, Any]]:
    """Train, yielding the settings first, then a record every few steps; those to save the state at say so."""
    settings, sums, saved = trainer.settings, [], time.monotonic()
    yield {"settings": asdict(settings), "step": trainer.step, "processes": trainer.where.count}
    quiet = None if trainer.where.rank == 0 else True
    for _ in tqdm(range(trainer.step, settings.steps), unit="step", disable=quiet):
        loss, norm = trainer.update(crops.batch(trainer.step, settings.batch))
        sums.append(loss)
        due = trainer.step % settings.save_every == 0 or trainer.step == settings.steps
        save = due or time.monotonic() - saved >= SAVE_SECONDS
        if save or trainer.step % LOG_EVERY == 0:
            yield _record(trainer, sums, norm) | {"saved": save}
            sums, saved = [], time.monotonic() if save else saved


def _facts(trainer: Trainer) -> dict[str, Any]:
    """About the making of the averaged network, for its file."""
    settings = trainer.settings
    images = trainer.step * settings.batch
    return {"objective": settings.objective, "schedule": settings.schedule, "steps": trainer.step, "images": images}


def _record(trainer: Trainer, sums: list[float], norm: float) -> dict[str, Any]:
    images = trainer.step * trainer.settings.batch
    return {
        "step": trainer.step,
        "images": images,
        "seconds": round(trainer.seconds, 1),
        "images_per_second": round(images / max(trainer.seconds, 1e-9), 1),
        "loss": float(f"{sum(sums) / len(sums):.6g}"),
        "gradient_norm": float(f"{norm:.4g}"),
    }


def _keep(out: Path, trainer: Trainer, record: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if record.get("saved"):
        ddpm_state.write(out, trainer)
        write_file(out / CHECKPOINT, pretrained.export(trainer.denoiser(), training=_facts(trainer)))
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(record) + "\n")
