"""Positions to learn from: the core finds them in images, and replay buffers mix those of the latest images.

Positions look at each other's activations, so that they are taken in parts of images and of bands, and kept together in
slots: a part of an image fills one, small bands share one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec import _native
from ddpmcodec.models.context import BAND_ROLES
from ddpmcodec.training.data import Pixels
from ddpmcodec.training.trainable import ZERO, Positions

LEVELS = tuple(levels for levels in _native.SCHEDULES if levels)  # of bands; a file with none has pixels only
ENDS = {levels: steps[-1][1] if steps else 0 for levels, steps in _native.SCHEDULES.items()}  # the last noise level
SHARE = 0.2  # of an image's pixels that are taken, at least one part of each
# Sides of parts, in images and bands that are as large; a slot has as many positions. Small parts: a step is then of
# many images, which counts for more than what is not shown at their edges. But where all images are small, they are
# taken whole.
SIDE, BAND_SIDE, LARGEST_WHOLE = 8, 16, 32  # bands: of small images; those of large ones as the images
BAND_SHARES = {2: 0.1, 5: 0.03}  # of a band's positions, for each step of a schedule
# Schedules of successive batches of images, by role: a new one takes its place here. The bands of a single level are
# those of the first of two.
ROUND = (2, 2, 5)
ROUNDS = {"direct": (0,), "single": (1,)}
FEWEST = 128  # positions of a band: coarse ones have few
FIRST = 20  # steps' worth of positions before the first step, so that they are of many images
SEEDS = 1 << 20  # of a run's draws, for each of its own seeds

Columns = Mapping[str, NDArray[Any]]
Part = tuple[int, int, int, int]  # of an image: top, left, height, width


def pixels_of(images: Pixels, levels: int, parts: Sequence[Part] | None = None) -> Columns:
    """Positions of the exact pixels of images, after so many noise levels. parts: what is taken of each; None: all."""
    return _native.pixel_positions(images, ENDS[levels], [(0, 0, *images.shape[1:3])] if parts is None else parts)


def bands_of(
    images: Pixels, levels: int, share: float = 1.0, seed: int = 0, *, least: int = 1, side: int = 1 << 16
) -> Mapping[str, Columns]:  # fmt: skip
    """Positions of a schedule's bands by role, those where anything is coded: parts of up to `side` squared, about a
    share of all positions, but `least` of each band, where it has them. Raises ValueError for a share outside 0..1."""
    if not 0 <= share <= 1:
        raise ValueError(f"a share of the positions is 0 to 1, not {share}")
    return dict(zip(BAND_ROLES, _native.band_positions(images, levels, share, least, side, seed), strict=True))


def parts_of(columns: Columns) -> list[slice]:
    """Where the positions of each part are."""
    ends = [*np.flatnonzero(np.diff(columns["part"])) + 1, len(columns["part"])]
    return [slice(first, end) for first, end in zip([0, *ends[:-1]], ends, strict=True) if first < end]


def in_slots(columns: Columns, area: int) -> dict[str, NDArray[Any]]:
    """Positions in slots of `area`, [slots, area, ...]: each part in one slot, none larger than it, and as many as fit.
    What is left of a slot are positions where nothing is coded. near: from the beginning of the slot."""
    places, end = np.zeros(len(columns["part"]), np.int64), 0
    for part in parts_of(columns):
        count = part.stop - part.start
        if end % area + count > area:
            end += area - end % area
        places[part] = np.arange(end, end + count)
        end += count
    slots = -(-end // area)
    near = columns["near"]
    moved = {**columns, "near": np.where(near < 0, -1, places[near] % area)}
    packed = {}
    for name in Positions._fields:
        column = moved[name]
        filler = {"rows": ZERO, "near": -1}.get(name, 0)
        packed[name] = np.full((slots * area, *column.shape[1:]), filler, column.dtype)
        packed[name][places] = column
    return {name: column.reshape(slots, area, *column.shape[1:]) for name, column in packed.items()}


class ReplayBuffer:
    """The latest positions of one role, on a device, in slots."""

    def __init__(self, capacity: int, area: int, device: torch.device | str = "cpu") -> None:
        """capacity: positions, area: of a slot."""
        self.area, self.slots = area, max(1, capacity // area)
        self.device, self.used, self.next = device, 0, 0
        self.columns: dict[str, Tensor] = {}

    @property
    def is_full(self) -> bool:
        return self.used == self.slots

    @property
    def size(self) -> int:
        """Positions that it holds."""
        return self.used * self.area

    def add(self, columns: Columns) -> int:
        """Takes as many slots of positions as it has room for, the last ones. Returns how many they all have,
        fillers among them."""
        packed = in_slots(columns, self.area)
        count = min(len(packed["rows"]), self.slots)
        slots = (self.next + torch.arange(count, device=self.device)) % self.slots
        for name, column in packed.items():
            new = torch.from_numpy(column[len(column) - count :]).to(self.device)
            if name not in self.columns:
                self.columns[name] = torch.zeros((self.slots, *new.shape[1:]), dtype=new.dtype, device=self.device)
            self.columns[name][slots] = new
        self.next = (self.next + count) % self.slots
        self.used = min(self.slots, self.used + count)
        return len(packed["rows"]) * self.area

    def drawn(self, count: int) -> int:
        """How many positions are drawn where `count` are wanted: whole slots."""
        return max(1, round(count / self.area)) * self.area

    def draw(self, count: int, generator: torch.Generator) -> Positions:
        """Random slots, with replacement."""
        slots = self.drawn(count) // self.area
        chosen = torch.randint(self.used, (slots,), generator=generator, device=self.device)
        drawn = {name: column[chosen] for name, column in self.columns.items()}
        firsts = self.area * torch.arange(slots, device=self.device, dtype=drawn["near"].dtype)
        drawn["near"] = torch.where(drawn["near"] < 0, -1, drawn["near"] + firsts[:, None, None])
        return Positions.of({name: column.flatten(0, 1) for name, column in drawn.items()})


class ReplayBuffers:
    """One for each role; filled from images as positions are drawn, so that each is used about `uses` times."""

    def __init__(
        self, source: Callable[[], Pixels], roles: Collection[str], *, capacity: int,
        sides: tuple[int, int] = (1 << 16, 1 << 16),
        uses: float = 1.0, seed: int = 0, device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        """sides: of the smallest and the largest images."""
        smallest, largest = sides
        self.side = smallest if largest <= LARGEST_WHOLE else min(smallest, SIDE)
        self.source, self.uses, self.seed, self.images, self.draws = source, uses, seed, 0, 0
        self.generator = torch.Generator(device).manual_seed(seed)
        self.band_side = min(self.side, BAND_SIDE)
        areas = {role: (self.band_side if role in BAND_ROLES else self.side) ** 2 for role in roles}
        self.buffers = {role: ReplayBuffer(capacity, area, device) for role, area in areas.items()}
        self.due = dict.fromkeys(roles, 0.0)  # positions that were drawn and not yet made up for
        self.schedules = {role: cycle(ROUNDS.get(role, ROUND)) for role in roles}

    def go_on(self, images: int, draws: int, step: int) -> None:
        """Goes on as in a resumed run, after so many images in so many batches, with a generator of another seed."""
        self.images, self.draws = images, draws
        self.generator.manual_seed(self.seed + 2**32 * step)

    def draw(self, role: str, count: int) -> Positions:
        """Positions of a role."""
        buffer = self.buffers[role]
        while self.due[role] >= 0 or not (buffer.is_full or buffer.size >= FIRST * count):
            for other, columns in self._positions(role):
                self._add(other, columns)
        drawn = buffer.draw(count, self.generator)
        self.due[role] += len(drawn.rows)
        return drawn

    def _positions(self, role: str) -> Iterator[tuple[str, Columns]]:
        """Positions of this role in the next images; for a band, those of all bands."""
        images = np.ascontiguousarray(self.source())
        self.images, self.draws = self.images + len(images), self.draws + 1
        seed = self.seed * SEEDS + self.draws
        levels = next(self.schedules[role])
        if role not in BAND_ROLES:
            yield role, pixels_of(images, levels, self._parts(images, seed))
            return
        yield from bands_of(images, levels, BAND_SHARES[levels], seed, least=FEWEST, side=self.band_side).items()

    def _parts(self, images: Pixels, seed: int) -> list[Part]:
        """Which parts of these images are taken."""
        _, height, width, _ = images.shape
        rng, count = np.random.default_rng(seed), max(1, round(SHARE * height * width / self.side**2))
        tops, lefts = (rng.integers(size - self.side + 1, size=count).tolist() for size in (height, width))
        return [(top, left, self.side, self.side) for top, left in zip(tops, lefts, strict=True)]

    def _add(self, role: str, columns: Columns) -> None:
        if role in self.buffers and len(columns["rows"]):
            self.due[role] -= self.uses * self.buffers[role].add(columns)
