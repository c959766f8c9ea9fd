"""Training positions for the context model: states of the schedule are functions of the image, so that any positions
of any step can be drawn without coding anything. A replay buffer for each network keeps positions of many images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec.coding_schedule import SCHEDULES, CodingStep
from ddpmcodec.networks.context.shape import BAND_KINDS, band_kind, situation
from ddpmcodec.networks.context.window import gather_many, padded
from ddpmcodec.training.context import Positions
from ddpmcodec.transform import cells, color, pyramid
from ddpmcodec.transform.pyramid import Band, Planes

FEWEST = 128  # positions of an image that are taken of the first band, if it has them; of the second half as many, ...


class StepState(NamedTuple):
    """A band before and after a step: its coarse image (an estimate), and ranges, all int16 [N, h, w, 3]."""

    step: CodingStep
    band: Band
    coarse: Planes
    lo: Planes
    hi: Planes
    new_lo: Planes
    new_hi: Planes


def step_states(pixels: NDArray[np.uint8], schedule: Sequence[CodingStep]) -> Iterator[StepState]:
    """Every (step, band) of a schedule for images uint8 [N, H, W, 3], in coding order."""
    planes = color.to_ycocg(pixels)
    geometry = pyramid.bands(*pixels.shape[1:3])
    root, differences = pyramid.analyse(planes)
    ranges = [cells.unknown(d.shape) for d in differences]
    for step in schedule:
        coarse = root
        for band in reversed(geometry):
            place = band.number - 1
            stored = pyramid.turned(coarse, band)
            if band.number >= step.finest:
                widths = cells.cell_widths(band.number, step.level, 3)
                old, new = ranges[place], cells.cells_of(differences[place], widths)
                new = np.maximum(new[0], old[0]), np.minimum(new[1], old[1])
                yield StepState(step, band, stored, *old, *new)
                ranges[place] = new
            coarse = pyramid.synthesise_band(stored, cells.estimates(*ranges[place]), band)


def positions_of(state: StepState, at: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """What positions at [K, 3] (image, y, x) see and code; arrays by the names of `Positions`."""
    coded = padded(cells.estimates(state.new_lo, state.new_hi), False)
    known = padded(cells.estimates(state.lo, state.hi), False)
    rows, around = gather_many(padded(state.coarse, True), coded, known, at)
    chosen = tuple(at.T)
    ranges = {name: getattr(state, name)[chosen] for name in ("lo", "hi", "new_lo", "new_hi")}
    here = np.full(len(at), situation(state.step.number, state.band.number))
    return {"rows": rows, "around": around, **ranges, "situation": here}


def unfinished(state: StepState) -> NDArray[np.int64]:
    """Positions [K, 3] (image, y, x) that are not exact in all channels yet: the only ones that are predicted."""
    return np.argwhere((state.lo < state.hi).any(-1))


class ReplayBuffer:
    """The latest positions for one network. New ones replace the oldest."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.size, self.next = capacity, 0, 0
        self.arrays: dict[str, NDArray[Any]] = {}

    def add(self, found: dict[str, NDArray[Any]]) -> None:
        if not self.arrays:
            self.arrays = {k: np.zeros((self.capacity, *v.shape[1:]), v.dtype) for k, v in found.items()}
        count = min(len(found["rows"]), self.capacity)
        where = (self.next + np.arange(count)) % self.capacity
        for name, array in self.arrays.items():
            array[where] = found[name][:count]
        self.next = (self.next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def draw(self, count: int, rng: np.random.Generator) -> Positions:
        chosen = rng.integers(self.size, size=count)
        return Positions.of({name: array[chosen] for name, array in self.arrays.items()})


class ReplayBuffers:
    """The replay buffers of all networks, filled from batches of images uint8 [N, H, W, 3], each taken
    through one of the schedules, in turn.

    A position is drawn about `uses` times before it is replaced.
    """

    def __init__(
        self,
        source: Callable[[], NDArray[np.uint8]],
        *,
        shares: Mapping[str, float],
        capacity: int,
        uses: float,
        seed: int = 0,
    ) -> None:
        """shares: by schedule, of an image's positions that are taken; of coarse bands more (`FEWEST`)."""
        self.source, self.uses, self.images = source, uses, 0
        self.turns = cycle(shares.items())
        self.rng = np.random.default_rng(seed)
        self.buffers = [ReplayBuffer(capacity) for _ in range(BAND_KINDS)]
        self.due = [0.0] * BAND_KINDS

    def draw(self, kind: int, count: int) -> Positions:
        """Positions of bands of a kind (`shape.band_kind`)."""
        buffer = self.buffers[kind]
        while self.due[kind] >= 0 or buffer.size < min(buffer.capacity, 20 * count):
            self._renew()
        self.due[kind] += count
        return buffer.draw(count, self.rng)

    def _renew(self) -> None:
        pixels = self.source()
        self.images += len(pixels)
        name, share = next(self.turns)
        for state in step_states(pixels, SCHEDULES[name]):
            at, kind = unfinished(state), band_kind(state.band.number)
            wanted = max(int(share * len(at)), min(len(at), FEWEST * len(pixels) // state.band.number))
            if wanted:
                chosen = at[self.rng.permutation(len(at))[:wanted]]
                self.buffers[kind].add(positions_of(state, chosen))
                self.due[kind] -= self.uses * wanted
