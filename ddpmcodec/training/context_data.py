"""What a context model learns from: crops of training images, images to evaluate on, and some to adapt to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from ddpmcodec.errors import TrainingError
from ddpmcodec.training.data import Crops, Mixture, Pixels, load_images

SMALLEST_CROP = 8
SOURCE_PIXELS = 16  # of images that positions are taken from at a time, for each of a step's
GREY_SHARE, LUMA = 0.03, (299, 587, 114)  # of images that are made grey; weights in 1/1000
HELD_OUT_SIDE, HELD_OUT_IMAGES, HELD_OUT_PIXELS = 128, 300, 1 << 20
ADAPTATION_SIDE, ADAPTATION_IMAGES, ADAPTATION_PIXELS = 256, 256, 1 << 21


class Source:
    """Batches of training images uint8 [N, H, W, 3], some of them grey. What it gives depends on the seed and on
    `number` alone: a resumed run goes on with the images that come next."""

    def __init__(self, crops: Mixture, seed: int, pixels: int) -> None:
        self.crops, self.seed, self.number = crops, seed, 0
        self.count = max(1, pixels // crops.largest**2)

    def __call__(self) -> NDArray[np.uint8]:
        self.number += 1
        return self.batch(self.number - 1)

    def batch(self, number: int) -> NDArray[np.uint8]:
        batch = self.crops.batch(number, self.count).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        grey = np.random.default_rng((self.seed, 2**33, number)).random(len(batch)) < GREY_SHARE
        batch[grey] = (batch[grey].astype(np.int32) @ LUMA // sum(LUMA))[..., None]
        return batch


class Ahead:
    """The batches of a source, made by threads before they are asked for: a GPU does not wait for crops."""

    def __init__(self, source: Source, threads: int) -> None:
        self.source, self.number, self.threads = source, source.number, threads
        self.executor = ThreadPoolExecutor(threads)
        self.coming: dict[int, Future[NDArray[np.uint8]]] = {}

    def __call__(self) -> NDArray[np.uint8]:
        for number in range(self.number, self.number + self.threads):
            if number not in self.coming:
                self.coming[number] = self.executor.submit(self.source.batch, number)
        self.number += 1
        return self.coming.pop(self.number - 1).result()


def image_sets(
    data: Sequence[str], *, validate: str | None = None, hold_out: int = 0
) -> tuple[list[list[Pixels]], list[Pixels]]:
    """Training images of every data set, and the images to evaluate on: those of `validate`, or the last ones of the
    first set. Raises TrainingError where there are none."""
    if not data:
        raise TrainingError("no training images: name a folder, an array or a CIFAR-10 root with --data")
    sets = [load_images(source) for source in data]
    if validate is not None:
        return sets, load_images(validate)
    first = len(sets[0])
    if not 0 < hold_out < first:
        raise TrainingError(
            f"{data[0]}: {first} images, of which --hold-out keeps {hold_out}: at least one must be"
            " left to train on, and one to evaluate on: give another --hold-out, or images to --validate with"
        )
    return [images[:-hold_out] or images for images in sets], sets[0][-hold_out:]


def crops_of(sets: Sequence[list[Pixels]], side: int, seed: int, camera: float = 0.0) -> Mixture:
    """Crops of every set, of `side` or of the largest size that most of its images hold."""
    sides = [min(side, max(_usual_side(images), SMALLEST_CROP)) for images in sets]
    shares = [camera if own == max(sides) else 0.0 for own in sides]
    parts = zip(sets, sides, shares, strict=True)
    return Mixture([Crops(images, own, seed + n, camera=share) for n, (images, own, share) in enumerate(parts)])


def _usual_side(images: Sequence[Pixels]) -> int:
    return int(np.median([min(image.shape[:2]) for image in images]))


def held_out_batches(images: Sequence[Pixels]) -> list[NDArray[np.uint8]]:
    """A square of each image, those of one size in one batch; as many as are quickly evaluated."""
    rng, batches, pixels = np.random.default_rng(5), defaultdict[int, list[Pixels]](list), 0
    for image in images[:HELD_OUT_IMAGES]:
        side = min(HELD_OUT_SIDE, *image.shape[:2])
        top, left = (int(rng.integers(full - side + 1)) for full in image.shape[:2])
        batches[side].append(image[top : top + side, left : left + side])
        pixels += side * side
        if pixels >= HELD_OUT_PIXELS:
            break
    return [np.stack(batch) for batch in batches.values()]


def adaptation_images(sets: Sequence[list[Pixels]]) -> list[NDArray[np.uint8]]:
    """Training images that are as large as they may be, of all sets."""
    source = Source(crops_of(sets, ADAPTATION_SIDE, 11), 11, 1)
    epoch = sum(len(part.order) for part in source.crops.parts)
    found: list[NDArray[np.uint8]] = []
    while len(found) < min(epoch, ADAPTATION_IMAGES) and sum(image[..., 0].size for image in found) < ADAPTATION_PIXELS:
        found += list(source())
    return found[:ADAPTATION_IMAGES]
