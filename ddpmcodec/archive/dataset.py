"""Archives as data sets for PyTorch's DataLoader. `archive.loading` shuffles them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ddpmcodec._native import DEFAULT_MAX_PIXELS, SINGLE_STREAM_PIXELS
from ddpmcodec.archive.access import KEPT_BLOCKS
from ddpmcodec.archive.access import open as open_archive
from ddpmcodec.archive.restorer import Source
from ddpmcodec.codec.decoding import scale_of
from ddpmcodec.content import File
from ddpmcodec.errors import FormatError, ImageError
from ddpmcodec.parallel import WORK_PIXELS, portions, run_all, thread_count

Item = TypeVar("Item", covariant=True)
FAULTS = (FormatError, ImageError)  # of one image; others may be in order


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
        source: the path of a .ddpma file, of which every worker reads what it needs; or its bytes, or a binary file.
        transform: called with each Pillow image, as in torchvision; None: `to_tensor`.
        model, kept_blocks, max_pixels: as in `archive.open`.
        reduce: 2, 4, 8 or 16: images of 1/2, 1/4, 1/8 or 1/16 of the size, as in `ddpmcodec.decode`. Of images that are
            files with noise levels, no more is decoded than that takes.

    It works in the workers of a DataLoader, forked or spawned. A run of thumbnails, about 128 of 32 x 32 pixels, is
    decoded as a whole and kept for a while, so that images in order cost one decode each. In a random order they cost
    far more: shuffle with `loader`. The runs of a batch are decoded on all threads; so are its images that are files of
    their own, up to 4 megapixels at a time. Of these only thumbnails, such as drawings, are kept.

    `names` are the names of the images, for labels: a subclass may look at the folder. One whose items are parts of
    images overrides `image`.

    It is a context manager; without `with` or `close`, its file is closed when nobody has it any more.

    Raises as `archive.open`, and ValueError for another `reduce`. Items raise as its images do.

    >>> import numpy as np
    >>> from ddpmcodec import archive
    >>> from torch.utils.data import DataLoader
    >>> data = archive.create((f"{n}.png", np.full((4, 6, 3), n, np.uint8)) for n in range(5))
    >>> dataset = archive.ArchiveDataset(data)
    >>> [batch[:, 0, 0, 0].tolist() for batch in DataLoader(dataset, batch_size=3)]
    [[0, 1, 2], [3, 4]]
    >>> dataset.names[4]
    '4.png'
    >>> archive.ArchiveDataset(data, reduce=2)[4].shape
    torch.Size([3, 2, 3])
    """

    def __init__(
        self,
        source: File,
        transform: Callable[[Image.Image], Item] | None = None,
        *,
        model: Source = None,
        kept_blocks: int = KEPT_BLOCKS,
        max_pixels: int | None = DEFAULT_MAX_PIXELS,
        reduce: int = 1,
    ) -> None:
        self.reduce, self.kept_blocks = scale_of(reduce), kept_blocks
        self.images = open_archive(source, model=model, kept_blocks=kept_blocks, max_pixels=max_pixels)
        self.names = list(self.images)
        self._sizes = [entry.pixels for entry in self.images.index.entries]
        self._files = {index for index, name in enumerate(self.names) if self.images.is_file(name)}
        self.transform: Callable[[Image.Image], Any] = to_tensor if transform is None else transform
        self._ahead = dict[int, Image.Image]()  # files that `prefetch` decoded

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Item:
        ahead = self._ahead.pop(index, None)
        item: Item = self.transform(self.image(index) if ahead is None else ahead)
        return item

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """The items of a batch, for which PyTorch's DataLoader asks at once."""
        return [self[index] for portion in self.portions(indices, len(indices)) for index in portion]

    def image(self, index: int) -> Image.Image:
        """The image of this number, before `transform`. Several threads call it at a time.

        A subclass may override it to decode a part of large images: `self.images.region(self.names[index], box)`.
        """
        name = self.names[index]
        return self.images[name] if self.reduce == 1 else self.images.region(name, reduce=self.reduce)

    def portions(self, indices: Iterable[int], most: int) -> Iterator[list[int]]:
        """The same indices, at most so many at a time. The runs of all are prefetched first, files before each portion,
        which is to be taken before the next."""
        wanted = list(indices)
        self._prefetch_runs(wanted)
        for portion in portions(wanted, self._pixels, most):
            self._prefetch_files(portion)
            yield portion

    def prefetch(self, indices: Iterable[int]) -> None:
        """Decode the runs of these images, and those that are files, on all threads; workers of a DataLoader share the
        threads. Runs are kept as by `ArchiveFile.prefetch`; files until they are asked for, or until the next prefetch,
        unless they have more than 4 megapixels together. Indices that are no numbers of images, which a subclass may
        have, are ignored. What is wrong with one image is raised when it is asked for."""
        wanted = list(indices)
        self._prefetch_runs(wanted)
        self._prefetch_files(wanted)

    def is_file(self, index: int) -> bool:
        """Whether the image of this number is a file of its own, as in `ArchiveFile.is_file`."""
        return index in self._files

    def close(self) -> None:
        """Close the archive, and free the images that are kept. Workers that were forked have their own."""
        self.images.close()
        self._ahead = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prefetch_runs(self, indices: Iterable[int]) -> None:
        numbers = {index for index in indices if 0 <= index < len(self.names)}
        with suppress(ImageError):
            self.images.prefetch(self.names[index] for index in numbers - self._files)

    def _prefetch_files(self, indices: Iterable[int]) -> None:
        files = sorted(self._files.intersection(indices))
        self._ahead = {}  # before others are made
        if self._decode_side_by_side(files):
            decoded = run_all(self._sound, files)
            self._ahead = {index: image for index, image in zip(files, decoded, strict=True) if image is not None}

    def _pixels(self, index: int) -> int:
        return self._sizes[index] if 0 <= index < len(self.names) else 0

    def _decode_side_by_side(self, files: Sequence[int]) -> bool:
        """Whether that uses more threads than one after another, each on as many as it has tiles; and they fit."""
        sizes = [self._pixels(index) for index in files]
        tiles = max(sizes, default=0) // SINGLE_STREAM_PIXELS
        return len(files) > 1 and len(files) >= min(tiles, thread_count()) and sum(sizes) <= WORK_PIXELS

    def _sound(self, index: int) -> Image.Image | None:
        """The image; None, where it is to be raised later what is wrong with it."""
        try:
            return self.image(index)
        except FAULTS:
            return None
