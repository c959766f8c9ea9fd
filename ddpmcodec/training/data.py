"""Training images from a folder, an array, an archive or CIFAR-10, in an order fixed by a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ddpmcodec import archive
from ddpmcodec.errors import DdpmError, ImageError, TrainingError
from ddpmcodec.formats.folders import IMAGE_SUFFIXES
from ddpmcodec.formats.image_files import load_array, load_image

Pixels = NDArray[np.uint8]
TILE, COLUMNS = 32, 50  # sheets: 32x32 tiles, 50 a row, row-major
NOISE = (0.5, 6.0)  # grey levels
LARGEST_ZOOM = 1.6
SMALLEST_CROP = 8
MOST_HELD_OUT = 2000
LUMA = (299, 587, 114)  # weights of red, green, blue in a thousand, as in Pillow's grey images (ITU-R 601)


def _array(path: Path) -> list[Pixels]:
    try:
        return list(load_array(path))
    except ImageError as error:
        raise TrainingError(str(error)) from error


def _rgb(path: Path) -> Pixels:
    """Grey and palette images as RGB, without alpha. What cannot be coded is refused: it would become another image."""
    try:
        return np.asarray(load_image(path.read_bytes(), str(path), any_format=True).convert("RGB"))
    except (ImageError, OSError) as error:
        raise TrainingError(f"{error}; or remove it from the data folder") from error


def _bytes(path: Path) -> Pixels:
    try:
        return np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise TrainingError(f"{error}; or remove it from the data folder") from error


def is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".ddpma" and path.is_file()


def _archived(path: Path) -> list[Pixels]:
    """The images of an archive as RGB, without alpha, in the order in which they were given."""
    try:
        images = {name: _archived_rgb(name, image) for name, image in archive.extract(path)}
    except DdpmError as error:
        raise TrainingError(f"{path}: {error}") from error
    return [images[name] for name in archive.names(path)]


def _archived_rgb(name: str, image: archive.Picture) -> Pixels:
    if isinstance(image, np.ndarray):
        raise TrainingError(f"{name}: images of more than 8 bits a sample are not trained on: remove it")
    return np.asarray(image.convert("RGB"))


def _sheets(folder: Path, split: str) -> list[Pixels]:
    """Tiles of '<split>_*.webp', as many as '<split>_index.npz' names."""
    count = len(np.load(folder / f"{split}_index.npz")["official_index"])
    tiles: list[Pixels] = []
    for path in sorted(folder.glob(f"{split}_*.webp")):
        rows = _rgb(path).reshape(-1, TILE, COLUMNS, TILE, 3).transpose(0, 2, 1, 3, 4)
        tiles.extend(rows.reshape(-1, TILE, TILE, 3))
    return tiles[:count]


def _torchvision(root: Path, split: str) -> list[Pixels]:
    try:
        from torchvision.datasets import CIFAR10

        return list(CIFAR10(str(root), train=split == "train").data)
    except ImportError as error:
        raise TrainingError(f"{root}: reading CIFAR-10 needs torchvision; pip install 'ddpmcodec[data]'") from error
    except RuntimeError as error:
        raise TrainingError(f"{root}: not torchvision's CIFAR-10 ({error}); get it again") from error


def load_images(source: str | Path, split: str = "train", *, undecoded: Collection[str] = ()) -> list[Pixels]:
    """uint8 [H, W, 3] images of a folder of images, an .npy/.npz array [N, H, W, 3], an archive (.ddpma), a torchvision
    CIFAR-10 root, or a folder of tile sheets with an index.

    undecoded: suffixes of files in folders that are not decoded: uint8 [bytes].

    Raises TrainingError when there is nothing there or something unreadable is.
    """
    path = Path(source)
    if not path.exists():
        raise TrainingError(f"{path}: no such file or folder: name images, an array, an archive or a CIFAR-10 root")
    if path.is_file():
        return _archived(path) if is_archive(path) else _array(path)
    if (path / f"{split}_index.npz").exists():
        return _sheets(path, split)
    if (path / "cifar-10-batches-py").exists():
        return _torchvision(path, split)
    files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in IMAGE_SUFFIXES]
    images = [_bytes(file) if file.suffix.lower() in undecoded else _rgb(file) for file in files]
    if not images:
        raise TrainingError(f"{path}: no images found (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
    return images


def load_sets(data: Sequence[str], undecoded: Collection[str] = ()) -> list[list[Pixels]]:
    """The images of every data set. Raises TrainingError where there is no data set, or one cannot be read."""
    if not data:
        raise TrainingError("no training images: name a folder, an array, an archive or a CIFAR-10 root with data=...")
    return [load_images(source, undecoded=undecoded) for source in data]


def like_a_camera(image: Pixels, size: int, rng: np.random.Generator) -> Pixels:
    """A square image as a camera might have taken it, size x size: with noise of its sensor, then enlarged.

    Photographs whose traces of compression were removed by making them smaller are sharper, and have less noise, than
    those that people compress. Noise: standard deviation log-uniform in `NOISE` grey levels, in part common to the
    channels. Enlarging (bicubic) blurs the image and correlates the noise of neighbours, as demosaicing does.
    """
    low, high = NOISE
    deviation, common = low * (high / low) ** rng.random(), rng.random()
    height, width, _ = image.shape
    independent, shared = rng.standard_normal((height, width, 3)), rng.standard_normal((height, width, 1))
    noise = deviation * (common**0.5 * shared + (1 - common) ** 0.5 * independent)
    noisy = np.clip(np.round(image + noise), 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(noisy).resize((size, size), Image.Resampling.BICUBIC))


def grey(images: Pixels) -> Pixels:
    """As bright as the colours that they were: uint8 [..., 3] to [..., 1].

    >>> grey(np.array([[[200, 100, 0], [9, 9, 9]]], np.uint8)).tolist()
    [[[118], [9]]]
    """
    return (images.astype(np.int32) @ LUMA // sum(LUMA)).astype(np.uint8)[..., None]


class Crops:
    """Square crops with random flips. What a step draws depends on the seed alone: a resumed run goes on exactly.

    Images smaller than the crop are left out. camera: share of the crops that are made `like_a_camera`, from a part of
    the image that is up to `LARGEST_ZOOM` times smaller.
    """

    def __init__(self, images: list[Pixels], size: int, seed: int, *, camera: float = 0.0) -> None:
        self.camera = camera
        self.images = [image for image in images if min(image.shape[:2]) >= size]
        if not self.images:
            raise TrainingError(f"no training image is at least {size}x{size}; train on smaller crops")
        areas = np.array([image.shape[0] * image.shape[1] / size**2 for image in self.images])
        self.order = np.repeat(np.arange(len(self.images)), np.ceil(areas).astype(int))  # big images give more crops
        self.size, self.seed = size, seed
        self._shuffled: tuple[int, NDArray[np.int64]] | None = None  # an epoch, and its order

    def batch(self, step: int, count: int) -> Tensor:
        """[count, 3, size, size] float32, 0..255: the images of a step, without replacement within an epoch."""
        rng = np.random.default_rng((self.seed, step))
        crops = [self._crop(self.images[number], rng) for number in self._numbers(step, count)]
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()

    def each(self, most: int) -> Tensor:
        """[N, 3, size, size] float32, 0..255: a crop of each of the first images, `most` at most."""
        rng = np.random.default_rng(self.seed)
        crops = [self._crop(image, rng) for image in self.images[:most]]
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()

    def _numbers(self, step: int, count: int) -> list[int]:
        """The numbers of the images of a step."""
        draws = (divmod(position, len(self.order)) for position in range(step * count, (step + 1) * count))
        return [int(self._permutation(epoch)[index]) for epoch, index in draws]

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        shuffled = self._shuffled  # one assignment: batches may be made by several threads
        if shuffled is None or shuffled[0] != epoch:
            shuffled = epoch, np.random.default_rng((self.seed, 2**32 + epoch)).permutation(self.order)
            self._shuffled = shuffled
        return shuffled[1]

    def _crop(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        camera = rng.random() < self.camera if self.camera else False
        size = round(self.size / LARGEST_ZOOM ** rng.random()) if camera else self.size
        top, left = (int(rng.integers(side - size + 1)) for side in image.shape[:2])
        crop = image[top : top + size, left : left + size]
        if camera:
            crop = like_a_camera(crop, self.size, rng)
        return crop[:, ::-1] if rng.random() < 0.5 else crop


class DeviceCrops(Crops):
    """Crops in the order of `Crops`, from pixels that lie on a device as uint8: a batch is gathered at once, so that no
    GPU waits for Python. CIFAR-10 takes 150 MB."""

    def __init__(self, images: list[Pixels], size: int, seed: int, device: torch.device) -> None:
        super().__init__(images, size, seed)
        self.pixels = torch.from_numpy(np.concatenate([image.reshape(-1, 3) for image in self.images])).to(device)
        self.heights, self.widths = np.array([image.shape[:2] for image in self.images]).T
        self.firsts = np.cumsum(self.heights * self.widths) - self.heights * self.widths

    def batch(self, step: int, count: int) -> Tensor:
        """[count, 3, size, size] float32 on the device, channels last, 0..255: the images of a step."""
        numbers = np.array(self._numbers(step, count))
        top, left, side = np.random.default_rng((self.seed, step)).random((3, count))
        y, x = (self._offsets(part, sides[numbers]) for part, sides in ((top, self.heights), (left, self.widths)))
        first = self.firsts[numbers] + y * self.widths[numbers] + x
        return self._gather(first, self.widths[numbers], side < 0.5).permute(0, 3, 1, 2).float()

    def _offsets(self, share: NDArray[np.float64], side: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where crops begin in images of that side, evenly from 0 to the last that fits; share: in [0, 1)."""
        return (share * (side - self.size + 1)).astype(np.int64)

    def _gather(self, first: NDArray[np.int64], width: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Tensor:
        """uint8 [count, size, size, 3] from the pixels' numbers at top left, and the widths of their images."""
        device, k = self.pixels.device, torch.arange(self.size, device=self.pixels.device)
        corner, stride, flip = (torch.from_numpy(a).to(device).view(-1, 1, 1) for a in (first, width, mirrored))
        return self.pixels[corner + stride * k[:, None] + torch.where(flip, self.size - 1 - k, k)]


class Mixture:
    """Several sets of crops, round-robin, a step each. Batches of smaller crops have more of them."""

    def __init__(self, parts: Sequence[Crops]) -> None:
        self.parts, self.largest = parts, max(part.size for part in parts)

    def batch(self, step: int, count: int) -> Tensor:
        """float32 [>= count, 3, size, size], 0..255; count: of crops of the largest size."""
        part_step, number = divmod(step, len(self.parts))
        part = self.parts[number]
        return part.batch(part_step, count * self.largest**2 // part.size**2)


# --- what a run trains and evaluates on


class Images(NamedTuple):
    """Training images of every data set, images to evaluate on, and notes for the user. digest: of all that were given,
    in their order."""

    sets: list[list[Pixels]]
    held_out: list[Pixels]
    notes: list[str]
    digest: str


def image_sets(
    data: Sequence[str], *, validate: str | None = None, hold_out: int | None = None, undecoded: Collection[str] = ()
) -> Images:  # fmt: skip
    """Training images, and the images to evaluate on: those of `validate` (of CIFAR-10 its test images), or the last
    ones of the first set. hold_out: how many these are; None: a tenth, `MOST_HELD_OUT` at most. Training images that
    are held out, too, are left out. undecoded: as in `load_images`. Raises TrainingError where nothing is left to train
    or to evaluate on."""
    return without_held_out(*_split(data, validate, hold_out, undecoded))


def without_held_out(sets: list[list[Pixels]], held_out: list[Pixels]) -> Images:
    """Training images but those that are held out, too. Raises TrainingError where none are left."""
    *digests, last = [list(map(_digest, images)) for images in (*sets, held_out)]
    known = {*last}
    others = [
        [image for image, digest in zip(images, own, strict=True) if digest not in known]
        for images, own in zip(sets, digests, strict=True)
    ]
    count = sum(map(len, sets)) - sum(map(len, others))
    if not all(others):
        raise TrainingError("all images of a data set are held out, too: name others to evaluate on with validate=...")
    note = f"{count} training images are held out, too, and left out"
    whole = hashlib.sha256(repr([*digests, last]).encode()).hexdigest()
    return Images(others, held_out, [note] if count else [], whole)


def _digest(image: Pixels) -> bytes:
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).digest()


def _split(
    data: Sequence[str], validate: str | None, hold_out: int | None, undecoded: Collection[str]
) -> tuple[list[list[Pixels]], list[Pixels]]:  # fmt: skip
    sets = load_sets(data, undecoded)
    if validate is not None:
        return sets, load_images(validate, "test", undecoded=undecoded)
    first, others = sets[0], sets[1:]
    held_out = min(MOST_HELD_OUT, max(1, len(first) // 10)) if hold_out is None else hold_out
    if not 0 < held_out < len(first):
        raise TrainingError(
            f"{data[0]}: {len(first)} images, of which hold_out=... keeps {held_out}: at least one must be"
            " left to train on, and one to evaluate on: give another hold_out=..., or images to evaluate on with"
            " validate=..."
        )
    return [first[:-held_out], *others], first[-held_out:]


def crops_of(
    sets: Sequence[list[Pixels]], side: int, seed: int, camera: float = 0.0, *, multiple: int = 1
) -> Mixture:  # fmt: skip
    """Crops of every set, of `side` or of the largest size, a multiple of `multiple`, that most of its images hold."""
    least = max(SMALLEST_CROP, multiple)
    sides = [min(side, max(_usual_side(images) // multiple * multiple, least)) for images in sets]
    shares = [camera if size == max(sides) else 0.0 for size in sides]
    parts = zip(sets, sides, shares, strict=True)
    return Mixture([Crops(images, size, seed + n, camera=share) for n, (images, size, share) in enumerate(parts)])


def _usual_side(images: Sequence[Pixels]) -> int:
    return int(np.median([min(image.shape[:2]) for image in images]))


def left_out(sets: Sequence[list[Pixels]], parts: Sequence[Crops]) -> list[str]:
    """A note where images are smaller than the crops of their set."""
    count, used = sum(map(len, sets)), sum(len(part.images) for part in parts)
    note = f"{count - used} of {count} training images are smaller than the crops, and left out"
    return [note] if used < count else []
