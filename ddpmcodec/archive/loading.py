"""Shuffled batches of an archive's images, in which no run of thumbnails is decoded more often than it must be."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, get_args

import torch
from torch import distributed
from torch.utils.data import DataLoader, IterableDataset, Subset, default_collate, get_worker_info

from ddpmcodec.archive.dataset import FAULTS, ArchiveDataset
from ddpmcodec.arguments import whole_number
from ddpmcodec.errors import FormatError

T = TypeVar("T")
Unit: TypeAlias = "list[int]"  # numbers of images that are decoded together: of a run, or the one of a file
OnError: TypeAlias = Literal["raise", "warn"]


def loader(
    dataset: ArchiveDataset[Any] | Subset[Any],
    batch_size: int,
    *,
    workers: int = 0,
    rank: int | None = None,
    world_size: int | None = None,
    drop_last: bool = False,
    on_error: OnError = "raise",
    generator: torch.Generator | None = None,
    collate: Callable[[list[Any]], Any] = default_collate,
    **options: Any,
) -> DataLoader[Any]:
    """Batches in a random order in which every run of thumbnails is decoded once an epoch, by one worker.

    How far it mixes: each worker shuffles its images anew in each epoch. Those that are files of their own (above 4,096
    pixels, and JPEG files) are shuffled over all of its share, and decoded when their batch
    needs them. Runs are shuffled, too, and then the images of as many runs together as the dataset's `kept_blocks`: by
    default 64, which are 8,192 images of 32 x 32 pixels, or 2,048 of 64 x 64, but fewer of mixed sizes. Where
    `kept_blocks` are as many as the runs, up to 400 kB each, all images are shuffled, and only the first epoch decodes
    runs: each worker keeps them, and lives on with `persistent_workers=True`.

    In distributed training each rank has a share of the images, and as many batches as the others, if batch_size and
    workers are the same. Where images do not come out even, some are repeated, or with `drop_last` left out: fewer than
    all ranks have workers. Otherwise shares are disjoint. A run at the border of two shares is decoded for both.

    The worker and the rank of an image are random, so that an archive may be sorted by class, but always the same. They
    do not depend on the generator: ranks may be seeded alike or not, and nobody needs to say which epoch it is.

    Parameters:
        dataset: the images are drawn from it, or from a part of it, as `torch.utils.data.random_split` makes them: the
            same part on every rank.
        batch_size: images of a batch, on each rank; the last batch of each worker may be smaller.
        workers: processes that decode, on each rank; 0: this one.
        rank, world_size: the share of the images, 0 to world_size - 1, and how many shares there are. None: those of
            `torch.distributed` where it is initialised already, otherwise 0 and 1. Give 0 and 1 where a library shares
            out the batches of a loader itself.
        drop_last: leave out batches that are smaller.
        on_error: "warn" leaves out images that are damaged or have more than `max_pixels`, and warns of each once in
            each process. An epoch then has fewer images; in distributed training, the worker repeats others.
        generator: the source of the order; None: PyTorch's own.
        collate: makes a batch of a list of items.
        options: further ones of PyTorch's DataLoader, such as `pin_memory` and `persistent_workers`.

    Raises ValueError for batches of nothing, for a rank that is none of world_size, and for another `on_error`;
    TypeError for another kind of data set, and for an option that the order excludes. Batches raise as images do, and
    FormatError where a worker is to repeat images and has none that is whole.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> dataset = archive.ArchiveDataset(archive.create((f"{n}.png", np.full((4, 4), n, np.uint8)) for n in range(5)))
    >>> sorted(int(image.max()) for batch in archive.loader(dataset, 2) for image in batch)
    [0, 1, 2, 3, 4]
    >>> [len(archive.loader(dataset, 2, rank=rank, world_size=2)) for rank in (0, 1)]
    [2, 2]
    """
    whole, indices = _part(dataset)
    batch_size, workers = whole_number("batch_size", batch_size), whole_number("workers", workers)
    if batch_size < 1 or workers < 0:
        raise ValueError(f"a batch has 1 image or more, not {batch_size}, and workers are 0 or more, not {workers}")
    if on_error not in get_args(OnError):
        raise ValueError(f"on_error must be 'raise' or 'warn', not {on_error!r}")
    if excluded := {"shuffle", "sampler", "batch_sampler", "collate_fn", "num_workers"} & {*options}:
        named = ", ".join(sorted(excluded))
        raise TypeError(f"loader() has an order of its own, and takes no {named}; workers=N is the number of workers")
    shares = _shares(_units(whole, indices), max(workers, 1), *_place(rank, world_size), drop_last)
    batches = _Batches(whole, shares, batch_size, drop_last, on_error, generator, collate)
    return DataLoader(batches, batch_size=None, num_workers=workers, generator=generator, **options)


def _part(dataset: object) -> tuple[ArchiveDataset[Any], Sequence[int]]:
    """The data set that a Subset, or a Subset of one, is a part of, and the numbers of its images. Raises TypeError."""
    if isinstance(dataset, ArchiveDataset):
        return dataset, range(len(dataset.names))
    if not isinstance(dataset, Subset):
        raise TypeError(f"loader() takes an ArchiveDataset or a Subset of one, not {type(dataset).__name__}")
    whole, indices = _part(dataset.dataset)
    return whole, [indices[index] for index in dataset.indices]


def _place(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """The rank, and the number of ranks. Raises ValueError."""
    is_distributed = distributed.is_available() and distributed.is_initialized()
    if rank is None:
        rank = distributed.get_rank() if is_distributed else 0
    if world_size is None:
        world_size = distributed.get_world_size() if is_distributed else 1
    rank, world_size = whole_number("rank", rank), whole_number("world_size", world_size)
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be from 0 on and below world_size, {world_size}, not {rank}")
    return rank, world_size


# --- which worker of which rank has an image


class _Share(NamedTuple):
    """What a worker decodes. images: how many it gives in an epoch; they are repeated where there are fewer. None: what
    it has."""

    units: list[Unit]
    images: int | None = None

    @property
    def expected(self) -> int:
        """How many images it gives, unless some are left out."""
        return sum(map(len, self.units)) if self.images is None else self.images


def _units(dataset: ArchiveDataset[Any], indices: Iterable[int]) -> list[Unit]:
    units = defaultdict[int, Unit](list)
    for index in indices:
        units[dataset.images.block_of(dataset.names[index])].append(index)
    return list(units.values())


def _shares(units: Sequence[Unit], workers: int, rank: int, world_size: int, drop_last: bool) -> list[_Share]:
    """The shares of a rank's workers. An archive may be sorted by class: so units are dealt out in a random order, the
    same on every rank."""
    order = _shuffled(units, torch.Generator().manual_seed(0))
    if world_size == 1:
        return [_Share(own) for own in _dealt(order, workers)]
    total, shares = sum(map(len, order)), world_size * workers
    each = total // shares if drop_last else -(-total // shares)
    borders = [total * share // shares for share in range(rank * workers, (rank + 1) * workers + 1)]
    return [_Share(_between(order, start, max(stop, start + 1)), each) for start, stop in pairwise(borders)]


def _dealt(units: Sequence[Unit], workers: int) -> list[list[Unit]]:
    """The units of each of several workers, which have about as many images each."""
    shares: list[list[Unit]] = [[] for _ in range(workers)]
    total, start = sum(map(len, units)), 0
    for unit in units:
        shares[(2 * start + len(unit)) * workers // (2 * total)].append(unit)  # by the middle of the unit
        start += len(unit)
    return shares


def _between(units: Sequence[Unit], start: int, stop: int) -> list[Unit]:
    """The units from one image to another; those at the ends may be cut."""
    starts = accumulate(map(len, units), initial=0)
    cut = (unit[max(start - first, 0) : max(stop - first, 0)] for first, unit in zip(starts, units, strict=False))
    return [unit for unit in cut if unit]


def _shuffled(items: Sequence[T], draw: torch.Generator) -> list[T]:
    return [items[i] for i in torch.randperm(len(items), generator=draw).tolist()]


# --- in which order it gives them


class _Batches(IterableDataset[Any]):
    """Batches of shuffled images; in a worker, those of its share."""

    def __init__(
        self, dataset: ArchiveDataset[Any], shares: Sequence[_Share], batch_size: int, drop_last: bool,
        on_error: OnError, generator: torch.Generator | None, collate: Callable[[list[Any]], Any],
    ) -> None:  # fmt: skip
        self.dataset, self.shares, self.collate = dataset, shares, collate
        self.batch_size, self.drop_last, self.on_error = batch_size, drop_last, on_error
        self._generator, self._epoch = generator, 0
        self._left_out = set[int]()

    def __len__(self) -> int:
        beside = 0 if self.drop_last else self.batch_size - 1
        return sum((share.expected + beside) // self.batch_size for share in self.shares)

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        seed = torch.randint(1 << 62, (), generator=self._generator) if worker is None else worker.seed
        draw = torch.Generator().manual_seed(int(seed) + self._epoch)
        self._epoch += 1  # of workers that live on, whose seed stays
        items = self._items(self.shares[worker.id if worker else 0], draw)
        while batch := list(islice(items, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate(batch)

    def _items(self, share: _Share, draw: torch.Generator) -> Iterator[Any]:
        """The items of an epoch."""
        if share.images is None:
            return self._pass(share.units, draw)
        return islice(self._passes(share.units, draw), share.images)

    def _passes(self, units: Sequence[Unit], draw: torch.Generator) -> Iterator[Any]:
        """The items again and again. Raises FormatError where there are none."""
        while True:
            is_empty = True
            for item in self._pass(units, draw):
                yield item
                is_empty = False
            if is_empty:
                count = sum(map(len, units))
                raise FormatError(f"none of the {count} images of this share can be decoded: get the archive again")

    def _pass(self, units: Sequence[Unit], draw: torch.Generator) -> Iterator[Any]:
        """The items of all images, each once. They are taken before the next are prefetched, which may drop theirs."""
        for window in self._windows(_shuffled(units, draw)):
            order = _shuffled([index for unit in window for index in unit], draw)
            wanted = (index for index in order if index not in self._left_out)
            for portion in self.dataset.portions(wanted, most=self.batch_size):
                for index in portion:
                    yield from self._item(index)

    def _windows(self, units: Iterable[Unit]) -> Iterator[list[Unit]]:
        """Units whose images are shuffled together: as many runs as the dataset keeps, and the files between them."""
        window, runs = list[Unit](), 0
        for unit in units:
            window.append(unit)
            runs += not self.dataset.is_file(unit[0])
            if runs == max(self.dataset.kept_blocks, 1):
                yield window
                window, runs = [], 0
        if window:
            yield window

    def _item(self, index: int) -> list[Any]:
        """The item of an image; none, where it is to be left out."""
        try:
            return [self.dataset[index]]
        except FAULTS as error:
            if self.on_error == "raise":
                raise
            self._left_out.add(index)
            warnings.warn(f"{self.dataset.names[index]} is left out: {error}", stacklevel=2)
            return []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_generator": None}  # not of workers, which cannot be sent one
