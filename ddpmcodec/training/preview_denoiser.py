"""The denoiser of previews, and its training on states that a codec with these networks really has.

It sees the conditional means of the planes Y, Co, Cg and their standard deviations, in 2x2 patches, and returns
residuals in standard deviations. The core runs it (`_core/denoiser.h`). Not exact, never used for coding.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ddpmcodec import _native
from ddpmcodec.codec import previews
from ddpmcodec.models.context import ContextModel
from ddpmcodec.training.replay import LEVELS

PLANES, PATCH = 3, 2
WIDTH, BLOCKS = 48, 5
UNIT = 1 / 32  # of a grey level, as the network sees it
LEAST_DEVIATION = 0.05  # grey levels
RGB_WEIGHTS = torch.tensor(previews.RGB_WEIGHTS).view(1, 3, 1, 1) / 3
STATES, CAPACITY, BATCH, RATE = 8, 1500, 16, 2e-3
# How far, in grey levels of Y, Co, Cg, a crop's level may be from that of its image: a denoiser that only saw levels
# of small crops made the bright and dark parts of photographs worse, one by a whole decibel.
APART = torch.tensor([45.0, 12.0, 12.0]).view(1, 3, 1, 1)
INSIDE = 0.5  # share of states inside a segment: a denoiser of ends alone is of little use there
EFFORT = 2  # whose networks say what is expected: those of files that nobody gave an effort
ALL = 1 << 30  # waves
Images = NDArray[np.uint8]
Example = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


class Denoiser(nn.Module):
    """Residual blocks of one 3x3 convolution each, at half the resolution."""

    def __init__(self) -> None:
        super().__init__()
        patch = PLANES * PATCH**2
        self.enter = nn.Conv2d(3 * patch, WIDTH, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(BLOCKS))
        self.leave = nn.Conv2d(WIDTH, patch, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, mean: Tensor, deviation: Tensor, level: Tensor | None = None) -> Tensor:
        """Means and standard deviations [N, 3, H, W] in grey levels to better means. level [N, 3, 1, 1]: of the image
        whose part this is; None: of the part."""
        height, width = mean.shape[2:]
        padding = (0, width % PATCH, 0, height % PATCH)
        planes, scale = (F.pad(x, padding, mode="replicate") for x in (mean, deviation.clamp(min=LEAST_DEVIATION)))
        low = mean.mean((2, 3), keepdim=True) if level is None else level
        seen = torch.cat([(planes - low) * UNIT, torch.log2(scale), (planes - low) * UNIT / scale.clamp(min=1)], 1)
        x = self.enter(F.pixel_unshuffle(seen, PATCH))
        for block in self.blocks:
            x = x + block(F.relu(x))
        residual = F.pixel_shuffle(self.leave(F.relu(x)), PATCH)[:, :, :height, :width]
        return mean + residual * deviation


def states(pixels: Images, model: ContextModel, rng: np.random.Generator) -> list[Example]:
    """(mean, deviation, planes) [H, W, 3] where prefixes end, of images [N, H, W, 3] under one of the schedules: after
    some of its segments, or inside them."""
    levels = int(rng.choice(LEVELS))
    planes = previews.to_ycocg(pixels).astype(np.float32)
    decoder = _decoder(pixels, model, levels)
    found: list[Example] = []
    for number, waves in _ends(pixels, levels, rng):
        decoder.advance(ALL, number)
        decoder.advance(waves, number + 1)
        for image, own in enumerate(planes):
            mean, deviation = _native.moments(decoder, image, 1)
            found.append((mean, deviation, own))
    return found


def _decoder(pixels: Images, model: ContextModel, levels: int) -> _native.Pass:
    """Of images that were coded, a stream each."""
    encoder = _pass(pixels, model, levels)
    encoder.encode(np.ascontiguousarray(pixels))
    encoder.advance(ALL, encoder.segments)
    streams = [encoder.stream(number, 0) for number in range(len(pixels))]
    words = [np.frombuffer(b"".join(segments), "<u4").astype(np.uint32) for _, segments in streams]
    decoder = _pass(pixels, model, levels)
    decoder.decode([state for state, _ in streams], words, for_previews=True)
    return decoder


def _pass(pixels: Images, model: ContextModel, levels: int) -> _native.Pass:
    count, height, width, channels = pixels.shape
    networks, shape = model.networks(EFFORT, levels), (count, height, width, channels)
    return _native.Pass(networks, levels, shape, streams=count, shared=False, learns=False, threads=1)


def _ends(pixels: Images, levels: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """In order, how many segments are whole, and how many waves of the next one there are, or all of them."""
    _, height, width, _ = pixels.shape
    segments = _native.segments(levels, height, width)
    for number in sorted(rng.permutation(len(segments))[:STATES].tolist()):
        _, _, finest, positions = segments[number]
        waves = (width + 4 * height) >> (finest // 2) if finest else positions
        yield number, int(rng.integers(waves)) if rng.random() < INSIDE else 0


def loss(network: Denoiser, mean: Tensor, deviation: Tensor, planes: Tensor) -> Tensor:
    """Squared error in RGB over what is expected without denoising: every noise level counts about the same."""
    level = mean.mean((2, 3), keepdim=True)
    level = level + APART * torch.randn_like(level)
    wrong = ((network(mean, deviation, level) - planes) ** 2 * RGB_WEIGHTS).sum(1).mean((1, 2))
    expected = ((mean - planes) ** 2 * RGB_WEIGHTS).sum(1).mean((1, 2)) + 0.1
    return torch.log((wrong + 0.1) / expected).mean()


class Examples:
    """The latest states, by the shape of crops."""

    def __init__(self, model: ContextModel, source: Callable[[], Images]) -> None:
        self.model, self.source, self.rng = model, source, np.random.default_rng(0)
        self.buffers = defaultdict[tuple[int, ...], list[Example]](list)

    @property
    def filled(self) -> bool:
        return bool(self.buffers) and all(len(buffer) >= CAPACITY // 4 for buffer in self.buffers.values())

    def renew(self) -> None:
        found = states(self.source(), self.model, self.rng)
        shape = found[0][0].shape
        self.buffers[shape] = (self.buffers[shape] + found)[-CAPACITY:]

    def batch(self, step: int) -> list[Tensor]:
        """Means, deviations and planes [BATCH, 3, H, W]."""
        buffer = list(self.buffers.values())[step % len(self.buffers)]
        chosen = [buffer[i] for i in self.rng.integers(len(buffer), size=BATCH)]
        return [torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2) for part in zip(*chosen, strict=True)]


def train(
    model: ContextModel, source: Callable[[], Images], hours: float, log: Callable[[dict[str, Any]], object]
) -> Denoiser:
    """Train for so many hours on images [N, H, W, 3] from `source`; rates fall to zero."""
    network, examples = Denoiser(), Examples(model, source)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4)
    start, step, losses = time.perf_counter(), 0, list[float]()
    while (done := (time.perf_counter() - start) / (3600 * hours)) < 1:
        if not examples.filled or step % 4 == 0:
            examples.renew()
        if not examples.filled:
            continue
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / 50) * (1 - done)
        losses.append(_step(network, optimizer, examples.batch(step)))
        step += 1
        if step % 100 == 0:
            log({"step": step, "done": round(done, 4), "decibel": round(-10 * float(np.mean(losses)) / np.log(10), 4)})
            losses.clear()
    return network


def _step(network: Denoiser, optimizer: torch.optim.Optimizer, batch: list[Tensor]) -> float:
    value = loss(network, *batch)
    optimizer.zero_grad()
    value.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(value.detach())
