"""Training the denoiser of previews on states that a codec with these networks really has."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec.channels import progressive
from ddpmcodec.channels.band_coder import DELAY, waves_of
from ddpmcodec.channels.progressive import BandRanges
from ddpmcodec.codec.preview import moments
from ddpmcodec.coding_schedule import SCHEDULES
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.reconstruction import Denoiser
from ddpmcodec.transform import color, pyramid

RGB_WEIGHTS = torch.tensor(color.RGB_WEIGHTS).view(1, 3, 1, 1) / 3
STATES, CAPACITY, BATCH, RATE = 8, 1500, 16, 2e-3
INSIDE = 0.5  # share of states inside a segment: a denoiser of ends alone is of little use there


def states(pixels: NDArray[np.uint8], model: ContextModel, rng: np.random.Generator) -> list[tuple[Any, Any, Any]]:
    """(mean, deviation, planes) [H, W, 3] where prefixes end, of images [N, H, W, 3] under one of the schedules: after
    some of its segments, or inside them."""
    planes = color.to_ycocg(pixels)
    schedule = list(SCHEDULES.values())[int(rng.integers(len(SCHEDULES)))]
    coding_pass = progressive.CodingPass(model, schedule, planes.shape, True)
    root, differences = pyramid.analyse(planes)
    streams = np.zeros(len(pixels), np.int64)
    coder = progressive.encoder(len(pixels), streams, planes.size * len(schedule))._replace(values=root)
    segments, bands = coding_pass.segments, coding_pass.state.bands
    chosen = set(rng.permutation(len(segments))[:STATES].tolist())
    found: list[tuple[Any, Any, Any]] = []
    before: BandRanges | None = None
    for number, segment in enumerate(coding_pass.run(coder, differences)):
        if number in chosen:
            whole = dict(bands)
            if before:
                bands[segment.bands[-1]] = cut(before, whole[segment.bands[-1]], rng.random())
            known = moments(coding_pass.state)
            found += list(zip(known.mean, known.deviation, planes.astype(np.float32), strict=True))
            bands.update(whole)  # coding goes on from the whole band
        inside = number + 1 in chosen and rng.random() < INSIDE and segments[number + 1].bands
        before = deepcopy(bands[segments[number + 1].bands[-1]]) if inside else None
    return found


def cut(before: BandRanges, after: BandRanges, share: float) -> BandRanges:
    """A band of which so many of a step's waves are coded."""
    found = deepcopy(before)
    _, height, width, _ = after.lo.shape
    y, x = np.mgrid[:height, :width]
    done = (x + DELAY * y < share * waves_of(height, width))[..., None]
    for name in ("lo", "hi", "mean", "scale"):
        setattr(found, name, np.where(done, getattr(after, name), getattr(before, name)))
    return found


def loss(network: Denoiser, mean: Tensor, deviation: Tensor, planes: Tensor) -> Tensor:
    """Squared error in RGB over what is expected without denoising: every noise level counts about the same."""
    wrong = ((network(mean, deviation) - planes) ** 2 * RGB_WEIGHTS).sum(1).mean((1, 2))
    expected = ((mean - planes) ** 2 * RGB_WEIGHTS).sum(1).mean((1, 2)) + 0.1
    return torch.log((wrong + 0.1) / expected).mean()


def train(
    model: ContextModel, source: Callable[[], NDArray[np.uint8]], hours: float, log: Callable[[dict[str, Any]], object]
) -> Denoiser:
    """Train for so many hours on images [N, H, W, 3] from `source`; rates fall to zero."""
    network, rng = Denoiser(), np.random.default_rng(0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4)
    buffers = defaultdict[tuple[int, ...], list[tuple[Any, Any, Any]]](list)  # by the shape of crops
    start, losses = time.perf_counter(), []
    step = 0
    while (done := (time.perf_counter() - start) / (3600 * hours)) < 1:
        filled = bool(buffers) and all(len(buffer) >= CAPACITY // 4 for buffer in buffers.values())
        if not filled or step % 4 == 0:
            found = states(source(), model, rng)
            shape = found[0][0].shape
            buffers[shape] = (buffers[shape] + found)[-CAPACITY:]
        if not filled:
            continue
        buffer = list(buffers.values())[step % len(buffers)]
        chosen = [buffer[i] for i in rng.integers(len(buffer), size=BATCH)]
        tensors = (torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2) for part in zip(*chosen, strict=True))
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / 50) * (1 - done)
        value = loss(network, *tensors)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(value.detach()))
        step += 1
        if step % 100 == 0:
            log({"step": step, "done": round(done, 4), "decibel": round(-10 * float(np.mean(losses)) / np.log(10), 4)})
            losses = []
    return network
