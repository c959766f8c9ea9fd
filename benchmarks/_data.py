"""The images that a benchmark measures: a folder, an array, an archive, CIFAR-10, or pictures drawn in code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpmcodec import archive
from ddpmcodec.errors import DdpmError
from ddpmcodec.folders import IMAGE_SUFFIXES
from ddpmcodec.training.data import is_archive, load_images

from ._drawn import graphics


class KnownSet(NamedTuple):
    """A set of photographs.

    Attributes:
        name: as results call it.
        folders: names that its folder usually has.
        images: how many it has.
        stems: names of its images; None: a folder of one of these names with as many images is the set.
        source: the place to get it from.
    """

    name: str
    folders: tuple[str, ...]
    images: int
    stems: tuple[str, ...] | None
    source: str

    def is_in(self, folder: Path, stems: Sequence[str]) -> bool:
        """Return whether a folder with images of these names holds the set."""
        if self.stems is None:
            return folder.name in self.folders and len(stems) == self.images
        return tuple(stems) == self.stems


KODAK_NAME, DIV2K_NAME, CLIC_P_NAME = "Kodak", "DIV2K", "CLIC.p"
KNOWN_SETS = {  # by their names on the command line
    "kodak": KnownSet(
        KODAK_NAME, ("kodak", "Kodak"), 24, tuple(f"kodim{number:02}" for number in range(1, 25)),
        "kodim01.png to kodim24.png of https://r0k.us/graphics/kodak/",
    ),
    "div2k": KnownSet(
        DIV2K_NAME, ("DIV2K_valid_HR",), 100, tuple(f"{number:04}" for number in range(801, 901)),
        "DIV2K_valid_HR.zip of https://data.vision.ee.ethz.ch/cvl/DIV2K/",
    ),
    "clic-p": KnownSet(
        CLIC_P_NAME, ("professional_valid", "professional_valid_2020"), 41, None,
        "the professional validation set of CLIC 2020, 41 images, of https://compression.cc",
    ),
}  # fmt: skip


def recognised(folder: Path, stems: Sequence[str]) -> KnownSet | None:
    """Return the set that a folder with images of these names holds; None if it is not a known one."""
    return next((known for known in KNOWN_SETS.values() if known.is_in(folder, stems)), None)


Pixels = NDArray[np.uint8]

CIFAR10, CIFAR10_NAME = "cifar10", "CIFAR-10"  # on the command line, and in results
GRAPHICS, GRAPHICS_NAME = "graphics", "drawn graphics"
CIFAR10_SIZES = {"test": 10_000, "train": 50_000}
DATA_VARIABLE = "DDPMCODEC_DATA"
WHERE = (
    'get CIFAR-10 with torchvision.datasets.CIFAR10("data", download=True), then give --data data,'
    f" or --data {CIFAR10} with {DATA_VARIABLE}=data; or name a folder of images, an .npy array [N, H, W, 3] or an"
    " archive"
)


@dataclass(frozen=True)
class Dataset:
    """images: uint8 [H, W, 3] each. of: how many the whole set has. split: of CIFAR-10, None for others. names: of the
    images, where they have some."""

    name: str
    images: list[Pixels]
    of: int
    split: str | None = None
    names: list[str] | None = None

    def describe(self) -> dict[str, Any]:
        """Facts for a result file. ids: 8 hexadecimal digits of the sha256 of each image's shape and pixels.

        dimensions: H W 3 of each image, or of all of them where they are equal.
        """
        digests = [sha256(repr(image.shape).encode() + image.tobytes()).hexdigest() for image in self.images]
        dimensions = [image.size for image in self.images]
        return {
            "name": self.name,
            "split": self.split,
            "images": len(self.images),
            "of": self.of,
            "sha256": sha256("".join(digests).encode()).hexdigest(),
            "dimensions": dimensions[0] if len(set(dimensions)) == 1 else dimensions,
            "ids": [digest[:8] for digest in digests],
            "names": self.names,
        }


def load_dataset(source: str, *, split: str = "test", limit: int | None = None) -> Dataset:
    """The first `limit` images of a folder, an array, an archive, a CIFAR-10 root, or `cifar10`, which is looked for in
    $DDPMCODEC_DATA, ./cifar10, ./data and their folders `cifar10`; or of a set of photographs by its name in
    `KNOWN_SETS`, whose usual folders are looked for there; or `graphics`, which are drawn.

    split: of CIFAR-10. Raises DdpmError when there is nothing, TrainingError when something is unreadable.
    """
    if source == GRAPHICS:
        titles, drawn = zip(*graphics(), strict=True)
        return Dataset(GRAPHICS_NAME, list(drawn)[:limit], len(drawn), names=list(titles)[:limit])
    path = _find(source)
    if not path.exists():
        raise DdpmError(f"{path}: no such file or folder: {WHERE}")
    images = load_images(path, split)
    if not images:
        raise DdpmError(f"{path}: there are no images in it: {WHERE}")
    if _is_cifar10(path):
        return Dataset(CIFAR10_NAME, images[:limit], CIFAR10_SIZES[split], split)
    names = _names(path)
    known = recognised(path, names)
    return Dataset(known.name if known else path.stem, images[:limit], len(images), names=names[:limit] or None)


def alike(images: Sequence[Pixels]) -> Iterator[list[Pixels]]:
    """Consecutive images of one size."""
    for _, group in groupby(images, key=np.shape):
        yield list(group)


def pixel_count(images: Sequence[Pixels]) -> int:
    """Of all images together."""
    return sum(image[..., 0].size for image in images)


def _names(path: Path) -> list[str]:
    """Names of the images of a folder or an archive, in the order of `load_images`."""
    if is_archive(path):
        return [PurePosixPath(name).stem for name in archive.names(path)]
    return [each.stem for each in sorted(path.rglob("*")) if each.suffix.lower() in IMAGE_SUFFIXES]


def _is_cifar10(path: Path) -> bool:
    """Whether it is torchvision's root, or a folder of sheets of the tiles."""
    return (path / "cifar-10-batches-py").is_dir() or (path / "test_index.npz").is_file()


def _find(source: str) -> Path:
    """Raises DdpmError where a set that is named is in none of the folders where it is looked for."""
    if source == CIFAR10:
        return _find_cifar10()
    path, known = Path(source), KNOWN_SETS.get(source)
    if known is None or path.exists():
        return path
    places = [root / name for root in (*_chosen_folder(), Path("data")) for name in known.folders]
    for place in places:
        if place.is_dir():
            return place
    raise DdpmError(
        f"{known.name} is not in {', '.join(map(str, places))}: get {known.source}, then give --data FOLDER, or --data"
        f" {source} with {DATA_VARIABLE}=FOLDER, the folder that it is in"
    )


def _find_cifar10() -> Path:
    for folder in _cifar10_folders():
        if _is_cifar10(folder):
            return folder
    raise DdpmError(f"CIFAR-10 is not in {', '.join(map(str, _cifar10_folders()))}: {WHERE}")


def _cifar10_folders() -> Iterator[Path]:
    for folder in (*_chosen_folder(), Path(CIFAR10), Path("data")):
        yield folder
        yield folder / CIFAR10


def _chosen_folder() -> list[Path]:
    """The folder of data sets that the environment names, if it does."""
    chosen = os.environ.get(DATA_VARIABLE)
    return [Path(chosen)] if chosen else []
