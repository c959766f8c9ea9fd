"""Archives as data sets for PyTorch's DataLoader."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ddpmcodec.archive.access import KEPT_BLOCKS, Opened
from ddpmcodec.archive.access import open as open_archive
from ddpmcodec.archive.sources import Source

Item = TypeVar("Item", covariant=True)
MIXED_BLOCKS = 32  # runs of thumbnails whose images are shuffled together
assert MIXED_BLOCKS <= KEPT_BLOCKS


def to_tensor(image: Image.Image) -> Tensor:
    """uint8 [C, H, W], as `torchvision.io` gives images; a bilevel image has levels 0 and 255.

    >>> from PIL import Image
    >>> to_tensor(Image.new("RGB", (6, 4))).shape
    torch.Size([3, 4, 6])
    """
    pixels = np.atleast_3d(np.array(image.convert("L") if image.mode == "1" else image))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


class ArchiveDataset(Dataset[Item], Generic[Item]):
    """The images of an archive, in the order in which they were given.

    Parameters:
        source: the path of a .ddpma file, which every worker maps into its memory; or its bytes, or a binary file.
        transform: called with each Pillow image, as in torchvision; None: `to_tensor`.
        model, kept_blocks: as of `archive.open`.

    It works in the workers of a DataLoader, forked or spawned. A run of thumbnails, about 128 of 32 x 32 pixels, is
    decoded as a whole and kept for a while, so that images in order cost one decode each. In a random order they cost
    far more: shuffle with `BlockBatches`.

    `names` are the names of the images, for labels: a subclass may look at the folder.

    Raises as `archive.open`.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> from torch.utils.data import DataLoader
    >>> data = archive.create((f"{n}.png", np.full((4, 6, 3), n, np.uint8)) for n in range(5))
    >>> dataset = archive.ArchiveDataset(data)
    >>> [batch[:, 0, 0, 0].tolist() for batch in DataLoader(dataset, batch_size=3)]
    [[0, 1, 2], [3, 4]]
    >>> dataset.names[4]
    '4.png'
    """

    def __init__(
        self,
        source: Opened,
        transform: Callable[[Image.Image], Item] | None = None,
        *,
        model: Source = None,
        kept_blocks: int = KEPT_BLOCKS,
    ) -> None:
        self.images = open_archive(source, model=model, kept_blocks=kept_blocks)
        self.names = list(self.images)
        self.transform: Callable[[Image.Image], Any] = to_tensor if transform is None else transform

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Item:
        found: Item = self.transform(self.images[self.names[index]])
        return found


class BlockBatches(Sampler[list[int]]):
    """Batches in a random order in which every run of thumbnails is decoded once an epoch, by one worker.

    Workers have about as many images each. Runs are shuffled, and the images of several runs together.

    Parameters:
        dataset: whose images are drawn.
        batch_size: images of a batch; the last batch of each worker may be smaller.
        workers: the `num_workers` of the DataLoader, which hands batches to its workers one after the other.
        generator: the source of the order; None: PyTorch's own.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> from torch.utils.data import DataLoader
    >>> dataset = archive.ArchiveDataset(archive.create((f"{n}.png", np.full((4, 4), n, np.uint8)) for n in range(5)))
    >>> loader = DataLoader(dataset, batch_sampler=archive.BlockBatches(dataset, 2))
    >>> sorted(int(image.max()) for batch in loader for image in batch)
    [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        dataset: ArchiveDataset[Any],
        batch_size: int,
        *,
        workers: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        if batch_size < 1 or workers < 0:
            raise ValueError(f"a batch has 1 image or more, not {batch_size}, and workers are 0 or more, not {workers}")
        blocks = defaultdict[int, list[int]](list)
        for index, name in enumerate(dataset.names):
            blocks[dataset.images.block_of(name)].append(index)
        self._streams = [list[list[int]]() for _ in range(max(workers, 1))]
        for block in sorted(blocks.values(), key=len, reverse=True):
            min(self._streams, key=lambda stream: sum(map(len, stream))).append(block)
        self.batch_size, self.generator = batch_size, generator

    def __len__(self) -> int:
        return sum(-(-sum(map(len, blocks)) // self.batch_size) for blocks in self._streams)

    def __iter__(self) -> Iterator[list[int]]:
        streams = [self._batches(blocks) for blocks in self._streams]
        return (batch for together in zip_longest(*streams) for batch in together if batch)

    def _batches(self, blocks: Sequence[list[int]]) -> Iterator[list[int]]:
        """Of one worker."""
        shuffled, batch = self._shuffled(blocks), list[int]()
        for start in range(0, len(shuffled), MIXED_BLOCKS):
            for index in self._shuffled([i for block in shuffled[start : start + MIXED_BLOCKS] for i in block]):
                batch.append(index)
                if len(batch) == self.batch_size:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _shuffled(self, items: Sequence[Any]) -> list[Any]:
        return [items[i] for i in torch.randperm(len(items), generator=self.generator).tolist()]
