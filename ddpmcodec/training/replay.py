"""Positions to learn from: the core finds them in images, and replay buffers mix those of the latest images.

Positions of bands are taken here and there. Exact pixels are taken in square patches, as their networks look at each
other's activations.
"""

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
from ddpmcodec.training.trainable import COLUMNS, Positions

LEVELS = tuple(levels for levels in _native.SCHEDULES if levels)  # of bands; a file with none has pixels only
SHARE = 0.2  # of an image's pixels that are taken, but a patch of each
PATCH = 32  # side of a patch, in images that are as large
BAND_SHARES = {2: 0.1, 5: 0.03}  # of a band's positions, for each step of a schedule
BAND_ROUND = (2, 2, 5)  # schedules of successive batches of images: a new one takes its place here
FEWEST = 128  # positions of a band: coarse ones have few
FIRST = 20  # steps' worth of positions before the first step, so that they are of many images
SEEDS = 1 << 20  # of a run's draws, for each of its own seeds

Images = NDArray[np.uint8]
Columns = Mapping[str, NDArray[Any]]


def pixels_of(images: Images, role: str, part: tuple[int, int, int, int] | None = None) -> Columns:
    """Positions of the exact pixels of images, one image after the other, in raster order. part: top, left, height and
    width of what is taken of each; None: all."""
    return _native.pixel_positions(images, role == "last", part or (0, 0, *images.shape[1:3]))


def bands_of(images: Images, levels: int, share: float, seed: int, least: int = 1) -> Mapping[str, Columns]:
    """A share of the positions of a schedule's bands by role, but `least` of each band; without positions where one
    value is left, and nothing is coded."""
    bands = zip(BAND_ROLES, _native.band_positions(images, levels, share, least, seed), strict=True)
    return {role: _unfinished(columns) for role, columns in bands}


def _unfinished(columns: Columns) -> Columns:
    open_ = (columns["lo"] < columns["hi"]).any(1)
    return {name: column[open_] for name, column in columns.items()}


class ReplayBuffer:
    """The latest positions of one role, on a device: patches of them, side by side, or of side 1."""

    def __init__(self, capacity: int, device: torch.device | str = "cpu", side: int = 1) -> None:
        """capacity: positions."""
        self.side, self.area = side, side**2
        self.patches, self.device, self.used, self.next = max(1, capacity // self.area), device, 0, 0
        self.columns: dict[str, Tensor] = {}

    @property
    def sides(self) -> tuple[int, int] | None:
        """`Positions.sides` of what is drawn."""
        return (self.side, self.side) if self.side > 1 else None

    @property
    def is_full(self) -> bool:
        return self.used == self.patches

    @property
    def size(self) -> int:
        """Positions that it holds."""
        return self.used * self.area

    def add(self, columns: Columns) -> None:
        """Takes as many patches as it has room for, the last ones."""
        count = min(len(columns["rows"]) // self.area, self.patches)
        slots = (self.next + torch.arange(count, device=self.device)) % self.patches
        for name in COLUMNS:
            column = columns[name][len(columns[name]) - count * self.area :]
            new = torch.from_numpy(column.reshape(count, self.area, *column.shape[1:])).to(self.device)
            if name not in self.columns:
                self.columns[name] = torch.zeros((self.patches, *new.shape[1:]), dtype=new.dtype, device=self.device)
            self.columns[name][slots] = new
        self.next = (self.next + count) % self.patches
        self.used = min(self.patches, self.used + count)

    def drawn(self, count: int) -> int:
        """How many positions are drawn where `count` are wanted: whole patches."""
        return max(1, round(count / self.area)) * self.area

    def draw(self, count: int, generator: torch.Generator) -> Positions:
        """Random patches, with replacement."""
        patches = self.drawn(count) // self.area
        chosen = torch.randint(self.used, (patches,), generator=generator, device=self.device)
        return Positions.of({name: self.columns[name][chosen].flatten(0, 1) for name in COLUMNS}, self.sides)


class ReplayBuffers:
    """One for each role; filled from images as positions are drawn, so that each is used about `uses` times."""

    def __init__(
        self, source: Callable[[], Images], roles: Collection[str], *, capacity: int, side: int = PATCH,
        uses: float = 1.0, seed: int = 0, device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        """side: of the smallest images, which patches are no larger than."""
        self.side = min(PATCH, side)
        self.source, self.uses, self.seed, self.images, self.draws = source, uses, seed, 0, 0
        self.generator = torch.Generator(device).manual_seed(seed)
        sides = {role: 1 if role in BAND_ROLES else self.side for role in roles}
        self.buffers = {role: ReplayBuffer(capacity, device, side) for role, side in sides.items()}
        self.due = dict.fromkeys(roles, 0.0)  # positions that were drawn and not yet made up for
        self.schedules = cycle(BAND_ROUND)

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
        if role not in BAND_ROLES:
            yield from ((role, pixels_of(images, role, part)) for part in self._parts(images, seed))
            return
        levels = next(self.schedules)
        yield from bands_of(images, levels, BAND_SHARES[levels], seed, FEWEST).items()

    def _parts(self, images: Images, seed: int) -> Iterator[tuple[int, int, int, int]]:
        """Where patches lie in these images."""
        _, height, width, _ = images.shape
        rng = np.random.default_rng(seed)
        for _ in range(max(1, round(SHARE * height * width / self.side**2))):
            top, left = (int(rng.integers(size - self.side + 1)) for size in (height, width))
            yield top, left, self.side, self.side

    def _add(self, role: str, columns: Columns) -> None:
        count = len(columns["rows"])
        if role in self.buffers and count:
            self.buffers[role].add(columns)
            self.due[role] -= self.uses * count
