"""Positions to learn from: the core finds them in images, and replay buffers mix those of the latest images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import cycle
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddpmcodec import _native
from ddpmcodec.models.context import BAND_ROLES
from ddpmcodec.training.trainable import Positions

LEVELS = tuple(levels for levels in _native.SCHEDULES if levels)  # of bands; a file with none has pixels only
SHARE = 0.2  # of an image's pixels that are taken
BAND_SHARES = {2: 0.1, 5: 0.03}  # of a band's positions, for each step of a schedule
BAND_ROUND = (2, 2, 5)  # schedules of successive batches of images: a new one takes its place here
FEWEST = 128  # positions of a band: coarse ones have few
FIRST = 20  # steps' worth of positions before the first step, so that they are of many images
SEEDS = 1 << 20  # of a run's draws, for each of its own seeds

Images = NDArray[np.uint8]
Columns = Mapping[str, NDArray[Any]]


def pixels_of(images: Images, role: str, share: float, seed: int) -> Columns:
    """Positions of a share of the exact pixels."""
    return _native.pixel_positions(images, role == "last", share, seed)


def bands_of(images: Images, levels: int, share: float, seed: int, least: int = 1) -> Mapping[str, Columns]:
    """A share of the positions of a schedule's bands by role, but `least` of each band; without positions where one
    value is left, and nothing is coded."""
    bands = zip(BAND_ROLES, _native.band_positions(images, levels, share, least, seed), strict=True)
    return {role: _unfinished(columns) for role, columns in bands}


def _unfinished(columns: Columns) -> Columns:
    open_ = (columns["lo"] < columns["hi"]).any(1)
    return {name: column[open_] for name, column in columns.items()}


class ReplayBuffer:
    """The latest positions of one role, on a device."""

    def __init__(self, capacity: int, device: torch.device | str = "cpu") -> None:
        self.capacity, self.device, self.size, self.next = capacity, device, 0, 0
        self.columns: dict[str, Tensor] = {}

    def add(self, columns: Columns) -> None:
        """Takes up to `capacity` positions, the last ones."""
        count = min(len(columns["rows"]), self.capacity)
        slots = (self.next + torch.arange(count, device=self.device)) % self.capacity
        for name in Positions._fields:
            new = torch.from_numpy(columns[name][len(columns[name]) - count :]).to(self.device)
            if name not in self.columns:
                self.columns[name] = torch.zeros((self.capacity, *new.shape[1:]), dtype=new.dtype, device=self.device)
            self.columns[name][slots] = new
        self.next = (self.next + count) % self.capacity
        self.size = min(self.capacity, self.size + count)

    def draw(self, count: int, generator: torch.Generator) -> Positions:
        """Random positions, with replacement."""
        chosen = torch.randint(self.size, (count,), generator=generator, device=self.device)
        return Positions.of({name: self.columns[name][chosen] for name in Positions._fields})


class ReplayBuffers:
    """One for each role; filled from images as positions are drawn, so that each is used about `uses` times."""

    def __init__(
        self, source: Callable[[], Images], roles: Collection[str], *, capacity: int, uses: float = 1.0, seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        self.source, self.uses, self.seed, self.images, self.draws = source, uses, seed, 0, 0
        self.generator = torch.Generator(device).manual_seed(seed)
        self.buffers = {role: ReplayBuffer(capacity, device) for role in roles}
        self.due = dict.fromkeys(roles, 0.0)  # positions that were drawn and not yet made up for
        self.schedules = cycle(BAND_ROUND)

    def go_on(self, images: int, draws: int, step: int) -> None:
        """Goes on as in a resumed run, after so many images in so many batches, with a generator of another seed."""
        self.images, self.draws = images, draws
        self.generator.manual_seed(self.seed + 2**32 * step)

    def draw(self, role: str, count: int) -> Positions:
        """Positions of a role."""
        buffer = self.buffers[role]
        while self.due[role] >= 0 or buffer.size < min(buffer.capacity, FIRST * count):
            for other, columns in self._positions(role):
                self._add(other, columns)
        self.due[role] += count
        return buffer.draw(count, self.generator)

    def _positions(self, role: str) -> Iterator[tuple[str, Columns]]:
        """Positions of this role in the next images; for a band, those of all bands."""
        images = np.ascontiguousarray(self.source())
        self.images, self.draws = self.images + len(images), self.draws + 1
        seed = self.seed * SEEDS + self.draws
        if role not in BAND_ROLES:
            yield role, pixels_of(images, role, SHARE, seed)
            return
        levels = next(self.schedules)
        yield from bands_of(images, levels, BAND_SHARES[levels], seed, FEWEST).items()

    def _add(self, role: str, columns: Columns) -> None:
        count = len(columns["rows"])
        if role in self.buffers and count:
            self.buffers[role].add(columns)
            self.due[role] -= self.uses * count
