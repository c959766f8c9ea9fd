"""Shuffled batches of an archive's images, in which no run of thumbnails is decoded more often than it must be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, default_collate, get_worker_info

from ddpmcodec.archive.access import KEPT_BLOCKS
from ddpmcodec.archive.dataset import ArchiveDataset
from ddpmcodec.arguments import whole_number

MIXED_BLOCKS = 32  # runs of thumbnails whose images are shuffled together
assert MIXED_BLOCKS <= KEPT_BLOCKS


def loader(
    dataset: ArchiveDataset[Any] | Subset[Any],
    batch_size: int,
    *,
    workers: int = 0,
    drop_last: bool = False,
    generator: torch.Generator | None = None,
    collate: Callable[[list[Any]], Any] = default_collate,
    **options: Any,
) -> DataLoader[Any]:
    """Batches in a random order in which every run of thumbnails is decoded once an epoch, by one worker.

    Workers have about as many images each. Runs are shuffled, and the images of several runs together. Where the
    dataset's `kept_blocks` are as many as the runs, up to 400 kB each, only the first epoch decodes: each worker keeps
    those that it has used last, and lives on with `persistent_workers=True`.

    Parameters:
        dataset: the images are drawn from it, or from a part of it, as `torch.utils.data.random_split` makes them.
        batch_size: images of a batch; the last batch of each worker may be smaller.
        workers: processes that decode; 0: this one.
        drop_last: leave out batches that are smaller.
        generator: the source of the order; None: PyTorch's own.
        collate: makes a batch of a list of items.
        options: further ones of PyTorch's DataLoader, such as `pin_memory` and `persistent_workers`.

    Raises ValueError for batches of nothing, TypeError for another kind of data set, and for an option that the order
    excludes.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> dataset = archive.ArchiveDataset(archive.create((f"{n}.png", np.full((4, 4), n, np.uint8)) for n in range(5)))
    >>> sorted(int(image.max()) for batch in archive.loader(dataset, 2) for image in batch)
    [0, 1, 2, 3, 4]
    """
    whole, indices = _part(dataset)
    batch_size, workers = whole_number("batch_size", batch_size), whole_number("workers", workers)
    if batch_size < 1 or workers < 0:
        raise ValueError(f"a batch has 1 image or more, not {batch_size}, and workers are 0 or more, not {workers}")
    if excluded := {"shuffle", "sampler", "batch_sampler", "collate_fn", "num_workers"} & {*options}:
        named = ", ".join(sorted(excluded))
        raise TypeError(f"loader() has an order of its own, and takes no {named}; workers=N is the number of workers")
    batches = _Batches(whole, indices, batch_size, workers, drop_last, generator, collate)
    return DataLoader(batches, batch_size=None, num_workers=workers, generator=generator, **options)


def _part(dataset: object) -> tuple[ArchiveDataset[Any], Sequence[int]]:
    """The data set that a Subset, or a Subset of one, is a part of, and the numbers of its images. Raises TypeError."""
    if isinstance(dataset, ArchiveDataset):
        return dataset, range(len(dataset.names))
    if not isinstance(dataset, Subset):
        raise TypeError(f"loader() takes an ArchiveDataset or a Subset of one, not {type(dataset).__name__}")
    whole, indices = _part(dataset.dataset)
    return whole, [indices[index] for index in dataset.indices]


class _Batches(IterableDataset[Any]):
    """Batches of shuffled images; in a worker, those of its share of the runs."""

    def __init__(
        self, dataset: ArchiveDataset[Any], indices: Sequence[int], batch_size: int, workers: int, drop_last: bool,
        generator: torch.Generator | None, collate: Callable[[list[Any]], Any],
    ) -> None:  # fmt: skip
        self.dataset, self.batch_size, self.drop_last, self.collate = dataset, batch_size, drop_last, collate
        self._generator, self._epoch = generator, 0
        runs = defaultdict[int, list[int]](list)
        for index in indices:
            runs[dataset.images.block_of(dataset.names[index])].append(index)
        self.shares = [list[list[int]]() for _ in range(max(workers, 1))]
        for run in sorted(runs.values(), key=len, reverse=True):
            min(self.shares, key=lambda share: sum(map(len, share))).append(run)

    def __len__(self) -> int:
        beside = 0 if self.drop_last else self.batch_size - 1
        return sum((sum(map(len, share)) + beside) // self.batch_size for share in self.shares)

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        seed = torch.randint(1 << 62, (), generator=self._generator) if worker is None else worker.seed
        draw = torch.Generator().manual_seed(int(seed) + self._epoch)
        self._epoch += 1  # of workers that live on, whose seed stays
        share = self.shares[worker.id if worker else 0]
        return map(self.collate, self.batches(share, draw))

    def batches(self, runs: Sequence[list[int]], draw: torch.Generator) -> Iterator[list[Any]]:
        """The items of each batch. They are taken before the next runs are decoded, which may drop theirs."""

        def shuffled(items: Sequence[Any]) -> list[Any]:
            return [items[i] for i in torch.randperm(len(items), generator=draw).tolist()]

        mixed, batch = shuffled(runs), list[Any]()
        for start in range(0, len(mixed), MIXED_BLOCKS):
            images = [i for run in mixed[start : start + MIXED_BLOCKS] for i in run]
            self.dataset.prefetch(images)
            for index in shuffled(images):
                batch.append(self.dataset[index])
                if len(batch) == self.batch_size:
                    yield batch
                    batch = []
        if batch and not self.drop_last:
            yield batch

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_generator": None}  # not of workers, which cannot be sent one
