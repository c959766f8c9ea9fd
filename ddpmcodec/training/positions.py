"""Training positions for the context model: states of the schedule are functions of the image, so that any positions
of any step can be drawn without coding anything. A replay buffer for each network keeps positions of many images.

All of it runs on the device that the images lie on, and gives what `transform` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import cycle
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ddpmcodec.coding_schedule import SCHEDULES, CodingStep
from ddpmcodec.networks.context.shape import BAND_KINDS, band_kind, situation
from ddpmcodec.networks.context.window import CHANNELS
from ddpmcodec.training.context import Positions
from ddpmcodec.training.windows import gather_by_kernel, gather_many
from ddpmcodec.transform import cells, pyramid
from ddpmcodec.transform.cells import LARGEST_CHROMA
from ddpmcodec.transform.pyramid import Band

FEWEST = 128  # positions of an image that are taken of the first band, if it has them; of the second half as many, ...
FIRST = 20  # draws that a buffer holds before the first of them


class StepState(NamedTuple):
    """A band before and after a step: its coarse image (an estimate), and ranges, all int16 [N, h, w, 3]."""

    step: CodingStep
    band: Band
    coarse: Tensor
    lo: Tensor
    hi: Tensor
    new_lo: Tensor
    new_hi: Tensor


def step_states(pixels: Tensor, schedule: Sequence[CodingStep]) -> Iterator[StepState]:
    """Every (step, band) of a schedule for images uint8 [N, H, W, 3], in coding order."""
    geometry = pyramid.bands(*pixels.shape[1:3])
    root, differences = _analyse(_to_ycocg(pixels), geometry)
    levels: list[int | None] = [None] * len(geometry)  # that bands are known to
    for step in schedule:
        coarse = root
        for band in reversed(geometry):
            place = band.number - 1
            stored = _turned(coarse, band)
            if band.number >= step.finest:
                old, levels[place] = levels[place], step.level
                ranges = (_ranges(differences[place], band.number, level) for level in (old, step.level))
                yield StepState(step, band, stored, *(bound for pair in ranges for bound in pair))
            known = estimates(*_ranges(differences[place], band.number, levels[place]))
            coarse = _synthesise_band(stored, known, band)


def estimates(lo: Tensor, hi: Tensor) -> Tensor:
    """As `cells.estimates` has them."""
    inward = ((hi - lo) * cells.ESTIMATE_NUM) >> cells.ESTIMATE_SHIFT
    return torch.where(lo > 0, lo + inward, torch.where(hi < 0, hi - inward, 0))


@cache
def _cells(number: int, level: int | None, device: torch.device) -> Tensor:
    """(lo, hi) of every value -510..510 in every channel, int16 [2, 1021 * 3]; of a band that is known to a level, or
    of which nothing is known."""
    values = np.repeat(np.arange(-LARGEST_CHROMA, LARGEST_CHROMA + 1)[:, None], CHANNELS, 1)
    lo, hi = cells.unknown(values.shape)
    if level is not None:
        found = cells.cells_of(values, cells.cell_widths(number, level, CHANNELS))
        lo, hi = np.maximum(found[0], lo), np.minimum(found[1], hi)
    return torch.from_numpy(np.stack([lo, hi]).reshape(2, -1)).to(device)


def _ranges(differences: Tensor, number: int, level: int | None) -> tuple[Tensor, Tensor]:
    table = _cells(number, level, differences.device)
    channel = torch.arange(CHANNELS, device=differences.device)
    at = (differences.int() + LARGEST_CHROMA) * CHANNELS + channel
    lo, hi = (column[at] for column in table)
    return lo, hi


def _to_ycocg(pixels: Tensor) -> Tensor:
    """As `color.to_ycocg` does."""
    red, green, blue = pixels.short().unbind(-1)
    orange = red - blue
    middle = blue + (orange >> 1)
    other = green - middle
    return torch.stack([middle + (other >> 1), orange, other], -1)


def _turned(planes: Tensor, band: Band) -> Tensor:
    """[N, H, W, C] as `band` stores it, or back again."""
    return planes.transpose(1, 2) if band.transposed else planes


def _analyse(planes: Tensor, geometry: Sequence[Band]) -> tuple[Tensor, list[Tensor]]:
    """The root and the differences of every band, as `pyramid.analyse` has them."""
    differences = []
    for band in geometry:
        fine = _turned(planes, band)
        a, b = fine[:, :, 0 : 2 * band.width : 2], fine[:, :, 1::2]
        differences.append(a - b)
        coarse = torch.cat([(a + b) >> 1, fine[:, :, 2 * band.width :]], 2)
        planes = _turned(coarse, band)
    return planes, differences


def _synthesise_band(coarse: Tensor, difference: Tensor, band: Band) -> Tensor:
    """The finer image, upright, as `pyramid.synthesise_band` makes it."""
    first = coarse[:, :, : band.width] + ((difference + 1) >> 1)
    pairs = torch.stack([first, first - difference], 3).flatten(2, 3)
    return _turned(torch.cat([pairs, coarse[:, :, band.width :]], 2), band)


def positions_of(state: StepState, at: Tensor) -> dict[str, Tensor]:
    """What positions at [K, 3] (image, y, x) see and code; tensors by the names of `Positions`, positions first."""
    coded, known = estimates(state.new_lo, state.new_hi), estimates(state.lo, state.hi)
    gather = gather_by_kernel if at.device.type == "cpu" else gather_many
    rows, around = gather(state.coarse, coded, known, at)
    n, y, x = at.unbind(1)
    ranges = {name: getattr(state, name)[n, y, x] for name in ("lo", "hi", "new_lo", "new_hi")}
    here = torch.full((len(at),), situation(state.step.number, state.band.number), device=at.device)
    return {"rows": rows, "around": around, **ranges, "situation": here}


def unfinished(state: StepState) -> Tensor:
    """Positions [K, 3] (image, y, x) that are not exact in all channels yet: the only ones that are predicted."""
    return (state.lo < state.hi).any(-1).nonzero()


# --- replay buffers


class ReplayBuffer:
    """The latest positions for one network. New ones replace the oldest."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.size, self.next = capacity, 0, 0
        self.tensors: dict[str, Tensor] = {}

    def add(self, found: Mapping[str, Tensor]) -> None:
        if not self.tensors:
            self.tensors = {k: v.new_zeros((self.capacity, *v.shape[1:])) for k, v in found.items()}
        count = min(len(found["rows"]), self.capacity)
        first = min(count, self.capacity - self.next)  # that fit before the end
        for name, tensor in self.tensors.items():
            tensor[self.next : self.next + first] = found[name][:first]
            tensor[: count - first] = found[name][first:count]
        self.next = (self.next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def draw(self, count: int, generator: torch.Generator) -> Positions:
        chosen = torch.randint(self.size, (count,), generator=generator, device=generator.device)
        return Positions.of({name: tensor.index_select(0, chosen) for name, tensor in self.tensors.items()})


class ReplayBuffers:
    """The replay buffers of all networks, filled from batches of images uint8 [N, H, W, 3], each taken
    through one of the schedules, in turn.

    A position is drawn about `uses` times before it is replaced.
    """

    def __init__(
        self,
        source: Callable[[], Tensor],
        *,
        shares: Mapping[str, float],
        capacity: int,
        uses: float,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """shares: by schedule, of an image's positions that are taken; of coarse bands more (`FEWEST`)."""
        self.source, self.uses, self.images = source, uses, 0
        self.round_robin = cycle(shares.items())
        self.generator = torch.Generator(device).manual_seed(seed)
        self.buffers = [ReplayBuffer(capacity) for _ in range(BAND_KINDS)]
        self.due = [0.0] * BAND_KINDS

    def draw(self, kind: int, count: int) -> Positions:
        """Positions of bands of a kind (`shape.band_kind`)."""
        buffer = self.buffers[kind]
        while self.due[kind] >= 0 or buffer.size < min(buffer.capacity, FIRST * count):
            self._renew()
        self.due[kind] += count
        return buffer.draw(count, self.generator)

    def _renew(self) -> None:
        pixels = self.source().to(self.generator.device)
        self.images += len(pixels)
        name, share = next(self.round_robin)
        for state in step_states(pixels, SCHEDULES[name]):
            at, kind = unfinished(state), band_kind(state.band.number)
            wanted = max(int(share * len(at)), min(len(at), FEWEST * len(pixels) // state.band.number))
            if wanted:
                order = torch.randperm(len(at), generator=self.generator, device=self.generator.device)
                self.buffers[kind].add(positions_of(state, at[order[:wanted]]))
                self.due[kind] -= self.uses * wanted
